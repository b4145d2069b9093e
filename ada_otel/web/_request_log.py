"""The lines of the request log: `Request started`, `Request completed`, `Event completed`.

They go to OTLP, the log file and the console of ours, and not to the app's handlers, whose output stays what
it was; to have them there, attach a handler to the logger ``ada.requests``. Without one they are made without
a ``logging.LogRecord``: by way of the stdlib a line cost three times as much.
"""

from __future__ import annotations

import logging
import random
from functools import lru_cache
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import trace

from ada_otel._diagnostics import failed
from ada_otel.logs import _context
from ada_otel.logs._hub import hub
from ada_otel.pipeline.grouped import Group
from ada_otel.pipeline.lines import made
from ada_otel.web._served import Served
from ada_otel.web.context import RequestContext

if TYPE_CHECKING:
    from ada_otel.pipeline.lines import Deferred, Finish, Pairs, Said

__all__ = ["RequestLog"]

#: Not below ``ada_otel``: what our own loggers say is not sent.
_NAME = "ada.requests"
_logger = logging.getLogger(_NAME)


class RequestLog:
    """Writes the lines that the settings ask for. Its methods never raise.

    Args:
        completed: The stdlib's level of `Request completed` and `Event completed`; None for none.
        started: That of `Request started`.
        ratio: The share of requests that are logged, from 0 to 1; those that fail always are.
    """

    def __init__(self, completed: int | None, started: int | None, ratio: float) -> None:
        self._completed = completed
        self._started = started
        self._ratio = ratio

    @property
    def starts(self) -> bool:
        """Whether `Request started` can be of a level that goes anywhere."""
        return self._started is not None and self._started >= hub.level

    def started(self, request: RequestContext) -> None:
        """Say that a view is about to be called."""
        level = self._started
        if level is not None and self._wanted(level) and self._chosen():
            get = request.environ.get
            _write(
                level,
                trace.get_current_span().get_span_context(),
                _finish_start,
                (get("REQUEST_METHOD", ""), get("PATH_INFO", ""), get("QUERY_STRING"), *request.log_values()),
            )

    def completed(
        self, request: Served, error: BaseException | None = None, *, aborted: bool = False
    ) -> None:
        """Say that a request was served, or failed.

        Args:
            request: The request.
            error: What went through the app, or came out of the body.
            aborted: Whether the client went away before the end of the body.
        """
        level = self._completed
        if level is None:
            return
        try:
            # As _wanted, and then as _write, without these calls, for lines that go into the queue.
            kind = None if _logger.handlers else hub.kind_of(_NAME, level)
            add = None
            if kind is not None:
                add = kind.add
                if add is None or not _logger.isEnabledFor(level):
                    return
            elif not self._wanted(level):
                return
            status = request.status
            if (
                self._ratio < 1
                and error is None
                and status is not None
                and status < "5"
                and not self._chosen()
            ):
                return
            get = request.environ.get
            line = (
                kind,
                time_ns(),
                request.span_context,
                _finish_completion,
                get("REQUEST_METHOD", ""),
                get("PATH_INFO", ""),
                get("QUERY_STRING"),
                status,
                perf_counter() - request.began,
                request.length or request.sent,
                aborted,
                None if error is None else type(error).__qualname__,
                *request.log_values(),
            )
            if kind is None or add is None or kind.important:
                _write(level, request.span_context, _finish_completion, line[4:])
                return
            add(line, False)
            if hub.counts is not None:
                next(hub.counts.ones[level])
        except Exception as problem:
            failed("Logging a request", problem)

    def event(self, event: str, namespace: str, seconds: float, error: Exception | None) -> None:
        """Say that a Socket.IO event was handled; see :func:`ada_otel.web.requests.socket_event`."""
        level = self._completed
        if level is None:
            return
        try:
            if not self._wanted(level) or (error is None and not self._chosen()):
                return
            if event == "connect" and isinstance(error, TypeError):
                return  # a handler that takes no `auth` is called a second time, without it
            _write(
                level,
                trace.get_current_span().get_span_context(),
                _finish_event,
                (
                    event,
                    namespace,
                    seconds,
                    None if error is None else type(error).__qualname__,
                    *(_context.current_values() or _context.NO_VALUES),
                ),
            )
        except Exception as problem:
            failed("Logging a Socket.IO event", problem)

    def _chosen(self) -> bool:
        return self._ratio >= 1 or random.random() < self._ratio  # noqa: S311  # no secret

    @staticmethod
    def _wanted(level: int) -> bool:
        return _logger.isEnabledFor(level) and (hub.wants(level) or bool(_logger.handlers))


