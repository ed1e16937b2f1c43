"""What servers tell each other by a ClusterAdapter, on a bus in memory."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from datetime import date
from typing import Any

import pytest
from support.waiting import until, within

from adapters.in_memory import Bus, BusAdapter, Servers, bus, known, servers
from socketio_fast import AsyncServer, Server, exceptions, testing
from socketio_fast.adapters import ClusterAdapter, MessageType

__all__ = ["bus", "servers"]

UID = "0123456789abcdef"
OPTIONS = {"rooms": [], "except": [], "flags": {}}


def adapter_of(sio: AsyncServer) -> BusAdapter:
    assert isinstance(sio.manager, BusAdapter)
    return sio.manager


def message(kind: int, **data: Any) -> dict[str, Any]:
    """A message of a server in Node.js."""
    return {"uid": UID, "nsp": "/", "type": kind, "data": data}


def event(*data: Any, rooms: Any = (), **flags: Any) -> dict[str, Any]:
    return message(
        MessageType.BROADCAST,
        packet={"type": 2, "data": list(data)},
        opts={"rooms": list(rooms), "except": [], "flags": flags},
    )


# --- the format -------------------------------------------------------------------


async def test_what_is_published(bus: Bus, servers: Servers) -> None:
    """A1, A3: The messages of Node's ClusterAdapter."""
    (sio,) = await servers(1)
    uid = adapter_of(sio).uid
    bus.published.clear()
    async with testing.client(sio) as client:
        await sio.emit("e", ("a", {"b": b"\0"}), to=["r", "s"], skip_sid=client.sid)
        await sio.to("r", 5).except_("x").volatile.compress(False).emit("f")
        await sio.local.emit("g")
        await sio.in_("r").sockets_join("a", "b")
        await sio.sockets_leave("a")
        await sio.in_("r").disconnect_sockets(close=True)
        await sio.of("/").server_side_emit("hello", 1)
        await sio.enter_room("elsewhere", "r")
        await sio.leave_room("elsewhere", "r")
        await sio.close_room("r")
        await sio.disconnect("elsewhere")
        await until(lambda: len(bus.published) == 10)
        sid = client.sid

    def options(rooms: Any = (), excepted: Any = (), **flags: Any) -> dict[str, Any]:
        return {"rooms": list(rooms), "except": list(excepted), "flags": flags}

    def packet(*data: Any) -> dict[str, Any]:
        return {"type": 2, "data": list(data), "nsp": "/"}

    assert bus.published == [
        {"uid": uid, "nsp": "/", "type": kind, "data": data}
        for kind, data in [
            (
                3,
                {
                    "packet": packet("e", "a", {"b": b"\0"}),
                    "opts": options("rs", [sid]),
                },
            ),
            (
                3,
                {
                    "packet": packet("f"),
                    "opts": options(["r", 5], "x", volatile=True, compress=False),
                },
            ),
            (4, {"opts": options("r"), "rooms": ["a", "b"]}),
            (5, {"opts": options(), "rooms": ["a"]}),
            (6, {"opts": options("r"), "close": True}),
            (9, {"packet": ["hello", 1]}),
            (4, {"opts": options(["elsewhere"]), "rooms": ["r"]}),
            (5, {"opts": options(["elsewhere"]), "rooms": ["r"]}),
            (5, {"opts": options("r"), "rooms": ["r"]}),
            (6, {"opts": options(["elsewhere"]), "close": False}),
        ]
    ]


async def test_what_is_for_one_client_of_this_server_stays_here(
    bus: Bus, servers: Servers
) -> None:
    (sio,) = await servers(1)
    bus.published.clear()
    async with testing.client(sio) as client:
        await sio.emit("e", 1, to=client.sid)
        assert await client.expect("e") == 1
        await sio.disconnect(client.sid)
    assert bus.published == []


async def test_what_is_changed_after_emit_is_not_published(
    bus: Bus, servers: Servers
) -> None:
    (sio,) = await servers(1)
    data = {"a": 1}
    await sio.emit("e", data)
    data["a"] = 2
    await until(lambda: bus.of_type(3) != [])
    assert bus.of_type(3)[0]["data"]["packet"]["data"] == ["e", {"a": 1}]


