"""Membership, unions, fan-out; and that nothing stays in the tables."""

from __future__ import annotations

from typing import Any

import pytest
from support.sansio import Server, WebSocket, join, run

import socketio_fast
from socketio_fast import AsyncServer
from socketio_fast._core.socketio.rooms import Rooms


class Fixture:
    def __init__(self, count: int, **options: Any) -> None:
        self.sio = AsyncServer(**options)
        self.server = Server(self.sio)
        self.clients: list[WebSocket] = []
        self.sids: list[str] = []
        for _ in range(count):
            client, sid = self.server.joined()
            self.clients.append(client)
            self.sids.append(sid)
        self.rooms: Rooms = self.sio._hub.namespace("/").rooms

    def got(self) -> list[int]:
        """How many messages each client has got since the last time."""
        return [len(client.messages()) for client in self.clients]


# --- membership -----------------------------------------------------------------


def test_a_client_is_in_its_own_room_and_in_that_of_all() -> None:
    f = Fixture(2)
    assert f.rooms.of(f.sids[0]) == [f.sids[0]]
    assert f.rooms.members(f.sids[0]) == [f.sids[0]]
    assert f.rooms.members(None) == f.sids
    assert f.rooms.rooms == {}


def test_enter_and_leave() -> None:
    f = Fixture(2)
    a, b = f.sids
    f.rooms.enter(a, "x")
    f.rooms.enter(b, "x")
    f.rooms.enter(a, "x")
    assert f.rooms.members("x") == [a, b]
    assert f.rooms.of(a) == [a, "x"]
    f.rooms.leave(a, "x")
    f.rooms.leave(a, "x")
    assert f.rooms.members("x") == [b]
    assert f.rooms.of(a) == [a]


def test_a_room_that_is_empty_is_gone() -> None:
    f = Fixture(1)
    f.rooms.enter(f.sids[0], "x")
    f.rooms.leave(f.sids[0], "x")
    assert f.rooms.rooms == {}


def test_several_rooms() -> None:
    f = Fixture(1)
    (sid,) = f.sids
    for room in ("x", 5, ("a", 1), 1.5, frozenset({1})):
        f.rooms.enter(sid, room)
    assert f.rooms.of(sid)[0] == sid
    assert set(f.rooms.of(sid)[1:]) == {"x", 5, ("a", 1), 1.5, frozenset({1})}


def test_entering_ones_own_room_changes_nothing() -> None:
    f = Fixture(1)
    (sid,) = f.sids
    f.rooms.enter(sid, sid)
    assert f.rooms.of(sid) == [sid]
    f.rooms.leave(sid, sid)
    assert f.rooms.of(sid) == [sid]


@pytest.mark.parametrize("sid", ["unknown", ""])
def test_entering_of_somebody_unknown(sid: str) -> None:
    f = Fixture(0)
    with pytest.raises(ValueError, match="sid is not connected to requested namespace"):
        f.rooms.enter(sid, "x")
    f.rooms.leave(sid, "x")
    assert f.rooms.of(sid) == []
    assert f.rooms.rooms == {}


def test_anothers_own_room_is_closed_to_all() -> None:
    f = Fixture(2)
    with pytest.raises(ValueError, match="cannot enter a sid room"):
        f.rooms.enter(f.sids[0], f.sids[1])
    with pytest.raises(ValueError, match="cannot close a sid room"):
        f.rooms.close(f.sids[1])


@pytest.mark.parametrize("room", [[], {}])
def test_a_room_that_cannot_be_hashed(room: Any) -> None:
    f = Fixture(1)
    with pytest.raises(TypeError):
        f.rooms.enter(f.sids[0], room)
    assert f.rooms.of(f.sids[0]) == f.sids


def test_close_takes_everybody_out() -> None:
    f = Fixture(3)
    for sid in f.sids:
        f.rooms.enter(sid, "x")
        f.rooms.enter(sid, "y")
    f.rooms.close("x")
    assert f.rooms.members("x") == []
    assert f.rooms.members("y") == f.sids
    assert f.rooms.of(f.sids[0]) == [f.sids[0], "y"]
    f.rooms.close("x")
    f.rooms.close("unknown")


def test_rooms_are_per_namespace() -> None:
    f = Fixture(0, namespaces=["/", "/a"])
    client = f.server.websocket()
    main, a = join(client), join(client, "/a")
    other = f.sio._hub.namespace("/a").rooms
    f.rooms.enter(main, "x")
    assert other.members("x") == []
    with pytest.raises(ValueError):
        other.enter(main, "x")
    other.enter(a, "x")
    f.rooms.emit(["e"], "x")
    assert client.messages() == ['42["e"]']


# --- cleanup --------------------------------------------------------------------


