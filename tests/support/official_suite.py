"""The official suites' server, and what tests of their behaviours share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import socketio_fast
from support.interop import Calls, within
from support.ports import free_port

UTF8 = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"]

DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

#: How long the original waits for what should not happen.
A_WHILE = 0.1

New = Callable[..., Any]


def application(**options: Any) -> socketio_fast.AsyncServer:
    """What the official suite's server does."""
    sio = socketio_fast.AsyncServer(
        namespaces=["/", "/foo", "/asd", "/valid", "/abc"], **options
    )
    notes: list[Any] = []

    @sio.event
    async def hi(sid: str) -> None:
        await sio.emit("hi", to=sid)

    @sio.event
    def echo(sid: str, value: Any) -> Any:
        return value

    @sio.event
    async def ack(sid: str) -> None:
        async def got(a: Any, b: Any) -> None:
            if a == 5 and b["test"]:
                await sio.emit("got it", to=sid)

        await sio.emit("ack", to=sid, callback=got)

    @sio.on("false")
    async def false(sid: str) -> None:
        await sio.emit("false", False, to=sid)

    @sio.event
    async def getUtf8(sid: str) -> None:
        for text in UTF8:
            await sio.emit("takeUtf8", text, to=sid)

    @sio.event
    async def doge(sid: str) -> None:
        await sio.emit("doge", b"asdfasdf", to=sid)

    @sio.event
    async def buffa(sid: str, data: Any) -> None:
        await sio.emit("buffack", type(data) is bytes, to=sid)

    @sio.event
    async def jsonbuff(sid: str, data: Any) -> None:
        await sio.emit("jsonbuff-ack", data, to=sid)

    @sio.event
    async def getDate(sid: str) -> None:
        await sio.emit("takeDate", DATE, to=sid)
        await sio.emit("takeDateObj", {"date": DATE}, to=sid)

    @sio.event
    def getAckDate(sid: str, data: Any) -> datetime:
        return DATE

    @sio.event
    def abuff1(sid: str, data: Any) -> None:
        notes.append(data)

    @sio.event
    async def abuff2(sid: str, data: Any) -> None:
        await sio.emit("abuff2-ack", [*notes, data], to=sid)

    for namespace in ("/", "/foo"):
        sio.on("getId", lambda sid: sid, namespace=namespace)

    @sio.on("connect", namespace="/abc")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await sio.emit(
            "handshake",
            {"query": environ["QUERY_STRING"], "auth": auth},
            to=sid,
            namespace="/abc",
        )

    @sio.on("connect", namespace="/no")
    def refuse(sid: str, environ: Any) -> None:
        raise socketio_fast.exceptions.ConnectionRefusedError(
            "Auth failed (custom namespace)"
        )

    return sio


async def start(client: Any, url: str, *namespaces: str, **options: Any) -> Any:
    """Connect by WebSocket; the first namespace's socket."""
    options.setdefault("transports", ["websocket"])
    await within(
        client.connect(url, namespaces=list(namespaces) or ["/"], **options), "connect"
    )
    return client.socket(namespaces[0] if namespaces else "/")


def calls(emitter: Any, event: str) -> Calls:
    """The calls of a listener that is added for this event."""
    made = Calls(event)

    def listener(*args: Any) -> None:
        made.add(*args)

    emitter.on(event, listener)
    return made


async def fails(client: Any, **options: Any) -> None:
    """Connect, with the reconnection of ``retry=True``, where nobody listens."""
    with contextlib.suppress(socketio_fast.exceptions.ConnectionError):
        await client.connect(
            f"http://127.0.0.1:{free_port()}",
            transports=["websocket"],
            retry=True,
            **options,
        )
