"""TLS between gateways and samplers: with certificates of one authority, and with nothing less."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.support.capture import captured, running
from tests.support.collector import Collector, eventually
from tests.support.otlp_sender import post, span, trace_id
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

OVERLAYS = ("load_balancing", "tier_tls")
SHOP = {"service.name": "shop"}


class Authority:
    """An authority that signs certificates for collectors on 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca.key"
        _openssl(
            *("req", "-x509", *_new_key(self._key), "-out", str(self.certificate)),
            *("-days", "2", "-subj", "/CN=tests"),
        )

    def collector(self, name: str) -> dict[str, str]:
        """The variables of a collector with a new certificate of this authority."""
        key, request, certificate = (self._folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        extensions = self._folder / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl("req", *_new_key(key), "-out", str(request), "-subj", f"/CN={name}")
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-days", "2", "-extfile", str(extensions), "-out", str(certificate)),
        )
        return {
            "ADA_TIER_CERT_FILE": str(certificate),
            "ADA_TIER_KEY_FILE": str(key),
            "ADA_TIER_CA_FILE": str(self.certificate),
        }


def _new_key(path: Path) -> tuple[str, ...]:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    return (*curve, "-nodes", "-keyout", str(path))


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def _variables(address: str, certificates: dict[str, str], own: str = "") -> dict[str, str]:
    """Of a gateway to the sampler at ``address``, or with ``own`` of one that listens there itself."""
    listening = own or f"127.0.0.1:{free_port()}"
    quick = {"ADA_TAIL_DECISION_WAIT": "1s", "ADA_TAIL_PERCENT": "100"}
    return {"ADA_SAMPLERS": f"[{address}]", "ADA_SAMPLER_ENDPOINT": listening, **quick, **certificates}


def test_a_trace_goes_through_both_tiers(program: Path, tmp_path: Path, authority: Authority) -> None:
    address = f"127.0.0.1:{free_port()}"
    sampler = _variables(address, authority.collector("sampler"), own=address)
    gateway = _variables(address, authority.collector("gateway"))
    with (
        running(program, tmp_path / "sampler", sampler, *OVERLAYS),
        running(program, tmp_path / "gateway", gateway, *OVERLAYS) as first,
    ):
        mark = trace_id()
        post(first.http, "traces", [span(mark, f"span {number}") for number in range(20)], SHOP)
        eventually("all spans", lambda: len(captured(tmp_path / "sampler", "traces")) >= 20)
    found = captured(tmp_path / "sampler", "traces")
    assert sorted(each["name"] for each in found) == sorted(f"span {number}" for number in range(20))
    assert {each["traceId"] for each in found} == {mark}


def test_a_gateway_of_another_authority_delivers_nothing_and_loses_nothing(
    program: Path, tmp_path: Path, authority: Authority
) -> None:
    address = f"127.0.0.1:{free_port()}"
    sampler = _variables(address, authority.collector("sampler"), own=address)
    foreign = Authority(tmp_path / "foreign").collector("gateway")
    with running(program, tmp_path / "sampler", sampler, *OVERLAYS):
        with running(program, tmp_path / "gateway", _variables(address, foreign), *OVERLAYS) as gateway:
            post(gateway.http, "traces", [span(trace_id(), "waits")], SHOP)
            eventually("the failed handshake", lambda: "certificate" in _errors(gateway))
            assert captured(tmp_path / "sampler", "traces") == []
        # With a certificate of the right authority, the same queue is delivered.
        mended = _variables(address, authority.collector("gateway"))
        with running(program, tmp_path / "gateway", mended, *OVERLAYS):
            eventually("the span", lambda: captured(tmp_path / "sampler", "traces"))
    assert [each["name"] for each in captured(tmp_path / "sampler", "traces")] == ["waits"]


def _errors(collector: Collector) -> str:
    return collector.log.read_text(encoding="utf-8")


def _plain(address: str, _: dict[str, str]) -> grpc.Channel:
    return grpc.insecure_channel(address)


def _without_certificate(address: str, files: dict[str, str]) -> grpc.Channel:
    root = Path(files["ADA_TIER_CA_FILE"]).read_bytes()
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(root))


def _with_certificate(address: str, files: dict[str, str]) -> grpc.Channel:
    root, key, chain = (Path(files[f"ADA_TIER_{kind}_FILE"]).read_bytes() for kind in ("CA", "KEY", "CERT"))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(root, key, chain))


def test_a_sampler_takes_nothing_without_a_certificate(
    program: Path, tmp_path: Path, authority: Authority
) -> None:
    address = f"127.0.0.1:{free_port()}"
    files = authority.collector("sampler")
    request = ExportTraceServiceRequest()
    sent = request.resource_spans.add().scope_spans.add().spans.add(name="direct")
    sent.trace_id, sent.span_id = bytes.fromhex(trace_id()), b"12345678"

    def send(channel: Callable[[str, dict[str, str]], grpc.Channel]) -> None:
        with channel(address, files) as opened:
            TraceServiceStub(opened).Export(request, timeout=10)

    with running(program, tmp_path / "sampler", _variables(address, files, own=address), *OVERLAYS):
        for refused in (_plain, _without_certificate):
            with pytest.raises(grpc.RpcError) as error:
                send(refused)
            assert error.value.code() == grpc.StatusCode.UNAVAILABLE, refused
        send(_with_certificate)
        eventually("the span", lambda: captured(tmp_path / "sampler", "traces"))
    assert len(captured(tmp_path / "sampler", "traces")) == 1
