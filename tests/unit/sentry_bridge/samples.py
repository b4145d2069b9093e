"""Log records as the collector sends them, made of exceptions that were really raised."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

RESOURCE = {
    "service.name": "shop",
    "service.version": "1.2.3",
    "service.instance.id": "worker-1",
    "deployment.environment.name": "test",
    "host.name": "node-7",
    "telemetry.sdk.language": "python",
}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def raised(act: Callable[[], object]) -> BaseException:
    """What ``act`` raises."""
    try:
        act()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def text_of(error: BaseException) -> str:
    """Its traceback, as Python writes it."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def exception_attributes(error: BaseException) -> dict[str, Any]:
    """``exception.*`` by the semantic conventions."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return {
        "exception.type": name,
        "exception.message": str(error),
        "exception.stacktrace": text_of(error),
    }


def request_of(*records: LogRecord, resource: Mapping[str, Any] | None = None) -> ExportLogsServiceRequest:
    """An export request with the records in one scope, named ``shop.orders``."""
    request = ExportLogsServiceRequest()
    block = request.resource_logs.add()
    for key, value in (RESOURCE if resource is None else resource).items():
        _set(block.resource.attributes.add(key=key).value, value)
    scope = block.scope_logs.add()
    scope.scope.name = "shop.orders"
    scope.log_records.extend(records)
    return request


def log_record(
    body: str = "it failed",
    attributes: Mapping[str, Any] | None = None,
    *,
    time: int = 1_700_000_000_000_000_000,
    severity: int = 17,
    trace: str = TRACE,
    span: str = SPAN,
) -> LogRecord:
    """One record."""
    record = LogRecord(
        time_unix_nano=time,
        observed_time_unix_nano=time + 5,
        severity_number=severity,  # type: ignore[arg-type]  # a plain number is taken
        trace_id=bytes.fromhex(trace),
        span_id=bytes.fromhex(span),
    )
    record.body.string_value = body
    for key, value in (attributes or {}).items():
        _set(record.attributes.add(key=key).value, value)
    return record


def _set(target: AnyValue, value: Any) -> None:
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, list):
        for item in value:
            _set(target.array_value.values.add(), item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _set(target.kvlist_value.values.add(key=key).value, item)
    else:
        target.string_value = value
