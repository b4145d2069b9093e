"""The example app, driven on the servers of the session; several modules look at what has arrived."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.dashboard_render.queries import Result, Source, Span
from tools.demo.app import running_app
from tools.demo.arrivals import BackEnds, wait_for
from tools.drift import scrape
from tools.paths import REPOSITORY
from tools.stack import Stack

_FOLDER = REPOSITORY / "collector" / "grafana" / "dashboards"
DOCUMENTS = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(_FOLDER.glob("*.json"))
}
_LOAD = (
    "home=2,items=4,item=4,boom=2,chat=2,chat-fails=1,upload=1,upload-refused=1,purchase=2,sign-in=1,slow=1"
)


@dataclass
class Driven:
    """A load that was driven, and where its telemetry is."""

    source: Source
    span: Span
    report: dict[str, Any]

    def panel(self, uid: str, number: int) -> list[Result]:
        (panel,) = (panel for panel in DOCUMENTS[uid]["panels"] if panel["id"] == number)
        return [self.source.run(target, self.span) for target in panel["targets"]]


def drive(stack: Stack, folder: Path) -> Driven:
    """Start the example app, drive it for half a minute, and wait until all has arrived."""
    service = f"ada-driven-{time.time_ns()}"
    back_ends = BackEnds(stack.url("prometheus"), stack.url("elasticsearch"), "", service)
    with running_app(folder, scrape.app_environment(stack), service=service) as app:
        # Each series has to be there before it can grow.
        first = app.drive("--plan", "once")
        wait_for(back_ends.request_counts, lambda found: sum(found.values()) == first["requests_total"])
        time.sleep(2.5)
        start = time.time()
        once = app.drive("--plan", "once")
        load = app.drive("--users", "4", "--rate", "20", "--seconds", "8", "--seed", "7", "--mix", _LOAD)
        report = {name: once[name] + load[name] for name in ("requests_total", "requests")}
        sent = first["requests_total"] + report["requests_total"]
        wait_for(back_ends.request_counts, lambda found: sum(found.values()) == sent)
        # Rates need two scrapes of the collector in the span, which come every 15 seconds.
        time.sleep(max(2.5, start + 33 - time.time()))
        end = time.time()
    variables = {"service": service, "slow": "0.2"}
    source = Source(stack.url("prometheus"), stack.url("elasticsearch"), variables)
    return Driven(source, Span(start, end, 1, end - start), report)