def test_who_goes_leaves_every_room() -> None:
    f = Fixture(2)
    for sid in f.sids:
        f.rooms.enter(sid, "both")
        f.rooms.enter(sid, "own" + sid)
    f.clients[0].wire.lose()
    assert f.rooms.members("both") == [f.sids[1]]
    assert list(f.rooms.rooms) == ["both", "own" + f.sids[1]]
    f.clients[1].leave()
    assert f.rooms.rooms == {}
    assert f.rooms.namespace.peers == {}


def test_who_goes_costs_only_his_own_rooms() -> None:
    """B1: A room that he is not in is not even looked at."""
    f = Fixture(2)

    class Room:
        looked_at = 0

        def __hash__(self) -> int:
            Room.looked_at += 1
            return id(self)

        __eq__ = object.__eq__

    for _ in range(100):
        f.rooms.enter(f.sids[0], Room())
    f.rooms.enter(f.sids[1], "x")
    Room.looked_at = 0
    f.clients[1].wire.lose()
    assert Room.looked_at == 0
    f.clients[0].wire.lose()
    # Once where it is a key of the namespace's rooms; a few more do no harm.
    assert 100 <= Room.looked_at <= 500


def test_rooms_of_a_client_whose_disconnect_handler_runs() -> None:
    f = Fixture(1)
    (sid,) = f.sids
    gate = f.server.loop.create_future()

    @f.sio.event
    async def disconnect(sid: str) -> None:
        await gate
        f.rooms.enter(sid, "late")

    f.rooms.enter(sid, "x")
    f.clients[0].wire.lose()
    assert f.rooms.of(sid) == [sid, "x"]
    gate.set_result(None)
    f.server.loop.turn()
    assert f.rooms.rooms == {}
    assert f.rooms.of(sid) == []


def test_a_closed_room_and_then_a_lost_client() -> None:
    f = Fixture(1)
    f.rooms.enter(f.sids[0], "x")
    f.rooms.close("x")
    f.clients[0].wire.lose()
    assert f.rooms.rooms == {}


