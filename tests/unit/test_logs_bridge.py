from __future__ import annotations

import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import _logs
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from ada_otel.logs import bridge
from tests.support.process import run_program


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryLogRecordExporter]:
    monkeypatch.setenv("ADA_OTEL_RAISE", "true")
    found = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(found))
    monkeypatch.setattr(_logs._internal, "_LOGGER_PROVIDER", provider)
    root_level = logging.getLogger().level
    bridge.install("INFO")
    yield found
    bridge.uninstall()
    logging.getLogger().setLevel(root_level)


def _bodies(exporter: InMemoryLogRecordExporter) -> list[object]:
    return [found.log_record.body for found in exporter.get_finished_logs()]


def test_severity_scope_attributes_and_event_name(exporter: InMemoryLogRecordExporter) -> None:
    logging.getLogger("shop").warning("%d left", 3, extra={"item": "tea", "otel.event.name": "stock.low"})
    (found,) = exporter.get_finished_logs()
    record = found.log_record
    assert record.body == "3 left"
    assert (record.severity_text, record.severity_number.value) == ("WARN", 13)  # type: ignore[union-attr]
    assert record.event_name == "stock.low"
    assert found.instrumentation_scope is not None
    assert found.instrumentation_scope.name == "shop"
    attributes = dict(record.attributes or {})
    assert attributes["item"] == "tea"
    assert attributes["code.function.name"] == "test_severity_scope_attributes_and_event_name"
    assert "otel.event.name" not in attributes
    assert not {"msg", "args", "levelno", "taskName"} & set(attributes)


def test_an_exception_has_type_message_and_stack(exporter: InMemoryLogRecordExporter) -> None:
    class NoTeaError(Exception):
        def __str__(self) -> str:
            return "the pot is empty"

    try:
        raise NoTeaError("hidden", 2)
    except NoTeaError:
        logging.getLogger("shop").exception("tea failed")
    attributes = dict(exporter.get_finished_logs()[0].log_record.attributes or {})
    assert str(attributes["exception.type"]).endswith("NoTeaError")
    assert attributes["exception.message"] == "the pot is empty"
    assert 'raise NoTeaError("hidden", 2)' in str(attributes["exception.stacktrace"])


def test_info_is_sent_although_the_app_never_set_a_level(exporter: InMemoryLogRecordExporter) -> None:
    logging.getLogger("shop").info("hello")
    logging.getLogger("shop").debug("not this")
    assert _bodies(exporter) == ["hello"]


def test_a_level_that_the_app_sets_holds(exporter: InMemoryLogRecordExporter) -> None:
    logging.getLogger("shop.quiet").setLevel(logging.ERROR)
    logging.getLogger("shop.quiet").warning("no")
    logging.getLogger("shop.quiet").error("yes")
    assert _bodies(exporter) == ["yes"]


def test_dict_config_of_the_app_keeps_the_handler(exporter: InMemoryLogRecordExporter) -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"null": {"class": "logging.NullHandler"}},
            "root": {"level": "INFO", "handlers": ["null"]},
        }
    )
    try:
        logging.getLogger("shop").info("after")
    finally:
        root.handlers[:] = before
    assert _bodies(exporter) == ["after"]


def test_telemetry_never_feeds_on_its_own_lines(exporter: InMemoryLogRecordExporter) -> None:
    logging.getLogger("opentelemetry.exporter").error("the collector is away")
    logging.getLogger("ada_otel").error("so it is")
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        logging.getLogger("urllib3").warning("while exporting")
    finally:
        detach(token)
    assert _bodies(exporter) == []


def test_installing_twice_sends_once(exporter: InMemoryLogRecordExporter) -> None:
    bridge.install("INFO")
    logging.getLogger("shop").info("once")
    assert _bodies(exporter) == ["once"]


def test_warnings_of_an_app_without_logging_config_still_reach_stderr(tmp_path: Path) -> None:
    source = (
        "import logging, ada_otel\nada_otel.setup()\n"
        "logging.getLogger('shop').warning('low on tea')\n"
        "logging.getLogger('shop').info('quiet')\n"
        "logging.basicConfig()\n"
        "logging.getLogger('shop').warning('once more')\n"
    )
    environment = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    done = run_program(source, tmp_path, environment=environment)
    assert done.stderr.splitlines() == ["low on tea", "WARNING:shop:once more"]
