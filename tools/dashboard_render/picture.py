"""Draws a dashboard with matplotlib, panel by panel at its place."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tools.dashboard_render.queries import Result, Source, Span

LABEL = "rendered by tools/dashboard_render, not Grafana"
_ROW_INCHES = 0.34
_COLUMN_INCHES = 0.62
_FACTORS = {"bytes": 1 / 2**20, "Bps": 1 / 2**10, "percentunit": 100.0}
_SUFFIXES = {
    "bytes": " MiB",
    "Bps": " KiB/s",
    "percentunit": " %",
    "s": " s",
    "reqps": " req/s",
    "cps": " /s",
    "ops": " ops/s",
}
_COLORS = {"green": "#3d9a50", "yellow": "#d9b400", "orange": "#e07b00", "red": "#d03a3a"}
_MOST_SERIES = 8


def draw(document: dict[str, Any], source: Source, span: Span, file: Path, rows: Sequence[int] = ()) -> None:
    """Run all targets of a dashboard, and write a picture of it.

    Args:
        document: The dashboard's JSON.
        source: Where to ask.
        span: The time that is shown.
        file: The PNG.
        rows: Ids of the rows to draw; all by default.
    """
    from matplotlib.figure import Figure

    panels = _of_rows(document["panels"], rows)
    first = min(panel["gridPos"]["y"] for panel in panels)
    last = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    height = (last - first) * _ROW_INCHES + 0.6
    width = 24 * _COLUMN_INCHES
    figure = Figure(figsize=(width, height), dpi=75)
    figure.text(
        0.01, 1 - 0.3 / height, f"{document['title']}   [{LABEL}]", fontsize=13, weight="bold", va="center"
    )
    for panel in panels:
        place = panel["gridPos"]
        top = 1 - ((place["y"] - first) * _ROW_INCHES + 0.6) / height
        if panel["type"] == "row":
            figure.text(0.01, top - 0.17 / height, panel["title"], fontsize=12, va="center", color="#444")
            continue
        box = (
            place["x"] / 24,
            top - place["h"] * _ROW_INCHES / height,
            place["w"] / 24,
            place["h"] * _ROW_INCHES / height,
        )
        results = [source.run(target, span) for target in panel["targets"]]
        _panel(figure, box, panel, results)
    figure.savefig(file)


def _of_rows(panels: list[dict[str, Any]], rows: Sequence[int]) -> list[dict[str, Any]]:
    chosen, within = [], True
    for panel in panels:
        if panel["type"] == "row":
            within = not rows or panel["id"] in rows
        if within:
            chosen.append(panel)
    return chosen


def _panel(
    figure: Any, box: tuple[float, float, float, float], panel: dict[str, Any], results: list[Result]
) -> None:
    left, bottom, width, height = box
    inches = figure.get_size_inches()
    pad_x, pad_y = 0.5 / inches[0], 0.35 / inches[1]
    axes = figure.add_axes((left + pad_x, bottom + pad_y, width - 1.3 * pad_x, height - 2 * pad_y))
    axes.set_title(panel["title"], fontsize=9, loc="left")
    axes.tick_params(labelsize=7)
    found = [result for result in results if not result.empty]
    if not found:
        axes.axis("off")
        axes.text(0.5, 0.5, "No data", ha="center", va="center", color="#888")
        return
    kind = panel["type"]
    if kind == "timeseries":
        _lines(axes, panel, found)
    elif kind == "stat":
        _figures(axes, panel, found)
    elif kind == "bargauge":
        _bars(axes, panel, found)
    elif kind == "heatmap":
        _heatmap(axes, found[0])
    else:
        _text(axes, found, width * inches[0])


def _defaults(panel: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = panel["fieldConfig"]["defaults"]
    return defaults


def _scaled(panel: dict[str, Any], text: str) -> float:
    return float(text) * _FACTORS.get(_defaults(panel).get("unit", ""), 1.0)


def _named(results: list[Result]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name or "value", row)
        for result in results
        for name, row in zip(result.names(), result.series, strict=True)
    ]


def _lines(axes: Any, panel: dict[str, Any], results: list[Result]) -> None:
    named = sorted(_named(results), key=lambda pair: -max(float(v) for _, v in pair[1]["values"]))
    for name, row in named[:_MOST_SERIES]:
        times = [datetime.fromtimestamp(at, timezone.utc) for at, _ in row["values"]]
        axes.plot(times, [_scaled(panel, value) for _, value in row["values"]], linewidth=1, label=name[:48])
    top = axes.get_ylim()[1]
    for step in _defaults(panel)["thresholds"]["steps"]:
        if step.get("value") is not None:
            bound = _scaled(panel, str(step["value"]))
            if 0 < bound <= 2 * top:
                axes.axhline(bound, color=_COLORS[step["color"]], linestyle="--", linewidth=0.8)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.set_ylabel(_SUFFIXES.get(_defaults(panel).get("unit", ""), "").strip(), fontsize=7)
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(fontsize=6, loc="upper left", framealpha=0.6)


def _figures(axes: Any, panel: dict[str, Any], results: list[Result]) -> None:
    axes.axis("off")
    named = _named(results)[:_MOST_SERIES]
    for number, (name, row) in enumerate(named):
        value = float(row["values"][-1][1])
        color = _COLORS["green"]
        for step in _defaults(panel)["thresholds"]["steps"]:
            if step.get("value") is None or value >= step["value"]:
                color = _COLORS[step["color"]]
        shown = f"{_scaled(panel, str(value)):.4g}{_SUFFIXES.get(_defaults(panel).get('unit', ''), '')}"
        y = 1 - (number + 0.5) / len(named)
        size = 16 if len(named) == 1 else 10
        axes.text(
            0.5,
            y,
            shown if len(named) == 1 else f"{name}: {shown}",
            ha="center",
            va="center",
            fontsize=size,
            color=color,
        )


def _bars(axes: Any, panel: dict[str, Any], results: list[Result]) -> None:
    named = sorted(_named(results), key=lambda pair: float(pair[1]["values"][-1][1]))[-12:]
    values = [_scaled(panel, row["values"][-1][1]) for _, row in named]
    axes.barh(range(len(named)), values, color="#5794c8")
    axes.set_yticks([])
    for number, ((name, _), value) in enumerate(zip(named, values, strict=True)):
        axes.text(0, number, f" {name[:60]}  {value:.4g}", va="center", fontsize=7)


def _heatmap(axes: Any, result: Result) -> None:
    rows = sorted(result.series, key=lambda row: float(row["metric"]["le"]))
    times = sorted({at for row in rows for at, _ in row["values"]})
    below = dict.fromkeys(times, 0.0)
    grid = []
    for row in rows:
        values = {at: float(value) for at, value in row["values"]}
        grid.append([max(0.0, values.get(at, 0.0) - below[at]) for at in times])
        below.update(values)
    axes.imshow(grid, aspect="auto", origin="lower", cmap="Oranges")
    axes.set_yticks(range(len(rows)), [row["metric"]["le"] for row in rows], fontsize=6)
    axes.set_xticks([])


def _text(axes: Any, results: list[Result], inches: float) -> None:
    axes.axis("off")
    lines: list[str] = []
    for result in results:
        lines += [f"{row['values'][-1][1]:>6}  {row['metric']}" for row in result.series]
        for hit in result.hits:
            lines.append(
                f"{hit['count']:>6}  {'  '.join(map(str, hit['keys']))}"
                if "keys" in hit
                else _line(hit["_source"])
            )
    widest = int(inches * 13)
    shown = [textwrap.shorten(line, widest, placeholder=" …") for line in lines[:12]]
    axes.text(0, 1, "\n".join(shown), va="top", fontsize=7, family="monospace")


def _line(source: dict[str, Any]) -> str:
    attributes = source.get("attributes", {})
    detail = attributes.get("exception.type") or attributes.get("url.path") or ""
    seconds = attributes.get("duration_seconds")
    took = f"{seconds:.3f} s" if isinstance(seconds, float) else ""
    message = source.get("body", {}).get("text", "")
    level, trace = source.get("severity_text", ""), source.get("trace_id", "")[:8]
    at = datetime.fromtimestamp(float(source["@timestamp"]) / 1000, timezone.utc)
    return f"{at:%H:%M:%S} {level} {message} {detail} {took} {trace}"
