"""The decisions of the SDK's own samplers, without the objects that they make on the way.

``ParentBased(ALWAYS_ON).should_sample`` looks the parent up twice and makes a result with a mapping proxy:
2.5 µs. What it decides is known from the parent's flags. Any other sampler, or a subclass, is asked itself.
"""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, StaticSampler, TraceIdRatioBased
from opentelemetry.trace import SpanContext

DROP, RECORD_ONLY, SAMPLE = 0, 1, 2

#: From the parent's span context, if any, and the trace id, to one of the three.
Decide = Callable[[SpanContext | None, int], int]


def compile_sampler(sampler: Sampler) -> Decide | None:
    """Give a function that decides as ``sampler`` would, or None for a sampler that must be asked.

    Only samplers that read neither name nor attributes have one, so that these can be made afterwards.
    """
    if type(sampler) is StaticSampler:
        decision = int(sampler._decision.value)
        return lambda _parent, _trace_id: decision
    if type(sampler) is TraceIdRatioBased:
        bound, mask = sampler._bound, sampler.TRACE_ID_LIMIT
        return lambda _parent, trace_id: SAMPLE if trace_id & mask < bound else DROP
    if _is_parent_based(sampler):
        return _compile_parent_based(sampler)  # type: ignore[arg-type]
    return None


def compile_root(sampler: Sampler) -> Decide | None:
    """As :func:`compile_sampler`, for spans without a parent alone."""
    return compile_sampler(_root_of(sampler))


def decision_of_roots(sampler: Sampler) -> int | None:
    """What ``sampler`` decides for every span without a parent, if that is known before."""
    root = _root_of(sampler)
    return int(root._decision.value) if type(root) is StaticSampler else None


def drops_below_unsampled(sampler: Sampler) -> bool:
    """Whether ``sampler`` drops every span whose parent is of this process and was not sampled."""
    if not _is_parent_based(sampler):
        return False
    delegate = sampler._local_parent_not_sampled  # type: ignore[attr-defined]
    return type(delegate) is StaticSampler and int(delegate._decision.value) == DROP


def _is_parent_based(sampler: Sampler) -> bool:
    # The environment's parentbased_* samplers are subclasses that change the constructor only.
    return isinstance(sampler, ParentBased) and type(sampler).should_sample is ParentBased.should_sample


def _root_of(sampler: Sampler) -> Sampler:
    return sampler._root if _is_parent_based(sampler) else sampler  # type: ignore[attr-defined]


def _compile_parent_based(sampler: ParentBased) -> Decide | None:
    delegates = [
        sampler._local_parent_not_sampled,
        sampler._local_parent_sampled,
        sampler._remote_parent_not_sampled,
        sampler._remote_parent_sampled,
    ]
    compiled = [compile_sampler(delegate) for delegate in delegates]
    root = compile_sampler(sampler._root)
    if root is None or None in compiled:
        return None
    if all(type(delegate) is StaticSampler for delegate in delegates):
        return _look_up(root, [int(delegate._decision.value) for delegate in delegates])  # type: ignore[attr-defined]

    def decide(parent: SpanContext | None, trace_id: int) -> int:
        chosen = root if parent is None else compiled[parent[2] * 2 | parent[3] & 1]
        assert chosen is not None
        return chosen(parent, trace_id)

    return decide


def _look_up(root: Decide, decisions: list[int]) -> Decide:
    """What depends on the parent alone is a table: by remote parent, and by its sampled flag."""

    def decide(parent: SpanContext | None, trace_id: int) -> int:
        # A span context is a tuple: (trace id, span id, remote, flags, state, valid).
        return root(parent, trace_id) if parent is None else decisions[parent[2] * 2 | parent[3] & 1]

    return decide
