"""Tables and plots for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ada_otel.analysis._plain import MISSING, change, clean, exception_line, figures, local, one_line, seconds
from ada_otel.analysis.model import Dashboard, ErrorReport, LogEntry, SlowReport, Trends

_LEVEL_STYLES = {
    "DEBUG": "dim",
    "INFO": "green",
    "WARNING": "yellow",
    "ERROR": "bold red",
    "CRITICAL": "bold white on red",
}
_COLOURS = ("red", "blue", "yellow", "magenta", "cyan", "green", "orange", "white", "gray", "red+", "blue+")
_PLOT_HEIGHT = 14
#: Series of a stacked plot; more colours are hard to tell apart.
_PLOTTED = 5


class RichOutput:
    """Tables in the width of the terminal. All text is shown as it is; nothing in it is taken for markup."""

    def __init__(self, stream: TextIO, width: int | None = None) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, width=width)

    def entries(self, entries: Sequence[LogEntry], *, traceback: bool) -> None:
        """Print a table of log lines."""
        if not entries:
            return
        one_day = len({entry.timestamp.date() for entry in entries}) == 1
        table = _table("time (UTC)", "level", "logger", "message", "trace")
        table.columns[0].no_wrap = table.columns[1].no_wrap = True
        table.columns[2].overflow = "ellipsis"
        table.columns[2].no_wrap, table.columns[2].max_width = True, 24
        table.columns[3].ratio = 1
        table.columns[4].no_wrap = True
        for entry in entries:
            time = local(entry.timestamp) if not one_day else f"{entry.timestamp:%H:%M:%S.%f}"[:-3]
            message: RenderableType = Text(clean(exception_line(entry)))
            if traceback and entry.exception and entry.exception.traceback:
                message = Group(message, Text(clean(entry.exception.traceback.rstrip()), style="dim"))
            table.add_row(
                Text(time, style="dim"),
                _level(entry),
                Text(one_line(entry.logger or "")),
                message,
                # The first digits are enough for --trace.
                Text(_trace(entry.trace_id, self._console.width), style="dim"),
            )
        title = f"{entries[0].timestamp:%Y-%m-%d}" if one_day else None
        table.title = title
        self._console.print(table)

    def stream(self, entries: Iterable[LogEntry], *, traceback: bool) -> None:
        """Print one line per log line, as it comes."""
        for entry in entries:
            line = Text()
            line.append(f"{local(entry.timestamp)} ", style="dim")
            line.append_text(_level(entry))
            line.append(" " * max(1, 9 - len(entry.level)))
            line.append(f"{one_line(entry.logger or '-')} ", style="cyan")
            line.append(clean(exception_line(entry)))
            if entry.trace_id:
                line.append(f" trace={one_line(entry.trace_id)}", style="dim")
            self._console.print(line)
            if traceback and entry.exception and entry.exception.traceback:
                self._console.print(Text(clean(entry.exception.traceback.rstrip()), style="dim"))

    def trends(self, trends: Trends) -> None:
        """Print a plot, and a table of the totals."""
        period = f"{local(trends.start)} to {local(trends.end)} UTC"
        self._console.print(Text(f"{trends.total:,} errors, {period}", style="bold"))
        if trends.total:
            self._console.print(Text.from_ansi(plot(trends, self._console.width)))
        if trends.series:
            table = _table(trends.by or "", "errors", "share", "peak", "peak at (UTC)", right=(1, 2, 3))
            for one in trends.series:
                peak = max(one.points, key=lambda point: point.count)
                share = f"{100 * one.total / trends.total:.1f}%"
                table.add_row(
                    Text(one_line(one.name)), f"{one.total:,}", share, f"{peak.count:,}", local(peak.time)
                )
            self._console.print(table)
        if trends.approximate:
            self._console.print(
                Text("counts by value are approximate: there are very many values", style="yellow")
            )

    def errors(self, report: ErrorReport, *, traceback: bool) -> None:
        """Print a table of groups."""
        period = f"{local(report.start)} to {local(report.end)} UTC"
        groups = f"{report.group_count:,} groups ({report.before:,} in the period before)"
        head = f"{report.total:,} errors in {groups}, {period}"
        self._console.print(Text(head, style="bold"))
        if report.groups:
            table = _table("count", "change", "first seen", "last seen", "error", right=(0, 1))
            for column in range(4):
                table.columns[column].no_wrap = column < 2
            table.columns[4].ratio = 1
            for group in report.groups:
                rise = group.change > 0
                parts: list[RenderableType] = [
                    _error_head(group.type, group.logger),
                    Text(clean(group.pattern)),
                ]
                if group.sample:
                    parts.append(_sample(group.sample, traceback=traceback))
                table.add_row(
                    f"{group.count:,}",
                    Text(change(group.count, group.before), style="red" if rise else "green"),
                    local(group.first_seen),
                    local(group.last_seen),
                    Group(*parts),
                )
            self._console.print(table)
        if not report.complete:
            note = "not all errors were grouped: there are very many different messages; narrow --since"
            self._console.print(Text(note, style="yellow"))

    def slow(self, report: SlowReport) -> None:
        """Print a table of routes."""
        period = f"{local(report.start)} to {local(report.end)} UTC"
        self._console.print(Text(f"slowest routes, {period}", style="bold"))
        if not report.routes:
            self._console.print("no request was recorded in this period")
            return
        heads = ("route", "requests", "average", "p50", "p95", "p99", "slowest", "errors", "slowest trace")
        table = _table(*heads, right=range(1, 8))
        for number in range(1, 8):
            table.columns[number].no_wrap = True
        table.columns[8].overflow = "fold"
        for route in report.routes:
            took = route.time
            table.add_row(
                Text(one_line(f"{route.method} {route.route}")),
                f"{took.count:,}",
                seconds(took.average),
                seconds(took.p50),
                Text(seconds(took.p95), style="bold"),
                seconds(took.p99),
                seconds(took.maximum),
                Text(f"{route.errors:,}", style="red" if route.errors else ""),
                Text(one_line(route.slowest_trace or ""), style="dim"),
            )
        self._console.print(table)

    def dashboard(self, dashboard: Dashboard) -> None:
        """Print the figures, and a table of the recent errors."""
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, value, note in figures(dashboard):
            known = value != MISSING
            table.add_row(
                Text(name), Text(value, style="bold" if known else "yellow"), Text(clean(note), style="dim")
            )
        title = f"{local(dashboard.start)} to {local(dashboard.end)} UTC"
        self._console.print(Panel(table, title=Text(title), title_align="left", box=box.ROUNDED))
        if dashboard.recent_errors:
            self._console.print(Text("recent errors", style="bold"))
            self.entries(list(reversed(dashboard.recent_errors)), traceback=False)


def plot(trends: Trends, width: int) -> str:
    """A bar for each interval, stacked by the largest series; lines of text without plotext.

    Args:
        trends: What to draw.
        width: The width in columns.
    """
    try:
        import plotext
    except ImportError:
        highest = max(point.count for point in trends.points)
        return "\n".join(
            f"{local(point.time)} {'#' * round(40 * point.count / highest)} {point.count}"
            for point in trends.points
        )
    days = (trends.end - trends.start).days >= 1
    labels = [f"{point.time:%d %H:%M}" if days else f"{point.time:%H:%M}" for point in trends.points]
    shown = trends.series[:_PLOTTED]
    stacks = [[point.count for point in one.points] for one in shown]
    names = [one_line(one.name)[:40] for one in shown]
    rest = [point.count - sum(stack[at] for stack in stacks) for at, point in enumerate(trends.points)]
    if not shown or any(count > 0 for count in rest):
        stacks.append([max(0, count) for count in rest])
        names.append("others" if shown else "errors")
    plotext.clear_figure()
    plotext.plotsize(min(width, 160), _PLOT_HEIGHT)
    plotext.theme("clear")
    positions = list(range(len(labels)))
    tops = [0] * len(labels)
    layers: list[list[int]] = []
    for stack in stacks:
        tops = [top + count for top, count in zip(tops, stack, strict=True)]
        layers.append(tops)
    # The tallest layer first, so that each lower one covers the foot of the one above it.
    for number in reversed(range(len(layers))):
        # A bar of no height would blank the foot of those behind it.
        drawn = [at for at in positions if stacks[number][at]]
        if drawn:
            heights = [layers[number][at] for at in drawn]
            colour = _COLOURS[number % len(_COLOURS)]
            plotext.bar(drawn, heights, label=names[number], color=colour, width=0.6)
    step = max(1, len(labels) * 13 // min(width, 160))
    plotext.xticks(positions[::step], labels[::step])
    highest = max(point.count for point in trends.points)
    ticks = sorted({round(highest * part / 4) for part in range(5)})
    plotext.yticks(ticks, [f"{tick:,}" for tick in ticks])
    plotext.ylim(0, highest)
    return str(plotext.build())


def _table(*heads: str, right: Iterable[int] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold", expand=False)
    aligned = set(right)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number in aligned else "left")
    return table


def _level(entry: LogEntry) -> Text:
    return Text(one_line(entry.level), style=_LEVEL_STYLES.get(entry.level, ""))


def _trace(trace_id: str | None, width: int) -> str:
    if not trace_id:
        return ""
    return one_line(trace_id if width >= 120 else f"{trace_id[:8]}…")


def _error_head(kind: str | None, logger: str | None) -> Text:
    head = Text(one_line(kind or "(no exception)"), style="bold red" if kind else "bold")
    head.append(f"  {one_line(logger or '')}", style="cyan")
    return head


def _sample(entry: LogEntry, *, traceback: bool) -> Text:
    text = clean(exception_line(entry))
    if traceback and entry.exception and entry.exception.traceback:
        text += "\n" + clean(entry.exception.traceback.rstrip())
    sample = Text(f"last: {text}", style="dim")
    if entry.trace_id:
        sample.append(f"  trace={one_line(entry.trace_id)}")
    return sample
