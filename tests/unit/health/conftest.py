"""An app with health pages, and nothing of it left afterwards."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient

from ada_otel import settings
from ada_otel._diagnostics import forget_reports
from ada_otel.web import health
from ada_otel.web.health import _registry

Start = Callable[..., FlaskClient]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start health with some settings, and give a client of an app."""

    def start_with(app: flask.Flask | None = None, **environment: str) -> FlaskClient:
        environment = {"HEALTH_HISTORY": str(tmp_path / "health.history"), **environment}
        health.start(settings.load({f"ADA_OTEL_{name}": text for name, text in environment.items()}))
        return (app or flask.Flask("shop")).test_client()

    health.stop()
    _registry.forget()
    forget_reports()
    gc.collect()  # an engine or a Redis pool that an earlier test left behind would be checked, too
    yield start_with
    health.stop()
    _registry.forget()


def checks(client: FlaskClient, **headers: Any) -> dict[str, Any]:
    """The checks of the detail."""
    found = client.get("/health/detailed", headers=headers).get_json()["checks"]
    assert isinstance(found, dict)
    return found
