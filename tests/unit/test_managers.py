"""The manager of one process: look-ups, and what the server asks of a subclass."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
import socketio as python_socketio
from support.sansio import Server, WebSocket, run

from socketio_fast import AsyncServer
from socketio_fast.managers.async_manager import AsyncManager
from socketio_fast.managers.base import BaseManager


class Fixture:
    def __init__(self, count: int = 0, manager: AsyncManager | None = None) -> None:
        self.sio = AsyncServer(manager)
        self.manager = self.sio.manager
        self.server = Server(self.sio)
        self.clients: list[WebSocket] = []
        self.sids: list[str] = []
        for _ in range(count):
            client, sid = self.server.joined()
            self.clients.append(client)
            self.sids.append(sid)

    def run(self, coro: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine that does not suspend returns."""
        with self.server.loop.running():
            return run(coro)

    def enter(self, sid: str, room: Any) -> None:
        self.run(self.sio.enter_room(sid, room))

    def eio(self, sid: str) -> str:
        eio_sid = self.manager.eio_sid_from_sid(sid, "/")
        assert eio_sid is not None
        return eio_sid


# --- look-ups -------------------------------------------------------------------


def test_without_clients_there_are_no_namespaces() -> None:
    f = Fixture()
    f.sio.on("m", print)
    assert dict(f.manager.rooms) == {}
    assert len(f.manager.rooms) == 0
    assert list(f.manager.get_namespaces()) == []
    assert list(f.manager.get_participants("/", None)) == []
    assert f.manager.get_rooms("nobody", "/") == []
    with pytest.raises(KeyError):
        f.manager.rooms["/"]


def test_rooms_are_mappings_from_sid_to_engine_id() -> None:
    f = Fixture(2)
    a, b = f.sids
    f.enter(a, "x")
    f.enter(b, "x")
    f.enter(b, 5)
    assert set(f.sio.eio.sockets) == {f.eio(a), f.eio(b)}
    everybody = {a: f.eio(a), b: f.eio(b)}
    assert list(f.manager.get_namespaces()) == ["/"]
    rooms = f.manager.rooms["/"]
    assert {room: dict(members) for room, members in rooms.items()} == {
        None: everybody,
        a: {a: f.eio(a)},
        b: {b: f.eio(b)},
        "x": everybody,
        5: {b: f.eio(b)},
    }
    assert len(rooms) == 5
    assert [len(rooms[room]) for room in (None, a, "x", 5)] == [2, 1, 2, 1]
    assert a in rooms["x"]
    assert a not in rooms[5]
    assert rooms[a].get(b) is None
    assert rooms.get("none", {}) == {}
    assert repr(f.manager.rooms) == repr({"/": rooms})
    assert repr(rooms[5]) == repr({b: f.eio(b)})


def test_an_empty_room_is_not_there() -> None:
    f = Fixture(1)
    f.enter(f.sids[0], "x")
    view = f.manager.rooms["/"]
    f.run(f.sio.leave_room(f.sids[0], "x"))
    assert "x" not in view
    f.clients[0].text("41")
    assert "/" not in f.manager.rooms


def test_participants_of_one_room_and_of_several() -> None:
    f = Fixture(3)
    a, b, c = f.sids
    f.enter(a, "x")
    f.enter(b, "x")
    f.enter(b, "y")

    def sids(room: Any) -> list[str]:
        found = list(f.manager.get_participants("/", room))
        assert [(sid, f.eio(sid)) for sid, _ in found] == found
        return [sid for sid, _ in found]

    assert sids(None) == [a, b, c]
    assert sids("x") == [a, b]
    assert sids(["y", "x"]) == [b, a]
    assert sids(c) == [c]
    assert sids("none") == []


