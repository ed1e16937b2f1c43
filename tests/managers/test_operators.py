"""Operators where several servers share a broker."""

from __future__ import annotations

import asyncio
import dataclasses
import weakref
from decimal import Decimal
from typing import Any

import pytest
from support.waiting import until, within

from managers.app import Client
from managers.in_process import Broker, Connect, Manager, Node, broker
from socketio_fast import AsyncServer, exceptions
from socketio_fast.managers import cluster as requests

__all__ = ["broker"]

Both = tuple[AsyncServer, Client, AsyncServer, Client]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers in this process tell who is there at once."""
    monkeypatch.setattr(requests, "DISCOVERY_TIME", 0.05)


@pytest.fixture(params=["broker", "workers"])
async def both(
    request: pytest.FixtureRequest,
    broker: Broker,
    node: Any,
    connect: Connect,
    cluster: str,
) -> Both:
    """Two servers, and a client of each."""
    if request.param == "broker":
        first, first_url = await node(Manager(broker))
        second, second_url = await node(Manager(broker))
    else:
        first, first_url = await node(cluster=cluster)
        second, second_url = await node(cluster=cluster)
    return first, await connect(first_url), second, await connect(second_url)


with_a_broker = pytest.mark.parametrize("both", ["broker"], indirect=True)


async def sid_of(sio: AsyncServer) -> str:
    (sid,) = sio._hub.namespaces["/"].peers
    return sid


async def test_rooms_elsewhere_are_excepted(both: Both) -> None:
    """M13: clients of other servers in rooms that are excepted get nothing."""
    sio, mine, other, theirs = both
    await other.enter_room(await sid_of(other), "muted")
    await sio.except_("muted").emit("news", 1, b"2")
    await sio.volatile.compress(False).emit("end")
    assert await mine.next() == ("news", 1, b"2")
    assert await mine.next() == ("end",)
    assert await theirs.next() == ("end",)


async def test_clients_of_all_servers(both: Both) -> None:
    """M17, A20: id, rooms, data and handshake of each."""
    sio, _, other, _ = both
    mine, theirs = await sid_of(sio), await sid_of(other)
    await other.enter_room(theirs, "r")
    await other.save_session(theirs, {"name": "Ann"})
    found = {client.id: client for client in await within(sio.fetch_sockets())}
    assert set(found) == {mine, theirs}
    assert found[theirs].rooms == {theirs, "r"}
    assert found[theirs].data == {"name": "Ann"}
    assert found[theirs].handshake.query["EIO"] == "4"
    assert [c.id for c in await within(sio.in_("r").fetch_sockets())] == [theirs]
    assert [c.id for c in await sio.local.fetch_sockets()] == [mine]
    assert await within(sio.server_count()) == 2


async def test_changes_of_all_servers(both: Both) -> None:
    """M16: rooms of many, and their end."""
    sio, mine, other, theirs = both
    await sio.sockets_join("a", ["b", "c"])
    await sio.sockets_leave("c")
    await sio.to("a").emit("in a")
    assert await mine.next() == ("in a",)
    assert await theirs.next() == ("in a",)
    assert set(other.rooms(await sid_of(other))) == {await sid_of(other), "a", "b"}
    await sio.except_(await sid_of(sio)).disconnect_sockets()
    await until(lambda: not theirs.sio.connected)
    assert mine.sio.connected


def answering(client: Client, answer: Any) -> None:
    @client.sio.on("q")
    def q(*args: Any) -> Any:
        return answer


async def test_acknowledgements_of_clients_elsewhere(both: Both) -> None:
    """M6, A17: of all servers, as they come."""
    sio, mine, _, theirs = both
    answering(mine, "mine")
    answering(theirs, (b"\x00", 2))
    answers = await within(sio.timeout(20).emit_with_ack("q", {"a": b"1"}))
    assert sorted(answers, key=str) == [(b"\x00", 2), "mine"]
    assert await within(sio.to("nobody").timeout(20).emit_with_ack("q")) == []


async def test_a_client_elsewhere_that_goes(both: Both) -> None:
    """M6, A17: it is missing, and what others answered is told."""
    sio, mine, other, theirs = both
    answering(mine, "mine")
    asked = asyncio.Event()

    @theirs.sio.on("q")
    async def never() -> None:
        asked.set()
        await asyncio.sleep(60)

    answers = asyncio.ensure_future(sio.timeout(20).emit_with_ack("q"))
    await within(asked.wait())
    await other.disconnect(await sid_of(other))
    with pytest.raises(exceptions.BroadcastTimeoutError, match="1 of 2") as caught:
        await within(answers)
    assert caught.value.responses == ["mine"]
    assert not sio.manager.cluster._requests  # type: ignore[attr-defined]


async def test_one_client_elsewhere(both: Both) -> None:
    """M7: a socket that was fetched is asked, changed and disconnected."""
    sio, _, other, theirs = both
    answering(theirs, "here")
    (client,) = [
        c
        for c in await within(sio.fetch_sockets())
        if not c.rooms & {await sid_of(sio)}
    ]
    assert await within(client.emit_with_ack("q", timeout=20)) == "here"
    await client.join("r")
    await client.emit("hi")
    assert await theirs.next() == ("hi",)
    assert "r" in other.rooms(client.id)
    await client.disconnect(close=True)
    await until(lambda: not theirs.sio.connected)


async def test_events_between_servers(both: Both) -> None:
    """M20: listeners of other servers get them, and may answer."""
    sio, _, other, _ = both
    heard: asyncio.Queue[Any] = asyncio.Queue()

    @other.of("/").on("reload")
    async def reload(*args: Any) -> str:
        heard.put_nowait(args)
        return "done"

    @sio.of("/").on("reload")
    def own(*args: Any) -> None:
        raise AssertionError("the server that emits does not hear it")

    await sio.server_side_emit("reload", "prices", b"1")
    assert await within(heard.get()) == ("prices", b"1")
    assert await within(sio.server_side_emit_with_ack("reload", 2)) == ["done"]
    assert await within(sio.of("/x").server_side_emit_with_ack("reload")) == [None]
    with pytest.raises(ValueError, match="reserved"):
        await sio.server_side_emit("connection")


@dataclasses.dataclass
class Price:
    euros: Decimal
    picture: bytes


async def test_types_that_json_has_not(both: Both) -> None:
    """What a client of this server is sent, and listeners and clients of others."""
    sio, mine, other, theirs = both
    heard: asyncio.Queue[Any] = asyncio.Queue()
    other.of("/").on("price", lambda *args: heard.put_nowait(args))
    other.of("/").on("ask", lambda: Price(Decimal(3), b"3"))
    price = Price(Decimal("1.10"), b"1")
    expected = {"euros": "1.10", "picture": b"1"}
    await sio.server_side_emit("price", price, {b"2"})
    assert await within(heard.get()) == (expected, [b"2"])
    (answer,) = await within(sio.server_side_emit_with_ack("ask"))
    assert answer == {"euros": "3", "picture": b"3"}
    await sio.emit("price", (price, {1}))
    await sio.volatile.emit("price", price)
    for client in (mine, theirs):
        assert await client.next() == ("price", expected, [1])
        assert await client.next() == ("price", expected)


@with_a_broker
async def test_a_server_that_does_not_answer(
    both: Both, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A18: nobody gets a part for the whole; a server that goes is counted no more."""
    sio, _, other, _ = both
    assert await within(sio.server_count()) == 2
    monkeypatch.setattr(requests, "REQUEST_TIMEOUT", 0.05)
    manager: Any = other.manager
    monkeypatch.setattr(manager.cluster, "receive", lambda message: None)
    with pytest.raises(exceptions.BroadcastTimeoutError, match="1 of 1 other servers"):
        await within(sio.fetch_sockets())
    monkeypatch.undo()
    await manager.close()
    for _ in range(100):
        if await sio.server_count() == 1:
            break
        await asyncio.sleep(0)
    assert await sio.server_count() == 1
    assert len(await within(sio.fetch_sockets())) == 1


