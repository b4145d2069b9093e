# syntax=docker/dockerfile:1
# The example app, with ada-otel from this checkout. Build from the repository's root:
#   docker build -f docker/app.Dockerfile --build-arg PYTHON_VERSION=3.13 .
ARG PYTHON_VERSION
FROM python:${PYTHON_VERSION}-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY requirements/dev.txt requirements/
# Only what the app runs with; the pinned list gives the versions.
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --disable-pip-version-check --constraint requirements/dev.txt \
      flask flask-socketio gunicorn "psycopg[binary]" redis requests simple-websocket sqlalchemy websocket-client \
      opentelemetry-instrumentation-requests
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY ada_otel ada_otel
RUN --mount=type=cache,target=/root/.cache/pip \
    /venv/bin/pip install --disable-pip-version-check --constraint requirements/dev.txt .

FROM python:${PYTHON_VERSION}-slim
# 10001 is also the user of the collector's image: the folder below is the first content of the queue's volume, and gives
# it an owner that may write there. An image made from scratch cannot do that itself.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin ada \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/otelcol
COPY --from=build /venv /venv
COPY examples /srv/examples
COPY --chmod=0755 docker/app-entrypoint.sh /usr/local/bin/app-entrypoint
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["app-entrypoint"]
# One worker: Socket.IO's polling needs the same process for all requests of a client. Threads carry the load.
CMD ["opentelemetry-instrument", "gunicorn", "--bind=0.0.0.0:8000", "--workers=1", "--threads=64", \
     "--worker-tmp-dir=/dev/shm", "--graceful-timeout=20", "--no-control-socket", \
     "examples.ada.wsgi:app"]