def test_ids_in_both_directions() -> None:
    f = Fixture(1)
    (sid,) = f.sids
    eio_sid = f.eio(sid)
    assert f.manager.sid_from_eio_sid(eio_sid, "/") == sid
    assert f.manager.sid_from_eio_sid(eio_sid, "/other") is None
    assert f.manager.sid_from_eio_sid("none", "/") is None
    assert f.manager.eio_sid_from_sid("none", "/") is None
    assert f.manager.eio_sid_from_sid(sid, "/other") is None
    assert f.manager.is_sid_room("/", sid)
    assert not f.manager.is_sid_room("/", "x")


def test_a_client_is_connected_between_its_handlers() -> None:
    f = Fixture()
    seen: list[Any] = []

    def look(sid: str) -> None:
        manager = f.manager
        state = (manager.is_connected(sid, "/"), manager.is_pre_connected(sid, "/"))
        seen.append((state, manager.pending_connect, manager.pending_disconnect))
        assert manager.get_rooms(sid, "/") == [sid]

    f.sio.on("connect", lambda sid, environ: look(sid))
    f.sio.on("m", look)
    f.sio.on("disconnect", lambda sid, reason: look(sid))
    client, sid = f.server.joined()
    client.text('42["m"]')
    client.text("41")
    assert seen == [
        ((False, True), {"/": [sid]}, {}),
        ((True, False), {}, {}),
        ((False, False), {}, {"/": [sid]}),
    ]
    assert not f.manager.is_connected(sid, "/")


def test_a_manager_without_a_server_knows_nobody() -> None:
    manager = AsyncManager()
    assert dict(manager.rooms) == {}
    assert not manager.is_connected("a", "/")
    assert manager.sid_from_eio_sid("a", "/") is None
    assert manager.pending_connect == {}
    manager.basic_leave_room("a", "/", "x")
    manager.basic_close_room("x", "/")
    with pytest.raises(ValueError, match="not connected to requested namespace"):
        manager.basic_enter_room("a", "/", "x")


# --- changes --------------------------------------------------------------------


def test_what_the_manager_is_asked_to_do_itself() -> None:
    f = Fixture(2)
    a, b = f.sids
    f.run(f.manager.enter_room(a, "/", "x"))
    f.run(f.manager.enter_room(b, "/", "x", eio_sid=f.eio(b)))
    f.run(f.manager.emit("m", ("y", b"z"), "/", room="x", skip_sid=a))
    f.run(f.manager.emit("n", None, "/", to=a))
    f.run(f.manager.emit("n", None, "/nobody"))
    f.run(f.manager.leave_room(a, "/", "x"))
    assert f.manager.get_rooms(a, "/") == [a]
    f.run(f.manager.close_room("x", "/"))
    assert f.manager.get_rooms(b, "/") == [b]
    assert f.clients[0].messages() == ['42["n"]']
    head, attachment = f.clients[1].messages()
    assert head == '451-["m","y",{"_placeholder":true,"num":0}]'
    assert attachment == b"z"
    f.run(f.manager.disconnect(a, "/"))
    assert f.clients[0].messages() == ["41"]
    assert f.manager.get_namespaces() == ["/"]


def test_another_clients_own_room_is_not_for_entering_or_closing() -> None:
    f = Fixture(2)
    a, b = f.sids
    for call in (f.sio.enter_room(a, b), f.manager.enter_room(a, "/", b)):
        with pytest.raises(ValueError, match="cannot enter a sid room"):
            call.send(None)
    with pytest.raises(ValueError, match="cannot close a sid room"):
        f.sio.close_room(a).send(None)


def test_what_can_be_disconnected() -> None:
    f = Fixture(1)
    assert f.run(f.manager.can_disconnect(f.sids[0], "/"))
    assert not f.run(f.manager.can_disconnect("nobody", "/"))


def test_an_unknown_acknowledgement_is_ignored() -> None:
    f = Fixture()
    assert f.run(f.manager.trigger_callback("a", 1, [])) is None


def test_only_the_server_connects_clients() -> None:
    f = Fixture()
    for manager in (f.manager, BaseManager()):
        for method in ("connect", "pre_connect", "pre_disconnect"):
            with pytest.raises(RuntimeError, match="clients are"):
                f.run(getattr(manager, method)("a", "/"))


