"""The servers that the official suites describe, and another one like them.

This imports nothing else of the tests: workers do it.
"""

from __future__ import annotations

from typing import Any

import socketio_fast
import socketio_fast.engineio

#: Begins a line of a worker about a session that has ended.
ENDED = "ended "


def engineio_suite(**options: Any) -> socketio_fast.engineio.AsyncServer:
    """The server of the Engine.IO suites, which echoes."""
    eio = socketio_fast.engineio.AsyncServer(**options)

    @eio.on("message")
    async def message(sid: str, data: str | bytes) -> None:
        await eio.send(sid, data)

    return eio


def socketio_suite(**options: Any) -> socketio_fast.AsyncServer:
    """The server of the Socket.IO suite."""
    sio = socketio_fast.AsyncServer(**options)

    @sio.on("connect")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await sio.emit("auth", auth or {}, to=sid)

    @sio.on("connect", namespace="/custom")
    async def connect_custom(sid: str, environ: Any, auth: Any) -> None:
        await sio.emit("auth", auth or {}, to=sid, namespace="/custom")

    @sio.on("message")
    async def message(sid: str, *args: Any) -> None:
        await sio.emit("message-back", args, to=sid)

    @sio.on("message-with-ack")
    async def message_with_ack(sid: str, *args: Any) -> Any:
        return args

    return sio


def echoing(**options: Any) -> socketio_fast.AsyncServer:
    """Sends each ``echo`` back, as event and as acknowledgement."""
    sio = socketio_fast.AsyncServer(namespaces=["/", "/chat"], **options)

    @sio.on("echo", namespace="*")
    async def echo(namespace: str, sid: str, *args: Any) -> tuple[Any, ...]:
        await sio.emit("echo", args, to=sid, namespace=namespace)
        return args

    return sio


def in_worker(server: Any) -> Any:
    """The server, which says when a session has ended."""
    eio = getattr(server, "eio", server)

    @eio.on("connection")
    def connection(conn: Any) -> None:
        conn.on("close", lambda *_: print(f"{ENDED}{conn.id}", flush=True))

    return server
