"""OpenTelemetry's own ``LoggingHandler``, where an app has one: what we have sent it does not send again."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from opentelemetry._logs import get_logger_provider
from opentelemetry._logs._internal import ProxyLoggerProvider

from ada_otel._diagnostics import contained

__all__ = ["hush"]

#: Where the class is: in the SDK, and in the instrumentation that takes its place.
_MODULES = ("opentelemetry.sdk._logs._internal", "opentelemetry.instrumentation.logging.handler")


def hush(sent: Callable[[logging.LogRecord], bool]) -> None:
    """Keep those handlers from what has gone the same way; others, with a provider of their own, go on.

    Args:
        sent: Says whether a record, which is being handled, has become a record of the global provider's.
    """
    from wrapt import register_post_import_hook

    def wrap(module: Any) -> None:
        with contained("Watching OpenTelemetry's LoggingHandler"):
            original = module.LoggingHandler.emit

            @functools.wraps(original)
            def emit(handler: Any, record: logging.LogRecord) -> None:
                if not (sent(record) and _is_ours(handler._logger_provider)):
                    original(handler, record)

            module.LoggingHandler.emit = emit

    for name in _MODULES:
        register_post_import_hook(wrap, name)


def _is_ours(provider: Any) -> bool:
    # A handler that was made before the provider was set has a proxy of it.
    return provider is get_logger_provider() or isinstance(provider, ProxyLoggerProvider)
