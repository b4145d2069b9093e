"""A name that an upstream release took away: the fast path says so once, and the stock code serves."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

from ada_otel.instrument import _fallback
from ada_otel.instrument._fallback import fast_part

PARTS = (
    ("flask", "flask._middleware", "flask", "_excluded_urls_from_env"),
    ("redis", "redis._commands", "redis.util", "_build_span_name"),
    ("sqlalchemy", "sqlalchemy._engines", "sqlalchemy.engine", "_normalize_vendor"),
    ("sqlalchemy", "sqlalchemy._stock", "sqlalchemy.engine", "_wrap_connect"),
)


@pytest.mark.parametrize(("library", "part", "upstream", "name"), PARTS)
def test_a_missing_private_gives_no_part_and_one_warning(
    monkeypatch: pytest.MonkeyPatch, library: str, part: str, upstream: str, name: str
) -> None:
    said: list[str] = []
    monkeypatch.setattr(_fallback, "report", lambda _key, text: said.append(text))
    module = f"ada_otel.instrument.{part}"
    assert fast_part(module, library) is importlib.import_module(module)
    monkeypatch.delattr(importlib.import_module(f"opentelemetry.instrumentation.{upstream}"), name)
    # All of its modules: the name may be one that another of them imports.
    for loaded in [loaded for loaded in sys.modules if loaded.startswith(f"ada_otel.instrument.{library}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    assert fast_part(module, library) is None
    assert len(said) == 1
    assert name in said[0]
    assert "stock instrumentation is used" in said[0]


def test_a_library_that_is_not_installed_is_no_upstream_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "ada_otel.instrument.redis._commands", raising=False)
    with pytest.raises(ModuleNotFoundError):
        fast_part("ada_otel.instrument.redis._commands", "redis")


@pytest.mark.parametrize(
    ("package", "parts", "instrumentor"),
    [
        ("flask", ("_middleware",), "FlaskInstrumentor"),
        ("redis", ("_commands",), "RedisInstrumentor"),
        ("sqlalchemy", ("_engines", "_stock"), "SQLAlchemyInstrumentor"),
    ],
)
def test_stock_serves_without_the_part(
    monkeypatch: pytest.MonkeyPatch, package: str, parts: tuple[str, ...], instrumentor: str
) -> None:
    module = importlib.import_module(f"ada_otel.instrument.{package}")
    for part in parts:
        monkeypatch.setattr(module, part, None)
    ours = getattr(module, instrumentor)
    called: list[dict[str, Any]] = []
    monkeypatch.setattr(ours.__mro__[1], "_instrument", lambda _self, **options: called.append(options))
    monkeypatch.setattr(module._conventions, "fast", lambda: True)
    ours()._instrument(tracer_provider=None)
    assert called == [{"tracer_provider": None}]