@with_a_broker
async def test_what_others_send_wrongly(
    both: Both, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and changes nothing."""
    sio, mine, _, _ = both
    for message in (
        {"method": "change", "host_id": "x"},
        {"method": "change", "host_id": "x", "change": "join", "scope": 5},
        {"method": "response", "host_id": "x"},
        {"method": "request", "host_id": "x", "id": 1, "action": "shout"},
    ):
        broker.deliver(message)
    await sio.emit("end")
    assert await mine.next() == ("end",)
    assert "refused" in caplog.text
    caplog.clear()


async def test_clients_that_have_answered_are_kept_no_longer(both: Both) -> None:
    """Not for as long as they would have had."""
    sio, _, other, theirs = both
    (peer,) = other._hub.namespaces["/"].peers.values()
    gone = asyncio.Event()
    weakref.finalize(peer.session, gone.set)
    answers = sio.to(peer.sid).timeout(600).acks("double", 4)
    assert [answer async for answer in answers] == [(peer.sid, 8)]
    del peer
    await theirs.close()
    await within(gone.wait())


async def test_rooms_of_a_socket_change_before_join_and_leave_return(
    both: Both,
) -> None:
    sio, mine, other, _ = both
    socket = sio.of("/").sockets[await sid_of(sio)]
    socket.join(["a", "b"])
    socket.leave("a")
    assert socket.rooms == {socket.id, "b"}
    await other.to("b").emit("in b")
    assert await mine.next() == ("in b",)
    assert await asyncio.create_task(socket.join("c")) is None


async def test_a_manager_with_room_methods_of_its_own_is_asked_at_once(
    broker: Broker, node: Node, connect: Connect
) -> None:
    told: list[Any] = []
    go_on = asyncio.Event()

    class Slow(Manager):
        async def enter_room(self, sid: str, *args: Any, **kwargs: Any) -> None:
            await super().enter_room(sid, *args, **kwargs)
            told.append(args)
            await go_on.wait()
            told.append("entered")

    sio, url = await node(Slow(broker))
    await connect(url)
    socket = sio.of("/").sockets[await sid_of(sio)]
    begun = socket.join("r")
    assert socket.rooms == {socket.id, "r"}
    assert told == [("/", "r")]
    go_on.set()
    await within(begun)
    assert told == [("/", "r"), "entered"]
