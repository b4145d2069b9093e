#!/bin/sh
# Imports the data views and saved searches beside this script. Run it when Kibana answers; again replaces them.
#
# KIBANA_URL and ELASTICSEARCH_PASSWORD_FILE (of the user elastic) say where and with what.
set -eu

url=${KIBANA_URL:?set it to the address of Kibana, for instance http://127.0.0.1:5601}
folder=$(cd "$(dirname "$0")" && pwd)

answer=$(printf 'user = "elastic:%s"\n' "$(cat "$ELASTICSEARCH_PASSWORD_FILE")" |
  curl --config - --silent --show-error --max-time 60 --retry 5 --retry-connrefused --header 'kbn-xsrf: true' \
    --form "file=@$folder/ada.ndjson;type=application/ndjson" "$url/api/saved_objects/_import?overwrite=true") || {
  echo "saved searches: no answer from $url" >&2
  exit 1
}
case $answer in
  *'"success":true'*) echo "saved searches: imported" ;;
  *) printf 'saved searches: refused by %s: %s\n' "$url" "$answer" >&2; exit 1 ;;
esac
