"""structlog's lines, whatever the app makes of them.

Two processors are kept in the global chain: one before the renderer, which sees the event while it is still
a dictionary, and one at its end, which lets the event travel with its text if that goes through the stdlib.
The stock instrumentation's processor, which would send each line a second time, is taken out.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable
from typing import Any

from ada_otel._diagnostics import contained
from ada_otel.logs._hub import hub
from ada_otel.logs._line import Rendered

__all__ = ["carry_event", "emit_otlp", "release", "watch"]

_local = threading.local()

#: Processors that end a chain: what comes after them sees no event.
_RENDERERS = frozenset(
    {
        "JSONRenderer",
        "ConsoleRenderer",
        "KeyValueRenderer",
        "LogfmtRenderer",
        "render_to_log_kwargs",
        "render_to_log_args_and_kwargs",
        "wrap_for_formatter",
    }
)


def emit_otlp(logger: Any, method_name: str, event_dict: Any) -> Any:
    """Send the event as an OTLP log record, and write it to the log file if that is on; returns it unchanged.

    A structlog processor; it belongs before the renderer. For a logger of the stdlib it does nothing, as its
    lines come by in any case: no line is sent twice.
    """
    if type(event_dict) is not dict or event_dict.get("_from_structlog") is False:
        # A text was rendered before; a line of the stdlib's comes through ProcessorFormatter.
        return event_dict
    if isinstance(logger, logging.Logger):
        _local.event = dict(event_dict)
    elif not hub.idle:
        name = getattr(logger, "name", None)
        hub.accept_event(method_name, event_dict, name if isinstance(name, str) else None)
    return event_dict


def carry_event(logger: Any, _method_name: str, rendered: Any) -> Any:
    """Let the event travel with its text through the stdlib. A structlog processor for the end of a chain."""
    event = getattr(_local, "event", None)
    _local.event = None
    if event is None or type(rendered) is not str or not isinstance(logger, logging.Logger):
        return rendered
    carrier = Rendered(rendered)
    carrier.event = event
    return carrier


def watch() -> None:
    """Keep the two processors in structlog's global chain, from now or from when structlog is imported."""
    if "structlog._config" in sys.modules:
        _watch_now(sys.modules["structlog._config"])
        return
    from wrapt import register_post_import_hook

    register_post_import_hook(_watch_now, "structlog._config")


def release() -> None:
    """Take them out again."""
    config: Any = getattr(sys.modules.get("structlog._config"), "_CONFIG", None)
    if config is not None and hasattr(type(config), "_ada_otel_released"):
        config.__class__ = type(config)._ada_otel_released
        config.default_processors = [one for one in config.default_processors if not _is_ours(one)]


def _watch_now(module: Any) -> None:
    with contained("Watching structlog"):
        config = module._CONFIG
        plain = type(config)
        if hasattr(plain, "_ada_otel_released"):
            return

        class Watched(plain):  # type: ignore[misc, valid-type]  # its class is only known now
            """structlog's configuration, in which each new chain gets our processors."""

            _ada_otel_released = plain

            def __setattr__(self, name: str, value: Any) -> None:
                if name == "default_processors":
                    value = with_ours(value)
                super().__setattr__(name, value)

        processors = config.default_processors
        config.__class__ = Watched
        if isinstance(processors, list):
            # Loggers that exist hold this very list.
            processors[:] = with_ours(processors)
        else:
            config.default_processors = processors


def with_ours(processors: Iterable[Any]) -> list[Any]:
    """A chain with our processors in their places, and without the stock instrumentation's."""
    found = [one for one in processors if one is not carry_event and not _is_stock(one)]
    if not any(one is emit_otlp for one in found):
        at = next((at for at, one in enumerate(found) if _is_renderer(one)), max(len(found) - 1, 0))
        found.insert(at, emit_otlp)
    return [*found, carry_event]


def _is_ours(processor: Any) -> bool:
    return processor is emit_otlp or processor is carry_event


def _is_stock(processor: Any) -> bool:
    return type(processor).__module__.startswith("opentelemetry.instrumentation.structlog")


def _is_renderer(processor: Any) -> bool:
    name = getattr(processor, "__name__", None) or type(processor).__name__
    return name in _RENDERERS
