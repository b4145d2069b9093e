"""OTLP log records in, Sentry error events out: the leg by which errors become Sentry Issues.

Sentry takes OTLP, but makes no Issue of it. This bridge runs beside the collector
(``ada-otel sentry-bridge``), receives log records from it over OTLP/HTTP, and sends those that carry an
exception as Sentry events. It keeps no queue: it answers the collector only after Sentry took the events, so
that the collector's queue holds them.
"""

from __future__ import annotations

from ada_otel.sentry_bridge.destination import Destination
from ada_otel.sentry_bridge.events import EventSettings, events_of
from ada_otel.sentry_bridge.sender import Sender
from ada_otel.sentry_bridge.server import Bridge
from ada_otel.sentry_bridge.tracebacks import ParsedException, ParsedFrame, parse_traceback

__all__ = [
    "Bridge",
    "Destination",
    "EventSettings",
    "ParsedException",
    "ParsedFrame",
    "Sender",
    "events_of",
    "parse_traceback",
]