# --- fan-out --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "skip", "expected"),
    [
        (None, None, [1, 1, 1, 1]),
        (None, 0, [0, 1, 1, 1]),
        (None, [0, 2], [0, 1, 0, 1]),
        (None, "unknown", [1, 1, 1, 1]),
        (None, [], [1, 1, 1, 1]),
        (0, None, [1, 0, 0, 0]),
        (0, 0, [0, 0, 0, 0]),
        (0, 1, [1, 0, 0, 0]),
        ("x", None, [1, 1, 0, 0]),
        ("x", 1, [1, 0, 0, 0]),
        ("x", [0, 1], [0, 0, 0, 0]),
        ("unknown", None, [0, 0, 0, 0]),
        (["x", "y"], None, [1, 1, 1, 0]),
        (("x", "y"), None, [1, 1, 1, 0]),
        ({"x", "y"}, None, [1, 1, 1, 0]),
        (["x", "x"], None, [1, 1, 0, 0]),
        (["x", "y", 3], None, [1, 1, 1, 1]),
        (["x", "y", 3], [1], [1, 0, 1, 1]),
        ([0, "x"], None, [1, 1, 0, 0]),
        ([0, 3], None, [1, 0, 0, 1]),
        (["unknown"], None, [0, 0, 0, 0]),
        ([], None, [0, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("acknowledged", [False, True])
def test_who_gets_a_message(
    to: Any, skip: Any, expected: list[int], acknowledged: bool
) -> None:
    """Clients 0 and 1 are in room x, 1 and 2 in y. Each gets it once, or not at all."""
    f = Fixture(4)
    for number, room in ((0, "x"), (1, "x"), (1, "y"), (2, "y")):
        f.rooms.enter(f.sids[number], room)

    def name(value: Any) -> Any:
        if isinstance(value, int):
            return f.sids[value]
        if isinstance(value, (list, tuple, set)):
            return type(value)(name(item) for item in value)
        return value

    f.rooms.emit(["e"], name(to), name(skip), print if acknowledged else None)
    assert f.got() == expected


def test_everybody_gets_the_same_bytes() -> None:
    f = Fixture(3)
    f.rooms.emit(["e", {"a": [1, None]}, b"x"])
    expected = ['451-["e",{"a":[1,null]},{"_placeholder":true,"num":0}]', b"x"]
    assert [client.messages() for client in f.clients] == [expected] * 3


def test_websocket_and_polling_recipients() -> None:
    f = Fixture(1)
    http, sid = f.server.polling()
    target = f.server.target("polling", sid)
    http.post(target, "40")
    http.get(target)
    f.rooms.emit(["e", b"x"])
    assert f.clients[0].messages()[1:] == [b"x"]
    assert http.get(target) == (
        200,
        b'451-["e",{"_placeholder":true,"num":0}]\x1ebeA==',
    )


def test_data_is_serialised_once() -> None:
    f = Fixture(5)
    count = 0

    class Counted(dict[str, int]):
        def items(self) -> Any:
            nonlocal count
            count += 1
            return super().items()

    # 2^64 takes the way through the standard library, which asks for items().
    for options in ({}, {"skip": f.sids[0]}, {"callback": print}):
        count = 0
        f.rooms.emit(["e", 2**64, Counted(a=1)], **options)  # type: ignore[arg-type]
        assert count == 1


def test_each_recipient_acknowledges_for_himself() -> None:
    f = Fixture(3)
    answers: list[tuple[Any, ...]] = []
    # So that their numbers differ.
    f.rooms.emit(["first"], f.sids[0], None, print)
    assert f.got() == [1, 0, 0]
    f.rooms.emit(["e", b"x"], None, f.sids[2], lambda *args: answers.append(args))
    packets = [client.messages()[0] for client in f.clients[:2]]
    placeholder = '{"_placeholder":true,"num":0}'
    assert packets == [f'451-1["e",{placeholder}]', f'451-0["e",{placeholder}]']
    f.clients[1].text('430["second"]')
    f.clients[0].text('431["first"]')
    assert answers == [("second",), ("first",)]


def test_data_that_is_not_json_reaches_nobody() -> None:
    f = Fixture(2)
    with pytest.raises(TypeError):
        f.rooms.emit(["e", object()])
    assert f.got() == [0, 0]


@pytest.mark.parametrize("to", ["unknown", None, ["unknown"]])
def test_data_that_is_not_json_is_an_error_though_nobody_is_there(to: Any) -> None:
    f = Fixture(0)
    with pytest.raises(TypeError):
        f.rooms.emit(["e", object()], to)


def test_a_slow_recipient_does_not_disturb_a_fan_out() -> None:
    f = Fixture(3, max_buffer_bytes=1000)
    f.clients[1].wire.holds = 10**6
    f.clients[1].wire.protocol.pause_writing()
    for _ in range(3):
        f.rooms.emit(["e", "x" * 450])
        f.server.loop.turn()
    assert len(f.clients[0].messages()) == len(f.clients[2].messages()) == 3
    assert f.rooms.members(None) == [f.sids[0], f.sids[2]]


def test_volatile_messages_are_dropped_where_they_would_wait() -> None:
    """M8: for a client that does not read; others get them."""
    f = Fixture(3)
    slow = f.clients[1].wire
    slow.holds = 10**6
    f.rooms.emit(["before"])
    f.server.loop.turn()
    for client in f.clients:
        client.messages()
    f.rooms.emit(["tick"], volatile=True)
    f.server.loop.turn()
    assert f.got() == [1, 0, 1]
    assert f.server.engine.counters["dropped_volatile"] == 1


@pytest.mark.parametrize("event", ["connect", "disconnect", "newListener"])
def test_reserved_names_are_not_sent(event: str) -> None:
    """K10: by no way."""
    f = Fixture(1)
    with pytest.raises(ValueError, match="reserved event name"):
        f.rooms.emit([event])
    f.rooms.emit([event.upper()])
    f.rooms.emit([""])
    assert f.got() == [2]


# --- through the server ---------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        ((), '42["e"]'),
        ((None,), '42["e"]'),
        ((1,), '42["e",1]'),
        (([1, 2],), '42["e",[1,2]]'),
        (((1, 2),), '42["e",1,2]'),
        (((),), '42["e"]'),
        (((None,),), '42["e",null]'),
        (("",), '42["e",""]'),
        (({},), '42["e",{}]'),
    ],
)
def test_arguments_of_emit(data: tuple[Any, ...], packet: str) -> None:
    f = Fixture(1)
    run(f.sio.emit("e", *data))
    assert f.clients[0].messages() == [packet]


def test_send_is_the_event_message() -> None:
    f = Fixture(1)
    run(f.sio.send("x", to=f.sids[0]))
    assert f.clients[0].messages() == ['42["message","x"]']


def test_to_and_room_are_the_same() -> None:
    f = Fixture(3)
    run(f.sio.emit("e", to=f.sids[0], room=f.sids[1]))
    run(f.sio.emit("e", room=f.sids[1]))
    assert f.got() == [1, 1, 0]


def test_rooms_of_the_server() -> None:
    f = Fixture(2)
    a, b = f.sids
    run(f.sio.enter_room(a, "x"))
    run(f.sio.enter_room(b, "x"))
    assert f.sio.rooms(a) == [a, "x"]
    run(f.sio.leave_room(a, "x"))
    run(f.sio.emit("e", room="x"))
    assert f.got() == [0, 1]
    run(f.sio.close_room("x"))
    run(f.sio.emit("e", room="x"))
    assert f.got() == [0, 0]


def test_a_namespace_that_nobody_is_in() -> None:
    sio = socketio_fast.AsyncServer()
    run(sio.emit("e", namespace="/nowhere"))
    assert sio.rooms("x") == []
    with pytest.raises(ValueError):
        run(sio.enter_room("x", "y"))
