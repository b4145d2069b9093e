"""Errors of telemetry fail these tests, and none waits for a farewell."""

from __future__ import annotations

from functools import partialmethod

import pytest
import websocket


@pytest.fixture(autouse=True)
def _raise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADA_OTEL_RAISE", "true")


@pytest.fixture(autouse=True)
def _short_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default the client waits three seconds for a farewell that Engine.IO's server does not give."""
    close = partialmethod(websocket.WebSocket.close, timeout=0.1)
    monkeypatch.setattr(websocket.WebSocket, "close", close)
