"""ADA, a small web app of a team that uses Flask, Flask-SocketIO, SQLAlchemy and Redis.

It says what only an app knows through ``ada_otel.business``, and holds no other line of telemetry code. See
README.md beside this file.
"""
