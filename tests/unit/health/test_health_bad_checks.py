"""Checks of the app that do what no check should."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ada_otel import health as public
from ada_otel.web.health import _registry
from tests.unit.health.conftest import Start, checks
from tests.unit.health.test_health_pages import FAST, until


class Unspeakable(BaseException):
    """Neither an error nor with a text: as ``gevent.Timeout`` and ``SystemExit`` are none."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__


def test_a_check_that_raises_what_is_no_exception_is_run_again(start: Start) -> None:
    runs = []

    @public.check("odd", required=True)
    def odd() -> object:
        runs.append(1)
        if len(runs) < 8:
            raise Unspeakable if len(runs) % 2 else SystemExit(1)
        return None if len(runs) > 8 else Unspeakable()

    client = start(HEALTH_INTERVAL="0.1", HEALTH_TIMEOUT="5")
    until(lambda: checks(client).get("odd", {}).get("reason") == "failed")
    assert client.get("/health/ready").status_code == 503
    until(lambda: client.get("/health/ready").status_code == 200)
    assert len(runs) >= 8


def test_figures_that_json_does_not_have_are_text(start: Start) -> None:
    endless: list[Any] = []
    endless.append(endless)
    figures: dict[str, Any] = {
        "share": float("nan"),
        "most": float("inf"),
        "several": [float("nan")],
        "endless": endless,
        "odd": Unspeakable(),
        "long": 10**5000,
        "text": "\ud800",
        "rows": 3,
        "lag": 0.5,
        "on": True,
    }
    public.check("odd")(lambda: public.degraded("odd", **figures))
    client = start(**FAST)
    client.get("/health/ready")
    until(lambda: checks(client).get("odd", {}).get("status") == "degraded")
    answer = client.get("/health/detailed").data
    shown = json.loads(answer, parse_constant=pytest.fail)["checks"]["odd"]["figures"]
    assert shown == {
        "share": None,
        "most": None,
        "several": "[nan]",
        "endless": "[[...]]",
        "odd": "<Unspeakable without a text>",
        "long": "<int without a text>",
        "text": "\ud800",
        "rows": 3,
        "lag": 0.5,
        "on": True,
    }


async def coroutine() -> None:
    """Nobody would wait for it."""


def test_what_can_be_no_check_is_said_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def answers() -> bool:
        return True

    assert public.check(answers)() is True  # type: ignore[arg-type, call-arg]  # on purpose: no brackets
    public.check(Unspeakable())(answers)  # type: ignore[arg-type]  # on purpose
    public.check("slow", timeout=10**400)(answers)
    public.check("needed", required="no")(answers)  # type: ignore[arg-type]  # on purpose
    public.check("later")(coroutine)
    assert _registry.checks() == []
    for word in ("with brackets", "lower-case", "timeout", "True or False", "no coroutine function"):
        assert sum(word in message for message in caplog.messages) == 1, word


def test_a_path_that_is_not_there_is_said(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    client = start(**FAST, HEALTH_DISK_PATH="/nowhere")
    client.get("/health/ready")
    until(lambda: "ADA_OTEL_HEALTH_DISK_PATH is '/nowhere'" in caplog.text)
    assert checks(client)["host"]["status"] in {"healthy", "degraded"}
    assert "disk_percent" not in checks(client)["host"]["figures"]
