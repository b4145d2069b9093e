"""Logs: from a line of code to an OTLP log record."""
