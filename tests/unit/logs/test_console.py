"""The console prints what nothing else prints: readable in a terminal, JSON elsewhere."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ada_otel import logs
from ada_otel._diagnostics import forget_reports
from tests.drills.programs import environment_of

StreamT = TypeVar("StreamT")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("ADA_OTEL_RAISE", "true")
    yield
    logs.stop()


@contextmanager
def console(stream: StreamT) -> Iterator[StreamT]:
    """Standard error is ``stream``, and pytest's own handlers, which would count as the app's, are away."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    error: Any = sys.stderr
    sys.stderr = stream
    try:
        yield stream
    finally:
        root.handlers = handlers
        sys.stderr = error


def test_json_where_there_is_no_terminal() -> None:
    with console(io.StringIO()) as stderr:
        logs.configure()
        logging.getLogger("shop").info("sold", extra={"cups": 3})
        logging.getLogger("shop").warning("low")
        first, second = map(json.loads, stderr.getvalue().splitlines())
        assert (first["level"], first["message"], first["cups"]) == ("INFO", "sold", 3)
        assert second["message"] == "low"


def test_readable_and_coloured_in_a_terminal() -> None:
    with console(_Terminal()) as terminal:
        logs.configure()
        try:
            raise KeyError("tea")
        except KeyError:
            logging.getLogger("shop").exception("sold \x1b[2J nothing", extra={"cups": 3, "who": "a b"})
        text = terminal.getvalue()
        assert "\x1b[31mERROR   \x1b[0m" in text
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert re.match(
            r'\d\d:\d\d:\d\d\.\d{3} ERROR    sold \\x1b\[2J nothing \[shop\] cups=3 who="a b"\n', plain
        )
        assert plain.endswith("KeyError: 'tea'\n")


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"TERM": "dumb", "FORCE_COLOR": "1"}, True)],
)
def test_colour_is_the_users_choice(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    with console(_Terminal()) as terminal:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        logs.configure()
        logging.getLogger("shop").warning("low")
        assert ("\x1b[" in terminal.getvalue()) is coloured


def test_an_app_with_handlers_prints_as_before() -> None:
    with console(io.StringIO()) as stderr:
        own = io.StringIO()
        logging.getLogger().addHandler(logging.StreamHandler(own))
        logs.configure()
        logging.getLogger("shop").warning("once")
        assert (own.getvalue(), stderr.getvalue()) == ("once\n", "")


def test_asked_for_by_name_it_prints_unless_a_handler_of_the_app_does() -> None:
    with console(io.StringIO()) as stderr:
        elsewhere = logging.StreamHandler(io.StringIO())
        logging.getLogger().addHandler(elsewhere)
        logs.configure(console="json")
        logging.getLogger("shop").warning("ours")
        logging.getLogger().addHandler(logging.StreamHandler(stderr))
        logging.getLogger("shop").warning("theirs")
        ours, theirs = stderr.getvalue().splitlines()
        assert (json.loads(ours)["message"], theirs) == ("ours", "theirs")


def test_the_setting_switches_it_on_and_the_code_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    with console(io.StringIO()) as stderr:
        monkeypatch.setenv("ADA_OTEL_LOG_CONSOLE", "pretty")
        logs.configure()
        logging.getLogger("shop").info("one")
        logs.configure(console=False)
        logging.getLogger("shop").info("two")
        assert "one [shop]" in stderr.getvalue()
        assert "two" not in stderr.getvalue()


def test_a_bad_choice_is_said_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("ADA_OTEL_RAISE")
    forget_reports()
    logging.getLogger().addHandler(caplog.handler)
    logs.configure(console="rainbow")  # type: ignore[arg-type]
    assert "one of auto, pretty, json, off" in caplog.text


@pytest.mark.parametrize("stream", [None, "closed"])
def test_a_console_that_is_gone_is_no_trouble(tmp_path: Path, stream: str | None) -> None:
    found = io.StringIO()
    found.close()
    with console(found if stream else None):
        logs.configure(console="json", file=tmp_path / "x.log")
        logging.getLogger("shop").info("into the void")
    assert "into the void" in (tmp_path / "x.log").read_text()


def test_a_console_that_knows_only_ascii() -> None:
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, "ascii", write_through=True)
    with console(text):
        logs.configure(console="json")
        logging.getLogger("shop").info("Überweisung")
    assert json.loads(raw.getvalue())["message"] == "Überweisung"
    text.detach()


def test_a_real_terminal(tmp_path: Path) -> None:
    source = "import ada_otel.logs as logs\nlogs.configure()\nlogs.get_logger('shop').info('sold', cups=3)\n"
    reader, writer = pty.openpty()
    environment = {**environment_of(tmp_path), "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    done = subprocess.run(
        [sys.executable, "-c", source], env=environment, stderr=writer, check=True, timeout=60
    )
    os.close(writer)
    text = os.read(reader, 65536).decode()
    os.close(reader)
    assert done.returncode == 0
    assert "\x1b[32mINFO    \x1b[0m \x1b[1msold\x1b[0m" in text
    assert text.count("sold") == 1
