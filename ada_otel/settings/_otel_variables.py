"""Our defaults for the ``OTEL_*`` variables, and the mending of those that the SDK could not start with."""

from __future__ import annotations

import os
from collections.abc import Callable, MutableMapping

from ada_otel._diagnostics import report
from ada_otel.settings._parsers import without_password


def apply_defaults(environ: MutableMapping[str, str] | None = None) -> None:
    """Give the ``OTEL_*`` variables that are not set the defaults of this distribution.

    A variable that the user has set is never changed, except one that the SDK could not start with:
    that one is replaced by its default, with one warning.
    """
    target = os.environ if environ is None else environ
    for name, value in _OTEL_DEFAULTS.items():
        if not target.get(name, "").strip():
            target[name] = value
    for name in _PROTOCOL_VARIABLES:
        _mend(target, name, ("http/protobuf", "grpc"), "http/protobuf")
    for name in _ENDPOINT_VARIABLES:
        _mend_endpoint(target, name)
    for signal in ("traces", "metrics", "logs"):
        known = ("otlp", "console", "none")
        _mend_names(target, f"OTEL_{signal.upper()}_EXPORTER", f"opentelemetry_{signal}_exporter", known)
    _mend_names(target, "OTEL_PROPAGATORS", "opentelemetry_propagator", ("tracecontext", "baggage", "none"))
    _mend_names(target, "OTEL_PYTHON_ID_GENERATOR", "opentelemetry_id_generator", ("random",))
    _mend(target, "OTEL_METRICS_EXEMPLAR_FILTER", ("trace_based", "always_on", "always_off"), "trace_based")
    for name in _LIMITS:
        _mend_limit(target, name)
    _mend_names(target, "OTEL_TRACES_SAMPLER", "opentelemetry_traces_sampler", _SAMPLERS)
    if target["OTEL_TRACES_SAMPLER"].strip().endswith("traceidratio"):
        _mend_number(target, "OTEL_TRACES_SAMPLER_ARG", lambda value: 0 <= value <= 1, "a share from 0 to 1")
    for name in ("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"):
        _mend_number(target, name, lambda value: value > 0, "a number of milliseconds above 0")


_OTEL_DEFAULTS = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    # Sampling is the collector's, which sees whole traces.
    "OTEL_TRACES_SAMPLER": "parentbased_always_on",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database",
    # A failed export of 60 s of metrics is too long for the person on call to wait.
    "OTEL_METRIC_EXPORT_INTERVAL": "15000",
}

_PROTOCOL_VARIABLES = (
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
)

_ENDPOINT_VARIABLES = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
)

_LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
)

_SAMPLERS = tuple(
    f"{parent}{name}"
    for parent in ("", "parentbased_")
    for name in ("always_on", "always_off", "traceidratio")
)

#: What holds where none of the names in a list is usable, and ada-otel has no default of its own.
_SDK_DEFAULTS = {"OTEL_PROPAGATORS": "tracecontext,baggage", "OTEL_PYTHON_ID_GENERATOR": "random"}


def _mend(target: MutableMapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> None:
    value = target.get(name)
    if value is None or value.strip() in allowed:
        return
    report(
        f"setting:{name}",
        f"{name} is {value!r}, which is not one of {', '.join(allowed)}; {default!r} is used.",
    )
    target[name] = default


def _mend_names(target: MutableMapping[str, str], name: str, group: str, usual: tuple[str, ...]) -> None:
    """Keep the names of installed components in a list of them; ``usual`` are there without a look."""
    wanted = [part.strip() for part in target.get(name, "").split(",") if part.strip()]
    known = set(usual)
    if known.issuperset(wanted):
        return
    from opentelemetry.util._importlib_metadata import entry_points

    known.update(found.name for found in entry_points(group=group))
    unknown = [part for part in wanted if part not in known]
    if unknown:
        usable = ",".join(part for part in wanted if part in known)
        target[name] = usable or _OTEL_DEFAULTS.get(name) or _SDK_DEFAULTS[name]
        report(
            f"setting:{name}",
            f"{name} names {', '.join(map(repr, unknown))}, which is not one of {', '.join(sorted(known))}; "
            f"{target[name]!r} is used.",
        )


def _mend_limit(target: MutableMapping[str, str], name: str) -> None:
    value = target.get(name, "").strip()
    if value and not (value.isascii() and value.isdigit()):
        report(
            f"setting:{name}",
            f"{name} is {value!r}, which is not a whole number from 0; the default of the SDK is used.",
        )
        del target[name]


def _mend_number(
    target: MutableMapping[str, str], name: str, right: Callable[[float], bool], wanted: str
) -> None:
    text = target.get(name, "").strip()
    if not text:
        return
    try:
        usable = right(float(text))
    except ValueError:
        usable = False
    if usable:
        return
    default = _OTEL_DEFAULTS.get(name)
    report(
        f"setting:{name}",
        f"{name} is {text!r}, which is not {wanted}; {default or 'the default of the SDK'} is used.",
    )
    if default is None:
        del target[name]
    else:
        target[name] = default


def _mend_endpoint(target: MutableMapping[str, str], name: str) -> None:
    from urllib.parse import urlsplit

    value = target.get(name, "").strip()
    if not value:
        return
    problem, shown = None, without_password(value)
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError as error:
        problem, port = str(error), None
    else:
        if url.scheme not in {"http", "https"} or not url.hostname:
            problem = "it needs a scheme and a host"
    if problem is not None:
        report(
            f"setting:{name}",
            f"{name} is {shown!r}: {problem}. It should be an address such as http://collector:4318; "
            "it is ignored, and the default http://localhost:4318 is used.",
        )
        del target[name]
        return
    protocol = target.get(name.replace("_ENDPOINT", "_PROTOCOL")) or target["OTEL_EXPORTER_OTLP_PROTOCOL"]
    usual = {4317: "grpc", 4318: "http/protobuf"}.get(port or 0)
    if usual is not None and usual != protocol.strip():
        report(
            f"setting:{name}:port",
            f"{name} is {shown!r}: port {port} is usually {usual}, but the protocol is {protocol}. "
            f"If nothing arrives, set OTEL_EXPORTER_OTLP_PROTOCOL={usual} or change the port.",
        )
