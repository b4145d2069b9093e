#!/bin/sh
# Gives Kibana's own user, kibana_system, its password. Run it before Kibana starts; again is harmless.
#
# ELASTICSEARCH_URL, ELASTICSEARCH_PASSWORD_FILE (of the user elastic) and KIBANA_PASSWORD_FILE say where and with what.
set -eu

url=${ELASTICSEARCH_URL:?set it to the address of Elasticsearch, for instance http://127.0.0.1:9200}

# By standard input, so that no process list shows a password. docker/secrets.sh makes them of letters and digits alone.
printf 'user = "elastic:%s"\ndata = "{\\"password\\":\\"%s\\"}"\n' \
  "$(cat "$ELASTICSEARCH_PASSWORD_FILE")" "$(cat "$KIBANA_PASSWORD_FILE")" |
  curl --config - --silent --show-error --fail --max-time 30 --retry 5 --retry-connrefused --output /dev/null \
    --request POST --header 'Content-Type: application/json' "$url/_security/user/kibana_system/_password" || {
  echo "Kibana's user: $url did not take the password" >&2
  exit 1
}
echo "Kibana's user: ready"
