"""Socket.IO, with the real client over both transports against a real server in this process."""

from __future__ import annotations

import threading
from typing import Any

import flask_socketio
import pytest
import requests
import socketio
from flask import Flask
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from tests.unit.socketio.serving import Recorded, client, eventually, instrumented, served

TRACE, PARENT = "ab" * 16, "cd" * 8
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
TRANSPORTS = ("polling", "websocket")


def _app(ping_timeout: int = 20) -> tuple[Flask, flask_socketio.SocketIO]:
    app = Flask("chat")
    # A short ping_interval lets a polling GET end soon after a client has said goodbye.
    sio = flask_socketio.SocketIO(app, async_mode="threading", ping_interval=1, ping_timeout=ping_timeout)

    @sio.on("connect", namespace="/chat")  # type: ignore[untyped-decorator]
    def connect(auth: Any = None) -> None:
        if auth and auth.get("banned"):
            raise flask_socketio.ConnectionRefusedError("banned")
        if auth and auth.get("broken"):
            raise RuntimeError("broken")

    @sio.on("message", namespace="/chat")  # type: ignore[untyped-decorator]
    def message(*data: Any) -> Any:
        flask_socketio.emit("said", data[0], broadcast=True)
        return {"arguments": len(data)}

    @sio.on("boom", namespace="/chat")  # type: ignore[untyped-decorator]
    def boom(_data: Any) -> None:
        raise ValueError("no")

    @sio.on("kick", namespace="/chat")  # type: ignore[untyped-decorator]
    def kick() -> None:
        flask_socketio.disconnect()

    @sio.on_error("/chat")  # type: ignore[untyped-decorator]
    def failed(_error: Exception) -> dict[str, str]:
        return {"error": "failed"}

    return app, sio


def _trace_id(span: Any) -> str:
    return f"{span.context.trace_id:032x}"


def _settled(recorded: Recorded, connections: int = 1) -> None:
    # The goodbye of a client that polls may get lost; then the ping time-out tells, after 21 s.
    eventually(lambda: sum(recorded.points("disconnects").values()) == connections, 60)
    assert set(recorded.points("active_connections").values()) <= {0}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_life_of_a_connection(transport: str) -> None:
    app, _ = _app()
    with instrumented() as recorded, served(app) as url:
        headers = {"traceparent": TRACEPARENT}
        with client(url, transports=[transport], namespaces=["/chat"], headers=headers) as sio:
            heard = threading.Event()
            sio.on("said", lambda _data: heard.set(), namespace="/chat")
            assert sio.call("message", {"text": "hé"}, namespace="/chat") == {"arguments": 1}
            assert heard.wait(20)
            eventually(lambda: recorded.points("active_connections").get(("/chat", transport)) == 1)
        _settled(recorded)
        eventually(lambda: recorded.spans("disconnect /chat"))

        (connect,) = recorded.spans("connect /chat")
        assert connect.kind is SpanKind.SERVER
        assert connect.parent is not None and f"{connect.parent.span_id:016x}" == PARENT
        assert _trace_id(connect) == TRACE
        assert connect.attributes is not None
        assert connect.attributes["socketio.transport"] == transport
        assert connect.attributes["client.address"] == "127.0.0.1"

        (message,) = recorded.spans("message /chat")
        assert message.kind is SpanKind.SERVER and message.parent is None
        assert [link.context for link in message.links] == [connect.context]
        assert message.attributes is not None
        assert dict(message.attributes) == {
            "socketio.namespace": "/chat",
            "socketio.event": "message",
            "socketio.sid": message.attributes["socketio.sid"],
            "socketio.transport": transport,
            "socketio.ack": True,
        }
        (emit,) = recorded.spans("emit said /chat")
        assert emit.kind is SpanKind.PRODUCER and emit.parent == message.context

        (disconnect,) = recorded.spans("disconnect /chat")
        assert [link.context for link in disconnect.links] == [connect.context]
        assert disconnect.attributes is not None
        reason = disconnect.attributes["socketio.disconnect.reason"]
        assert reason in {"client disconnect", "transport close", "ping timeout"}

        assert recorded.points("connections") == {("success", "/chat", transport): 1}
        assert recorded.points("disconnects") == {(reason, "/chat"): 1}
        assert recorded.points("event.duration") == {
            ("connect", "/chat"): 1,
            ("message", "/chat"): 1,
            ("disconnect", "/chat"): 1,
        }
        assert recorded.points("messages") == {
            ("receive", "message", "/chat"): 1,
            ("transmit", "said", "/chat"): 1,
            ("transmit", "_ACK", "/chat"): 1,
        }
        sent = '2/chat,["said",{"text":"h\\u00e9"}]', '3/chat,1[{"arguments":1}]'
        connected = len('0/chat,{"sid":""}') + len(str(message.attributes["socketio.sid"]))
        assert recorded.points("io")[("transmit", "/chat")] == sum(map(len, sent)) + connected
        assert recorded.points("io")[("receive", "/chat")] > len('2/chat,1["message",{"text":"h"}]')