def _finish_start(line: Deferred) -> Said:
    _, _, _, _, method, path, query, request_id, user, session, route, address, agent = line
    return (
        "Request started",
        _of_method(method, route),
        _context.of_client(user, session, address, agent),
        (("request_id", request_id),),
        (),
        (("url.path", path), ("url.query", query or None)),
    )


def _finish_completion(line: Deferred) -> Said:
    # fmt: off  # by where they come from, not one by one
    (
        _,
        _,
        _,
        _,
        method,
        path,
        query,
        status,
        seconds,
        size,
        aborted,
        error,
        request_id,
        user,
        session,
        route,
        address,
        agent,
    ) = line
    # fmt: on
    pairs: Pairs = (("http.response.body.size", int(size)),)
    if aborted or error is not None:
        pairs = (*pairs, ("aborted", aborted or None), ("error.type", error))
    return (
        "Request completed",
        _of_answer(method, status, route),
        _context.of_client(user, session, address, agent),
        (("request_id", request_id), ("duration_seconds", round(seconds, 6))),
        pairs,
        (("url.path", path), ("url.query", query)) if query else (("url.path", path),),
    )


@lru_cache(1024)
def _of_method(method: str, route: str | None) -> Group:
    return Group((("http.request.method", method), *_of_route(route)))


@lru_cache(2048)
def _of_answer(method: str, status: str | None, route: str | None) -> Group:
    code = "500" if status is None else status[:3]
    answer = (("http.response.status_code", int(code)),) if code.isdecimal() else ()
    return Group((("http.request.method", method), *answer, *_of_route(route)))


def _of_route(route: str | None) -> Pairs:
    return () if route is None else (("http.route", route),)


def _finish_event(line: Deferred) -> Said:
    _, _, _, _, event, namespace, seconds, error, request_id, user, session, route, address, agent = line
    fresh: Pairs = (("duration_seconds", round(seconds, 6)),)
    client = None
    if request_id is not None:
        client = _context.of_client(user, session, address, agent)
        fresh = (*fresh, ("request_id", request_id))
    pairs = (("error.type", error),)
    return "Event completed", _of_event(event, namespace, route), client, fresh, pairs, ()


@lru_cache(2048)
def _of_event(event: str, namespace: str, route: str | None) -> Group:
    return Group((("socketio.event", event), ("socketio.namespace", namespace), *_of_route(route)))


def _write(level: int, span: trace.SpanContext | None, finish: Finish, parts: tuple[Any, ...]) -> None:
    if _logger.handlers:
        _write_as_record(level, span, finish, parts)
        return
    kind = hub.kind_of(_NAME, level)
    if kind is not None:
        hub.queue_parts(kind, level, span, finish, parts)
    else:
        hub.accept_parts(_NAME, level, span, finish, parts)


def _write_as_record(
    level: int, span: trace.SpanContext | None, finish: Finish, parts: tuple[Any, ...]
) -> None:
    """Write it by way of the stdlib, where our bridge takes it up like any line."""
    message, attributes = made(finish((None, 0, span, finish, *parts)))
    if span is None or not span.is_valid:
        _logger.log(level, message, extra=attributes)
        return
    # The span may have ended; the line is its own all the same.
    token = context_api.attach(trace.set_span_in_context(trace.NonRecordingSpan(span)))
    try:
        _logger.log(level, message, extra=attributes)
    finally:
        context_api.detach(token)
