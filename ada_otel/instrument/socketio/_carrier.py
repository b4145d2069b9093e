"""Where a client's trace context is carried.

For a connection: in the handshake's HTTP headers, or, as browsers cannot set headers on a websocket, in keys
of the ``auth`` object, which then win. For an event: in keys of its last argument if that is an object, or in
an argument of its own at the end, ``{"_otel": {"traceparent": …}}``, which the handler does not get to see.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.instrumentation.wsgi import wsgi_getter

ENVELOPE = "_otel"
_EMPTY = Context()


class Carrier:
    """Reads contexts with the global propagator."""

    def __init__(self) -> None:
        self._propagator: Any = None
        self._fields: tuple[str, ...] = ()

    def of_connection(self, environ: dict[str, Any], auth: Any) -> Context:
        """The context of a connection; empty if the client sent none.

        Args:
            environ: The WSGI environment of the handshake.
            auth: What the client sent with its connect packet.
        """
        if isinstance(auth, dict):
            envelope = auth.get(ENVELOPE)
            found = self._read(envelope if isinstance(envelope, dict) else auth)
            if found is not None:
                return found
        return propagate.get_global_textmap().extract(environ, _EMPTY, wsgi_getter)

    def of_event(self, data: list[Any]) -> tuple[Context, list[Any]]:
        """The context of an event, empty if the client sent none, and what the handler is to get.

        Args:
            data: The event's name and arguments.
        """
        last = data[-1]
        if type(last) is not dict:
            return _EMPTY, data
        if len(last) == 1 and type(last.get(ENVELOPE)) is dict:
            return self._read(last[ENVELOPE]) or _EMPTY, data[:-1]
        return self._read(last) or _EMPTY, data

    def _read(self, keys: dict[str, Any]) -> Context | None:
        propagator = propagate.get_global_textmap()
        if propagator is not self._propagator:
            self._fields = tuple(propagator.fields)
            self._propagator = propagator
        for field in self._fields:
            if field in keys:
                break
        else:
            return None
        # Clients may send anything; propagators expect text.
        texts = {field: keys[field] for field in self._fields if isinstance(keys.get(field), str)}
        return propagator.extract(texts, _EMPTY)
