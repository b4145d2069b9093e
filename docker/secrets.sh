#!/bin/sh
# Writes what `docker compose up` needs and git must not have: .env, and one file per secret in ADA_SECRETS_DIR.
#
#   sh docker/secrets.sh
#
# Passwords are made up once and then kept. SLACK_WEBHOOK_URL, PAGERDUTY_ROUTING_KEY and DEADMANSSWITCH_URL are taken from
# the environment, else from .env; each run brings their files up to date. Without a value the file gets a placeholder that
# no name server resolves, so that Alertmanager starts, and its log says which one is not configured.
# No file ends with a line break: the collector takes a file as it is, and would send the break as part of the password.
set -eu
cd "$(dirname "$0")/.."

[ -e .env ] || { cp .env.example .env; echo "wrote .env"; }

# The value of a variable: from the environment, else the last line of .env that sets it.
value() {
  eval "found=\${$1:-}"
  [ -n "$found" ] || found=$(sed -n "s/^$1=//p" .env | tail -n 1 | sed -e 's/^"\(.*\)"$/\1/' -e "s/^'\(.*\)'\$/\1/")
  printf '%s' "$found"
}

folder=$(value ADA_SECRETS_DIR)
folder=${folder:-./secrets}
mkdir -p "$folder"
# The folder keeps other users out; the files are readable to the containers' own users.
chmod 700 "$folder"
umask 022

made_up='app_secret_key elastic_password grafana_password health_token kibana_password postgres_password redis_password'
for name in $made_up; do
  file=$folder/$name.txt
  if [ -s "$file" ]; then
    printf '%s' "$(cat "$file")" > "$file.new" && mv "$file.new" "$file"
    continue
  fi
  # 24 random bytes in hex; the first letter keeps it from being read as a number.
  printf 'p%s' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" > "$file"
  echo "wrote $file"
done

given() {
  file=$folder/$1.txt
  text=$(value "$2")
  if [ -z "$text" ]; then
    if [ -s "$file" ]; then return; fi
    text=$3
    echo "$2 is not set: $file is a placeholder"
  fi
  printf '%s' "$text" > "$file"
}

given slack_webhook_url SLACK_WEBHOOK_URL http://slack-webhook-url.not-configured.invalid/
given pagerduty_routing_key PAGERDUTY_ROUTING_KEY not-configured
given deadmansswitch_url DEADMANSSWITCH_URL http://deadmansswitch-url.not-configured.invalid/
