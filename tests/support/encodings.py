"""A server with an encoding of the application, and its client."""

from __future__ import annotations

from typing import Any

import pytest

from socketio_fast import AsyncServer
from support.sansio import Server, WebSocket, errors

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR = range(5)


def make(**options: Any) -> tuple[Server, AsyncServer, list[tuple[Any, ...]]]:
    """A server whose events are noted, and answered with their arguments."""
    sio = AsyncServer(**options)
    got: list[tuple[Any, ...]] = []

    @sio.on("*")
    def event(name: Any, sid: str, *args: Any) -> tuple[Any, ...]:
        got.append((name, *args))
        return args

    return Server(sio), sio, got


def closed(client: WebSocket, caplog: pytest.LogCaptureFixture) -> str:
    """The client was closed, and nothing looks like a fault of the server: the log."""
    assert client.ended()
    assert errors(caplog) == []
    return caplog.text
