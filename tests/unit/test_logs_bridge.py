from __future__ import annotations

import logging
import logging.config
import logging.handlers
import queue
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import _logs
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from ada_otel import logs, settings
from ada_otel.logs import bridge
from tests.support.process import run_program

QUIET = {
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "ADA_OTEL_RAISE": "true",
}


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryLogRecordExporter]:
    monkeypatch.setenv("ADA_OTEL_RAISE", "true")
    found = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(found))
    monkeypatch.setattr(_logs._internal, "_LOGGER_PROVIDER", provider)
    logs.start(settings.load({}))
    yield found
    logs.stop()


def _bodies(exporter: InMemoryLogRecordExporter) -> list[object]:
    return [found.log_record.body for found in exporter.get_finished_logs()]


def _attributes(exporter: InMemoryLogRecordExporter) -> dict[str, Any]:
    return dict(exporter.get_finished_logs()[0].log_record.attributes or {})


def test_severity_scope_attributes_and_event_name(exporter: InMemoryLogRecordExporter) -> None:
    logging.getLogger("shop").warning("%d left", 3, extra={"item": "tea", "otel.event.name": "stock.low"})
    (found,) = exporter.get_finished_logs()
    record = found.log_record
    assert record.body == "3 left"
    assert (record.severity_text, record.severity_number.value) == ("WARN", 13)  # type: ignore[union-attr]
    assert record.event_name == "stock.low"
    assert found.instrumentation_scope is not None
    assert found.instrumentation_scope.name == "shop"
    attributes = _attributes(exporter)
    assert attributes["item"] == "tea"
    assert attributes["code.function.name"] == "test_severity_scope_attributes_and_event_name"
    assert attributes["code.file.path"] == __file__
    assert "otel.event.name" not in attributes
    assert not {"msg", "args", "levelno", "taskName"} & set(attributes)


def test_an_exception_has_type_message_and_stack(exporter: InMemoryLogRecordExporter) -> None:
    class NoTeaError(Exception):
        def __str__(self) -> str:
            return "the pot is empty"

    try:
        try:
            raise KeyError("kettle")
        except KeyError as cause:
            raise NoTeaError("hidden", 2) from cause
    except NoTeaError:
        logging.getLogger("shop").exception("tea failed")
    attributes = _attributes(exporter)
    assert str(attributes["exception.type"]).endswith("NoTeaError")
    assert attributes["exception.message"] == "the pot is empty"
    assert 'raise NoTeaError("hidden", 2)' in str(attributes["exception.stacktrace"])
    assert "KeyError: 'kettle'" in str(attributes["exception.stacktrace"])


def test_values_that_otlp_cannot_hold_arrive_as_text(exporter: InMemoryLogRecordExporter) -> None:
    class Basket:
        def __str__(self) -> str:
            raise RuntimeError("empty")

    circle: list[Any] = []
    circle.append(circle)
    extra = {
        "basket": Basket(),
        "huge": 1 << 70,
        "nan": float("nan"),
        "path": Path("/tea"),
        "list": [1, "a", Path("/b")],
        "map": {"a": {1, 2}},
        "nothing": None,
        "circle": circle,
    }
    logging.getLogger("shop").info("odd values", extra=extra)
    attributes = _attributes(exporter)
    assert attributes["basket"] == "<Basket without a text: RuntimeError>"
    assert attributes["huge"] == str(1 << 70)
    assert attributes["nan"] == "nan"
    assert attributes["path"] == "/tea"
    assert list(attributes["list"]) == [1, "a", "/b"]
    assert sorted(attributes["map"]["a"]) == [1, 2]
    assert "nothing" not in attributes
    assert "circle" in attributes


def test_arguments_that_do_not_fit_lose_nothing_else(exporter: InMemoryLogRecordExporter) -> None:
    logging.raiseExceptions = False
    try:
        logging.getLogger("shop").info("%d cups", "three")
    finally:
        logging.raiseExceptions = True
    assert _bodies(exporter) == ["%d cups"]


def test_what_an_argument_logs_is_a_line_of_its_own(exporter: InMemoryLogRecordExporter) -> None:
    class Talkative:
        def __str__(self) -> str:
            logging.getLogger("shop.inner").info("inner")
            return "me"

    logging.getLogger("shop").info("it is %s", Talkative())
    assert sorted(map(str, _bodies(exporter)))[:2] == ["inner", "it is me"]


def test_info_is_sent_although_the_app_never_set_a_level(exporter: InMemoryLogRecordExporter) -> None:
    logging.getLogger("shop").info("hello")
    logging.getLogger("shop").debug("not this")
    assert _bodies(exporter) == ["hello"]


def test_a_level_that_the_app_sets_holds(exporter: InMemoryLogRecordExporter) -> None:
    logging.getLogger("shop.quiet").setLevel(logging.ERROR)
    logging.getLogger("shop.quiet").warning("no")
    logging.getLogger("shop.quiet").error("yes")
    assert _bodies(exporter) == ["yes"]


def test_handlers_of_the_app_see_what_they_would_have_seen(exporter: InMemoryLogRecordExporter) -> None:
    """The root logger is lowered for us, not for them, until the app sets a level itself."""
    seen = logging.handlers.BufferingHandler(100)
    root = logging.getLogger()
    root.addHandler(seen)
    try:
        logging.getLogger("shop").info("for us alone")
        logging.getLogger("shop").warning("for both")
        root.setLevel(logging.INFO)
        logging.getLogger("shop").info("now for both")
    finally:
        root.removeHandler(seen)
        root.setLevel(logging.WARNING)
    assert [record.getMessage() for record in seen.buffer] == ["for both", "now for both"]
    assert _bodies(exporter) == ["for us alone", "for both", "now for both"]


