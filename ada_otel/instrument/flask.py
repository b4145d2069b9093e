"""Flask: the server span and the HTTP server metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.flask import FlaskInstrumentor as _StockFlaskInstrumentor

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["FlaskInstrumentor", "instrument_flask_app"]


class FlaskInstrumentor(_StockFlaskInstrumentor):
    """The stock instrumentor, with an instance of its own, so that both can be told apart."""

    _instance = None


def instrument_flask_app(app: Flask, **options: Any) -> None:
    """Instrument one application that exists already.

    Args:
        app: The application.
        **options: The keyword arguments of the stock ``FlaskInstrumentor.instrument_app``.
    """
    FlaskInstrumentor.instrument_app(app, **options)  # type: ignore[no-untyped-call]
