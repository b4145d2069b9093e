"""ada-otel: traces, metrics and logs of an ADA application, sent over OTLP.

Start the app with ``opentelemetry-instrument`` or ``ada-otel run``, which need no line in it, or call
:func:`setup`.
"""

from __future__ import annotations

from ada_otel._version import __version__

TYPE_CHECKING = False  # importing typing would be most of what the launcher imports
if TYPE_CHECKING:
    from typing import Any

    from ada_otel import business
    from ada_otel.bootstrap import setup
    from ada_otel.business import alert

__all__ = ["__version__", "alert", "business", "setup"]


#: The public names by the module that has them, imported when they are first asked for.
_HOMES = {"alert": "ada_otel.business", "business": "ada_otel.business", "setup": "ada_otel.bootstrap"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module = importlib.import_module(_HOMES[name])
    return module if name == "business" else getattr(module, name)
