"""The current context, straight from its context variable.

The public functions go through two Python calls each, and a request with one statement and one command asks
for the context or changes it 14 times. Under another runtime context (``OTEL_PYTHON_CONTEXT``), and where the
private names are gone, these are the public functions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token

from opentelemetry import context as context_api
from opentelemetry.context import Context

__all__ = ["attach", "detach", "get_current"]


def _functions() -> tuple[Callable[[], Context], Callable[[Context], Token[Context]]]:
    runtime = getattr(context_api, "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    if type(runtime).__name__ == "ContextVarsRuntimeContext" and isinstance(variable, ContextVar):
        return variable.get, variable.set
    return context_api.get_current, context_api.attach


#: As :func:`opentelemetry.context.get_current` and :func:`opentelemetry.context.attach`.
get_current, attach = _functions()

#: As :func:`opentelemetry.context.detach`, which never raises.
detach = context_api.detach
