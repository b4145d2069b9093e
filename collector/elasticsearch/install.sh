#!/bin/sh
# Installs the index templates beside this script. Run it before the collector writes for the first time: a document that
# comes before its template is refused, for without one Elasticsearch has no data stream to put it in.
#
#   ELASTICSEARCH_URL=http://127.0.0.1:9200 sh install.sh
#
# ELASTICSEARCH_USER with ELASTICSEARCH_PASSWORD_FILE, or ELASTICSEARCH_API_KEY_FILE, when the cluster asks for it.
set -eu

url=${ELASTICSEARCH_URL:?set it to the address of Elasticsearch, for instance http://127.0.0.1:9200}
folder=$(cd "$(dirname "$0")" && pwd)

# The credentials go to curl by its standard input, so that no process list shows them.
credentials() {
  if [ -n "${ELASTICSEARCH_API_KEY_FILE:-}" ]; then
    printf 'header = "Authorization: ApiKey %s"\n' "$(cat "$ELASTICSEARCH_API_KEY_FILE")"
  elif [ -n "${ELASTICSEARCH_PASSWORD_FILE:-}" ]; then
    printf 'user = "%s:%s"\n' "${ELASTICSEARCH_USER:-elastic}" "$(cat "$ELASTICSEARCH_PASSWORD_FILE")"
  fi
}

for file in "$folder"/*.json; do
  name=$(basename "$file" .json)
  answer=$(credentials | curl --config - --silent --show-error --max-time 30 --retry 5 --retry-connrefused \
    --request PUT --header 'Content-Type: application/json' --data-binary "@$file" \
    --write-out '\n%{http_code}' "$url/_index_template/$name") || {
    echo "index template $name: no answer from $url" >&2
    exit 1
  }
  case $answer in
    *'
200') echo "index template $name: installed" ;;
    *) printf 'index template %s: refused by %s: %s\n' "$name" "$url" "$answer" >&2; exit 1 ;;
  esac
done
