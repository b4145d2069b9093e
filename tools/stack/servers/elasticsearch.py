"""One Elasticsearch node, with the index templates that the collector's documents need."""

# ruff: noqa: D102 - what each method is for is said once, in Server

from __future__ import annotations

import json

from tools.builds import elasticsearch_node
from tools.errors import ToolError
from tools.stack.ready import http
from tools.stack.server import Context, Server, configuration
from tools.versions import pinned

_TEMPLATES = configuration("elasticsearch")


class Elasticsearch(Server):
    """The real server jars, as one node without security, with a heap of 512 MB."""

    name = "elasticsearch"
    # 6 s on an idle machine; under load 86 s were measured.
    ready_seconds = 120.0

    def version(self) -> str:
        return pinned("elasticsearch")

    def ensure(self) -> None:
        elasticsearch_node.build()

    def prepare(self, context: Context) -> None:
        (context.data(self.name) / "tmp").mkdir(parents=True, exist_ok=True)

    def command(self, context: Context) -> list[str]:
        node = elasticsearch_node.build()
        data = context.data(self.name)
        return [
            str(node.java),
            "-Xms512m",
            "-Xmx512m",
            # Both make a node of one developer start faster and stay smaller.
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "--enable-native-access=ALL-UNNAMED",
            "--add-modules=jdk.incubator.vector",
            f"-Djava.io.tmpdir={data / 'tmp'}",
            f"-Des.nativelibs.path={node.native}",
            "-Des.networkaddress.cache.ttl=60",
            # Its vector library is only in Elasticsearch's own archive.
            "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",
            "-cp",
            node.class_path,
            "org.elasticsearch.node.AdaNode",
            str(data),
            f"http.port={context.ports['elasticsearch']}",
            f"transport.port={context.ports['elasticsearch_transport']}",
        ]

    def is_ready(self, context: Context) -> bool:
        try:
            status, _ = http(f"{self.url(context)}/_cluster/health?wait_for_status=yellow&timeout=1s")
        except OSError:
            return False
        return status == 200

    def url(self, context: Context) -> str:
        return f"http://{context.address('elasticsearch')}"

    def after_ready(self, context: Context) -> None:
        """Install ``collector/elasticsearch/component/*.json``, then ``collector/elasticsearch/*.json``."""
        for kind, folder in (
            ("_component_template", _TEMPLATES / "component"),
            ("_index_template", _TEMPLATES),
        ):
            for file in sorted(folder.glob("*.json")):
                _install(f"{self.url(context)}/{kind}/{file.stem}", file.name, file.read_bytes())


def _install(url: str, name: str, template: bytes) -> None:
    status, answer = http(url, method="PUT", body=template, timeout=30)
    if status != 200:
        try:
            reason = json.loads(answer)["error"]["reason"]
        except (ValueError, KeyError, TypeError):
            reason = answer.decode(errors="replace")[:500]
        raise ToolError(f"Elasticsearch refuses the template {name} (HTTP {status}): {reason}")
