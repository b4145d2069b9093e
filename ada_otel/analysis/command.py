"""``ada-otel logs``: search, trends, errors, slow and dashboard on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ada_otel.analysis import _plain
from ada_otel.analysis.errors import AnalysisError, QueryError
from ada_otel.analysis.selection import Selection, now
from ada_otel.analysis.times import parse_length

if TYPE_CHECKING:
    from ada_otel.analysis.analyzer import LogAnalyzer
    from ada_otel.analysis.files import FileAnalyzer

    _Analyzer = LogAnalyzer | FileAnalyzer

__all__ = ["add_parser", "run"]

#: The exit code of whatever could not be done.
_FAILED = 2
_INTERRUPTED = 130
_QUERY_HELP = (
    'words that must all be found; "a phrase"; level:ERROR, logger:…, user_id:…, any attribute; '
    "AND OR NOT ( ); * and ?; timestamp:[2026-11-23 TO now]"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``logs`` and its commands to the subcommands of a program."""
    logs = subparsers.add_parser("logs", help="search and analyse what the app logged")
    commands = logs.add_subparsers(dest="logs_command", required=True, metavar="COMMAND")

    search = _command(commands, "search", "the newest log lines that a query finds")
    _query(search)
    search.add_argument(
        "--size", type=int, metavar="N", help="how many lines at most (100; 10 before --follow)"
    )
    search.add_argument("--follow", "-f", action="store_true", help="go on with each line that comes")
    search.add_argument("--traceback", action="store_true", help="show the tracebacks")

    trends = _command(commands, "trends", "errors over time")
    _query(trends)
    trends.add_argument(
        "--hours", type=float, default=24.0, metavar="H", help="how far back (24); --since goes before it"
    )
    trends.add_argument(
        "--interval", default="1h", metavar="LENGTH", help="length of an interval: 15m, 1h (1h)"
    )
    trends.add_argument(
        "--by", metavar="FIELD", help="split by a field: exception.type, logger, level, service"
    )

    errors = _command(commands, "errors", "errors in groups, against the period before")
    _query(errors)
    errors.add_argument("--size", type=int, default=20, metavar="N", help="how many groups (20)")
    errors.add_argument("--traceback", action="store_true", help="show the traceback of each sample")

    slow = _command(commands, "slow", "the slowest routes")
    slow.add_argument("--size", type=int, default=20, metavar="N", help="how many routes (20)")

    _command(commands, "dashboard", "recent errors, response times, CPU, memory, connections")


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    window = "how long ago (2h, 7d), or a date (2026-11-23, 2026-11-23T10:00:00Z)"
    parser.add_argument("--since", metavar="TIME", help=f"begin: {window}")
    parser.add_argument("--until", metavar="TIME", help="end, not included; now by default")
    parser.add_argument("--service", metavar="NAME", help="service.name of the app")
    parser.add_argument("--json", action="store_true", help="for machines; search gives one object per line")
    place = parser.add_argument_group("where to look")
    place.add_argument(
        "--file",
        action="append",
        metavar="PATTERN",
        help="local JSON log files instead: 'logs/ada_app.log*'",
        nargs="+",
    )
    place.add_argument(
        "--url", metavar="URL", help="Elasticsearch; ADA_ELASTICSEARCH_ENDPOINT (http://127.0.0.1:9200)"
    )
    place.add_argument("--api-key", metavar="KEY", help="its API key; better by ADA_ELASTICSEARCH_API_KEY")
    place.add_argument("--ca", metavar="FILE", help="certificates to trust; ADA_ELASTICSEARCH_CA")
    place.add_argument("--cloud-id", metavar="ID", help="Elastic Cloud deployment; ELASTIC_CLOUD_ID")
    place.add_argument("--index", metavar="NAME", help="where the log lines are (ada-logs-*)")
    place.add_argument(
        "--prometheus", metavar="URL", help="Prometheus, for the dashboard; ADA_PROMETHEUS_URL"
    )
    place.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="the most that one request may take (30)"
    )
    return parser


def _query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", nargs="*", metavar="QUERY", help=_QUERY_HELP)
    parser.add_argument(
        "--level", metavar="LEVEL", help="this level and above: debug, info, warning, error, critical"
    )
    parser.add_argument("--trace", metavar="ID", help="trace id")
    parser.add_argument("--user", metavar="ID", help="user id")


