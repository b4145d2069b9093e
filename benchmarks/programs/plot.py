"""Draws the plot: ``plot.py RESULTS.json PICTURE.png``. Runs in the environment that has matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]  # in the plot's environment only

mpl.use("Agg")

from matplotlib import pyplot as plt  # type: ignore[import-not-found,unused-ignore]

_TITLES = {
    "plain": "plain route,\ntraces and metrics",
    "full": "log + SQL + Redis,\nall signals",
    "sampled": "the same,\n1 % of traces sampled",
}
_OURS, _OTHERS = "#1b6ac9", "#b8c0cc"


def _main(source: str, picture: str) -> None:
    results: dict[str, Any] = json.loads(Path(source).read_text(encoding="utf-8"))
    cases = [case for case in _TITLES if case in results["cpu"]]
    figure, panels = plt.subplots(1, len(cases), figsize=(4.2 * len(cases), 4.4), sharey=True, squeeze=False)
    for panel, case in zip(panels[0], cases, strict=True):
        _panel(panel, results["cpu"][case], results["variants"])
        panel.set_title(_TITLES[case], fontsize=10)
    panels[0][0].invert_yaxis()
    run = results["run"]
    figure.suptitle("CPU added per request in µs: median of the rounds, and quartiles", fontsize=11)
    figure.text(
        0.99, 0.01, f"{run['date']}, {run['processor']}, Python {run['python']}", ha="right", fontsize=7
    )
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(picture, dpi=110)


def _panel(panel: Any, rows: dict[str, Any], variants: dict[str, Any]) -> None:
    names = [name for name in rows if "added" in rows[name]]
    added = [rows[name]["added"] for name in names]
    medians = [row["median"] for row in added]
    spread = [
        [row["median"] - row["p25"] for row in added],
        [row["p75"] - row["median"] for row in added],
    ]
    colours = [_OURS if name == "ada" else _OTHERS for name in names]
    titles = [variants[name]["title"] for name in names]
    panel.barh(titles, medians, xerr=spread, color=colours, error_kw={"elinewidth": 1, "ecolor": "#555"})
    for at, (row, median) in enumerate(zip(added, medians, strict=True)):
        panel.text(max(row["p75"], 0), at, f" {median:.0f}", va="center", fontsize=8)
    panel.margins(x=0.15)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    panel.tick_params(labelsize=8)


_main(sys.argv[1], sys.argv[2])