@pytest.mark.parametrize("room", [("a", "b"), frozenset("a"), b"r"])
async def test_rooms_that_other_servers_cannot_know(
    servers: Servers, room: Any
) -> None:
    (sio,) = await servers(1)
    async with testing.client(sio) as client:
        with pytest.raises(TypeError, match="is no room for several servers"):
            await sio.enter_room(client.sid, room)
        with pytest.raises(TypeError, match="is no room for several servers"):
            await sio.enter_room("elsewhere", room)


# --- one server and another --------------------------------------------------------


async def test_broadcasts(servers: Servers) -> None:
    one, other = await servers(2)
    async with testing.client(one) as here, testing.client(other) as there:
        await one.enter_room(there.sid, "r")
        await one.emit("e", (1, b"\0"))
        await one.emit("to", 1, to="r")
        await one.except_("r").emit("but", 1)
        await one.emit("skip", 1, skip_sid=there.sid)
        await one.local.emit("local")
        await one.to(there.sid).emit("own", 2)
        await one.emit("last", math.pi)
        assert await there.expect("e") == (1, b"\0")
        assert await there.expect("to") == 1
        assert await there.expect("own") == 2
        assert await there.expect("last") == math.pi
        assert await here.expect("e") == (1, b"\0")
        assert await here.expect("but") == 1
        assert await here.expect("skip") == 1
        await here.expect("local")
        assert await here.expect("last") == math.pi
        await one.volatile.emit("volatile", 3)
        assert await there.expect("volatile") == 3
        assert await here.expect("volatile") == 3


async def test_a_namespace_that_only_the_other_server_has(
    bus: Bus, servers: Servers
) -> None:
    (one,) = await servers(1)
    (other,) = await servers(1, ("/", "/chat"))
    async with testing.client(other, "/chat") as client:
        await one.emit("e", 1, namespace="/chat")
        assert await client.expect("e") == 1
        chat = one.of("/chat")
        await within(known(one, 2, "/chat"))
        found = await chat.fetch_sockets()
        assert [socket.id for socket in found] == [client.sid]


async def test_changes_of_clients(servers: Servers) -> None:
    one, other = await servers(2)
    async with testing.client(other) as a, testing.client(other) as b:
        await one.in_(a.sid).sockets_join("x", "y")
        await one.in_("y").sockets_leave("x")
        await one.enter_room(b.sid, "x")
        await one.leave_room(b.sid, "x")
        await one.enter_room(b.sid, "z")
        await one.emit("e")
        await a.expect("e")
        assert set(other.rooms(a.sid)) == {a.sid, "y"}
        assert set(other.rooms(b.sid)) == {b.sid, "z"}
        await one.close_room("z")
        await one.in_("y").disconnect_sockets()
        await one.disconnect(b.sid)
        await until(lambda: not a.active and not b.active)


async def test_fetched_sockets(servers: Servers) -> None:
    one, other = await servers(2)
    async with testing.client(other, auth={"a": 1}, query={"q": "1"}) as client:
        await other.save_session(client.sid, {"user": "u", "day": date(2026, 1, 2)})
        await other.enter_room(client.sid, "r")
        (found,) = await one.in_("r").fetch_sockets()
        (own,) = await other.in_("r").fetch_sockets()
        assert found.id == client.sid
        assert found.rooms == {client.sid, "r"}
        assert found.data["user"] == "u"
        assert found.handshake.auth == {"a": 1}
        assert found.handshake.query["q"] == "1"
        assert found.handshake.issued == pytest.approx(own.handshake.issued, abs=5)
        assert await one.in_("nobody").fetch_sockets() == []
        await found.emit("e", 1)
        assert await client.expect("e") == 1


