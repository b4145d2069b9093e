"""The span that is recorded: the SDK's ``Span``, without its locks, copies and cleaning where none is due.

A stock span makes three locks, three bounded containers and, at its end, a copy of itself: 12 µs with no
attribute at all. This one is an object with a plain dict. It turns into the stock containers, limits and all,
as soon as something is set on it that a plain dict may not hold.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanLimits, _is_valid_link
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind
from opentelemetry.trace.status import Status, StatusCode
from opentelemetry.util.types import AnyValue, Attributes

from ada_otel._diagnostics import text_of
from ada_otel.pipeline.grouped import NOTHING, PLAIN, GroupedAttributes, together

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from ada_otel.pipeline.tracing.provider import Tracer

_logger = logging.getLogger("opentelemetry.sdk.trace")

_UNSET = Status(StatusCode.UNSET)
#: So many attributes beside those in groups are within each limit under which attributes are grouped.
ALWAYS_FIT = 32


class RecordingSpan(Span):
    """A span that is recorded; users get it from a tracer and see the SDK's ``Span``.

    Attributes set while it is open (``_attributes``) are a plain dict, grouped ones, or the SDK's
    ``BoundedAttributes``; readers see a mapping in any case. Not locked: each change is one operation on a
    dict or an attribute.
    """

    # What most spans never change lives on the class: making a span sets eight attributes, not twenty.
    otlp_direct = otlp_recorded = True
    _events: Sequence[Event] = NOTHING
    _links: Sequence[Link] = NOTHING
    _status = _UNSET
    _record_exception = True
    _set_status_on_exception = True
    _record_end_metrics: Any = None
    _trace_config = None

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any] | GroupedAttributes,
        start_time: int | None,
    ) -> None:
        # `attributes` is taken over, not copied, and holds values of plain types only: see Tracer.begin.
        self._tracer = tracer
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._attributes: Any = attributes
        self._start_time = time_ns() if start_time is None else start_time
        self._end_time: int | None = None

    # What stock spans carry each, ours share through their tracer.
    @property
    def _resource(self) -> Resource:  # type: ignore[override]
        return self._tracer.resource

    @property
    def _instrumentation_scope(self) -> InstrumentationScope:  # type: ignore[override]
        return self._tracer._instrumentation_scope

    @property
    def _instrumentation_info(self) -> Any:  # type: ignore[override]
        return self._tracer.instrumentation_info

    @property
    def _limits(self) -> SpanLimits:
        return self._tracer._span_limits

    @property
    def _sampler(self) -> Any:  # type: ignore[override]
        return self._tracer.sampler

    @property
    def _span_processor(self) -> Any:  # type: ignore[override]
        return self._tracer.span_processor

    @property
    def attributes(self) -> Any:
        """The attributes, as a mapping."""
        return together(self._attributes)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Set one attribute; one that is not plain is cleaned, and limited, as the SDK would."""
        if self._end_time is not None:
            _logger.warning("Setting attribute on ended span.")
            return
        held = self._attributes
        if type(held) is GroupedAttributes:
            for group in held.groups:
                if key in group.keys:
                    held = self._ungrouped()
                    break
            else:
                held = held.rest
        if type(held) is dict:
            tracer = self._tracer
            if (
                type(value) in PLAIN
                and tracer.plain
                and key
                and type(key) is str
                and (len(held) < tracer.own_count or key in held)
            ):
                held[key] = value
                return
            held = self._bounded()
        held[key] = value

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Set several attributes."""
        if self._end_time is not None:
            _logger.warning("Setting attribute on ended span.")
            return
        held = self._ungrouped()
        if type(held) is dict:
            tracer = self._tracer
            if (
                tracer.plain
                and len(held) + len(attributes) <= tracer.own_count
                and all(
                    type(value) in PLAIN and type(key) is str and key for key, value in attributes.items()
                )
            ):
                held.update(attributes)
                return
            held = self._bounded()
        held._set_items(attributes)

    def _ungrouped(self) -> Any:
        held = self._attributes
        if type(held) is GroupedAttributes:
            held = self._attributes = held.together()
        return held

    def _bounded(self) -> BoundedAttributes:
        limits = self._limits
        bounded = BoundedAttributes(
            limits.max_span_attributes,
            self._ungrouped(),
            immutable=False,
            max_value_len=limits.max_span_attribute_length,
        )
        self._attributes = bounded
        return bounded

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event, its attributes limited as the SDK's are."""
        if self._ended("add_event"):
            return
        limits = self._limits
        kept = BoundedAttributes(
            limits.max_event_attributes, attributes, max_value_len=limits.max_attribute_length, immutable=True
        )
        if not isinstance(self._events, BoundedList):
            self._events = BoundedList(limits.max_events)
        self._events.append(Event(name=name, attributes=kept, timestamp=timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Add a link to another span."""
        if not _is_valid_link(context, attributes) or self._ended("add_link"):
            return
        limits = self._limits
        kept = BoundedAttributes(
            limits.max_link_attributes, attributes, max_value_len=limits.max_attribute_length, immutable=True
        )
        links = self._links
        if not isinstance(links, BoundedList):
            self._links = links = BoundedList.from_seq(limits.max_links, links)
        links.append(Link(context=context, attributes=kept))

    def take_links(self, links: Sequence[Link]) -> None:
        """Take the links that were given at the start."""
        self._links = self._new_links(links)

    def update_name(self, name: str) -> None:
        """Change the span's name."""
        if not self._ended("update_name"):
            self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; ``OK`` is final, and ``UNSET`` changes nothing (OpenTelemetry tracing API)."""
        if self._ended("set_status") or self._status.status_code is StatusCode.OK:
            return
        if isinstance(status, Status):
            if status.status_code is StatusCode.UNSET:
                return
            if description is not None:
                _logger.warning(
                    "Description %s ignored. Use either `Status` or `(StatusCode, Description)`", description
                )
            self._status = status
        elif isinstance(status, StatusCode) and status is not StatusCode.UNSET:  # type: ignore[redundant-expr]
            self._status = Status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add the event of an exception: type, message and stack trace (semantic conventions, exceptions)."""
        kind = type(exception)
        found: dict[str, Any] = {
            "exception.type": kind.__qualname__
            if kind.__module__ in {"builtins", "", None}
            else f"{kind.__module__}.{kind.__qualname__}",
            "exception.message": text_of(exception, None),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        if attributes:
            found.update(attributes)
        self.add_event("exception", found, timestamp)

    def is_recording(self) -> bool:
        """Whether the span is still open."""
        return self._end_time is None

    def start(self, start_time: int | None = None, parent_context: Any = None) -> None:
        """Do nothing: a span of ours is started when it is made."""
        _logger.warning("Calling start() on a started span.")

    def end(self, end_time: int | None = None) -> None:
        """End the span and hand it on; a second call is ignored with a warning."""
        if self._end_time is not None:
            _logger.warning("Calling end() on an ended span.")
            return
        self._end_time = time_ns() if end_time is None else end_time
        held = self._attributes
        if type(held) is BoundedAttributes:
            held._immutable = True
        if self._record_end_metrics is not None:
            self._record_end_metrics()
        processors = self._tracer.processors
        if processors.foreign:
            processors.end_foreign(self)
        for on_end in processors.live_ends:
            on_end(self)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_val is not None and self._end_time is None:
            if self._record_exception:
                self.record_exception(exc_val, escaped=True)
            if self._set_status_on_exception:
                self.set_status(error_status(exc_val))
        self.end()

    def _readable_span(self) -> ReadableSpan:
        self._ungrouped()
        return super()._readable_span()

    def _ended(self, what: str) -> bool:
        if self._end_time is None:
            return False
        _logger.warning("Tried calling %s on an ended span.", what)
        return True


def error_status(error: BaseException) -> Status:
    """The status of a span that an exception went through."""
    return Status(StatusCode.ERROR, f"{type(error).__name__}: {text_of(error, None)}")


def put(span: Any, key: str, value: str | int) -> None:
    """Set an attribute that our instrumentations begin no span with: that none of its groups holds.

    Args:
        span: Any span.
        key: The attribute's name.
        value: A str or int, of exactly that type.
    """
    if type(span) is RecordingSpan and span._end_time is None:
        held = span._attributes
        if type(held) is GroupedAttributes and len(held.rest) < ALWAYS_FIT:
            held.rest[key] = value
            return
    if type(span) is not NonRecordingSpan:
        span.set_attribute(key, value)
