"""structlog's lines arrive once, with their fields, whatever the app makes of them."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from structlog.processors import JSONRenderer, KeyValueRenderer, format_exc_info
from structlog.stdlib import BoundLogger, LoggerFactory, ProcessorFormatter, render_to_log_kwargs

from ada_otel import logs
from ada_otel.logs import processors
from tests.support.otlp_receiver import otlp_receiver
from tests.support.process import run_program

THIS = Path(__file__).stem


@pytest.fixture(autouse=True)
def structlog_as_it_was() -> Iterator[None]:
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def _records(exporter: InMemoryLogRecordExporter) -> list[tuple[Any, Any, str, dict[str, Any]]]:
    return [
        (
            found.log_record.body,
            found.log_record.severity_text,
            found.instrumentation_scope.name if found.instrumentation_scope else "",
            dict(found.log_record.attributes or {}),
        )
        for found in exporter.get_finished_logs()
    ]


def _through_stdlib(*chain: Any) -> None:
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, *chain],
        logger_factory=LoggerFactory(),
        wrapper_class=BoundLogger,
    )


STDLIB = {
    "json": [format_exc_info, JSONRenderer()],
    "key-value": [format_exc_info, KeyValueRenderer()],
    "console": [structlog.dev.ConsoleRenderer(colors=False)],
    "dict tracebacks": [structlog.processors.dict_tracebacks, JSONRenderer(default=str)],
    "formatter": [ProcessorFormatter.wrap_for_formatter],
    "kwargs": [render_to_log_kwargs],
    "ours by hand": [*processors.chain(), JSONRenderer()],
}


@pytest.mark.parametrize("chain", STDLIB.values(), ids=STDLIB.keys())
@pytest.mark.parametrize("late", [False, True], ids=["configured after", "configured before"])
def test_a_line_through_the_stdlib_arrives_once_with_its_fields(
    exporter: InMemoryLogRecordExporter, chain: list[Any], late: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if late:
        _through_stdlib(*chain)
        logs.configure()
    else:
        logs.configure()
        _through_stdlib(*chain)
    structlog.contextvars.bind_contextvars(tenant="north")
    log = structlog.get_logger("shop.structured").bind(basket=17)
    log.warning("low on tea", cups=3)
    try:
        raise KeyError("kettle")
    except KeyError:
        log.exception("tea failed")
    first, second = _records(exporter)
    body, text, logger, attributes = first
    assert (body, text, logger) == ("low on tea", "WARN", "shop.structured")
    assert attributes == {
        "basket": 17,
        "tenant": "north",
        "cups": 3,
        "code.file.path": __file__,
        "code.function.name": "test_a_line_through_the_stdlib_arrives_once_with_its_fields",
        "code.line.number": attributes["code.line.number"],
    }
    assert (
        Path(__file__)
        .read_text()
        .splitlines()[attributes["code.line.number"] - 1]
        .strip()
        .startswith("log.warn")
    )
    body, text, _, attributes = second
    assert (body, text) == ("tea failed", "ERROR")
    assert attributes["exception.type"] == "KeyError"
    assert attributes["exception.message"] == "'kettle'"
    if "dict_tracebacks" not in str(chain):
        assert attributes["exception.stacktrace"].rstrip().endswith("KeyError: 'kettle'")
    assert len(caplog.records) == 2


def test_what_the_app_prints_is_unchanged(exporter: InMemoryLogRecordExporter) -> None:
    """Its formatter gets the very text that its renderer made."""
    printed = []
    for ours in (False, True):
        if ours:
            logs.configure()
        _through_stdlib(JSONRenderer(sort_keys=True))
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        logger = logging.getLogger("shop.printed")
        logger.addHandler(handler)
        structlog.get_logger("shop.printed").warning("low on tea", cups=3)
        logger.removeHandler(handler)
        printed.append(stream.getvalue())
    assert printed[0] == printed[1] == 'WARNING {"cups": 3, "event": "low on tea", "level": "warning"}\n'
    assert len(_records(exporter)) == 1


def test_a_foreign_pre_chain_with_our_processors_sends_nothing_twice(
    exporter: InMemoryLogRecordExporter,
) -> None:
    logs.configure()
    shared = processors.chain()
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[ProcessorFormatter.remove_processors_meta, JSONRenderer(default=str)],
        )
    )
    logging.getLogger("shop").addHandler(handler)
    try:
        logging.getLogger("shop").warning("plain")
    finally:
        logging.getLogger("shop").removeHandler(handler)
    assert [record[0] for record in _records(exporter)] == ["plain"]


def test_structlog_that_was_never_configured_prints_and_arrives(
    exporter: InMemoryLogRecordExporter, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure()
    assert not structlog.is_configured()
    structlog.get_logger().warning("low on tea", cups=3)
    structlog.get_logger().debug("below the level")
    ((body, text, logger, attributes),) = _records(exporter)
    assert (body, text, logger) == ("low on tea", "WARN", __name__)
    assert attributes["cups"] == 3
    assert attributes["code.function.name"] == "test_structlog_that_was_never_configured_prints_and_arrives"
    out = capsys.readouterr()
    assert out.out.count("low on tea") == 1
    assert out.err == ""


def test_loggers_that_were_cached_before_are_taken_up(exporter: InMemoryLogRecordExporter) -> None:
    structlog.configure(
        processors=[structlog.processors.add_log_level, JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(io.StringIO()),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger()
    log.info("before")
    logs.configure()
    log.info("after")
    assert [record[0] for record in _records(exporter)] == ["after"]


def test_a_processor_of_the_app_that_drops_or_censors_is_obeyed(exporter: InMemoryLogRecordExporter) -> None:
    def censor(_logger: Any, _method: str, event: Any) -> Any:
        if event["event"] == "drop":
            raise structlog.DropEvent
        event["card"] = "none of your business"
        return event

    logs.configure()
    structlog.configure(
        processors=[censor, JSONRenderer()], logger_factory=structlog.PrintLoggerFactory(io.StringIO())
    )
    structlog.get_logger().info("drop")
    structlog.get_logger().info("paid", card="4111")
    ((body, _, _, attributes),) = _records(exporter)
    assert (body, attributes["card"]) == ("paid", "none of your business")


def test_reset_and_a_second_configure_keep_us(exporter: InMemoryLogRecordExporter) -> None:
    logs.configure()
    structlog.reset_defaults()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(io.StringIO()))
    structlog.get_logger().info("one")
    structlog.configure(processors=structlog.get_config()["processors"])
    structlog.get_logger().info("two")
    assert [record[0] for record in _records(exporter)] == ["one", "two"]


def test_the_stdlib_loggers_of_a_changed_class_say_where_they_were(
    exporter: InMemoryLogRecordExporter,
) -> None:
    """structlog's LoggerFactory replaces the class of all stdlib loggers made from then on."""
    logs.configure()
    LoggerFactory()
    assert logging.getLoggerClass() is not logging.Logger
    logging.getLogger("shop.of.changed.class").warning("here")
    ((body, _, _, attributes),) = _records(exporter)
    assert (body, attributes["code.function.name"]) == (
        "here",
        "test_the_stdlib_loggers_of_a_changed_class_say_where_they_were",
    )


