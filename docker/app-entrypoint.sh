#!/bin/sh
# Puts the secrets, which are files, into the variables that the app reads, and then becomes the command.
set -eu
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
  DATABASE_URL="postgresql+psycopg://ada:$(cat "$POSTGRES_PASSWORD_FILE")@${POSTGRES_HOST:?}:5432/ada"
  export DATABASE_URL
fi
if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
  REDIS_URL="redis://:$(cat "$REDIS_PASSWORD_FILE")@${REDIS_HOST:?}:6379/0"
  export REDIS_URL
fi
if [ -n "${SECRET_KEY_FILE:-}" ]; then
  SECRET_KEY=$(cat "$SECRET_KEY_FILE")
  export SECRET_KEY
fi
if [ -n "${HEALTH_TOKEN_FILE:-}" ]; then
  ADA_OTEL_HEALTH_TOKEN=$(cat "$HEALTH_TOKEN_FILE")
  export ADA_OTEL_HEALTH_TOKEN
fi
exec "$@"
