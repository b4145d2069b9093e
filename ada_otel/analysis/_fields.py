"""Names of fields: the short ones that users write, and where documents have them."""

from __future__ import annotations

MESSAGE = "body.text"
LEVEL = "severity_text"
NUMBER = "severity_number"
TIME = "@timestamp"
LOGGER = "scope.name"
TRACE = "trace_id"
SPAN = "span_id"
SERVICE = "resource.attributes.service.name"
USER = "attributes.user_id"
REQUEST = "attributes.request_id"
MODULE = "attributes.module"
FILE = "attributes.code.file.path"
FUNCTION = "attributes.code.function.name"
LINE = "attributes.code.line.number"
EXCEPTION_TYPE = "attributes.exception.type"
EXCEPTION_MESSAGE = "attributes.exception.message"
EXCEPTION_STACK = "attributes.exception.stacktrace"

#: Fields that are cut into words; all others are compared as a whole.
TEXTS = (MESSAGE, EXCEPTION_MESSAGE, EXCEPTION_STACK)
#: Where an identifier that is pasted into the query is looked for, besides the texts.
IDENTIFIERS = (TRACE, SPAN, REQUEST)
#: Texts longer than this have no entry in their ``keyword`` field (``ignore_above`` in the index template).
LONGEST_KEYWORD = 1024

#: What users may write, and where it is in documents.
SHORT = {
    "message": MESSAGE,
    "body": MESSAGE,
    "level": LEVEL,
    "severity": LEVEL,
    "timestamp": TIME,
    "logger": LOGGER,
    "service": SERVICE,
    "module": MODULE,
    "file": FILE,
    "function": FUNCTION,
    "line": LINE,
    "exception": EXCEPTION_TYPE,
    "exception.traceback": EXCEPTION_STACK,
    "user": USER,
    "event": "event_name",
    "event.name": "event_name",
}
_TOP = frozenset(
    {
        MESSAGE,
        LEVEL,
        NUMBER,
        TIME,
        LOGGER,
        TRACE,
        SPAN,
        "event_name",
        "observed_timestamp",
        "name",
        "kind",
        "duration",
    }
)
_PREFIXES = ("attributes.", "resource.", "scope.", "body.", "status.", "data_stream.")
_OF_RESOURCE = (
    "service.",
    "host.",
    "deployment.",
    "telemetry.",
    "container.",
    "k8s.",
    "cloud.",
    "os.",
    "process.",
)


def path(name: str) -> str:
    """Where documents have the field that the user calls ``name``."""
    if name in SHORT:
        return SHORT[name]
    if name in _TOP or name.startswith(_PREFIXES):
        return name
    return f"resource.attributes.{name}" if name.startswith(_OF_RESOURCE) else f"attributes.{name}"


def exact(name: str) -> str:
    """The field by which ``name`` is grouped: the ``keyword`` part of a text."""
    found = path(name)
    return f"{found}.keyword" if found in {MESSAGE, EXCEPTION_MESSAGE} else found
