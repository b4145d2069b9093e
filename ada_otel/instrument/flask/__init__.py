"""Flask: the server span and the HTTP server metrics.

:class:`FlaskInstrumentor` takes the arguments, hooks and environment variables of the stock one. With the
stable HTTP conventions, which are this distribution's default, requests go through
:mod:`ada_otel.instrument.flask._middleware`; with any other, or without the fast path, through the stock
code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor as _StockFlaskInstrumentor

from ada_otel.instrument import _conventions
from ada_otel.instrument._fallback import fast_part

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["FlaskInstrumentor"]

_middleware = fast_part("ada_otel.instrument.flask._middleware", "flask")


class FlaskInstrumentor(_StockFlaskInstrumentor):
    """Instruments Flask applications; see the stock ``FlaskInstrumentor`` for the arguments."""

    _instance = None

    def _instrument(self, **kwargs: Any) -> None:
        if _middleware is None or not _conventions.fast():
            super()._instrument(**kwargs)  # type: ignore[no-untyped-call]
            return
        self._original_flask = flask.Flask
        flask.Flask = _middleware.instrumented_class(flask.Flask, kwargs)  # type: ignore[misc]

    @staticmethod
    def instrument_app(app: Flask, **options: Any) -> None:  # type: ignore[override]
        """Instrument one application that exists already.

        Args:
            app: The application.
            **options: The keyword arguments of the stock ``FlaskInstrumentor.instrument_app``.
        """
        instrumented = getattr(app, "_is_instrumented_by_opentelemetry", False)
        if _middleware is not None and _conventions.fast() and not instrumented:
            _middleware.install(app, options)
        else:
            _StockFlaskInstrumentor.instrument_app(app, **options)

    @staticmethod
    def uninstrument_app(app: Flask) -> None:
        """Take the instrumentation off one application."""
        if _middleware is not None and _middleware.remove(app):
            return
        if not hasattr(app, "_teardown_request"):
            # Stock sets this in instrument_app only, and then fails on applications made after instrument().
            for found in app.teardown_request_funcs.get(None, []):
                if found.__module__ == _StockFlaskInstrumentor.__module__:
                    app._teardown_request = found  # type: ignore[attr-defined]
        _StockFlaskInstrumentor.uninstrument_app(app)
