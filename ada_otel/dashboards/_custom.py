"""A user's own metrics, from a YAML or Python file, in panels of our style; see docs/dashboards.md."""

from __future__ import annotations

import re
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from ada_otel.catalogue import Attribute, Metric
from ada_otel.catalogue._model import Kind
from ada_otel.dashboards import DASHBOARDS
from ada_otel.dashboards._model import Bound, Dashboard, Row
from ada_otel.dashboards._own_panels import WAYS, panels

_KINDS: tuple[str, ...] = get_args(Kind)
_TOP = ("title", "uid", "description", "metrics")
_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-/]{0,254}")


class FileError(ValueError):
    """The file has a mistake; the message names file, entry, what is wrong, and what would be right."""


@dataclass(frozen=True)
class Entry:
    """One metric of the file, checked.

    Attributes:
        metric: Its row.
        title: Of the panel.
        by: Attributes that get a series each.
        aggregate: How workers are put together; empty for what the kind suggests.
        bounds: Warning and critical value.
    """

    metric: Metric
    title: str
    by: tuple[str, ...]
    aggregate: str
    bounds: tuple[Bound, ...]


@dataclass(frozen=True)
class _Raw:
    """The keys of an entry, as they stand in the file."""

    metric: Any = None
    kind: Any = None
    unit: Any = None
    meaning: Any = None
    title: Any = ""
    attributes: Any = ()
    aggregate: Any = ""
    thresholds: Any = ()


def read(file: Path) -> Dashboard:
    """The dashboard that a file describes.

    Raises:
        FileError: The file cannot be read, or says something that cannot be used.
    """
    content = _content(file)
    unknown = sorted(set(content) - set(_TOP))
    if unknown:
        raise FileError(f"{file}: unknown key {unknown[0]!r}; known are {', '.join(_TOP)}")
    title = content.get("title")
    if not isinstance(title, str) or not title.strip():
        raise FileError(f"{file}: title is {title!r}; write a few words, for instance title: Shop")
    uid = content.get("uid", f"ada-own-{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}"[:40])
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise FileError(f"{file}: uid is {uid!r}; use up to 40 letters, digits, - and _")
    if uid in {dashboard.uid for dashboard in DASHBOARDS}:
        raise FileError(f"{file}: uid {uid!r} is that of a dashboard of ada-otel; choose another")
    rows = content.get("metrics")
    if not isinstance(rows, list) or not rows:
        raise FileError(f"{file}: metrics is {rows!r}; write a list with at least one metric")
    entries = [_entry(row, f"{file}: metrics[{number}]") for number, row in enumerate(rows)]
    names = [entry.metric.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise FileError(f"{file}: {name} is listed {names.count(name)} times; list it once")
    description = str(content.get("description", f"Own metrics, from {file.name}."))
    return Dashboard(uid, title, description, (Row(1, title, panels(entries)),))


def _content(file: Path) -> Mapping[str, Any]:
    if file.suffix not in {".yaml", ".yml", ".py"}:
        raise FileError(f"{file}: the name ends in {file.suffix!r}; use .yaml, .yml or .py")
    try:
        if file.suffix == ".py":
            names = runpy.run_path(str(file))
            return {key: names[key.upper()] for key in _TOP if key.upper() in names}
        import yaml

        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{file}: it cannot be read: {error.strerror}") from error
    except (Exception, SystemExit) as error:
        raise FileError(f"{file}: it cannot be used: {type(error).__name__}: {error}") from error
    if not isinstance(found, dict):
        raise FileError(f"{file}: it holds {type(found).__name__}; write keys: {', '.join(_TOP)}")
    return found


def _entry(row: Any, where: str) -> Entry:
    if isinstance(row, Metric):
        by = tuple(attribute.name for attribute in row.attributes)
        return Entry(row, row.name, by, "", ())
    if not isinstance(row, dict):
        raise FileError(f"{where}: it is {row!r}; write keys: {', '.join(_keys())}")
    unknown = [key for key in row if key not in _keys()]
    if unknown:
        raise FileError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(_keys())}")
    raw = _Raw(**row)
    name = raw.metric
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise FileError(
            f"{where}: metric is {name!r}; write its OpenTelemetry name, such as shop.basket.size"
        )
    where = f"{where} ({name})"
    if raw.kind not in _KINDS:
        raise FileError(f"{where}: kind is {raw.kind!r}; it is one of {', '.join(_KINDS)}")
    for key in ("unit", "meaning"):
        if not isinstance(getattr(raw, key), str) or not getattr(raw, key):
            example = "s, By, 1 or {item}" if key == "unit" else "Items in a basket at checkout."
            raise FileError(f"{where}: {key} is {getattr(raw, key)!r}; write for instance {example}")
    if not isinstance(raw.title, str):
        raise FileError(f"{where}: title is {raw.title!r}; write a few words")
    by = _attributes(raw.attributes, where)
    metric = Metric(name, raw.kind, raw.unit, raw.meaning, "own", tuple(Attribute(each, "") for each in by))
    return Entry(metric, raw.title or name, by, _aggregate(raw, where), _bounds(raw.thresholds, where))


def _keys() -> tuple[str, ...]:
    return tuple(field.name for field in fields(_Raw))


def _attributes(found: Any, where: str) -> tuple[str, ...]:
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) and each for each in found):
        raise FileError(f"{where}: attributes is {found!r}; write a list of names, such as [shop.region]")
    return tuple(found)


def _aggregate(raw: _Raw, where: str) -> str:
    if not raw.aggregate:
        return ""
    if raw.kind not in {"gauge", "observable_gauge"}:
        raise FileError(f"{where}: aggregate is for gauges; a {raw.kind} is always added up")
    if raw.aggregate not in WAYS:
        raise FileError(f"{where}: aggregate is {raw.aggregate!r}; it is one of {', '.join(WAYS)}")
    return str(raw.aggregate)


def _bounds(found: Any, where: str) -> tuple[Bound, ...]:
    listed: list[Any] = list(found) if isinstance(found, list | tuple) else [None]
    right = all(isinstance(each, int | float) and not isinstance(each, bool) for each in listed)
    if not right or len(listed) > 2 or listed != sorted(listed):
        raise FileError(
            f"{where}: thresholds is {found!r}; write one or two rising numbers, such as [10, 50]"
        )
    critical = tuple(Bound(float(each), "red") for each in listed[-1:])
    return (*(Bound(float(each), "orange") for each in listed[:-1]), *critical)
