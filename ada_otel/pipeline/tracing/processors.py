"""Where ended spans go: our own exporting processors, and any other that the user adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from ada_otel.pipeline.tracing.span import RecordingSpan


class SpanProcessors(SynchronousMultiSpanProcessor):
    """The SDK's list of processors, which knows which of them take a live span.

    A processor of ours (``takes_live_spans``) is given the span itself and does nothing at its start. All
    others are called as the specification says: a writable span at the start, a read-only copy at the end.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.foreign: tuple[SpanProcessor, ...] = ()
        self.live_ends: tuple[Any, ...] = ()

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add one more, after those that are there."""
        super().add_span_processor(span_processor)
        if getattr(span_processor, "takes_live_spans", False):
            self.live_ends = (*self.live_ends, span_processor.on_end)
        else:
            self.foreign = (*self.foreign, span_processor)

    def start(self, span: RecordingSpan, parent_context: Context | None) -> None:
        """Tell the foreign processors of a start; callers skip this where there is none."""
        for processor in self.foreign:
            processor.on_start(span, parent_context=parent_context)

    def end_foreign(self, span: RecordingSpan) -> None:
        """Hand an ended span to the foreign processors; a span gives itself to the others."""
        for processor in self.foreign:
            processor._on_ending(span)
        readable = span._readable_span()
        from ada_otel.redaction._spans import redact_spans

        redact_spans((readable,))
        for processor in self.foreign:
            processor.on_end(readable)
