#!/bin/sh
# Installs the index templates beside this script. Run it before the collector writes for the first time: a document that
# comes before its template is refused, for without one Elasticsearch has no data stream to put it in.
#
#   ELASTICSEARCH_URL=http://127.0.0.1:9200 sh install.sh
#
# ELASTICSEARCH_USER with ELASTICSEARCH_PASSWORD_FILE, or ELASTICSEARCH_API_KEY_FILE, when the cluster asks for it.
# ADA_LOGS_RETENTION and ADA_TRACES_RETENTION say how long documents are kept, as 7d or 36h; what the templates say otherwise.
# Run it again after a change: it holds for what is there already, too.
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

# ask WHAT METHOD PATH: sends the JSON of standard input, and prints the answer.
ask() {
  body=$(cat)
  answer=$(credentials | curl --config - --silent --show-error --max-time 30 --retry 5 --retry-connrefused \
    --request "$2" --header 'Content-Type: application/json' --data-binary "$body" \
    --write-out '\n%{http_code}' "$url/$3") || {
    echo "$1: no answer from $url" >&2
    exit 1
  }
  case $answer in
    *'
200') printf '%s\n' "$answer" ;;
    *) printf '%s: refused by %s: %s\n' "$1" "$url" "$answer" >&2; exit 1 ;;
  esac
}

for file in "$folder"/*.json; do
  name=$(basename "$file" .json)
  case $name in
    ada-logs) variable=ADA_LOGS_RETENTION retention=${ADA_LOGS_RETENTION:-} ;;
    ada-traces) variable=ADA_TRACES_RETENTION retention=${ADA_TRACES_RETENTION:-} ;;
    *) variable='' retention='' ;;
  esac
  case $retention in
    0* | [dhm]* | *[!0-9dhm]* | *[dhm]?* | *[0-9])
      echo "$variable is '$retention'; it must be a number of days, hours or minutes, as 30d, 36h or 90m" >&2
      exit 2
      ;;
  esac
  if [ -n "$retention" ]; then sed "s/\(\"data_retention\": \"\)[^\"]*/\1$retention/" "$file"; else cat "$file"; fi |
    ask "index template $name" PUT "_index_template/$name" >/dev/null
  echo "index template $name: installed"
  [ -n "$retention" ] || continue
  # The template is for streams to come; those that are there have a retention of their own.
  streams=$(ask "data streams $name-*" GET "_data_stream/$name-*" </dev/null)
  case $streams in
    *'"data_streams":[]'*) ;;
    *)
      printf '{"data_retention": "%s"}' "$retention" |
        ask "retention of $name-*" PUT "_data_stream/$name-*/_lifecycle" >/dev/null
      ;;
  esac
  echo "documents in $name-* are kept for $retention"
done
