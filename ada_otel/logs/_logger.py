"""``get_logger``: structlog's interface over the standard library's loggers, with nothing to configure."""

from __future__ import annotations

import logging
from functools import partialmethod
from typing import TYPE_CHECKING, Any, cast

from ada_otel.logs._call_site import call_site
from ada_otel.logs._exceptions import resolve
from ada_otel.logs._line import Rendered
from ada_otel.logs._values import text_of

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

__all__ = ["get_logger"]


def get_logger(name: str | None = None, **fields: Any) -> BoundLogger:
    """A structlog logger whose lines go through the standard library's logger of that name.

    Levels, handlers and formatters are the standard library's: the message is the event, and the fields are
    on the record as ``extra=`` puts them there. structlog's own configuration is neither used nor changed,
    and neither is the class of the standard library's loggers, which structlog's ``LoggerFactory`` replaces.

    Args:
        name: As for :func:`logging.getLogger`; by default the module that calls.
        **fields: Bound to each line.
    """
    import structlog

    target = _Target(logging.getLogger(call_site().logger if name is None else name))
    processors: list[Any] = [
        structlog.stdlib.filter_by_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.contextvars.merge_contextvars,
        _hand_over,
    ]
    logger = structlog.wrap_logger(target, processors=processors, wrapper_class=structlog.stdlib.BoundLogger)
    return cast("BoundLogger", logger.bind(**fields))


def _hand_over(_logger: Any, _method_name: str, event: dict[str, Any]) -> tuple[tuple[Any], dict[str, Any]]:
    exc_info = resolve(event.pop("exc_info", None))
    event.pop("stack_info", None)
    message = Rendered(text_of(event.get("event", "")))
    message.event = event
    return (message,), {"exc_info": exc_info}


class _Target:
    """A stdlib logger that names the caller of structlog as the place of the line."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def _log(self, level: int, message: Rendered, exc_info: Any) -> None:
        logger, site = self._logger, call_site()
        record = logger.makeRecord(
            logger.name, level, site.path, site.line, message, (), exc_info, site.function
        )
        # A field may be called as one of the record's own is; that one is in the event alone.
        taken = {*vars(record), "event", "message", "asctime"}
        vars(record).update({key: value for key, value in message.event.items() if key not in taken})
        logger.handle(record)

    debug = partialmethod(_log, logging.DEBUG)
    info = partialmethod(_log, logging.INFO)
    warning = partialmethod(_log, logging.WARNING)
    warn = warning
    error = partialmethod(_log, logging.ERROR)
    exception = error
    critical = partialmethod(_log, logging.CRITICAL)
    fatal = critical
