"""No secret leaves by a log line: not by its message, fields, exception, nor by any way that it takes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter

from ada_otel import logs

SECRET = "hunter2-hunter2-hunter2"


class Basket:
    def __str__(self) -> str:
        return f"password={SECRET}"


@pytest.fixture(autouse=True)
def structlog_as_it_was() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def _stdlib(values: dict[str, Any]) -> None:
    log = logging.getLogger("shop")
    log.warning("signed in with password=%s", SECRET, extra=values)
    try:
        try:
            raise OSError(f"token={SECRET}")
        except OSError as cause:
            raise KeyError(f"api_key={SECRET}") from cause
    except KeyError:
        log.exception("failed", stack_info=True)


def _structlog(values: dict[str, Any]) -> None:
    structlog.get_logger("shop").warning(f"signed in with password={SECRET}", **values)
    try:
        raise KeyError(f"api_key={SECRET}")
    except KeyError:
        structlog.get_logger("shop").exception("failed", **values)


def _own(values: dict[str, Any]) -> None:
    logs.get_logger("shop", **values).warning(f"signed in with password={SECRET}")


def _rendered(values: dict[str, Any]) -> None:
    structlog.configure(
        processors=[structlog.processors.JSONRenderer(default=str)],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    _structlog(values)


@pytest.mark.parametrize("log", [_stdlib, _structlog, _own, _rendered], ids=lambda way: way.__name__)
def test_no_way_lets_a_secret_out(
    exporter: InMemoryLogRecordExporter,
    log: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logs.configure(file=tmp_path / "app.log", console="json")
    with capsys.disabled():
        stderr, sys.stderr = sys.stderr, (tmp_path / "console").open("w")
        stdout, sys.stdout = sys.stdout, (tmp_path / "stdout").open("w")
        try:
            log(
                {
                    "password": SECRET,
                    "deep": {"list": [{"authorization": SECRET}]},
                    "basket": Basket(),
                    "url": f"https://ann:{SECRET}@example.org/",
                }
            )
        finally:
            sys.stderr.close()
            sys.stdout.close()
            sys.stderr, sys.stdout = stderr, stdout
    sent = [found.to_json() for found in exporter.get_finished_logs()]
    assert sent
    assert "signed in with password=[redacted" in sent[0]
    assert SECRET not in "".join(sent)
    assert SECRET not in (tmp_path / "app.log").read_text()
    assert len((tmp_path / "app.log").read_text().splitlines()) == len(sent)
    assert SECRET not in (tmp_path / "console").read_text()
