"""A request that starts more spans, under every sampler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from tests.parity.kit import Case, Kit


def drop_all() -> Sampler:
    """The sampler that drops every span."""
    return ALWAYS_OFF


class _Custom(Sampler):
    """Adds an attribute and a trace state, and records GET /plain only without sampling it."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        decision = Decision.RECORD_ONLY if name == "inner" else Decision.RECORD_AND_SAMPLE
        kept = {**(attributes or {}), "sampler.kind": str(kind), "sampler.list": [1, 2]}
        return SamplingResult(decision, kept, TraceState([("sampler", "yes")]))

    def get_description(self) -> str:
        return "custom"


_REMOTE = f"00-{'0af7651916cd43dd8448eb211c80319c'}-b7ad6b7169203331-"
_SAMPLERS: dict[str, Callable[[], Sampler]] = {
    "always_on": lambda: ALWAYS_ON,
    "always_off": drop_all,
    "parentbased_always_on": lambda: DEFAULT_ON,
    "parentbased_always_off": lambda: DEFAULT_OFF,
    "ratio 0": lambda: TraceIdRatioBased(0.0),
    "ratio 1": lambda: TraceIdRatioBased(1.0),
    "parentbased ratio 0": lambda: ParentBasedTraceIdRatio(0.0),
    "parentbased ratio 1": lambda: ParentBasedTraceIdRatio(1.0),
    "record only": lambda: StaticSampler(Decision.RECORD_ONLY),
    "parentbased, own choices": lambda: ParentBased(
        ALWAYS_OFF, remote_parent_sampled=ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON
    ),
    "custom": _Custom,
    "parentbased custom": lambda: ParentBased(_Custom()),
}


def _requests(kit: Kit) -> None:
    from tests.parity.flask_cases import make_app, send

    app = make_app(kit)
    for path in ("/plain", "/spans", "/raise"):
        send(kit, app, path)
        for flags in ("00", "01"):
            headers: dict[str, Any] = {"traceparent": _REMOTE + flags, "tracestate": "a=b"}
            send(kit, app, path, headers=headers)


CASES: list[Case] = [Case(f"sampler: {name}", _requests, sampler=make) for name, make in _SAMPLERS.items()]
