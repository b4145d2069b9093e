"""Fields that ``ada-otel logs`` asks for: by itself, and in the commands of pages and alerts."""

from __future__ import annotations

import argparse
import io
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from ada_otel.analysis import AnalysisError, ClientSettings, LogAnalyzer, QueryError, Selection, _fields
from ada_otel.analysis import query as tree
from ada_otel.analysis.command import add_parser
from tools.drift.documents import LOGS, Lookup
from tools.drift.sources import Code, code_of_pages, rules

_ANALYSIS = "ada_otel/analysis"
#: The modules that name fields of documents.
_NAMING = ("_fields.py", "_aggregations.py", "_documents.py", "selection.py")
_COMMAND = re.compile(r"\bada-otel logs [a-z].*")
#: In an alert's text a command is followed by the next sentence, if any.
_IN_TEXT = re.compile(r"\bada-otel logs [a-z].*?(?=\. |$)")
#: Queries whose values are looked for under the names of fields.
_BY_FIELD = frozenset({"term", "terms", "range", "wildcard", "match", "match_phrase"})


def lookups(root: Path) -> list[Lookup]:
    """All fields that the log commands, and those who are told to run them, ask for."""
    return [*_of_code(root), *_of_commands(root)]


def _of_commands(root: Path) -> Iterator[Lookup]:
    parser = argparse.ArgumentParser(prog="ada-otel")
    add_parser(parser.add_subparsers())
    for command in _commands(root):
        index, fields, problem = _asked_by(command.text, parser)
        if problem:
            yield Lookup("", index, command.path, command.line, problem=problem)
        for field, counted in fields:
            yield Lookup(field, index, command.path, command.line, counted, dynamic=True)


def _commands(root: Path) -> Iterator[Code]:
    for code in code_of_pages(root):
        for text in _COMMAND.findall(code.text):
            yield Code(text, code.path, code.line, code.last_line)
    for rule in rules(root):
        for text, line in rule.texts:
            for command in _IN_TEXT.findall(" ".join(text.split())):
                yield Code(command, rule.expression.path, line, line)


def _asked_by(command: str, parser: argparse.ArgumentParser) -> tuple[str, list[tuple[str, bool]], str]:
    """Of a command: the index; the fields, and whether documents are counted by them; what is wrong."""
    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(said):
            args = parser.parse_args(shlex.split(command, comments=True)[1:])
        fields = [
            (_fields.path(name), False) for name in _named(tree.parse(" ".join(getattr(args, "query", []))))
        ]
    except (SystemExit, ValueError, QueryError) as error:
        last = said.getvalue().strip().splitlines()[-1:] or [str(error)]
        return LOGS, [], f"ada-otel does not take `{command}`: {last[0]}"
    if getattr(args, "by", None):
        fields.append((_fields.exact(args.by), True))
    return (args.index or LOGS).replace("*", "app"), fields, ""


def _named(node: tree.Node) -> Iterator[str]:
    if isinstance(node, (tree.And, tree.Or)):
        for part in node.nodes:
            yield from _named(part)
    elif isinstance(node, tree.Not):
        yield from _named(node.node)
    elif isinstance(node, (tree.Leaf, tree.Span, tree.Raw)) and node.field is not None:
        yield node.field


class _TakenError(Exception):
    """Ends an operation once its request is written down."""


class _Client:
    """Stands in for Elasticsearch's client, and writes down what it is asked."""

    def __init__(self, asked: list[tuple[str, dict[str, Any]]]) -> None:
        self._asked = asked
        self._index = ""

    def open_point_in_time(self, *, index: str, **_rest: Any) -> dict[str, str]:
        """Remember the index: the searches that follow do not name it."""
        self._index = index
        return {"id": "1"}

    def search(self, *, index: str = "", **request: Any) -> dict[str, Any]:
        """Write the request down."""
        self._asked.append(((index or self._index).replace("*", "app"), request))
        raise _TakenError


class _Listener(LogAnalyzer):
    """The analyzer as it is, with another client."""

    def __init__(self, asked: list[tuple[str, dict[str, Any]]]) -> None:
        self._settings = ClientSettings()
        self._client = cast("Any", _Client(asked))


def _of_code(root: Path) -> Iterator[Lookup]:
    asked: list[tuple[str, dict[str, Any]]] = []
    for operation in _operations(_Listener(asked)):
        with suppress(_TakenError, AnalysisError):
            operation()
    found = dict.fromkeys(
        (field, index, counted) for index, request in asked for field, counted in _fields_of(request)
    )
    for field, index, counted in found:
        for path, line in _places(root, field):
            yield Lookup(field, index, path, line, counted, dynamic=True)


def _operations(listener: LogAnalyzer) -> Iterator[Callable[[], object]]:
    """Everything that the commands can ask, with each field that has a short name."""
    full = Selection.of(
        'word "a phrase" wild* module:shop', "2h", level="error", trace="4bf92f35", user="7", service="ada"
    )
    yield lambda: listener.search(full)
    yield lambda: listener.errors(full)
    yield listener.slow
    yield lambda: listener.response_time(Selection())
    for name in _fields.SHORT:
        yield lambda name=name: listener.search(Selection.of(f"{name}:*"))  # type: ignore[misc]
        yield lambda name=name: listener.trends(Selection(), timedelta(hours=1), name)  # type: ignore[misc]


def _fields_of(node: Any) -> Iterator[tuple[str, bool]]:
    """The fields in a search request, each with whether documents are counted or sorted by it."""
    if isinstance(node, list):
        for item in node:
            yield from _fields_of(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "exists":
                yield value["field"], False
            elif key == "_source" or (key == "fields" and isinstance(value, list)):
                yield from ((field, False) for field in value)
            elif key == "sort":
                yield from ((name, True) for one in value for name in one if not name.startswith("_"))
            elif key == "field":
                yield value, True
            elif key in _BY_FIELD and "field" not in value:
                yield from ((name, False) for name in value)
            else:
                yield from _fields_of(value)


def _places(root: Path, field: str) -> Iterator[tuple[str, int]]:
    """The lines of the analysis that name a field; the table of fields as a whole if none does."""
    word = re.compile(rf'"{re.escape(field.removesuffix(".keyword"))}"')
    found = [
        (f"{_ANALYSIS}/{name}", number)
        for name in _NAMING
        for number, line in enumerate((root / _ANALYSIS / name).read_text(encoding="utf-8").splitlines(), 1)
        if word.search(line)
    ]
    yield from found or [(f"{_ANALYSIS}/_fields.py", 1)]
