"""The app object for servers: ``gunicorn examples.ada.wsgi:app``, ``flask --app examples/ada/wsgi run``."""

from __future__ import annotations

from .factory import create_app

app = create_app()
