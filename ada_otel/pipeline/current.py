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

__all__ = ["attach", "detach", "get_current", "reset"]


_Detach = Callable[["Token[Context]"], None]
_Functions = tuple[Callable[[], Context], Callable[[Context], "Token[Context]"], _Detach, _Detach]


def _functions() -> _Functions:
    runtime = getattr(context_api, "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    if type(runtime).__name__ == "ContextVarsRuntimeContext" and isinstance(variable, ContextVar):
        reset = variable.reset

        def detach(token: Token[Context]) -> None:
            try:
                reset(token)
            except Exception:
                context_api.detach(token)  # which says so

        return variable.get, variable.set, detach, reset
    return context_api.get_current, context_api.attach, context_api.detach, context_api.detach


#: As the functions of these names in :mod:`opentelemetry.context`; ``detach`` never raises. ``reset`` is
#: ``detach`` without a call in Python, and raises where a token is not of this context.
get_current, attach, detach, reset = _functions()
