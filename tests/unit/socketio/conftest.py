"""Errors of telemetry fail these tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADA_OTEL_RAISE", "true")
