"""What a parity case works with: one variant's providers and instrumentors, and a record of what came out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.instrumentation.sqlalchemy.engine import EngineTracer
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from sqlalchemy.exc import InvalidRequestError

#: ``stock`` is the reference. ``ours`` hands read-only copies of spans to a foreign processor, ``live`` the
#: spans themselves to one of ours; ``fallback`` is ours with ADA_OTEL_FAST_PATH=false.
VARIANTS = ("stock", "ours", "live", "fallback")

Record = dict[str, Any]


class _Collector(SpanProcessor):
    def __init__(self, live: bool) -> None:
        self.takes_live_spans = live
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Kit:
    """Providers and instrumentors of one variant, made anew for each case."""

    def __init__(self, variant: str, sampler: Sampler | None = None) -> None:
        self.variant = variant
        self.notes: dict[str, Any] = {}
        self._undo: list[Callable[[], Any]] = []
        self._collector = _Collector(live=variant == "live")
        self.reader = InMemoryMetricReader()
        fast = variant in {"ours", "live"}
        if fast:
            from ada_otel.pipeline.metrics import MeterProvider
            from ada_otel.pipeline.tracing import TracerProvider
        else:
            from opentelemetry.sdk.metrics import (  # type: ignore[assignment]
                MeterProvider,
            )
            from opentelemetry.sdk.trace import TracerProvider  # type: ignore[assignment]
        self.tracer_provider = TracerProvider(sampler=sampler or ALWAYS_ON, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(self._collector)
        self.meter_provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        self.tracer = self.tracer_provider.get_tracer("parity")

    @property
    def providers(self) -> dict[str, Any]:
        """The keyword arguments that every instrumentor takes."""
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}

    def instrumentor(self, name: str) -> Any:
        """The variant's instrumentor class: ``flask``, ``sqlalchemy`` or ``redis``."""
        if self.variant == "stock":
            from opentelemetry.instrumentation.flask import FlaskInstrumentor
            from opentelemetry.instrumentation.redis import RedisInstrumentor
            from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
        else:
            from ada_otel.instrument.flask import FlaskInstrumentor
            from ada_otel.instrument.redis import RedisInstrumentor
            from ada_otel.instrument.sqlalchemy import SQLAlchemyInstrumentor
        classes: dict[str, Any] = {
            "flask": FlaskInstrumentor,
            "redis": RedisInstrumentor,
            "sqlalchemy": SQLAlchemyInstrumentor,
        }
        return classes[name]

    def instrument(self, name: str, **options: Any) -> None:
        """Instrument a library until the end of the case."""
        instrumentor = self.instrumentor(name)()
        # Stock refuses SQLAlchemy 2.1, on which it works.
        instrumentor.instrument(skip_dep_check=True, **self.providers, **options)
        self._undo.append(lambda: self._uninstrument(instrumentor))

    def _uninstrument(self, instrumentor: Any) -> None:
        try:
            instrumentor.uninstrument()
        except InvalidRequestError:
            # Stock cannot take its listeners off asynchronous engines, and is then in place for ever.
            if self.variant not in {"stock", "fallback"}:
                raise
            EngineTracer._remove_event_listener_params.clear()
            instrumentor._is_instrumented_by_opentelemetry = False

    def finish(self) -> None:
        """Undo what the case put in place."""
        while self._undo:
            self._undo.pop()()

    def record(self) -> Record:
        """All that was recorded, without what differs from run to run."""
        spans = self._collector.spans
        names = {span.context.span_id: span.name for span in spans if span.context}
        return {
            "spans": sorted((_span(span, names) for span in spans), key=repr),
            "metrics": sorted(_metrics(self.reader.get_metrics_data(), names), key=repr),
            "notes": self.notes,
        }


