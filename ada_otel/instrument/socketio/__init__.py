"""Socket.IO, server side: python-socketio's ``Server`` and ``AsyncServer``, and Flask-SocketIO.

A span for each event handler, connect, disconnect, emit and acknowledgement, and the metrics of
:mod:`ada_otel.catalogue.socketio`; see docs/socketio.md. The libraries are not imported here: an app
that does not use Socket.IO pays nothing, and one that does is instrumented when it imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.dependencies import get_dependency_conflicts
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from ada_otel._diagnostics import failed, report

if TYPE_CHECKING:
    from ada_otel.instrument.socketio._patches import Patches

__all__ = ["SocketIOInstrumentor"]

_instruments = ("python-socketio >= 5.14, < 6",)


class SocketIOInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # BaseInstrumentor is untyped
    """Instruments ``socketio.Server``, ``AsyncServer`` and, where it is used, ``flask_socketio.SocketIO``.

    Keyword arguments of :meth:`instrument`, all optional:

    * ``tracer_provider``, ``meter_provider``: instead of the global ones.
    * ``request_hook(span, event, namespace, sid, arguments)``: called before each handler.
    * ``response_hook(span, event, namespace, result)``: called with what the handler of an event returned.
    * ``emit_hook(span, event, namespace, data)``: called before each emit that has a span.

    Hooks are plain functions, for ``AsyncServer`` too.
    """

    _instance = None
    _patches: Patches | None = None
    _listening = False
    _options: dict[str, Any] | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """The versions that this works with."""
        return _instruments

    def _check_dependency_conflicts(self) -> None:
        """Leave the check to the time when the library is imported: it reads files."""

    def _instrument(self, **kwargs: Any) -> None:
        self._options = kwargs
        if self._listening:
            for name, wrap in (("socketio", self._wrap_server), ("flask_socketio", self._wrap_flask)):
                if name in sys.modules:
                    wrap(sys.modules[name])
            return
        from wrapt import register_post_import_hook

        # There is no way to take these back; after uninstrument() they do nothing.
        self._listening = True
        register_post_import_hook(self._wrap_server, "socketio")
        register_post_import_hook(self._wrap_flask, "flask_socketio")

    def _uninstrument(self, **kwargs: Any) -> None:
        self._options = None
        if self._patches is not None:
            self._patches.remove()
            self._patches = None

    def _wrap_server(self, module: Any) -> None:
        if self._options is not None and self._patches is None:
            self._attempt("python-socketio", self._wrap_server_now, module)

    def _wrap_flask(self, module: Any) -> None:
        # Flask-SocketIO imports python-socketio first.
        if self._patches is not None:
            self._attempt("Flask-SocketIO", self._patches.wrap_flask, module)

    def _wrap_server_now(self, module: Any) -> None:
        conflict = get_dependency_conflicts(_instruments)
        if conflict is not None:
            report("socketio-version", f"Socket.IO is not instrumented: {conflict}")
            return
        from ada_otel.instrument.socketio._patches import Patches
        from ada_otel.instrument.socketio._telemetry import Telemetry

        patches = Patches(Telemetry(self._options or {}))
        patches.wrap_server(module)
        self._patches = patches

    @staticmethod
    def _attempt(what: str, wrap: Callable[[Any], None], module: Any) -> None:
        try:
            wrap(module)
        except Exception as error:
            failed(f"Instrumenting {what}", error)
