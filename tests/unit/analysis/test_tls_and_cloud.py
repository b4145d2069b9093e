"""TLS and Elastic Cloud: what the settings make of a connection."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ada_otel.analysis.analyzer import LogAnalyzer
from ada_otel.analysis.connection import ClientSettings, connect
from ada_otel.analysis.errors import ConnectionFailedError
from ada_otel.analysis.selection import Selection

pytest.importorskip("elasticsearch")

keys: list[str | None] = []


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that does not trust us."""


class _Counting(BaseHTTPRequestHandler):
    """Answers a count, as Elasticsearch does."""

    def do_POST(self) -> None:
        keys.append(self.headers.get("authorization"))
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.dumps({"count": 17, "_shards": {"total": 1, "successful": 1, "failed": 0}}).encode()
        self.send_response(200)
        for name, value in (
            ("X-Elastic-Product", "Elasticsearch"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of the server, and the file with its certificate."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    server = _Server(("127.0.0.1", 0), _Counting)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    # The handshake is the connection's own thread's, so that a client that ends it stops no other.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}", str(tmp_path / "cert.pem")
    server.shutdown()
    server.server_close()


def test_a_certificate_is_trusted_with_its_authority_alone(secured: tuple[str, str]) -> None:
    url, certificate = secured
    keys.clear()
    with LogAnalyzer(ClientSettings(url=url, ca=certificate, api_key="id:key")) as analyzer:
        assert analyzer.count(Selection()) == 17
    assert keys == ["ApiKey " + base64.b64encode(b"id:key").decode()]
    distrusting = LogAnalyzer(ClientSettings(url=url, api_key="id:key"))
    with distrusting, pytest.raises(ConnectionFailedError) as raised:
        distrusting.count(Selection())
    assert str(raised.value).startswith(
        f"the certificate of {url} is not trusted: give its authority with --ca"
    )
    assert len(keys) == 1


def test_a_cloud_id_gives_the_address_over_tls() -> None:
    inside = base64.b64encode(b"eu-west-1.aws.found.io:9243$0123abcd$4567ef").decode()
    settings = ClientSettings(cloud_id=f"shop:{inside}", api_key="encoded", url="http://not.this:1")
    client = connect(settings)
    (node,) = client.transport.node_pool.all()
    assert node.base_url == "https://0123abcd.eu-west-1.aws.found.io:9243"
    assert settings.place == "Elastic Cloud shop"
    client.close()