def test_an_upgrade_moves_the_connection() -> None:
    app, _ = _app()
    with instrumented() as recorded, served(app) as url:
        with client(url, transports=["polling", "websocket"], namespaces=["/chat"]):
            eventually(
                lambda: (
                    recorded.points("active_connections").get(("/chat", "websocket")) == 1
                    and recorded.points("active_connections").get(("/chat", "polling"), 0) == 0
                )
            )
        _settled(recorded)


def test_an_upgrade_after_the_namespace_was_joined_moves_it_too() -> None:
    app, sio = _app()
    with instrumented() as recorded:
        tester = sio.test_client(app, namespace="/chat")
        assert recorded.points("active_connections") == {("/chat", "polling"): 1}
        socket = _engine_socket(tester.eio_sid)
        socket.upgraded = True
        assert recorded.points("active_connections") == {("/chat", "polling"): 0, ("/chat", "websocket"): 1}
        tester.disconnect(namespace="/chat")
        assert set(recorded.points("active_connections").values()) == {0}
    assert socket.upgraded is True


def _engine_socket(sid: str) -> Any:
    from engineio.socket import Socket

    found: Any = Socket.__new__(Socket)
    found.sid = sid
    return found


def test_the_parent_of_an_event_is_what_the_client_sends() -> None:
    app, _ = _app()
    with instrumented() as recorded, served(app) as url:
        with client(url, transports=["websocket"], namespaces=["/chat"]) as sio:
            own = {"text": "a", "traceparent": TRACEPARENT}
            envelope = {"_otel": {"traceparent": TRACEPARENT}}
            assert sio.call("message", own, namespace="/chat") == {"arguments": 1}
            assert sio.call("message", ("a", envelope), namespace="/chat") == {"arguments": 1}
            odds: list[Any] = [{"traceparent": 7}, {"traceparent": "no"}, {"_otel": 3}, {"_otel": []}, "text"]
            for odd in odds:
                assert sio.call("message", odd, namespace="/chat") == {"arguments": 1}
        _settled(recorded)
        spans = recorded.spans("message /chat")
        assert [span.parent is not None and f"{span.parent.span_id:016x}" for span in spans] == [
            PARENT,
            PARENT,
            *[False] * 5,
        ]
        assert all(len(span.links) == 1 for span in spans)


def test_auth_carries_the_parent_of_a_connection_where_headers_cannot() -> None:
    app, _ = _app()
    with instrumented() as recorded, served(app) as url:
        auth = {"traceparent": TRACEPARENT}
        headers = {"traceparent": f"00-{'12' * 16}-{PARENT}-01"}
        with client(url, transports=["websocket"], namespaces=["/chat"], auth=auth, headers=headers):
            pass
        _settled(recorded)
        (connect,) = recorded.spans("connect /chat")
        assert _trace_id(connect) == TRACE


@pytest.mark.parametrize(
    ("auth", "kind", "status"),
    [({"banned": 1}, "ConnectionRefusedError", StatusCode.UNSET), (None, "not_accepted", StatusCode.UNSET)],
)
def test_a_refused_connection(auth: Any, kind: str, status: StatusCode) -> None:
    app, _ = _app()
    namespace = "/chat" if auth else "/made-up"
    shown = "/chat" if auth else "_OTHER"
    with instrumented() as recorded, served(app) as url:
        with (
            pytest.raises(socketio.exceptions.ConnectionError),
            client(url, transports=["websocket"], namespaces=[namespace], auth=auth),
        ):
            pass
        (connect,) = eventually(lambda: recorded.spans(f"connect {shown}"))
        assert connect.attributes["error.type"] == kind
        assert connect.status.status_code is status
        eventually(lambda: recorded.points("connections"))
        assert recorded.points("connections") == {("failure", kind, shown, "websocket"): 1}
        assert recorded.points("active_connections") == {}


def test_errors_are_recorded_though_on_error_deals_with_them() -> None:
    app, _ = _app()
    with instrumented() as recorded, served(app) as url:
        with client(url, transports=["websocket"], namespaces=["/chat"]) as sio:
            assert sio.call("boom", 1, namespace="/chat") == {"error": "failed"}
        _settled(recorded)
        (span,) = recorded.spans("boom /chat")
        assert span.status.status_code is StatusCode.ERROR
        assert [event.name for event in span.events] == ["exception"]
        assert recorded.points("event.duration")[("ValueError", "boom", "/chat")] == 1


