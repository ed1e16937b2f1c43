"""Operators, against several official clients."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.interop import within
from support.js_client import JSClient

import socketio_fast
from socketio_fast import exceptions
from socketio_fast.async_pubsub_manager import AsyncPubSubManager


@pytest.fixture
def transport() -> str:
    """One is enough: what is sent goes the way that all events go."""
    return "websocket"


@pytest.fixture
async def clients(sio: socketio_fast.AsyncServer, serve: Any, js: Any) -> Any:
    """Three clients: the first in rooms a and b, the second in b, the third in none."""
    server = await serve(sio)
    found = []
    for rooms in ("ab", "b", ""):
        client = await js(server)
        await client.connect()
        for room in rooms:
            await sio.enter_room(client.sid, room)
        found.append(client)
    return found


async def nothing_but(client: JSClient, *events: str) -> None:
    for event in events:
        await client.expect(event)


async def test_rooms_are_united_and_left_out(
    sio: socketio_fast.AsyncServer, clients: Any
) -> None:
    """M12, M13: to() is a union without duplicates, except_() takes rooms and sids."""
    first, second, third = clients
    await sio.to("a").to(["b"]).emit("union", 1, b"2")
    await sio.except_("a").emit("not a")
    await sio.except_(["b", third.sid]).emit("nobody")
    await sio.to("b", third.sid).except_(second.sid).local.send("text")
    await sio.compress(False).emit("end")
    assert await first.expect("union") == [1, b"2"]
    await nothing_but(first, "message", "end")
    await nothing_but(second, "union", "not a", "end")
    await nothing_but(third, "not a", "message", "end")


async def test_acknowledgements_of_many(
    sio: socketio_fast.AsyncServer, clients: Any
) -> None:
    """M4, M6: the answers of all."""
    asked = asyncio.ensure_future(sio.timeout(20).emit_with_ack("q", 1))
    for client, answer in zip(clients, ([1], [2, 3], []), strict=True):
        assert await client.expect_and_answer("q", *answer) == [1]
    answers = await within(asked, "answers")
    assert sorted(answers, key=str) == [(2, 3), 1, None]


async def test_answers_as_they_come_and_a_client_that_goes(
    sio: socketio_fast.AsyncServer, clients: Any
) -> None:
    """M5, M6: partial answers with the error; nothing is kept."""
    first, second, third = clients
    came = []

    async def ask() -> None:
        async for item in sio.timeout(20).acks("q"):
            came.append(item)
            await third.disconnect()

    asked = asyncio.ensure_future(ask())
    await second.expect_and_answer("q", "two")
    await first.expect_and_answer("q", "one")
    with pytest.raises(exceptions.BroadcastTimeoutError, match="1 of 3") as caught:
        await asked  # its own limit; within() takes its error for one of the test
    assert set(came) == {(first.sid, "one"), (second.sid, "two")}
    assert sorted(caught.value.responses) == ["one", "two"]
    assert caught.value.missing == 1


async def test_acknowledgements_that_are_late(
    sio: socketio_fast.AsyncServer, clients: Any
) -> None:
    """M5: a time that is over is an error with what came."""
    with pytest.raises(exceptions.TimeoutError, match="2 of 2") as caught:
        await sio.to("b").timeout(0.05).emit_with_ack("q")
    assert caught.value.responses == []  # type: ignore[attr-defined]
    late = await clients[0]["/"].next_event()
    await clients[0]["/"].answer(late, "late")  # nobody waits, nobody minds
    (one,) = await sio.to("a").fetch_sockets()
    asked = asyncio.ensure_future(one.emit_with_ack("again", timeout=20))
    await clients[0].expect_and_answer("again", "here")
    assert await within(asked, "answer") == "here"


async def test_sockets_that_are_fetched(
    sio: socketio_fast.AsyncServer, clients: Any
) -> None:
    """M7, M16, M17: what is known of clients, their rooms, and their end."""
    first, second, third = clients
    await sio.save_session(first.sid, {"name": "Ann"})
    (one,) = await sio.in_("a").fetch_sockets()
    assert (one.id, one.data) == (first.sid, {"name": "Ann"})
    assert one.rooms == {first.sid, "a", "b"}
    assert one.handshake.query["EIO"] == "4"
    await one.emit("hi", 1)
    assert await first.expect("hi") == [1]
    await one.join("c")
    await one.leave("a")
    assert set(sio.rooms(first.sid)) == {first.sid, "b", "c"}
    await sio.in_("b").sockets_join("x", ["y"])
    await sio.sockets_leave("b")
    assert set(sio.rooms(second.sid)) == {second.sid, "x", "y"}
    await sio.in_("x").disconnect_sockets(close=True)
    await first.disconnected()
    await second.disconnected()
    assert [s.id for s in await sio.fetch_sockets()] == [third.sid]


async def test_namespaces_have_operators(
    sio: socketio_fast.AsyncServer, clients: Any
) -> None:
    """M12: the same of a namespace, and all but the sender of a socket."""
    nsp = sio.of("/chat")
    sockets = []
    for client in clients[:2]:
        sockets.append(await client.connect("/chat"))
    assert sockets[0].sid
    await nsp.sockets[sockets[0].sid].broadcast.emit("others")
    await nsp.to(sockets[0].sid).emit("one")
    assert await sockets[1].expect("others") == []
    assert await sockets[0].expect("one") == []


@pytest.mark.parametrize("event", ["connect", "disconnecting", "removeListener"])
async def test_reserved_names(sio: socketio_fast.AsyncServer, event: str) -> None:
    """K10: they cannot be sent."""
    with pytest.raises(ValueError, match="reserved event name"):
        await sio.to("a").emit(event)
    with pytest.raises(ValueError, match="reserved event name"):
        await sio.to("a").emit_with_ack(event)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_timeouts_that_are_refused(
    sio: socketio_fast.AsyncServer, seconds: float
) -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        sio.timeout(seconds)


class Elsewhere(AsyncPubSubManager):
    """The messages that other processes would get."""

    def __init__(self) -> None:
        super().__init__(write_only=True)
        self.sent: list[dict[str, Any]] = []

    async def _publish(self, data: dict[str, Any]) -> None:
        self.sent.append(data)


async def test_several_processes() -> None:
    """M10, M13: emits go to all unless they are local; answers need a subscription."""
    manager = Elsewhere()
    sio = socketio_fast.AsyncServer(client_manager=manager)
    await sio.to("a").except_("sid").emit("event", 1, 2)
    await sio.to("a").local.emit("here")
    (message,) = manager.sent
    assert message["event"] == "event"
    assert message["data"] == [1, 2]
    assert message["room"] == ["a"]
    assert message["skip_sid"] == ["sid"]
    assert message["excepted"] == ["sid"]
    with pytest.raises(RuntimeError, match="write_only manager receives no answers"):
        await sio.fetch_sockets()
    assert await sio.local.fetch_sockets() == []
    await manager.close()
