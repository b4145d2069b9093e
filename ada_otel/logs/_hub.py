"""Where every line comes by, once, from the stdlib or from structlog, and goes on to what is switched on."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from ada_otel.pipeline.logging import Finish

__all__ = ["Hub", "hub"]

#: Loggers whose lines never become OTLP records: they speak of the export itself.
_OWN_LOGGERS = frozenset({"opentelemetry", "ada_otel"})


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
        self._busy = threading.local()

    def accept_record(self, logger: logging.Logger, record: logging.LogRecord) -> bool:
        """Take a stdlib record; says whether it was printed to the console. Never raises."""
        if record.levelno < self.level or getattr(self._busy, "flag", False):
            return False
        # Before the flag is set: what an argument's __str__ logs is a line of its own.
        message = None
        if type(record.msg) is str:
            message = message_of(record) if record.args else record.msg
        self._busy.flag = True
        try:
            sink = self.otlp if self.file is None and self.console is None else None
            if (
                sink is not None
                and message is not None
                and not record.exc_info
                and not record.stack_info
                and record.name.partition(".")[0] not in _OWN_LOGGERS
                and defer_record(sink, self.counts, record, message)
            ):
                return False
            line = from_record(record, message)
            self._write(line)
            if self.console is not None and not prints_to_console(logger, any_handler=self.console_defers):
                self.console.write(line)
                return True
        except Exception as error:
            failed("Sending a log line", error)
        finally:
            self._busy.flag = False
        return False

    def sends(self, record: logging.LogRecord) -> bool:
        """Whether a stdlib record that has come by became an OTLP record."""
        return (
            self.otlp is not None
            and record.levelno >= self.level
            and not getattr(self._busy, "flag", False)
            and record.name.partition(".")[0] not in _OWN_LOGGERS
        )

    def accept_event(self, method: str, event: dict[str, Any], logger: str | None) -> None:
        """Take a structlog event that does not go through the stdlib. Never raises.

        Args:
            method: The method it was logged with.
            event: The event; it is not changed.
            logger: The logger's name, if it has one.
        """
        level = level_of(method, event)
        if level < self.level or getattr(self._busy, "flag", False):
            return
        self._busy.flag = True
        try:
            self._write(from_event(event, level, logger))
        except Exception as error:
            failed("Sending a log line", error)
        finally:
            self._busy.flag = False

    def wants(self, level: int) -> bool:
        """Whether a line of this level would go anywhere."""
        return level >= self.level and (
            self.file is not None or self.console is not None or (self.otlp is not None and self.otlp.heard)
        )

    def accept_parts(
        self,
        logger: str,
        level: int,
        span_context: SpanContext | None,
        finish: Finish,
        parts: tuple[Any, ...],
        most: int,
    ) -> None:
        """Take a line of our own, which comes by no logger. Never raises.

        Args:
            logger: The logger's name, none of our own.
            level: The stdlib's level.
            span_context: Of the span that it is about, which may have ended.
            finish: Makes its message and attributes, redacted; called when the line is sent.
            parts: The arguments of ``finish``: nothing that changes, and nothing that keeps a request alive.
            most: It makes no more attributes than this.
        """
        if getattr(self._busy, "flag", False):
            return
        self._busy.flag = True
        try:
            now, name = time.time_ns(), logging.getLevelName(level)
            sink = self.otlp if self.file is None and self.console is None else None
            if (
                sink is not None
                and not get_current().get(_SUPPRESS_INSTRUMENTATION_KEY)
                and sink.defer(logger, level, name, now, span_context, finish, parts, most)
            ):
                if self.counts is not None:
                    self.counts.count_level(level, span_context)
                return
            message, attributes = finish(*parts)
            line = from_parts(logger, level, name, now, span_context, message, attributes.together())
            self._write(line)
            if self.console is not None:
                self.console.write(line)
        except Exception as error:
            failed("Sending a log line", error)
        finally:
            self._busy.flag = False

    def _write(self, line: Line) -> None:
        if line.logger.partition(".")[0] not in _OWN_LOGGERS:
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
