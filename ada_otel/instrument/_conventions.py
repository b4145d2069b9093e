"""Which semantic conventions are in force, and so whether the fast path serves."""

from __future__ import annotations

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.instrumentation._semconv import (
    _get_semconv_opt_in_modes,
    _OpenTelemetryStabilitySignalType,
    _StabilityMode,
)

from ada_otel import bootstrap

#: The context keys under which instrumentation is suppressed, in their two spellings.
SUPPRESSED, SUPPRESSED_AS_WELL = _SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"


def suppressed(context: Context) -> bool:
    """Whether instrumentation is suppressed there, for a context that holds either key."""
    return bool(context.get(SUPPRESSED) or context.get(SUPPRESSED_AS_WELL))


def fast() -> bool:
    """Whether the fast path is on, and the conventions are the stable ones that it speaks."""
    http, database = _OpenTelemetryStabilitySignalType.HTTP, _OpenTelemetryStabilitySignalType.DATABASE
    modes = _get_semconv_opt_in_modes((http, database))
    stable = modes[http] is _StabilityMode.HTTP and modes[database] is _StabilityMode.DATABASE
    return stable and bootstrap.current_settings().fast_path