async def test_sockets_of_a_server_in_node(bus: Bus, servers: Servers) -> None:
    """It has milliseconds, and may have fewer and other fields."""
    (one,) = await servers(1)
    bus.deliver({"uid": UID, "nsp": "/", "type": MessageType.HEARTBEAT})
    await within(known(one, 2))
    fetching = asyncio.ensure_future(one.fetch_sockets())
    await until(lambda: bus.of_type(MessageType.FETCH_SOCKETS) != [])
    (asked,) = bus.of_type(MessageType.FETCH_SOCKETS)
    handshake = {"issued": 1_500_000_000_123, "headers": {"h": "1"}, "querystring": "x"}
    sockets = [
        {"id": "s", "handshake": handshake, "rooms": ["s", "r"], "data": {"n": 1}},
        {"id": "t", "handshake": {}, "rooms": [], "data": None},
    ]
    id = asked["data"]["requestId"]
    bus.deliver(message(8, requestId=id, sockets=sockets))
    s, t = await within(fetching)
    assert (s.id, s.rooms, s.data) == ("s", {"s", "r"}, {"n": 1})
    assert s.handshake.issued == 1_500_000_000.123
    assert s.handshake.headers == {"h": "1"}
    assert (t.id, t.rooms, t.data) == ("t", set(), {})


@pytest.mark.parametrize(
    "sockets", [None, 5, [None], [{}], [{"id": "s", "handshake": 5}]]
)
async def test_sockets_that_are_none(
    bus: Bus, servers: Servers, caplog: pytest.LogCaptureFixture, sockets: Any
) -> None:
    """They are no answer."""
    (one,) = await servers(1, request_timeout=0.5)
    bus.deliver({"uid": UID, "nsp": "/", "type": MessageType.HEARTBEAT})
    await within(known(one, 2))
    fetching = asyncio.ensure_future(one.fetch_sockets())
    await until(lambda: bus.of_type(MessageType.FETCH_SOCKETS) != [])
    (asked,) = bus.of_type(MessageType.FETCH_SOCKETS)
    bus.deliver(message(8, requestId=asked["data"]["requestId"], sockets=sockets))
    with pytest.raises(exceptions.BroadcastTimeoutError, match="1 of 1 other servers"):
        await within(fetching)
    assert "a message by the bus is refused" in caplog.text


async def test_a_namespace_that_another_thread_makes(
    bus: Bus, servers: Servers
) -> None:
    (one,) = await servers(1)
    await asyncio.to_thread(one.of, "/late")
    await until(lambda: any(m["nsp"] == "/late" for m in bus.of_type(1)))