def _span(span: ReadableSpan, names: dict[int, str]) -> Record:
    context, parent, scope = span.context, span.parent, span.instrumentation_scope
    assert context is not None and scope is not None
    assert span.start_time and span.end_time and span.end_time >= span.start_time
    return {
        "name": span.name,
        "kind": span.kind.name,
        "parent": _parent(parent, names),
        "trace_id": f"{context.trace_id:032x}" if parent is not None and parent.is_remote else None,
        "flags": int(context.trace_flags),
        "state": context.trace_state.to_header(),
        "status": [span.status.status_code.name, span.status.description],
        "attributes": {key: _plain(value) for key, value in sorted((span.attributes or {}).items())},
        "events": [[event.name, _event(event.attributes or {})] for event in span.events],
        "links": [[names.get(link.context.span_id), dict(link.attributes or {})] for link in span.links],
        "scope": [scope.name, scope.version, scope.schema_url],
        "dropped": [span.dropped_attributes, span.dropped_events, span.dropped_links],
        "resource": sorted(span.resource.attributes),
    }


def _parent(parent: Any, names: dict[int, str]) -> str | None:
    if parent is None:
        return None
    return f"remote {parent.span_id:016x}" if parent.is_remote else names.get(parent.span_id, "unrecorded")


def _event(attributes: Any) -> Record:
    found = {key: _plain(value) for key, value in sorted(attributes.items())}
    if "exception.stacktrace" in found:
        lines = found["exception.stacktrace"].strip().splitlines()
        # Frames differ: ours are other functions. The last line is the error itself.
        found["exception.stacktrace"] = [lines[0], lines[-1]]
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _metrics(data: Any, names: dict[int, str]) -> Iterator[Record]:
    for resource in data.resource_metrics if data else ():
        for scoped in resource.scope_metrics:
            for metric in scoped.metrics:
                points = [_point(point, names) for point in metric.data.data_points]
                yield {
                    "scope": [scoped.scope.name, scoped.scope.version, scoped.scope.schema_url],
                    "metric": [metric.name, metric.unit, metric.description, type(metric.data).__name__],
                    "monotonic": getattr(metric.data, "is_monotonic", None),
                    "temporality": metric.data.aggregation_temporality.name,
                    "points": sorted(points, key=repr),
                }


def _point(point: Any, names: dict[int, str]) -> Record:
    found: Record = {"attributes": dict(sorted(point.attributes.items()))}
    if hasattr(point, "explicit_bounds"):
        found |= {"count": point.count, "bounds": [float(each) for each in point.explicit_bounds]}
        # One exemplar per bucket, and the bucket is a matter of speed.
        found["exemplars"] = sorted({names.get(each.span_id, "unrecorded") for each in point.exemplars})
    else:
        found["value"] = point.value
    return found


Run = Callable[[Kit], None]


@dataclass(frozen=True)
class Case:
    """One thing that an app does, and what is known to differ in its telemetry.

    Attributes:
        name: Unique.
        run: Does it.
        differs: Keys into ``differences.DIFFERENCES``; each must really show in this case.
        env: Environment variables while it runs.
        sampler: Makes the sampler; always on, if not given.
        needs: Environment variables that name servers; without them the case is left out.
    """

    name: str
    run: Run
    differs: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    sampler: Callable[[], Sampler] | None = None
    needs: tuple[str, ...] = ()


def run_cases(variant: str, cases: Iterable[Case]) -> dict[str, Record]:
    """Run every case whose servers are there; give the records by case."""
    found: dict[str, Record] = {}
    for case in cases:
        if any(name not in os.environ for name in case.needs):
            continue
        assert case.name not in found, case.name
        with _environment(case.env):
            # Stock leaves contexts attached; each case starts with none.
            context_api.attach(Context())
            kit = Kit(variant, case.sampler() if case.sampler else None)
            try:
                case.run(kit)
                found[case.name] = kit.record()
            except Exception as error:
                raise RuntimeError(f"case {case.name!r} failed") from error
            finally:
                kit.finish()
    return found


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
