"""Request ids and the request log; see docs/requests.md. What calls it is :mod:`ada_otel.web._front`."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import trace

from ada_otel._diagnostics import failed
from ada_otel.web._request_log import RequestLog
from ada_otel.web._served import Served, note_span
from ada_otel.web.context import RequestContext, _current, flask_context

if TYPE_CHECKING:
    from flask import Flask

    from ada_otel.settings import Settings

__all__ = ["attach", "socket_event", "start"]

_INSTALLED = "_ada_otel_requests"


class _Options:
    """What the settings say."""

    on = False
    log = RequestLog(None, None, 1.0)
    baggage = False


options = _Options()


def start(settings: Settings) -> None:
    """Take up the settings, and hook into Flask if it is there."""
    options.on = settings.requests
    options.log = RequestLog(
        _number(settings.request_log), _number(settings.request_log_started), settings.request_log_ratio
    )
    options.baggage = settings.request_id_baggage
    if not options.on:
        return
    _install()


def attach(_app: Flask) -> None:
    """Hook into Flask, where it came after :func:`start`."""
    if options.on:
        _install()


@contextmanager
def socket_event(event: str, namespace: str) -> Iterator[None]:
    """Around the handler of a Socket.IO event, within its span and Flask-SocketIO's request context.

    Lines within know the connection's request; their request id is the trace id of the event's own span. At
    the end ``Event completed`` is logged.

    Args:
        event: The event's name, from a bounded set.
        namespace: Its namespace, likewise.
    """
    if not options.on:
        yield
        return
    began, problem = perf_counter(), None
    token = _current.set(_of_event())
    try:
        yield
    except Exception as error:
        problem = error
        raise
    finally:
        options.log.event(event, namespace, perf_counter() - began, problem)
        _current.reset(token)


def _of_event() -> RequestContext | None:
    try:
        from flask import request

        found = RequestContext(request.environ)
        span = trace.get_current_span().get_span_context()
        if span.trace_id:
            found.request_id = format(span.trace_id, "032x")
    except Exception as error:
        failed("Taking up the request of a Socket.IO event", error)
        return None
    return found


def _number(level: str) -> int | None:
    return None if level == "off" else int(logging.getLevelName(level))


def _install() -> None:
    flask = sys.modules.get("flask.app")
    if flask is None:
        return
    from ada_otel.web import _front  # it needs this module

    _front.install()
    if getattr(flask.Flask, _INSTALLED, False):
        return
    setattr(flask.Flask, _INSTALLED, True)
    from flask import got_request_exception

    got_request_exception.connect(_raised)
    if options.baggage or options.log.starts:
        _install_beginning(flask.Flask)


def _install_beginning(kind: Any) -> None:
    """Around ``Flask.dispatch_request``: by then both kinds of instrumentation have begun the span."""
    original: Callable[..., Any] = kind.dispatch_request

    @functools.wraps(original)
    def dispatch_request(app: Flask, *arguments: Any) -> Any:
        token = _begin()
        try:
            return original(app, *arguments)
        finally:
            if token is not None:
                context_api.detach(token)

    kind.dispatch_request = dispatch_request


class Body:
    """A body of unknown length: the request is completed when it was sent or dropped."""

    def __init__(self, body: Iterable[bytes], request: Served) -> None:
        self._body, self._next, self._request, self._open = body, iter(body), request, True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        token = _current.set(self._request)
        try:
            piece = next(self._next)
        except StopIteration:
            self._end()
            raise
        except BaseException as error:
            self._end(error)
            raise
        else:
            self._request.sent += len(piece)
            return piece
        finally:
            _current.reset(token)

    def close(self) -> None:
        """Close the app's body; one that was not read to its end was aborted."""
        token = _current.set(self._request)
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._end(aborted=self._request.environ.get("REQUEST_METHOD") != "HEAD")
            _current.reset(token)

    def _end(self, error: BaseException | None = None, *, aborted: bool = False) -> None:
        if self._open:
            self._open = False
            options.log.completed(self._request, error, aborted=aborted)


def _raised(_app: Any, **_extra: Any) -> None:
    """An error that goes through the app makes no response; here its span is current for the last time."""
    request = _current.get()
    if isinstance(request, Served):
        try:
            note_span(request)
            request._flask_context = flask_context(request.environ)
        except Exception as error:
            failed("Noting the span of a request that failed", error)


def _begin() -> Any:
    """Log the start and attach the baggage; gives the token to detach, if any."""
    request = _current.get()
    if request is None:
        return None
    try:
        options.log.started(request)
        if options.baggage:
            from opentelemetry import baggage

            return context_api.attach(baggage.set_baggage("request.id", request.request_id))
    except Exception as error:
        failed("Beginning a request", error)
    return None