async def test_data_of_a_client_that_cannot_be_sent(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    class Unknown:
        def __deepcopy__(self, memo: object) -> None:
            raise TypeError("not known")

    one, other = await servers(2)
    async with testing.client(other) as client:
        await other.save_session(client.sid, {"x": Unknown()})
        (found,) = await one.fetch_sockets()
        assert (found.id, found.data) == (client.sid, {})
    assert "the data of a client cannot be sent" in caplog.text


async def test_server_side_events(servers: Servers) -> None:
    one, other, third = await servers(3)
    came: list[Any] = []

    @other.of("/").on("hello")
    async def hello(*args: Any) -> Any:
        came.append(args)
        return {"from": "other"}

    @third.of("/").on("hello")
    def hello_too(*args: Any) -> Any:
        return b"third"

    await one.of("/").server_side_emit("hello", 1, b"\0")
    answers = await one.of("/").server_side_emit_with_ack("hello", 2)
    assert sorted(answers, key=str) == [b"third", {"from": "other"}]
    assert came == [(1, b"\0"), (2,)]
    assert await one.of("/").server_side_emit_with_ack("unknown") == [None, None]
    assert await one.server_count() == 3


# --- acknowledgements ---------------------------------------------------------------


async def test_acknowledgements_of_clients_everywhere(servers: Servers) -> None:
    one, other = await servers(2)
    async with (
        testing.client(one) as a,
        testing.client(other) as b,
        testing.client(other) as c,
    ):
        a.on("q", lambda n: ("a", n))
        b.on("q", lambda n: ("b", n))
        c.on("q", lambda n: None)
        answers = await one.timeout(10).emit_with_ack("q", 1)
        assert sorted(answers, key=str) == [("a", 1), ("b", 1), None]
        came = {sid: x async for sid, x in one.timeout(10).acks("q", 2)}
        assert came == {a.sid: ("a", 2), b.sid: ("b", 2), c.sid: None}
        assert await one.call("q", 3, to=b.sid) == ("b", 3)
        got: asyncio.Queue[Any] = asyncio.Queue()
        await one.emit("q", 4, to=b.sid, callback=lambda *args: got.put_nowait(args))
        assert await within(got.get()) == ("b", 4)
        assert adapter_of(one)._requests == {}
        assert len(adapter_of(one)._callbacks) == 0


async def test_clients_that_do_not_answer(servers: Servers) -> None:
    one, other = await servers(2)
    async with testing.client(other) as a, testing.client(other) as b:
        a.on("q", lambda: "a")
        b.on("q", lambda: asyncio.Event().wait())
        with pytest.raises(exceptions.BroadcastTimeoutError) as caught:
            await one.timeout(0.2).emit_with_ack("q")
        assert (caught.value.missing, caught.value.responses) == (1, ["a"])
        await b.expect("q")
        asking = asyncio.ensure_future(one.timeout(60).emit_with_ack("q"))
        await b.expect("q")
        await b.disconnect()
        with pytest.raises(exceptions.BroadcastTimeoutError) as caught:
            await within(asking)
        assert (caught.value.missing, caught.value.responses) == (1, ["a"])


async def test_answers_of_servers_in_node(bus: Bus, servers: Servers) -> None:
    """They count their clients, and name none."""
    (one,) = await servers(1)
    bus.deliver({"uid": UID, "nsp": "/", "type": MessageType.HEARTBEAT})
    await within(known(one, 2))
    asking = asyncio.ensure_future(one.timeout(60).emit_with_ack("q", 1))
    await until(lambda: bus.of_type(MessageType.BROADCAST) != [])
    (asked,) = bus.of_type(MessageType.BROADCAST)
    assert asked["data"]["opts"]["flags"] == {"timeout": 60_000}
    id = asked["data"]["requestId"]
    bus.deliver(message(11, requestId=id, clientCount=2))
    bus.deliver(message(12, requestId=id, packet="x"))
    bus.deliver(message(12, requestId=id))
    assert await within(asking) == ["x", None]


async def test_a_question_of_a_server_in_node(bus: Bus, servers: Servers) -> None:
    (one,) = await servers(1)
    async with testing.client(one) as a, testing.client(one) as b:
        a.on("q", lambda n: (n, "more"))
        b.on("q", lambda n: asyncio.Event().wait())
        question = event("q", 1, timeout=60_000)
        question["data"]["requestId"] = "id"
        bus.published.clear()
        bus.deliver(question)
        await b.expect("q")
        await until(lambda: len(bus.published) == 2)
        await b.disconnect()
        await one.emit("last")
        await until(lambda: len(bus.published) == 3)
    told = [(m["type"], m["data"]) for m in bus.published[:2]]
    assert told == [
        (11, {"requestId": "id", "clientCount": 2}),
        (12, {"requestId": "id", "packet": 1}),
    ]


# --- who is there -------------------------------------------------------------------


async def test_heartbeats(
    bus: Bus, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socketio_fast.adapters.cluster.BEAT", 0.01)
    one, other = await servers(2, heartbeat_interval=0.05, heartbeat_timeout=0.5)
    bus.deliver({"uid": UID, "nsp": "/", "type": MessageType.INITIAL_HEARTBEAT})
    await within(known(one, 3))
    # The third is silent; the other is not.
    await within(known(one, 2))
    await other.unbind()
    await within(known(one, 1))
    assert bus.of_type(MessageType.ADAPTER_CLOSE)[-1]["nsp"] == "/"


async def test_emitters_are_no_servers(bus: Bus, servers: Servers) -> None:
    (one,) = await servers(1)
    async with testing.client(one) as client:
        bus.deliver({**event("e", 1), "uid": "emitter"})
        assert await client.expect("e") == 1
    assert await one.server_count() == 1


async def test_namespaces_that_come_and_go(bus: Bus, servers: Servers) -> None:
    (one,) = await servers(1)
    one.of(lambda name, auth: name == "/made")
    one.cleanup_empty_child_namespaces = True
    async with testing.client(one, "/made"):
        await until(lambda: any(m["nsp"] == "/made" for m in bus.of_type(1)))
        assert await one.manager.server_count("/made") == 1  # type: ignore[attr-defined]
    await until(lambda: any(m["nsp"] == "/made" for m in bus.of_type(13)))


async def test_a_server_that_does_not_answer(bus: Bus, servers: Servers) -> None:
    (one,) = await servers(1, request_timeout=0.1)
    bus.deliver({"uid": UID, "nsp": "/", "type": MessageType.HEARTBEAT})
    await within(known(one, 2))
    with pytest.raises(
        exceptions.BroadcastTimeoutError,
        match=r"1 of 1 other servers have not answered in 0\.1 s$",
    ):
        await one.fetch_sockets()
    asking = asyncio.ensure_future(one.of("/").server_side_emit_with_ack("e"))
    await until(lambda: bus.of_type(MessageType.SERVER_SIDE_EMIT) != [])
    bus.deliver({"uid": UID, "nsp": "/", "type": MessageType.ADAPTER_CLOSE})
    with pytest.raises(exceptions.BroadcastTimeoutError):
        await within(asking)
    # Of a server that has gone there are no clients.
    bus.deliver({"uid": UID, "nsp": "/", "type": MessageType.HEARTBEAT})
    await within(known(one, 2))
    fetching = asyncio.ensure_future(one.fetch_sockets())
    await until(lambda: len(bus.of_type(MessageType.FETCH_SOCKETS)) == 2)
    bus.deliver({"uid": UID, "nsp": "/", "type": MessageType.ADAPTER_CLOSE})
    assert await within(fetching) == []


# --- an engine that is away ---------------------------------------------------------


async def test_an_engine_that_goes_and_comes(bus: Bus, servers: Servers) -> None:
    one, _ = await servers(2, request_timeout=0.05)
    adapter = adapter_of(one)
    changes: list[bool] = []
    adapter.on_health_change(changes.append)
    adapter._receiving.failed = lambda error, logger: 0.2  # type: ignore[method-assign]
    async with testing.client(one) as client:
        assert adapter.healthy
        bus.queues[adapter].put_nowait(OSError("away"))
        await until(lambda: not adapter.healthy)
        await one.emit("e", 1)
        assert await client.expect("e") == 1
        with pytest.raises(exceptions.BroadcastTimeoutError, match="the bus is away"):
            await one.fetch_sockets()
        await until(lambda: adapter.healthy)
        assert changes == [False, True]
        assert await one.server_count() == 2
    assert one.eio.counters["adapter_failed"] == 1


async def test_publishing_that_fails_is_counted(bus: Bus, servers: Servers) -> None:
    one, _ = await servers(2)
    adapter = adapter_of(one)
    bus.away = OSError("away")
    async with testing.client(one) as client:
        for number in range(3):
            await one.emit("e", number)
            assert await client.expect("e") == number
        await until(lambda: adapter.lost_messages == 3)
        assert not adapter.healthy


# --- what is no message -------------------------------------------------------------


@pytest.mark.parametrize(
    "poison",
    [
        None,
        [],
        "text",
        {},
        {"uid": 1, "nsp": "/", "type": 3},
        {"uid": UID, "nsp": "/", "type": 99},
        {"uid": UID, "nsp": "/", "type": []},
        {"uid": UID, "nsp": "/", "type": 3},
        message(3, packet=None, opts=OPTIONS),
        message(3, packet={"type": 2, "data": []}, opts=OPTIONS),
        message(3, packet={"type": 2, "data": "e"}, opts=OPTIONS),
        message(3, packet={"type": 0, "data": ["e"]}, opts=OPTIONS),
        message(3, packet={"type": 2, "data": ["connect"]}, opts=OPTIONS),
        message(3, packet={"type": 2, "data": ["e"]}, opts=None),
        message(3, packet={"type": 2, "data": ["e"]}, opts={"rooms": [{}]}),
        message(3, packet={"type": 2, "data": ["e"]}, opts={"rooms": "r"}),
        message(3, packet={"type": 2, "data": ["e"]}, opts={**OPTIONS, "flags": [1]}),
        message(4, opts=OPTIONS, rooms="r"),
        message(4, opts=OPTIONS),
        message(6),
        message(7, opts=OPTIONS),
        message(8),
        message(9, packet=[]),
        message(9, packet=[1]),
        message(12, requestId=[]),
    ],
)
async def test_poisoned_messages(
    bus: Bus, servers: Servers, caplog: pytest.LogCaptureFixture, poison: Any
) -> None:
    (one,) = await servers(1)
    async with testing.client(one) as client:
        bus.deliver(poison)
        bus.deliver(event("next", 1))
        assert await client.expect("next") == 1
    (warning,) = [
        r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING
    ]
    assert warning.startswith("a message by the bus is refused (")


async def test_warnings_are_escaped_and_few(
    bus: Bus, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    (one,) = await servers(1)
    async with testing.client(one) as client:
        for _ in range(100):
            bus.deliver({"uid": UID, "nsp": "/", "type": "\x1b[31m\n" + "x" * 10_000})
        bus.deliver(event("next"))
        await client.expect("next")
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 700


# --- servers -------------------------------------------------------------------------


def test_options_of_an_adapter(bus: Bus) -> None:
    for options, why in [
        ({"heartbeat_interval": 0}, "heartbeat_interval=0: more than 0 seconds"),
        ({"request_timeout": -1}, "request_timeout=-1: more than 0 seconds"),
        (
            {"heartbeat_timeout": 5},
            "heartbeat_timeout=5: more than heartbeat",
        ),
    ]:
        with pytest.raises(ValueError, match=why):
            BusAdapter(bus, **options)


async def test_an_adapter_without_a_server(bus: Bus) -> None:
    with pytest.raises(RuntimeError, match="a BusAdapter needs a server"):
        await BusAdapter(bus).emit("e", 1)


async def test_an_adapter_that_overrides_emit(bus: Bus) -> None:
    seen: list[Any] = []

    class Seeing(BusAdapter):
        async def emit(self, event: str, *args: Any, **kwargs: Any) -> None:
            seen.append(event)
            await super().emit(event, *args, **kwargs)

    sio = AsyncServer(client_manager=Seeing(bus))
    sio.bind(asyncio.get_running_loop())
    async with testing.client(sio) as client:
        await sio.emit("e", 1)
        await sio.to(client.sid).emit("f", 2)
        assert await client.expect("e") == 1
        assert await client.expect("f") == 2
    assert seen == ["e", "f"]
    await until(lambda: len(bus.of_type(3)) == 2)
    await sio.unbind()


def test_a_server_for_threads(bus: Bus) -> None:
    one, other = (Server(client_manager=BusAdapter(bus)) for _ in range(2))
    with testing.client(one) as here, testing.client(other) as there:
        while one.server_count() != 2:
            time.sleep(0.01)
        one.emit("e", 1)
        assert there.expect("e") == 1
        assert here.expect("e") == 1
        there.on("q", lambda n: n + 1)
        assert one.call("q", 1, to=there.sid) == 2
        assert {s.id for s in one.fetch_sockets()} == {here.sid, there.sid}
    one.shutdown()
    other.shutdown()


class Nothing(ClusterAdapter):
    pass


async def test_an_adapter_that_lacks_its_methods() -> None:
    adapter = Nothing()
    with pytest.raises(NotImplementedError, match=r"Nothing has no publish\(\)"):
        await adapter.publish({})
    with pytest.raises(NotImplementedError, match=r"Nothing has no _listen\(\)"):
        adapter._listen()
