"""A Socket.IO server with one client: what it sends goes nowhere, what it receives is handed to it."""

from __future__ import annotations

import socketio

_EVENT = '2/chat,7["message",{"text":"hello","room":"all"}]'

_server = socketio.Server(async_mode="threading", async_handlers=False)
_server.eio.send = lambda *_arguments: None
_server.on("message", lambda _sid, _data: {"ok": True}, namespace="/chat")
_server._handle_eio_connect("client", {})
_server._handle_eio_message("client", "0/chat,")


def drive(events: int) -> None:
    """Receive events, each of which is handled and acknowledged."""
    # By the instance: a server's wrapped methods are those that Engine.IO was given.
    receive = _server.eio.handlers["message"]
    for _ in range(events):
        receive("client", _EVENT)
