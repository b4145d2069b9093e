"""ADA, a small web app of a team that uses Flask, Flask-SocketIO, SQLAlchemy and Redis.

It holds no line of telemetry code: that is what it is an example of. See README.md beside this file.
"""
