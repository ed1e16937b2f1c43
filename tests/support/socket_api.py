"""A server whose sockets the tests of the socket API look at."""

from __future__ import annotations

import json
from typing import Any

from socketio_fast import AsyncServer
from socketio_fast.sockets.socket import Socket
from support.sansio import Server, WebSocket


def make(**options: Any) -> tuple[Server, AsyncServer]:
    sio = AsyncServer(**options)
    return Server(sio), sio


def one(sio: AsyncServer, server: Server, name: str = "/") -> tuple[WebSocket, Socket]:
    """A client, and its socket."""
    client, sid = server.joined(name)
    return client, sio.of(name).sockets[sid]


def refusal(client: WebSocket, prefix: str = "44") -> Any:
    (packet,) = client.messages()
    assert isinstance(packet, str)
    assert packet.startswith(prefix), packet
    return json.loads(packet[len(prefix) :])
