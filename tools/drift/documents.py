"""Fields of documents in Elasticsearch: those that panels and saved searches ask for, and those that exist.

A field exists if the index template maps it; for the log commands, also if it maps the field once one comes.
An attribute must also be one that the code of ada-otel names, and an attribute of a resource one that
Prometheus has as a label, so that both back ends are asked alike.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

from tools.drift.known import closest
from tools.drift.sources import load_yaml
from tools.paths import REPOSITORY

_TEMPLATES = "collector/elasticsearch"
_DASHBOARDS = "collector/grafana/dashboards"
_DATA_SOURCES = "collector/grafana/provisioning/datasources"
_SAVED_SEARCHES = "collector/kibana/ada.ndjson"
_PROMETHEUS = "collector/prometheus/prometheus.yml"
#: Parts of the package that read telemetry; the others make it.
_READERS = frozenset({"analysis", "dashboards", "sentry_bridge", "performance", "probe", "redaction"})
#: The index of the data source that ``${es}`` stands for, and of the other one.
LOGS, TRACES = "ada-logs-app", "ada-traces-app"

_VARIABLE = re.compile(r"\$\{\w+(?::\w+)?\}|\$\w+|\[\[\w+\]\]")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_PATTERN = re.compile(r"/(?:\\.|[^/\\])+/")
_EXISTS = re.compile(r"_exists_\s*:\s*([\w@.-]+)")
_FIELD = re.compile(r"(?<![\w@.*-])([A-Za-z@][\w@.-]*)\s*:")


@dataclass(frozen=True)
class Lookup:
    """A field that is asked for, and where.

    Attributes:
        field: Its path.
        index: The index that is asked.
        path: The file, from the root of the repository.
        line: The line.
        counted: Whether documents are counted by its values, or sorted by them.
        dynamic: Whether a field will do that gets its type when the first document has it.
        problem: What is wrong with the place itself, if it could not be read.
    """

    field: str
    index: str
    path: str
    line: int
    counted: bool = False
    dynamic: bool = False
    problem: str = ""


@dataclass(frozen=True)
class _Template:
    """What an index template maps.

    Attributes:
        fields: The type of each field that it names.
        dynamic: Patterns of fields that it maps when they come, each with the mapping, in their order.
    """

    fields: Mapping[str, str]
    dynamic: tuple[tuple[str, Mapping[str, Any]], ...]

    def kind(self, lookup: Lookup) -> str | None:
        """The type of the field that is asked for; ``None`` if there is no such field."""
        if lookup.field in self.fields or not lookup.dynamic:
            return self.fields.get(lookup.field)
        name, dot, part = lookup.field.rpartition(".keyword")
        whole = name if dot and not part else lookup.field
        for pattern, mapping in self.dynamic:
            if fnmatch(whole, pattern):
                found = mapping.get("fields", {}).get("keyword", {}) if whole == name else mapping
                return found.get("type")
        return None


def lookups(root: Path) -> list[Lookup]:
    """All fields that dashboards, data sources and saved searches of a repository ask for."""
    return [*_of_dashboards(root), *_of_data_sources(root), *_of_saved_searches(root)]


def wrong(root: Path, asked: list[Lookup], sent: frozenset[str] | None = None) -> list[tuple[Lookup, str]]:
    """Those of ``asked`` that are not there or cannot be asked so, each with what is wrong.

    Args:
        root: The root of the repository.
        asked: What :func:`lookups` gave.
        sent: The names of attributes that apps send; by default, what the package's code names.
    """
    names = sent_attributes() if sent is None else sent
    labels = _promoted(root)
    templates = _templates(root)
    found = []
    for lookup in asked:
        text = _wrong_with(lookup, templates, names, labels)
        if text:
            found.append((lookup, text))
    return found


def _wrong_with(
    lookup: Lookup, templates: Mapping[str, _Template], sent: frozenset[str], labels: frozenset[str]
) -> str:
    if lookup.problem:
        return lookup.problem
    asked = [template for pattern, template in templates.items() if fnmatch(lookup.index, pattern)]
    kinds = [kind for template in asked if (kind := template.kind(lookup))]
    if not kinds:
        mapped = [field for template in asked for field in template.fields]
        return _no_such(f"field {lookup.field} in the index template of {lookup.index}", lookup.field, mapped)
    if lookup.counted and "text" in kinds:
        return f"documents cannot be counted or sorted by {lookup.field}: it is text; take its .keyword"
    return _wrong_name(lookup.field, sent, labels)


def _wrong_name(field: str, sent: frozenset[str], labels: frozenset[str]) -> str:
    of_resource = field.removeprefix("resource.attributes.")
    if of_resource != field:
        if of_resource not in labels:
            return _no_such(f"resource attribute {of_resource} in {_PROMETHEUS}", of_resource, labels)
        return ""
    attribute = field.removeprefix("attributes.").removesuffix(".keyword")
    if field.startswith("attributes.") and attribute not in sent:
        return _no_such(f"attribute {attribute} in what ada_otel sends", attribute, sent)
    return ""


def _no_such(what: str, name: str, among: Any) -> str:
    nearest = closest(name, frozenset(among))
    return f"no {what}" + (f"; nearest: {nearest}" if nearest else "")


def _templates(root: Path) -> dict[str, _Template]:
    """The templates, by their patterns of index names."""
    found = {}
    for path in sorted((root / _TEMPLATES).glob("*.json")):
        template = json.loads(path.read_text(encoding="utf-8"))
        mappings = template["template"]["mappings"]
        fields = dict(_mapped(mappings["properties"]))
        kinds = {name: fields.get(kind.partition(" ")[2], kind) for name, kind in fields.items()}
        rows = [row for named in mappings["dynamic_templates"] for row in named.values()]
        dynamic = tuple((row["path_match"], row["mapping"]) for row in rows if "path_match" in row)
        found.update(dict.fromkeys(template["index_patterns"], _Template(kinds, dynamic)))
    return found


def _mapped(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in properties.items():
        path = prefix + name
        if "properties" in field:
            yield from _mapped(field["properties"], f"{path}.")
        elif "type" in field and field["type"] != "object":
            # An alias has the type of what it stands for.
            yield path, f"alias {field['path']}" if field["type"] == "alias" else str(field["type"])
            yield from _mapped(field.get("fields", {}), f"{path}.")


def _promoted(root: Path) -> frozenset[str]:
    config = load_yaml(root / _PROMETHEUS)
    return frozenset(str(name) for name in config["otlp"]["promote_resource_attributes"])


@lru_cache(maxsize=1)
def sent_attributes() -> frozenset[str]:
    """Every name that stands as a string in the parts of the package that make telemetry."""
    package = REPOSITORY / "ada_otel"
    return frozenset(
        node.value
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in _READERS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def fields_of(lucene: str) -> list[str]:
    """The fields that a query in Lucene's syntax names, with Grafana's variables in it."""
    text = _PATTERN.sub("x", _QUOTED.sub('""', _VARIABLE.sub("x", lucene)))
    named = [*_EXISTS.findall(text), *(name for name in _FIELD.findall(text) if name != "_exists_")]
    return list(dict.fromkeys(named))


def _of_dashboards(root: Path) -> Iterator[Lookup]:
    for path in sorted((root / _DASHBOARDS).glob("*.json")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for text, index, counted, lucene in dict.fromkeys(_asked(json.loads("\n".join(lines)))):
            written = json.dumps(text, ensure_ascii=False)
            places = [number for number, line in enumerate(lines, 1) if written in line]
            for field in fields_of(text) if lucene else [text]:
                for line in places:
                    yield Lookup(field, index, path.relative_to(root).as_posix(), line, counted)


def _asked(node: Any, index: str = "") -> Iterator[tuple[str, str, bool, bool]]:
    """Of a dashboard: a query or a field, the index, whether it is counted by, and whether it is a query."""
    if isinstance(node, list):
        for item in node:
            yield from _asked(item, index)
    elif isinstance(node, dict):
        source = node.get("datasource")
        if isinstance(source, dict) and source.get("type"):
            traces = source.get("uid") == "ada-traces"
            index = (TRACES if traces else LOGS) if source["type"] == "elasticsearch" else ""
        if index:
            yield from _of_target(node, index)
        for value in node.values():
            yield from _asked(value, index)


def _of_target(node: Mapping[str, Any], index: str) -> Iterator[tuple[str, str, bool, bool]]:
    query = node.get("query")
    if isinstance(query, str) and query.startswith("{"):
        # A variable's: {"find": "terms", "field": …, "query": …}
        yield from _of_target(json.loads(query), index)
    elif isinstance(query, str) and query:
        yield query, index, False, True
    for key in ("field", "timeField"):
        if isinstance(node.get(key), str) and node[key]:
            yield node[key], index, True, False


def _of_data_sources(root: Path) -> Iterator[Lookup]:
    for path in sorted((root / _DATA_SOURCES).glob("*.yml")):
        for source in load_yaml(path)["datasources"]:
            if source["type"] == "elasticsearch":
                settings = source["jsonData"]
                named = [settings.get(key) for key in ("timeField", "logMessageField", "logLevelField")]
                named += [link["field"] for link in settings.get("dataLinks", ())]
                index = settings["index"].replace("*", "app")
                for field in filter(None, named):
                    yield Lookup(str(field), index, path.relative_to(root).as_posix(), field.line)


def _of_saved_searches(root: Path) -> Iterator[Lookup]:
    lines = [json.loads(line) for line in (root / _SAVED_SEARCHES).read_text(encoding="utf-8").splitlines()]
    indices = {
        each["id"]: each["attributes"]["title"].replace("*", "app")
        for each in lines
        if each["type"] == "index-pattern"
    }
    for number, each in enumerate(lines, 1):
        if each["type"] == "search":
            saved = each["attributes"]
            source = json.loads(saved["kibanaSavedObjectMeta"]["searchSourceJSON"])
            index = indices[each["references"][0]["id"]]
            sorted_by = [field for field, _ in saved["sort"]]
            for field in {*fields_of(source["query"]["query"]), *saved["columns"]}:
                yield Lookup(field, index, _SAVED_SEARCHES, number)
            for field in sorted_by:
                yield Lookup(field, index, _SAVED_SEARCHES, number, counted=True)
