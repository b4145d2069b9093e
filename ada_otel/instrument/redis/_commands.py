"""Tracing of the synchronous client's commands and pipelines.

What a connection's address says is worked out once per pool, and what a command's name says once per name;
the stock code does both for each command and sets the attributes one by one: 114 µs a command.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from time import perf_counter
from typing import Any

import redis
import redis.client
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.redis import _execute_hook
from opentelemetry.instrumentation.redis.util import (
    _add_create_attributes,
    _add_search_attributes,
    _build_span_meta_data_for_pipeline,
    _build_span_name,
    _format_command_args,
)
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.metrics import Meter
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation import _SPAN_KEY

from ada_otel._diagnostics import failed
from ada_otel.cache import Lookups
from ada_otel.instrument._conventions import SUPPRESSED, SUPPRESSED_AS_WELL, suppressed
from ada_otel.instrument._operations import histogram, redis_operation
from ada_otel.instrument.redis._server import LOOKUPS, Command, Server
from ada_otel.observers import targets
from ada_otel.pipeline.current import attach, detach, get_current
from ada_otel.pipeline.metrics import tally
from ada_otel.pipeline.tracing.begin import begin_with, drops_children_with
from ada_otel.pipeline.tracing.span import error_status

_SERVER = "_ada_otel_server"
_TRACED = "_ada_otel_traced"
_PIPELINE = "PIPELINE"
#: The lookup of several keys at once.
_OF_MANY = "MGET"
#: Names of spans whose attributes come from the command's arguments, or from its answer.
_DESCRIBED_BY_ARGUMENTS = frozenset({"redis.create_index", "redis.search"})

_METHODS = (
    (redis.Redis, "execute_command"),
    (redis.client.Pipeline, "execute"),
    (redis.client.Pipeline, "immediate_execute_command"),
)

Hook = Callable[..., None] | None


def replace(tracer: trace.Tracer, meter: Meter, request_hook: Hook, response_hook: Hook) -> None:
    """Put our tracing in the place of the stock wrappers of ``redis.Redis`` and its pipelines."""
    tracing = CommandTracing(tracer, meter, request_hook, response_hook)
    for owner, method in _METHODS:
        unwrap(owner, method)
        around = tracing.pipeline if method == "execute" else tracing.command
        traced = around(getattr(owner, method))
        setattr(traced, _TRACED, traced)  # itself, as functools.wraps hands attributes on
        setattr(owner, method, traced)


def remove() -> None:
    """Take our tracing away; the stock code knows its own wrappers alone."""
    for owner, method in _METHODS:
        held = vars(owner)[method]
        ours: Any = getattr(held, _TRACED, None)
        # What somebody else has put around ours stays, as it does with the stock code.
        if ours is not None and ours is held:
            setattr(owner, method, ours.__wrapped__)


class CommandTracing:
    """The wrappers, and what they share."""

    def __init__(self, tracer: trace.Tracer, meter: Meter, request_hook: Hook, response_hook: Hook) -> None:
        self._begin = begin_with(tracer)
        self._histogram = histogram(meter)
        self._lookups = Lookups(meter, "redis")
        self._hits, self._misses = tally(self._lookups.hits), tally(self._lookups.misses)
        self._drops = drops_children_with(tracer)
        self._hooked = request_hook is not None or response_hook is not None
        self._request_hook = request_hook
        self._response_hook = response_hook

    def command(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Trace a method that runs one command.

        By a plain function: the wrapper of the stock code makes an object for each call.
        """
        drops, hooked = self._drops, self._hooked
        hits, misses = self._hits, self._misses

        @functools.wraps(original)
        def traced(client: Any, *args: Any, **kwargs: Any) -> Any:
            current = get_current()
            if (SUPPRESSED in current or SUPPRESSED_AS_WELL in current) and suppressed(current):
                return original(client, *args, **kwargs)
            first = args[0] if args else None
            if hooked or type(first) is not str or not first:
                return self._any_command(original, client, args, kwargs, current)
            server, count = getattr(getattr(client, "connection_pool", None), _SERVER, None), len(args)
            if server is None or server.owner is not self:
                server = self._server(client)
            told = server.commands.get((first, count)) or server.find(first, count)
            if not drops(current):
                return self._recorded(original, client, args, kwargs, current, told)
            started = perf_counter()
            try:
                response = original(client, *args, **kwargs)
            except BaseException as error:
                self._failed(client, told, error, perf_counter() - started, None)
                raise
            told.duration.take(perf_counter() - started)
            lookup = told.lookup
            if lookup is not None:
                if lookup == _OF_MANY:
                    self._count(lookup, response)
                else:  # as _count, without that call
                    next(misses if response is None else hits)
            return response

        return traced

    def _recorded(
        self,
        original: Callable[..., Any],
        client: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        current: Context,
        told: Command,
    ) -> Any:
        """Run a command that has a span."""
        if told.name in _DESCRIBED_BY_ARGUMENTS:
            return self._any_command(original, client, args, kwargs, current)
        span = self._begin(told.name, SpanKind.CLIENT, current, told.attributes)
        token = attach(_with_span(current, span))
        started = perf_counter()
        try:
            response = original(client, *args, **kwargs)
        except BaseException as error:
            seconds = perf_counter() - started
            detach(token)
            self._failed(client, told, error, seconds, span)
            raise
        seconds = perf_counter() - started
        detach(token)
        told.duration.record(seconds, None, span.get_span_context())
        if told.lookup is not None:
            self._count(told.lookup, response)
        try:
            span.end()
        except Exception as error:
            failed("Ending a Redis command's span", error)
        return response

    def _failed(
        self, client: Any, told: Command, error: BaseException, seconds: float, span: trace.Span | None
    ) -> None:
        try:
            duration = self._server(client).durations.of(told.operation, error)
            duration.record(seconds, None, None if span is None else span.get_span_context())
            if span is not None:
                _note_error(span, error)
                span.end()
        except Exception as problem:
            failed("Measuring a Redis command", problem)

    def _any_command(
        self,
        original: Callable[..., Any],
        client: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        current: Context,
    ) -> Any:
        """Trace a command that is described by more than its name, or of which hooks are told."""
        if self._drops(current) and not self._hooked:
            return self._timed(original, client, args, kwargs, None)
        name, text = _build_span_name(client, args), _format_command_args(list(args))
        address = self._server(client).address
        span = self._begin(
            name,
            SpanKind.CLIENT,
            current,
            lambda: {"db.query.text": text, "db.redis.args_length": len(args), **address},
        )
        if name == "redis.create_index" and span.is_recording():
            _add_create_attributes(span, args)
        token = attach(_with_span(current, span))
        try:
            if self._request_hook is not None:
                _execute_hook(self._request_hook, span, client, args, kwargs)
            response = self._timed(original, client, args, kwargs, span)
            if name == "redis.search" and span.is_recording():
                _add_search_attributes(span, response, args)
            if self._response_hook is not None:
                _execute_hook(self._response_hook, span, client, response)
        except BaseException as error:
            _note_error(span, error)
            raise
        else:
            return response
        finally:
            detach(token)
            span.end()

    def pipeline(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Trace the method that executes a pipeline."""

        @functools.wraps(original)
        def traced(client: Any, *args: Any, **kwargs: Any) -> Any:
            current = get_current()
            if (SUPPRESSED in current or SUPPRESSED_AS_WELL in current) and suppressed(current):
                return original(client, *args, **kwargs)
            if self._drops(current) and not self._hooked:
                return self._timed(original, client, args, kwargs, None, getattr(client, "command_stack", []))
            commands, text, name = _build_span_meta_data_for_pipeline(client)
            length, address = len(commands), self._server(client).address
            span = self._begin(
                name,
                SpanKind.CLIENT,
                current,
                lambda: {"db.query.text": text, "db.redis.pipeline_length": length, **address},
            )
            token = attach(_with_span(current, span))
            response = None
            try:
                response = self._timed(original, client, args, kwargs, span, commands)
            except redis.WatchError:
                # Losing a race for a watched key is a normal outcome.
                if self._response_hook is not None:
                    _execute_hook(self._response_hook, span, client, None)
                raise
            except BaseException as error:
                _note_error(span, error)
                raise
            else:
                if self._response_hook is not None:
                    _execute_hook(self._response_hook, span, client, response)
                return response
            finally:
                detach(token)
                span.end()

        return traced

    def _timed(
        self,
        original: Callable[..., Any],
        client: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        span: trace.Span | None,
        commands: list[Any] | None = None,
    ) -> Any:
        """Run a command, or a pipeline of ``commands``, and record its duration and lookups."""
        failure: BaseException | None = None
        response = None
        started = perf_counter()
        try:
            response = original(client, *args, **kwargs)
        except BaseException as error:
            failure = error
            raise
        else:
            return response
        finally:
            seconds = perf_counter() - started
            try:
                self._measure(client, args, commands, response, failure, seconds, span)
            except Exception as error:
                failed("Measuring a Redis command", error)

    def _measure(
        self,
        client: Any,
        args: tuple[Any, ...],
        commands: list[Any] | None,
        response: Any,
        failure: BaseException | None,
        seconds: float,
        span: trace.Span | None,
    ) -> None:
        # With the span's context at hand, nothing has to look for it.
        context = None if span is None else span.get_span_context()
        if commands is None:
            operation = redis_operation(args[0]) if args and type(args[0]) is str else "_OTHER"
            if failure is None and operation in LOOKUPS:
                self._count(operation, response)
        else:
            operation = _PIPELINE
            if isinstance(failure, redis.WatchError):
                failure = None  # to lose a race for a watched key is a normal outcome
            elif failure is None and isinstance(response, list):
                self._count_all(commands, response)
        self._server(client).durations.of(operation, failure).record(seconds, None, context)

    def _count_all(self, commands: list[Any], responses: list[Any]) -> None:
        for command, response in zip(commands, responses, strict=False):
            first = (command.args if hasattr(command, "args") else command[0])[0]
            operation = redis_operation(first) if type(first) is str else ""
            if operation in LOOKUPS and not isinstance(response, Exception):
                self._count(operation, response)

    def _count(self, operation: str, response: Any) -> None:
        try:
            if operation != _OF_MANY:
                next(self._misses if response is None else self._hits)
            elif isinstance(response, list):
                missed = response.count(None)
                if missed:
                    self._lookups.misses.take(missed)
                if len(response) > missed:
                    self._lookups.hits.take(len(response) - missed)
        except Exception as error:
            failed("Counting a lookup in Redis", error)

    def _server(self, client: Any) -> Server:
        pool = getattr(client, "connection_pool", None)
        found: Server | None = getattr(pool, _SERVER, None)
        if found is None or found.owner is not self:
            found = Server(self, pool, self._histogram)
            targets.note("redis", found.address.get("server.address"), found.address.get("server.port"))
            # A pool may be a class of the user's that takes no attributes: then it is asked each time.
            with contextlib.suppress(AttributeError):
                setattr(pool, _SERVER, found)
        return found


def _with_span(current: Context, span: trace.Span) -> Context:
    inner = Context(current)
    dict.__setitem__(inner, _SPAN_KEY, span)
    return inner


def _note_error(span: trace.Span, error: BaseException) -> None:
    if isinstance(error, Exception) and span.is_recording():
        span.record_exception(error)
        span.set_status(error_status(error))