def test_what_clients_make_up_is_other() -> None:
    app, _ = _app()
    with instrumented() as recorded, served(app) as url:
        with client(url, transports=["websocket"], namespaces=["/chat"]) as sio:
            for number in range(20):
                sio.emit(f"made-up-{number}", namespace="/chat")
            assert sio.call("message", 1, namespace="/chat")
            # Events that have the names of what python-socketio calls by itself.
            sio.emit("disconnect", "ping timeout", namespace="/chat")
            sio.emit("connect", namespace="/chat")
            assert sio.call("message", 1, namespace="/chat")
        _settled(recorded)
        assert recorded.points("messages")[("receive", "_OTHER", "/chat")] >= 20
        assert {key[1] for key in recorded.points("messages")} <= {
            "_OTHER",
            "_ACK",
            "message",
            "said",
            "connect",
        }
        assert sum(recorded.points("disconnects").values()) == 1
        assert len(recorded.spans("disconnect /chat")) == 1


def test_a_disconnect_by_the_app() -> None:
    app, _ = _app()
    with instrumented() as recorded, served(app) as url:
        with client(url, transports=["websocket"], namespaces=["/chat"]) as sio:
            sio.emit("kick", namespace="/chat")
            _settled(recorded)
        (kick,) = eventually(lambda: recorded.spans("kick /chat"))
        (disconnect,) = recorded.spans("disconnect /chat")
        assert disconnect.parent == kick.context
        assert recorded.points("disconnects") == {("server disconnect", "/chat"): 1}


def test_an_acknowledgement_is_traced_under_its_emit() -> None:
    app, sio = _app()
    done = threading.Event()

    @sio.on("ask", namespace="/chat")  # type: ignore[untyped-decorator]
    def ask() -> None:
        flask_socketio.emit("question", 1, callback=lambda *_answer: done.set())

    with instrumented() as recorded, served(app) as url:
        with client(url, transports=["websocket"], namespaces=["/chat"]) as connected:
            connected.on("question", lambda _data: 42, namespace="/chat")
            connected.emit("ask", namespace="/chat")
            assert done.wait(5)
        _settled(recorded)
        (emit,) = recorded.spans("emit question /chat")
        (ack,) = recorded.spans("ack question /chat")
        assert ack.parent == emit.context and ack.kind is SpanKind.CONSUMER
        assert recorded.points("messages")[("receive", "_ACK", "/chat")] == 1


def test_background_tasks_run_in_the_context_of_whoever_started_them() -> None:
    app, sio = _app()
    found: list[Any] = []
    done = threading.Event()

    def task(number: int, *, word: str) -> None:
        found.extend((number, word, trace.get_current_span().get_span_context()))
        sio.emit("late", namespace="/chat")
        done.set()

    @sio.on("work", namespace="/chat")  # type: ignore[untyped-decorator]
    def work() -> None:
        sio.start_background_task(task, 1, word="two")

    with instrumented() as recorded, served(app) as url:
        with client(url, transports=["websocket"], namespaces=["/chat"]) as connected:
            connected.emit("work", namespace="/chat")
            assert done.wait(5)
        _settled(recorded)
        (work_span,) = recorded.spans("work /chat")
        assert found == [1, "two", work_span.context]


def test_a_client_that_vanishes_is_counted_off() -> None:
    app, _ = _app(ping_timeout=1)
    with instrumented() as recorded, served(app) as url:
        opened = requests.get(f"{url}/socket.io/?EIO=4&transport=polling", timeout=5).text
        sid = opened.split('"sid":"')[1].split('"')[0]
        address = f"{url}/socket.io/?EIO=4&transport=polling&sid={sid}"
        assert requests.post(address, data="40/chat,", timeout=5).text == "OK"
        eventually(lambda: recorded.points("active_connections") == {("/chat", "polling"): 1})
        # Nothing more is heard of it.
        eventually(lambda: recorded.points("active_connections") == {("/chat", "polling"): 0}, 8)
        assert recorded.points("disconnects") == {("ping timeout", "/chat"): 1}


def test_binary_events_are_counted_whole() -> None:
    app, _ = _app()
    with instrumented() as recorded, served(app) as url:
        with client(url, transports=["websocket"], namespaces=["/chat"]) as sio:
            assert sio.call("message", b"\x00" * 1000, namespace="/chat") == {"arguments": 1}
        _settled(recorded)
        assert recorded.points("messages")[("receive", "message", "/chat")] == 1
        assert recorded.points("messages")[("transmit", "said", "/chat")] == 1
        assert recorded.points("io")[("receive", "/chat")] > 1000