def run(args: argparse.Namespace) -> int:
    """Run the command that was parsed.

    Returns:
        0, or 2 after one line on standard error that says what went wrong and what to do.
    """
    try:
        output = _plain.output(sys.stdout, as_json=args.json)
        try:
            analyzer = _analyzer(args)
            try:
                _COMMANDS[args.logs_command](args, analyzer, output)
            finally:
                analyzer.close()
            sys.stdout.flush()
            skipped = getattr(analyzer, "skipped", 0)
            if skipped:
                _tell(f"passed over, as no JSON log lines: {skipped}")
        except AnalysisError as error:
            _tell(str(error))
            return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read this, `head` for one, has had enough. The interpreter must not try to flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _analyzer(args: argparse.Namespace) -> _Analyzer:
    from ada_otel.analysis.connection import ClientSettings

    if args.timeout is not None and not 0 < args.timeout <= 3600:
        raise QueryError(f"--timeout: {args.timeout:g} is wrong; write seconds, above 0 and up to 3600")
    settings = ClientSettings.from_environment(
        url=args.url,
        api_key=args.api_key,
        ca=args.ca,
        cloud_id=args.cloud_id,
        prometheus=args.prometheus,
        timeout=args.timeout,
        logs_index=args.index,
    )
    if args.file:
        from ada_otel.analysis.files import FileAnalyzer

        return FileAnalyzer([pattern for patterns in args.file for pattern in patterns], settings)
    from ada_otel.analysis.analyzer import LogAnalyzer

    return LogAnalyzer(settings)


def _selection(args: argparse.Namespace) -> Selection:
    query = " ".join(getattr(args, "query", []))
    filters = {name: getattr(args, name, None) for name in ("level", "trace", "user", "service")}
    return Selection.of(query, args.since, args.until, **filters)


def _size(args: argparse.Namespace, default: int) -> int:
    size = default if args.size is None else args.size
    if size < 1:
        raise QueryError(f"--size: {size} is wrong; write a number from 1 up")
    return int(size)


def _search(args: argparse.Namespace, analyzer: _Analyzer, output: _plain.Output) -> None:
    selection = _selection(args)
    if args.follow:
        size = _size(args, 10)
        output.stream(analyzer.follow(selection, size, on_trouble=_tell), traceback=args.traceback)
        return
    size = _size(args, 100)
    found = analyzer.search(selection, size)
    output.entries(list(reversed(found)), traceback=args.traceback)
    if not found:
        _tell("no line was found; a longer --since or fewer words may find some")
    elif len(found) == size:
        sys.stdout.flush()
        total = analyzer.count(selection)
        if total > size:
            _tell(f"the newest {size:,} of {total:,} lines; --size gives more")


def _trends(args: argparse.Namespace, analyzer: _Analyzer, output: _plain.Output) -> None:
    selection = _selection(args)
    if selection.level is None:
        selection = _with(selection, level="error")
    if selection.start is None:
        if not 0 < args.hours <= 24 * 3660:
            raise QueryError(f"--hours: {args.hours:g} is wrong; write a number above 0")
        selection = _with(selection, start=(selection.end or now()) - timedelta(hours=args.hours))
    output.trends(analyzer.trends(selection, parse_length(args.interval, "--interval"), args.by))


def _errors(args: argparse.Namespace, analyzer: _Analyzer, output: _plain.Output) -> None:
    output.errors(analyzer.errors(_selection(args), _size(args, 20)), traceback=args.traceback)


def _slow(args: argparse.Namespace, analyzer: _Analyzer, output: _plain.Output) -> None:
    selection = _selection(args)
    output.slow(analyzer.slow(selection.start, selection.end, _size(args, 20), args.service))


def _dashboard(args: argparse.Namespace, analyzer: _Analyzer, output: _plain.Output) -> None:
    selection = _selection(args)
    output.dashboard(analyzer.dashboard(selection.start, selection.end, args.service))


_COMMANDS = {"search": _search, "trends": _trends, "errors": _errors, "slow": _slow, "dashboard": _dashboard}


def _with(selection: Selection, **changes: Any) -> Selection:
    return Selection(**{**vars(selection), **changes})


def _tell(message: str) -> None:
    sys.stderr.write(f"ada-otel logs: {_plain.one_line(message)}\n")
    sys.stderr.flush()
