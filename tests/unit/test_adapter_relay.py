"""What an adapter is told of the events and rooms of its server."""

from __future__ import annotations

from typing import Any

import pytest
from support.sansio import Server, run

from socketio_fast import AsyncServer
from socketio_fast._core.socketio.adapter_relay import AdapterRelay


class Told:
    """An adapter that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.delivers = False

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, *args))

    def emitted(self, *args: Any) -> tuple[bool, None]:
        self.calls.append(args)
        return self.delivers, None


class Node:
    """A server with an adapter, and its relay."""

    def __init__(self, options: dict[str, Any] | None = None, **server: Any) -> None:
        self.sio = AsyncServer(**server)
        self.server = Server(self.sio)
        self.told = Told()
        self.rooms = self.sio._hub.namespace("/").rooms
        self.relay = AdapterRelay(self.sio._hub, self.told, **(options or {}))
        self.sio._hub.relay = self.relay
        self.sio._bind_manager(self.sio.manager)


def test_an_event_is_encoded_once() -> None:
    node = Node()
    client, sid = node.server.joined()
    run(node.sio.emit("e", ("é", 1), to=["r", sid], skip_sid="s"))
    run(node.sio.emit("e", b"\0"))
    node.relay.emit("/", ["f"], ["r"], ["x"], None, compress=False, volatile=True)
    assert node.told.calls == [
        ("/", ["e", "é", 1], '["e","é",1]'.encode(), ["r", sid], "s", False, True),
        ("/", ["e", b"\0"], None, None, None, False, True),
        ("/", ["f"], b'["f"]', ["r"], ["x"], True, False),
    ]
    assert client.messages() == [
        '42["e","é",1]',
        '451-["e",{"_placeholder":true,"num":0}]',
        b"\0",
    ]


def test_other_encodings_have_no_text() -> None:
    node = Node(serializer="msgpack")
    run(node.sio.emit("e", 1))
    assert node.told.calls == [("/", ["e", 1], None, None, None, False, True)]


def test_what_is_for_one_client_of_this_server() -> None:
    node, sharing = Node(), Node({"shares_own": True})
    for each, calls in (node, 0), (sharing, 1):
        client, sid = each.server.joined()
        run(each.sio.emit("e", to=sid))
        assert client.messages() == ['42["e"]']
        assert len(each.told.calls) == calls


def test_an_adapter_that_delivers_itself() -> None:
    node = Node()
    client, _ = node.server.joined()
    node.told.delivers = True
    run(node.sio.emit("e"))
    node.relay.emit("/", ["f"], None, None, None)
    assert client.messages() == []
    assert len(node.told.calls) == 2


def test_a_namespace_that_only_others_have() -> None:
    node = Node()
    run(node.sio.emit("e", namespace="/other"))
    node.relay.emit("/other", ["f"], None, None, None)
    assert [call[0] for call in node.told.calls] == ["/other", "/other"]
    assert list(node.sio._hub.namespaces) == ["/"]


def test_an_adapter_whose_emit_is_called() -> None:
    node = Node({"sends": False})
    client, _ = node.server.joined()
    run(node.sio.emit("e"))
    assert client.messages() == ['42["e"]']
    assert node.told.calls == []


def test_namespaces_and_rooms() -> None:
    node = Node({"rooms": True})
    _, sid = node.server.joined()
    node.sio._hub.namespace("/n")
    node.sio._hub.release("/n")
    for room in ("r", 5):
        node.rooms.enter(sid, room)
        node.rooms.leave(sid, room)
    assert node.told.calls == [
        ("namespace_began", "/n"),
        ("namespace_ended", "/n"),
        ("room_created", "/", "r"),
        ("room_deleted", "/", "r"),
        ("room_created", "/", 5),
        ("room_deleted", "/", 5),
    ]


def test_rooms_that_nobody_asks_for() -> None:
    node = Node()
    _, sid = node.server.joined()
    node.rooms.enter(sid, "r")
    assert node.told.calls == []


@pytest.mark.parametrize("room", [("a",), frozenset(), b"r", object()])
def test_what_cannot_be_a_room(room: Any) -> None:
    node = Node()
    _, sid = node.server.joined()
    with pytest.raises(TypeError, match="is no room for several servers"):
        node.rooms.enter(sid, room)
    with pytest.raises(TypeError, match="is no room for several servers"):
        node.relay.check(room)
    assert node.rooms.of(sid) == [sid]