def test_get_logger_needs_no_configuration_and_changes_none(
    exporter: InMemoryLogRecordExporter, caplog: pytest.LogCaptureFixture
) -> None:
    logs.configure()
    kind, config = logging.getLoggerClass(), structlog.get_config()
    log = logs.get_logger(tenant="north")
    log.warning("%d cups", 3, name="clash", message="too", shop="tea")
    log.debug("not this")
    try:
        raise KeyError("kettle")
    except KeyError:
        log.exception("tea failed")
    asyncio.run(log.ainfo("from afar"))
    assert (logging.getLoggerClass(), structlog.get_config()) == (kind, config)
    first, second, third = _records(exporter)
    body, text, logger, attributes = first
    assert (body, text, logger) == ("3 cups", "WARN", __name__)
    assert attributes["tenant"] == "north"
    assert (attributes["name"], attributes["message"], attributes["shop"]) == ("clash", "too", "tea")
    assert attributes["code.function.name"] == "test_get_logger_needs_no_configuration_and_changes_none"
    assert second[3]["exception.message"] == "'kettle'"
    assert third[0] == "from afar"
    seen = caplog.records[0]
    assert (seen.getMessage(), seen.funcName, seen.name) == (
        "3 cups",
        "test_get_logger_needs_no_configuration_and_changes_none",
        __name__,
    )
    assert vars(seen)["shop"] == "tea"
    assert caplog.records[1].exc_info is not None


def test_get_logger_obeys_the_levels_of_the_stdlib(exporter: InMemoryLogRecordExporter) -> None:
    logs.configure()
    logging.getLogger("shop.levels").setLevel(logging.ERROR)
    logs.get_logger("shop.levels").warning("no")
    logs.get_logger("shop.levels").log(logging.ERROR, "yes")
    assert [record[0] for record in _records(exporter)] == ["yes"]


STOCK = """
import io, logging, sys
from opentelemetry.instrumentation.structlog import StructlogInstrumentor
import structlog
def ours():
    import ada_otel
    ada_otel.setup()
def stock():
    StructlogInstrumentor().instrument()
for step in sys.argv[1:]:
    {"ours": ours, "stock": stock}[step]()
structlog.get_logger().warning("unconfigured", cups=3)
structlog.configure(
    processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.stdlib.LoggerFactory()
)
structlog.get_logger("shop").warning("stdlib", cups=4)
structlog.configure(logger_factory=structlog.PrintLoggerFactory())
structlog.get_logger("shop").warning("print", cups=5)
logging.getLogger("shop").warning("plain")
"""


@pytest.mark.parametrize("steps", [("stock", "ours"), ("ours", "stock")], ids=" then ".join)
def test_the_stock_instrumentation_beside_ours_sends_nothing_twice(
    tmp_path: Path, steps: tuple[str, ...]
) -> None:
    source = STOCK.replace("sys.argv[1:]", repr(steps))
    with otlp_receiver() as received:
        done = run_program(
            source,
            tmp_path,
            environment={
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "OTEL_SERVICE_NAME": "shop",
                "ADA_OTEL_RAISE": "true",
                "PYTHONPATH": ":".join(sys.path),
            },
        )
    assert done.returncode == 0, done.stderr
    found = [(record["body"], record["attributes"].get("cups")) for record in received.records()]
    assert sorted(found, key=str) == [("plain", None), ("print", 5), ("stdlib", 4), ("unconfigured", 3)]
