"""From the standard library's ``logging`` to OTLP log records.

The handler sits on the root logger. Lines of the telemetry libraries themselves, and any line that is
logged while telemetry is being exported, are left out: they would feed on themselves when the collector
is away.
"""

from __future__ import annotations

import logging
import logging.config
import threading
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from opentelemetry._logs import Logger, LogRecord, SeverityNumber, get_logger, get_logger_provider
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, get_current
from opentelemetry.instrumentation.log_utils import std_to_otel
from opentelemetry.trace.propagation import _SPAN_KEY

from ada_otel._diagnostics import failed

__all__ = ["OTLPHandler", "install", "uninstall"]

#: Loggers whose lines never become OTLP records: they speak of the export itself.
_OWN_LOGGERS = ("opentelemetry", "ada_otel")

#: What every stdlib record has; anything else came by ``extra=`` and becomes an attribute.
_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: A record with no more fields than this came without ``extra=`` and was not formatted before.
_STANDARD_COUNT = len(vars(logging.makeLogRecord({})))

#: The severity text of OpenTelemetry's log data model, where it differs from the stdlib's level name.
_SEVERITY_TEXT = {"WARNING": "WARN", "CRITICAL": "FATAL"}

#: What replaces the root logger's handlers, or does nothing when there are any.
_CONFIG_FUNCTIONS = ((logging, "basicConfig"), (logging.config, "dictConfig"), (logging.config, "fileConfig"))


class OTLPHandler(logging.Handler):
    """Sends each stdlib log record as an OTLP log record.

    Body: the formatted message. Scope name: the logger's name. Attributes: ``code.*`` of the call site,
    ``exception.*`` where there is one, and all that came by ``extra=``; ``otel.event.name`` there becomes the
    event name. Source: OpenTelemetry log data model; semantic conventions for code and exceptions.
    """

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._loggers: dict[str, Logger] = {}
        self._active = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Send ``record``; never raises, and passes over lines that telemetry itself caused."""
        if record.levelno >= logging.WARNING:
            _show_as_without_us(self, record)
        if record.name.startswith(_OWN_LOGGERS) or getattr(self._active, "flag", False):
            return
        context = get_current()
        if context.get(_SUPPRESS_INSTRUMENTATION_KEY):
            return
        self._active.flag = True
        try:
            self._send(record, context)
        except Exception as error:
            failed("Sending a log line", error)
        finally:
            self._active.flag = False

    def _send(self, record: logging.LogRecord, context: Context) -> None:
        logger = self._loggers.get(record.name)
        if logger is None:
            logger = self._loggers[record.name] = get_logger(record.name)
        attributes = _attributes(record)
        event_name = attributes.pop("otel.event.name", None)
        event_name = event_name if isinstance(event_name, str) else None
        severity, severity_text = _severity(record.levelno, record.levelname)
        timestamp, observed, body = int(record.created * 1e9), time.time_ns(), record.getMessage()
        provider = self._plain_provider()
        if provider is not None:
            span: Any = context.get(_SPAN_KEY)
            span_context = span.get_span_context() if span is not None else None
            if provider.queue_plain(
                logger,
                span_context,
                timestamp,
                observed,
                severity,
                severity_text,
                body,
                attributes,
                event_name,
            ):
                return
        logger.emit(
            LogRecord(
                timestamp=timestamp,
                observed_timestamp=observed,
                context=context,
                severity_text=severity_text,
                severity_number=severity,
                body=body,
                attributes=attributes,
                event_name=event_name,
            )
        )

    def _plain_provider(self) -> Any:
        provider = get_logger_provider()
        return provider if hasattr(provider, "queue_plain") else None


def _show_as_without_us(handler: logging.Handler, record: logging.LogRecord) -> None:
    # An app that configures no logging sees its warnings on stderr, by way of logging.lastResort, which is
    # used only while there is no handler. Ours must not be the one that switches it off.
    if logging.lastResort is None:
        return
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(other is not handler for other in logger.handlers):
            return
        logger = logger.parent if logger.propagate else None
    logging.lastResort.handle(record)


@lru_cache(64)
def _severity(level: int, name: str) -> tuple[SeverityNumber, str]:
    return std_to_otel(level), _SEVERITY_TEXT.get(name, name)


def _attributes(record: logging.LogRecord) -> dict[str, Any]:
    found = vars(record)
    attributes: dict[str, Any] = {
        "code.file.path": record.pathname,
        "code.function.name": record.funcName,
        "code.line.number": record.lineno,
    }
    if len(found) > _STANDARD_COUNT:
        attributes.update({key: found[key] for key in found if key not in _STANDARD_FIELDS})
    if record.exc_info:
        kind, error, trace = record.exc_info
        if kind is not None:
            builtin = kind.__module__ == "builtins"
            attributes["exception.type"] = (
                kind.__qualname__ if builtin else f"{kind.__module__}.{kind.__qualname__}"
            )
        if error is not None:
            attributes["exception.message"] = str(error)
            attributes["exception.stacktrace"] = "".join(traceback.format_exception(kind, error, trace))
    return attributes


_installed: list[OTLPHandler] = []
_originals: list[tuple[Any, str, Callable[..., Any]]] = []


def install(level: str) -> None:
    """Put the handler on the root logger, once, and keep it there through ``logging.config``.

    Args:
        level: The lowest level that is sent. A root logger still at its default (WARNING) is lowered to it;
            one that the app has set is left alone.
    """
    if _installed:
        return
    handler = OTLPHandler(logging.getLevelName(level))
    _installed.append(handler)
    root = logging.getLogger()
    root.addHandler(handler)
    if root.level == logging.WARNING:
        root.setLevel(logging.getLevelName(level))
    for module, name in _CONFIG_FUNCTIONS:
        original = getattr(module, name)
        _originals.append((module, name, original))
        setattr(module, name, _kept_through(original))


def uninstall() -> None:
    """Take the handler away again, and put the ``logging.config`` functions back."""
    while _installed:
        logging.getLogger().removeHandler(_installed.pop())
    while _originals:
        module, name, original = _originals.pop()
        setattr(module, name, original)


def _kept_through(configure: Callable[..., Any]) -> Callable[..., Any]:
    # dictConfig and fileConfig clear the root logger's handlers, and close every handler that exists;
    # basicConfig does nothing while there is one.
    def configure_and_keep(*args: Any, **kwargs: Any) -> Any:
        root = logging.getLogger()
        for handler in _installed:
            root.removeHandler(handler)
        try:
            return configure(*args, **kwargs)
        finally:
            for handler in _installed:
                root.addHandler(handler)

    configure_and_keep.__name__ = configure.__name__
    configure_and_keep.__doc__ = configure.__doc__
    return configure_and_keep
