"""``socketio.AsyncServer`` as an ASGI app behind uvicorn; the real asyncio client, over each transport."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import socketio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from tests.unit.socketio.serving import Recorded, eventually, instrumented

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("aiohttp")

TRACE, PARENT = "ab" * 16, "cd" * 8
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
TRANSPORTS = ("polling", "websocket")
LATE = 30


def _server(**options: Any) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(async_mode="asgi", **{"ping_interval": 1, "ping_timeout": 5, **options})

    @sio.on("connect", namespace="/chat")  # type: ignore[untyped-decorator]
    async def connect(_sid: str, _environ: Any, auth: Any) -> None:
        if auth and auth.get("banned"):
            raise socketio.exceptions.ConnectionRefusedError("banned")

    @sio.on("message", namespace="/chat")  # type: ignore[untyped-decorator]
    async def message(_sid: str, *data: Any) -> Any:
        await asyncio.sleep(0)
        await sio.emit("said", data[0], namespace="/chat")
        return {"arguments": len(data)}

    @sio.on("plain", namespace="/chat")  # type: ignore[untyped-decorator]
    def plain(_sid: str, _data: Any) -> str:
        return "a handler that is no coroutine"

    @sio.on("boom", namespace="/chat")  # type: ignore[untyped-decorator]
    async def boom(_sid: str, _data: Any) -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    @sio.on("kick", namespace="/chat")  # type: ignore[untyped-decorator]
    async def kick(sid: str) -> None:
        await sio.disconnect(sid, namespace="/chat")

    @sio.on("work", namespace="/chat")  # type: ignore[untyped-decorator]
    async def work(_sid: str, number: int) -> None:
        sio.start_background_task(task, number)

    async def task(number: int) -> None:
        await asyncio.sleep(0.01)  # the handler has ended by now
        await sio.emit("done", number, namespace="/chat")

    @sio.on("ask", namespace="/chat")  # type: ignore[untyped-decorator]
    async def ask(sid: str) -> Any:
        async def answered(_answer: Any) -> None:
            await asyncio.sleep(0)
            await sio.emit("thanks", namespace="/chat")

        await sio.emit("question", 1, to=sid, namespace="/chat", callback=answered)
        return await sio.call("question", 2, to=sid, namespace="/chat")

    return sio


@contextmanager
def _served(sio: socketio.AsyncServer) -> Iterator[str]:
    config = uvicorn.Config(
        socketio.ASGIApp(sio), log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            eventually(lambda: server.started, 20)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


@asynccontextmanager
async def _client(url: str, transports: list[str], **options: Any) -> AsyncIterator[socketio.AsyncClient]:
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(url, transports=transports, namespaces=["/chat"], wait_timeout=10, **options)
    try:
        yield client
    finally:
        await client.disconnect()


def _drive(
    sio: socketio.AsyncServer,
    transports: list[str],
    talk: Callable[[socketio.AsyncClient], Awaitable[None]],
    **options: Any,
) -> None:
    """Serve, connect one client, let it talk, and wait until the server has noticed its end."""

    async def run(url: str) -> None:
        async with _client(url, transports, **options) as client:
            await talk(client)

    with _served(sio) as url:
        asyncio.run(run(url))
        # The goodbye of a client that polls may get lost; then the ping time-out tells, after 11 s.
        eventually(lambda: not sio.manager.rooms.get("/chat"), 40)


def _settled(recorded: Recorded) -> None:
    eventually(lambda: recorded.spans("disconnect /chat"), 20)
    assert sum(recorded.points("disconnects").values()) == 1
    assert set(recorded.points("active_connections").values()) == {0}


def _ids(spans: list[ReadableSpan]) -> set[int]:
    return {span.context.span_id for span in spans if span.context is not None}


def _parents(spans: list[ReadableSpan]) -> set[int]:
    return {0 if span.parent is None else span.parent.span_id for span in spans}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_life_of_a_connection(transport: str) -> None:
    sio = _server()
    with instrumented() as recorded:

        async def talk(client: socketio.AsyncClient) -> None:
            heard = asyncio.Event()
            client.on("said", lambda _data: heard.set(), namespace="/chat")
            assert await client.call("message", {"text": "hé"}, namespace="/chat") == {"arguments": 1}
            await asyncio.wait_for(heard.wait(), 10)
            assert recorded.points("active_connections") == {("/chat", transport): 1}

        _drive(sio, [transport], talk, headers={"traceparent": TRACEPARENT})
        _settled(recorded)

        (connect,) = recorded.spans("connect /chat")
        assert connect.kind is SpanKind.SERVER and connect.parent is not None and connect.context is not None
        assert (f"{connect.context.trace_id:032x}", f"{connect.parent.span_id:016x}") == (TRACE, PARENT)
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
        assert disconnect.attributes is not None
        reason = str(disconnect.attributes["socketio.disconnect.reason"])
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


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_emit_of_a_background_task_has_a_span(transport: str) -> None:
    sio = _server()
    with instrumented() as recorded:

        async def talk(client: socketio.AsyncClient) -> None:
            heard: set[int] = set()
            all_heard = asyncio.Event()

            def done(number: int) -> None:
                heard.add(number)
                if len(heard) == LATE:
                    all_heard.set()

            client.on("done", done, namespace="/chat")
            for number in range(LATE):
                await client.call("work", number, namespace="/chat")
            await asyncio.wait_for(all_heard.wait(), 20)

        _drive(sio, [transport], talk)
        _settled(recorded)
        works = recorded.spans("work /chat")
        emits = recorded.spans("emit done /chat")
        assert len(works) == len(emits) == LATE
        assert _parents(emits) == _ids(works)


def test_an_upgrade_moves_the_connection() -> None:
    with instrumented() as recorded:

        async def talk(_client: socketio.AsyncClient) -> None:
            moved = {("/chat", "websocket"): 1}
            for _ in range(1000):
                active = {key: count for key, count in recorded.points("active_connections").items() if count}
                if active == moved:
                    break
                await asyncio.sleep(0.01)
            assert active == moved

        _drive(_server(), ["polling", "websocket"], talk)
        _settled(recorded)


def test_an_acknowledgement_is_traced_to_the_end_of_a_callback_that_is_a_coroutine() -> None:
    with instrumented() as recorded:

        async def talk(client: socketio.AsyncClient) -> None:
            thanked = asyncio.Event()
            client.on("question", lambda number: number * 21, namespace="/chat")
            client.on("thanks", thanked.set, namespace="/chat")
            assert await client.call("ask", namespace="/chat") == 42
            await asyncio.wait_for(thanked.wait(), 10)

        _drive(_server(), ["websocket"], talk)
        _settled(recorded)
        emits = recorded.spans("emit question /chat")
        acks = recorded.spans("ack question /chat")
        assert len(emits) == 2
        assert _parents(acks) == _ids(emits)
        (thanks,) = recorded.spans("emit thanks /chat")
        assert _parents([thanks]) < _ids(acks)
        assert recorded.points("messages")[("receive", "_ACK", "/chat")] == 2


def test_errors_and_handlers_that_are_plain_functions() -> None:
    with instrumented() as recorded:

        async def talk(client: socketio.AsyncClient) -> None:
            await client.emit("boom", 1, namespace="/chat")
            assert await client.call("plain", 1, namespace="/chat") == "a handler that is no coroutine"
            envelope = {"_otel": {"traceparent": TRACEPARENT}}
            assert await client.call("message", ("a", envelope), namespace="/chat") == {"arguments": 1}
            await asyncio.sleep(0.1)

        _drive(_server(), ["websocket"], talk)
        _settled(recorded)
        (boom,) = recorded.spans("boom /chat")
        assert boom.status.status_code is StatusCode.ERROR
        assert [event.name for event in boom.events] == ["exception"]
        assert recorded.points("event.duration")[("ValueError", "boom", "/chat")] == 1
        assert recorded.points("event.duration")[("plain", "/chat")] == 1
        (message,) = recorded.spans("message /chat")
        assert message.parent is not None and f"{message.parent.span_id:016x}" == PARENT
        assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_disconnect_by_the_app_and_a_refused_connection() -> None:
    sio = _server()
    with instrumented() as recorded, _served(sio) as url:

        async def kicked() -> None:
            async with _client(url, ["websocket"]) as client:
                await client.emit("kick", namespace="/chat")
                await client.wait()

        async def banned() -> None:
            with pytest.raises(socketio.exceptions.ConnectionError):
                async with _client(url, ["websocket"], auth={"banned": True}):
                    pass

        asyncio.run(kicked())
        _settled(recorded)
        (kick,) = eventually(lambda: recorded.spans("kick /chat"), 20)
        (disconnect,) = recorded.spans("disconnect /chat")
        assert disconnect.parent == kick.context
        assert recorded.points("disconnects") == {("server disconnect", "/chat"): 1}
        asyncio.run(banned())
        refused = ("failure", "ConnectionRefusedError", "/chat", "websocket")
        eventually(lambda: recorded.points("connections").get(refused) == 1, 20)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_that_vanishes_is_counted_off_by_its_ping_time_out(transport: str) -> None:
    sio = _server(ping_timeout=1)
    with instrumented() as recorded, _served(sio) as url:

        async def fall_silent() -> None:
            client = socketio.AsyncClient(reconnection=False)
            await client.connect(url, transports=[transport], namespaces=["/chat"], wait_timeout=10)
            assert recorded.points("active_connections") == {("/chat", transport): 1}

            async def no_pong(*_arguments: Any) -> None:
                """Take the place of what answers pings."""

            client.eio._send_packet = no_pong
            for _ in range(6000):
                if recorded.points("disconnects"):
                    break
                await asyncio.sleep(0.01)

        asyncio.run(fall_silent())
        assert recorded.points("disconnects") == {("ping timeout", "/chat"): 1}
        assert recorded.points("active_connections") == {("/chat", transport): 0}


def test_hooks_and_uninstrument() -> None:
    calls: list[Any] = []
    before = {name: getattr(socketio.AsyncServer, name) for name in ("emit", "_trigger_event")}
    hooks: dict[str, Callable[..., None]] = {
        name: (lambda _span, *arguments, name=name: calls.append((name, arguments[0], arguments[-1])))
        for name in ("request_hook", "response_hook", "emit_hook")
    }
    with instrumented(**hooks) as recorded:

        async def talk(client: socketio.AsyncClient) -> None:
            assert await client.call("message", 5, namespace="/chat") == {"arguments": 1}

        _drive(_server(), ["websocket"], talk)
        _settled(recorded)
    assert ("request_hook", "message", [5]) in calls
    assert ("emit_hook", "said", 5) in calls
    assert ("response_hook", "message", {"arguments": 1}) in calls
    assert {name: getattr(socketio.AsyncServer, name) for name in before} == before
