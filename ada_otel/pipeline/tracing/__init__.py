"""Recording spans: the SDK's tracer provider, with a span that costs a fraction of the stock one."""

from __future__ import annotations

from ada_otel.pipeline.tracing.provider import Tracer, TracerProvider
from ada_otel.pipeline.tracing.span import RecordingSpan

__all__ = ["RecordingSpan", "Tracer", "TracerProvider"]
