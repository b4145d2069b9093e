"""Where every line comes by, once, from the stdlib or from structlog, and goes on to what is switched on."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import _internal as _api
from opentelemetry._logs import get_logger_provider
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

from ada_otel._diagnostics import failed
from ada_otel.logs._console import Console, prints_to_console
from ada_otel.logs._deferred import defer_record
from ada_otel.logs._file import RotatingFile
from ada_otel.logs._json import render
from ada_otel.logs._line import Line, from_event, from_parts, from_record, level_of, message_of
from ada_otel.logs._metrics import Counts
from ada_otel.logs._otlp import OTLPSink
from ada_otel.pipeline.current import get_current
from ada_otel.pipeline.lines import OWN_LOGGERS, made
from ada_otel.pipeline.logging import LoggerProvider

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from ada_otel.pipeline.lines import Finish
    from ada_otel.pipeline.logging import LineKind

__all__ = ["TAKING", "Hub", "here", "hub"]

#: In the place of a record: what is logged while a line is taken up goes nowhere.
TAKING: Any = object()


class _Here(threading.local):
    """What this thread is about: a record that has come by and is being handled, or ``TAKING``."""

    at: Any = None


here = _Here()


class Hub:
    """The sinks of this process, and the lowest level that they take.

    Attributes:
        level: Lines below it go nowhere.
        otlp: Whether lines become OTLP records.
        counts: The metrics of lines and exceptions.
        file: The log file.
        console: The console.
        console_defers: Whether any handler of the app's keeps lines off the console, or one that prints.
    """

    def __init__(self) -> None:
        self.level = logging.INFO
        self.otlp: OTLPSink | None = None
        self.counts: Counts | None = None
        self.file: RotatingFile | None = None
        self.console: Console | None = None
        self.console_defers = False

    def accept_record(self, logger: logging.Logger, record: logging.LogRecord) -> bool:
        """Take a stdlib record; says whether it was printed to the console. Never raises.

        ``here.at`` may be left at ``TAKING``: the caller puts back what was there.
        """
        if record.levelno < self.level:
            return False
        # Before it is taken up: what an argument's __str__ logs is a line of its own.
        message = None
        if type(record.msg) is str:
            message = record.msg
            if record.args:
                try:
                    message = record.getMessage()
                except Exception:
                    message = message_of(record)  # which says so
        here.at = TAKING
        try:
            if (
                message is not None
                and self.otlp is not None
                and self.file is None
                and self.console is None
                and not record.exc_info
                and not record.stack_info
                and defer_record(self.counts, record, message)
            ):
                return False
            line = from_record(record, message)
            self._write(line)
            if self.console is not None and not prints_to_console(logger, any_handler=self.console_defers):
                self.console.write(line)
                return True
        except Exception as error:
            failed("Sending a log line", error)
        return False

    def sends(self, record: logging.LogRecord) -> bool:
        """Whether a stdlib record that has come by became an OTLP record."""
        return (
            self.otlp is not None
            and record.levelno >= self.level
            and record.name.partition(".")[0] not in OWN_LOGGERS
        )

    def accept_event(self, method: str, event: dict[str, Any], logger: str | None) -> None:
        """Take a structlog event that does not go through the stdlib. Never raises.

        Args:
            method: The method it was logged with.
            event: The event; it is not changed.
            logger: The logger's name, if it has one.
        """
        level = level_of(method, event)
        if level < self.level or here.at is TAKING:
            return
        before, here.at = here.at, TAKING
        try:
            self._write(from_event(event, level, logger))
        except Exception as error:
            failed("Sending a log line", error)
        finally:
            here.at = before

    def kind_of(self, logger: str, level: int) -> LineKind | None:
        """What is known of lines of our own that go into the queue as they are, for :meth:`queue_parts`.

        Args:
            logger: The logger's name, none of our own.
            level: The stdlib's level.

        Returns:
            ``None`` where lines must be made at once, or go nowhere.
        """
        if level < self.level or self.otlp is None or self.file is not None or self.console is not None:
            return None
        provider = getattr(_api, "_LOGGER_PROVIDER", None)
        if type(provider) is not LoggerProvider:
            return None
        found = provider.line_kinds[logger, level, None]
        if found is None or found.add is None:
            return found
        if here.at is TAKING or get_current().get(_SUPPRESS_INSTRUMENTATION_KEY):
            return None
        return found

    def queue_parts(
        self,
        kind: LineKind,
        level: int,
        span_context: SpanContext | None,
        finish: Finish,
        parts: tuple[Any, ...],
    ) -> None:
        """Queue a line of our own; as :meth:`accept_parts`, but for ``kind``, as :meth:`kind_of` gave it."""
        add = kind.add
        if add is not None:
            add((kind, time.time_ns(), span_context, finish, *parts), kind.important)
        if self.counts is not None:
            self.counts.count_one(level, span_context)

    def wants(self, level: int) -> bool:
        """Whether a line of this level would go anywhere: without an exporter nothing takes it."""
        if level < self.level:
            return False
        if self.otlp is None or self.file is not None or self.console is not None:
            return not self.idle
        provider: Any = getattr(_api, "_LOGGER_PROVIDER", None) or get_logger_provider()
        composite = getattr(provider, "_multi_log_record_processor", None)
        return composite is None or bool(composite._log_record_processors)

    def accept_parts(
        self,
        logger: str,
        level: int,
        span_context: SpanContext | None,
        finish: Finish,
        parts: tuple[Any, ...],
    ) -> None:
        """Take a line of our own, which comes by no logger and is made at once. Never raises.

        Args:
            logger: The logger's name, none of our own.
            level: The stdlib's level.
            span_context: Of the span that it is about, which may have ended.
            finish: Puts it together.
            parts: What ``finish`` needs: nothing that changes, and nothing that keeps a request alive.
        """
        if here.at is TAKING:
            return
        before, here.at = here.at, TAKING
        try:
            now = time.time_ns()
            name = logging.getLevelName(level)
            said = finish((None, now, span_context, finish, *parts))
            line = from_parts(logger, level, name, now, span_context, *made(said))
            self._write(line)
            if self.console is not None:
                self.console.write(line)
        except Exception as error:
            failed("Sending a log line", error)
        finally:
            here.at = before

    def _write(self, line: Line) -> None:
        if line.logger.partition(".")[0] not in OWN_LOGGERS:
            if self.counts is not None:
                self.counts.count(line)
            if self.otlp is not None and not line.context.get(_SUPPRESS_INSTRUMENTATION_KEY):
                self.otlp.write(line)
        if self.file is not None:
            self.file.write(render(line))

    @property
    def idle(self) -> bool:
        """Whether nothing is switched on."""
        return self.otlp is None and self.file is None and self.console is None


#: The hub of this process.
hub = Hub()
