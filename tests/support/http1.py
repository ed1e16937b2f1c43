"""Wires of HTTP/1.1 for tests."""

from __future__ import annotations

from typing import Any

from socketio_fast.engineio import AsyncServer
from support.raw import request
from support.sansio import Http, Server

POLL = "/engine.io/?EIO=4&transport=polling"


def make(fallback: Any = None, **options: Any) -> Server:
    app = AsyncServer(**options)
    return Server(app, fallback=fallback)


def parked(server: Server) -> tuple[Http, str]:
    """A connection whose first request waits, and the target of its session."""
    _, sid = server.polling()
    target = server.target("polling", sid)
    http = server.http()
    http.send(request("GET", target))
    assert http.responses() == []
    return http, target


def ends(http: Http) -> bool:
    """No more will be written, and soon nothing read."""
    if not (http.wire.eof or http.wire.closed):
        return False
    http.server.loop.advance(3)
    assert http.wire.closed
    return True