# --- subclasses -----------------------------------------------------------------


class Watching(AsyncManager):
    """Notes how the server calls it, and does what it did."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def initialize(self) -> None:
        self.calls.append(("initialize", (), {}))

    async def emit(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("emit", args, kwargs))
        await super().emit(*args, **kwargs)

    async def enter_room(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("enter_room", args, kwargs))
        await super().enter_room(*args, **kwargs)

    async def leave_room(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("leave_room", args, kwargs))
        await super().leave_room(*args, **kwargs)

    async def close_room(self, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("close_room", args, kwargs))
        await super().close_room(*args, **kwargs)

    async def can_disconnect(self, *args: Any, **kwargs: Any) -> bool:
        self.calls.append(("can_disconnect", args, kwargs))
        return await super().can_disconnect(*args, **kwargs)


def test_a_subclass_is_called_as_python_socketio_calls_it() -> None:
    manager = Watching()
    f = Fixture(1, manager)
    (sid,) = f.sids
    assert f.sio.manager is manager
    assert f.sio.manager_initialized
    f.run(f.sio.emit("m", {"a": 1}, to=sid))
    f.run(f.sio.emit("m", room="r", skip_sid=sid, namespace="/n", ignore_queue=True))
    f.run(f.sio.send("text"))
    f.enter(sid, "x")
    f.run(f.sio.leave_room(sid, "x", namespace="/"))
    f.run(f.sio.close_room("x"))
    f.run(f.sio.disconnect(sid, ignore_queue=True))
    f.run(f.sio.disconnect(sid))

    def options(**given: Any) -> dict[str, Any]:
        return {
            "room": None,
            "skip_sid": None,
            "callback": None,
            "ignore_queue": False,
            **given,
        }

    assert manager.calls == [
        ("initialize", (), {}),
        ("emit", ("m", {"a": 1}, "/"), options(room=sid)),
        (
            "emit",
            ("m", None, "/n"),
            options(room="r", skip_sid=sid, ignore_queue=True),
        ),
        ("emit", ("message", "text", "/"), options()),
        ("enter_room", (sid, "/", "x"), {}),
        ("leave_room", (sid, "/", "x"), {}),
        ("close_room", ("x", "/"), {}),
        ("can_disconnect", (sid, "/"), {}),
    ]
    assert f.clients[0].messages() == ['42["m",{"a":1}]', '42["message","text"]', "41"]


def test_an_emit_that_is_overridden_may_change_everything() -> None:
    class Louder(AsyncManager):
        async def emit(self, event: str, data: Any, *args: Any, **kwargs: Any) -> None:
            await super().emit(event, data.upper(), *args, **kwargs)

    f = Fixture(1, Louder())
    f.run(f.sio.emit("m", "quiet"))
    assert f.clients[0].messages() == ['42["m","QUIET"]']


def test_the_default_manager_is_not_asked_for_emit() -> None:
    f = Fixture(1)
    emission = f.sio.emit("m")
    assert type(emission).__name__ == "EmitCall"
    f.run(emission)


@pytest.mark.parametrize(
    ("manager", "name"),
    [
        (python_socketio.AsyncManager(), "socketio.async_manager.AsyncManager"),
        (BaseManager(), "socketio_fast.managers.base.BaseManager"),
        ("redis://", "builtins.str"),
    ],
)
def test_a_manager_that_is_not_one_of_ours_is_refused(manager: Any, name: str) -> None:
    with pytest.raises(TypeError, match=f"client_manager is a {name}: one of"):
        AsyncServer(client_manager=manager)


def test_initialize_is_called_once_for_each_loop() -> None:
    manager = Watching()
    sio = AsyncServer(client_manager=manager)
    assert not sio.manager_initialized
    first = Server(sio)
    sio.bind(first.loop)  # type: ignore[arg-type]
    assert sio.manager_initialized
    assert manager.calls == [("initialize", (), {})]
    Server(sio)
    assert len(manager.calls) == 2