def test_hooks_get_the_span_and_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADA_OTEL_RAISE")
    app, _ = _app()
    calls: list[Any] = []

    def request_hook(span: Any, event: str, namespace: str, _sid: str, arguments: list[Any]) -> None:
        calls.append(("request", event, namespace, arguments))
        span.set_attribute("hooked", True)

    def response_hook(_span: Any, event: str, namespace: str, result: Any) -> None:
        calls.append(("response", event, namespace, result))
        raise RuntimeError("a hook that fails")

    def emit_hook(_span: Any, event: str, namespace: str, data: Any) -> None:
        calls.append(("emit", event, namespace, data))

    with (
        instrumented(request_hook=request_hook, response_hook=response_hook, emit_hook=emit_hook) as recorded,
        served(app) as url,
    ):
        with client(url, transports=["websocket"], namespaces=["/chat"]) as sio:
            assert sio.call("message", 5, namespace="/chat") == {"arguments": 1}
        _settled(recorded)
        (span,) = recorded.spans("message /chat")
        assert span.attributes is not None and span.attributes["hooked"] is True
    assert ("request", "message", "/chat", [5]) in calls
    assert ("emit", "said", "/chat", 5) in calls
    assert ("response", "message", "/chat", {"arguments": 1}) in calls


def test_uninstrument_leaves_nothing_behind() -> None:
    from engineio.socket import Socket

    names = ("_handle_connect", "_handle_event_internal", "_trigger_event", "emit", "start_background_task")
    before = {name: getattr(socketio.Server, name) for name in names}
    handle = flask_socketio.SocketIO._handle_event
    for _ in range(2):
        with instrumented():
            assert all(getattr(socketio.Server, name) is not before[name] for name in names)
            assert flask_socketio.SocketIO._handle_event is not handle
        assert {name: getattr(socketio.Server, name) for name in names} == before
        assert flask_socketio.SocketIO._handle_event is handle
        assert not hasattr(Socket, "upgraded")


def test_a_server_made_before_is_instrumented_and_one_made_meanwhile_is_left_alone_after() -> None:
    app, sio = _app()
    with instrumented() as recorded:
        tester = sio.test_client(app, namespace="/chat")
        tester.emit("message", 1, namespace="/chat")
        assert recorded.names() == ["connect /chat", "emit said /chat", "message /chat"]
        assert recorded.points("io")[("receive", "/chat")] > 0
        spans = recorded.names()
    tester.emit("message", 1, namespace="/chat")
    tester.disconnect(namespace="/chat")
    assert recorded.names() == spans


def test_plain_python_socketio_with_class_handlers_and_catch_alls() -> None:
    seen: list[Any] = []

    class Rooms(socketio.Namespace):  # type: ignore[misc]  # untyped
        def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
            seen.append("connect")

        def on_enter(self, sid: str, data: Any) -> str:
            return "entered"

    server = socketio.Server(async_mode="threading", async_handlers=False)
    server.register_namespace(Rooms("/rooms"))
    server.on("*", lambda event, *_arguments: seen.append(event), namespace="/any")
    server.eio.send_packet = lambda *_arguments: None
    with instrumented() as recorded:
        server._handle_eio_connect("e1", {})
        for packet in ("0/rooms,", "0/any,", '2/rooms,["enter",1]', '2/rooms,["nothing",1]', '2/any,["odd"]'):
            server._handle_eio_message("e1", packet)
        assert recorded.names() == ["connect /rooms", "connect /any", "enter /rooms", "_OTHER /any"]
        (odd,) = recorded.spans("_OTHER /any")
        assert odd.attributes is not None and odd.attributes["socketio.event_original"] == "odd"
        assert recorded.points("connections") == {
            ("success", "/any", "polling"): 1,
            ("success", "/rooms", "polling"): 1,
        }
        server._handle_eio_disconnect("e1", "transport error")
        assert set(recorded.points("active_connections").values()) == {0}
        assert recorded.points("disconnects") == {
            ("transport error", "/any"): 1,
            ("transport error", "/rooms"): 1,
        }
    assert seen == ["connect", "odd"]


def test_a_failing_disconnect_handler_leaves_no_connection_counted() -> None:
    server = socketio.Server(async_mode="threading", async_handlers=False)
    server.eio.send_packet = lambda *_arguments: None

    def fail(*_arguments: Any) -> None:
        raise LookupError("no")

    for namespace in ("/a", "/b"):
        server.on("disconnect", fail, namespace=namespace)
    with instrumented() as recorded:
        server._handle_eio_connect("e1", {})
        server._handle_eio_message("e1", "0/a,")
        server._handle_eio_message("e1", "0/b,")
        with pytest.raises(LookupError):
            server._handle_eio_disconnect("e1", "transport close")
        assert recorded.points("active_connections") == {("/a", "polling"): 0, ("/b", "polling"): 0}
