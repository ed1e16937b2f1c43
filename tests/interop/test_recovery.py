"""Connection state recovery with the official client."""

from __future__ import annotations

from typing import Any

import pytest
from support.interop import record_disconnects

import socketio_fast


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_three_recoveries(serve: Any, js: Any, serializer: str) -> None:
    """R2, R3, R5: sid, rooms and missed events, in order and once; R7: also before the
    first event, and with binary ones."""
    sio = socketio_fast.AsyncServer(
        serializer=serializer, connection_state_recovery=True, cors_allowed_origins="*"
    )
    gone = record_disconnects(sio)

    @sio.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        if not sio.recovered(sid):
            await sio.enter_room(sid, "room")

    options = {"parser": "msgpack"} if serializer == "msgpack" else {}
    client = await js(await serve(sio), reconnectionDelay=200, **options)
    socket = await client.connect()
    sid = socket.sid
    assert not await client.do("recovered", nsp="/")
    for n in range(3):
        await client.do("cut")
        await gone.next()
        await sio.emit("n", n)
        await sio.emit("b", (b"bytes", n), to="room")
        await sio.emit("n", (n, "text"), to=sid)
        await sio.emit("no", skip_sid=sid)
        assert await socket.reconnected() == sid
        assert await client.do("recovered", nsp="/")
        await sio.emit("newer", n)
        assert (await client.expect("n"))[:-1] == [n]
        assert (await client.expect("b"))[:-1] == [b"bytes", n]
        assert (await client.expect("n"))[:-1] == [n, "text"]
        assert (await client.expect("newer"))[:-1] == [n]
