"""Events with types, when the program runs: names, as any others."""

from __future__ import annotations

from typing import Any

import pytest

import socketio_fast
from socketio_fast import Event, testing
from socketio_fast.sockets.socket import Socket

moved = Event[str, float]("moved")


def test_an_event_is_its_name() -> None:
    """S10: the parameters are for type checkers."""
    assert moved == "moved"
    assert type(moved.name) is str
    assert Event[()]("x").name == "x"


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_an_event_stands_wherever_its_name_does(serializer: str) -> None:
    """S10: handlers, listeners, emits and acknowledgements."""
    sio = socketio_fast.AsyncServer(serializer=serializer)
    came: list[Any] = []
    blob = Event[bytes]("blob")

    @sio.on(moved)
    async def on_moved(sid: str, piece: str, x: float) -> None:
        await sio.emit(moved, (piece, x))
        await sio.emit(blob, b"\x00", to=sid)
        await sio.to(sid).emit(moved, piece, x + 1)
        came.append(await sio.to(sid).timeout(5).emit_with_ack(moved, piece, x + 2))
        came.append(await sio.call(moved, (piece, x + 3), to=sid))

    @sio.of("/").on("connection")
    def connection(socket: Socket) -> None:
        def also(piece: str, x: float) -> None:
            came.append((piece, x))
            socket.off(moved, also)
            socket.emit(moved, piece, x - 1)

        socket.on(moved, also)

    async with testing.client(sio) as client:
        client.on(moved, lambda piece, x: (x, piece))
        assert await client.call(moved, "king", 1.0) is None
        assert sorted([await client.expect(moved) for _ in range(5)]) == [
            ("king", 0.0),
            ("king", 1.0),
            ("king", 2.0),
            ("king", 3.0),
            ("king", 4.0),
        ]
        assert await client.expect(blob) == b"\x00"
    assert came == [("king", 1.0), [(3.0, "king")], (4.0, "king")]


async def test_reserved_names_stay_so() -> None:
    """S10, K10: whatever types they are given."""
    sio = socketio_fast.AsyncServer()
    with pytest.raises(ValueError, match="'connect' is a reserved event name"):
        await sio.to("room").emit(Event[()]("connect"))
