"""Sessions over a recording transport."""

from __future__ import annotations

from typing import Any

import socketio_fast
from socketio_fast._core.engine.session import Session
from support.sansio import (
    Server,
)


def echo(**options: Any) -> Server:
    app = socketio_fast.engineio.AsyncServer(**options)

    @app.on("message")
    async def message(sid: str, data: str | bytes) -> None:
        await app.send(sid, data)

    return Server(app)


def ended(server: Server) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    @server.app.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        found.append((sid, reason))

    return found


def only(server: Server) -> Session:
    (session,) = server.engine.sessions.values()
    return session


def target(server: Server, sid: str) -> bytes:
    return server.target("polling", sid).encode()