@pytest.mark.parametrize("keep", [True, False])
def test_dict_config_of_the_app_changes_nothing(exporter: InMemoryLogRecordExporter, keep: bool) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "incremental": False,
            "handlers": {"null": {"class": "logging.NullHandler"}},
            "root": {"level": "INFO", "handlers": ["null"] if keep else []},
        }
    )
    try:
        logging.getLogger("shop").info("after")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert _bodies(exporter) == ["after"]


def test_each_line_once_through_any_tree_of_loggers(exporter: InMemoryLogRecordExporter) -> None:
    """Many handlers, one that forwards to another logger, and loggers that do not propagate (gunicorn's)."""

    class Forwards(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("archive").handle(record)

    alone = logging.getLogger("gunicorn.error")
    alone.propagate = False
    alone.setLevel(logging.INFO)
    alone.addHandler(logging.NullHandler())
    forwarding = Forwards()
    logging.getLogger("shop").addHandler(forwarding)
    waiting: queue.Queue[logging.LogRecord] = queue.Queue()
    queued = logging.handlers.QueueHandler(waiting)
    logging.getLogger("shop").addHandler(queued)
    listener = logging.handlers.QueueListener(waiting, logging.NullHandler())
    listener.start()
    try:
        logging.getLogger("shop.deep.down").warning("one")
        alone.info("two")
        logging.getLogger("werkzeug").warning("three")
    finally:
        listener.stop()
        logging.getLogger("shop").removeHandler(forwarding)
        logging.getLogger("shop").removeHandler(queued)
        alone.propagate, alone.level = True, logging.NOTSET
        alone.handlers.clear()
    assert _bodies(exporter) == ["one", "two", "three"]


def test_telemetry_never_feeds_on_its_own_lines(exporter: InMemoryLogRecordExporter) -> None:
    logging.getLogger("opentelemetry.exporter").error("the collector is away")
    logging.getLogger("ada_otel").error("so it is")
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        logging.getLogger("urllib3").warning("while exporting")
    finally:
        detach(token)
    logging.getLogger("opentelemetry_lookalike").error("an app's own")
    assert _bodies(exporter) == ["an app's own"]


def test_starting_twice_sends_once(exporter: InMemoryLogRecordExporter) -> None:
    logs.start(settings.load({}))
    logs.configure()
    logging.getLogger("shop").info("once")
    assert _bodies(exporter) == ["once"]


def test_opentelemetrys_own_handler_beside_ours_sends_nothing_twice(
    exporter: InMemoryLogRecordExporter,
) -> None:
    elsewhere = InMemoryLogRecordExporter()
    other = LoggerProvider()
    other.add_log_record_processor(SimpleLogRecordProcessor(elsewhere))
    root = logging.getLogger()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        # The second one as if it was made before the provider was set.
        mine = [LoggingHandler(), LoggingHandler(logger_provider=ProxyLoggerProvider())]
        handlers = [*mine, LoggingHandler(logger_provider=other)]
    root.handlers += handlers
    try:
        logging.getLogger("shop").warning("password=%s", "hunter2")
        root.removeHandler(mine[1])
        logging.getLogger("opentelemetry.x").warning("theirs alone")
        logs.stop()
        logging.getLogger("shop").warning("without us")
    finally:
        root.handlers = [handler for handler in root.handlers if handler not in handlers]
    assert _bodies(exporter) == ["password=[redacted]", "theirs alone", "without us"]
    # A handler with a provider of its own is the app's affair.
    assert _bodies(elsewhere) == ["password=hunter2", "theirs alone", "without us"]


def test_a_library_that_hooks_in_as_we_do_is_no_trouble(exporter: InMemoryLogRecordExporter) -> None:
    kind: Any = logging.Logger
    ours = kind.callHandlers
    seen: list[str] = []

    def theirs(logger: logging.Logger, record: logging.LogRecord) -> None:
        seen.append(record.getMessage())
        ours(logger, record)

    kind.callHandlers = theirs
    try:
        bridge.uninstall()
        bridge.install("INFO")
        logging.getLogger("shop").warning("for both")
    finally:
        kind.callHandlers = ours
    assert (seen, _bodies(exporter)) == (["for both"], ["for both"])


def test_an_app_without_logging_config_prints_what_it_always_did(tmp_path: Path) -> None:
    source = (
        "import logging, ada_otel\nada_otel.setup()\n"
        "logging.getLogger('shop').warning('low on tea')\n"
        "logging.getLogger('shop').info('quiet')\n"
        "logging.basicConfig()\n"
        "logging.getLogger('shop').warning('once more')\n"
        "logging.getLogger('shop').info('still quiet')\n"
    )
    done = run_program(source, tmp_path, environment=QUIET)
    assert done.stderr.splitlines() == ["low on tea", "WARNING:shop:once more"]


def test_flask_prints_its_errors_as_without_us(tmp_path: Path) -> None:
    """Flask adds a handler of its own where there is none; one of ours on the root logger would hide that."""
    source = (
        "import flask, ada_otel\napp = flask.Flask('shop')\n{}"
        "@app.get('/')\ndef index(): raise KeyError('tea')\n"
        "print(app.test_client().get('/').status_code, len(app.logger.handlers))\n"
    )
    plain = run_program(source.format(""), tmp_path, environment=QUIET)
    ours = run_program(source.format("ada_otel.setup(app)\n"), tmp_path, environment=QUIET)
    assert plain.stdout == ours.stdout == "500 1\n"
    assert ours.stderr.count("ERROR in app: Exception on / [GET]") == 1
    assert ours.stderr.count("KeyError: 'tea'") == plain.stderr.count("KeyError: 'tea'") == 1
