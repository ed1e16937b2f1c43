"""Managers that override how clients are registered: failures, and what is refused."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from support.sansio import Server, WebSocket, errors

import socketio_fast
from socketio_fast.base_manager import BaseManager

REFUSED = '44{"message":"Connection rejected by server"}'


class Waiting(socketio_fast.AsyncManager):
    """Each asynchronous override waits for a future, if there is one for it."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: dict[str, asyncio.Future[Any]] = {}
        self.calls: list[tuple[Any, ...]] = []

    async def _wait(self, name: str) -> None:
        if name in self.gates:
            await self.gates[name]

    async def pre_connect(self, eio_sid: str, namespace: str) -> Any:
        await self._wait("pre_connect")
        return await super().pre_connect(eio_sid, namespace)

    async def connect(self, sid: str, namespace: str) -> Any:
        await self._wait("connect")
        return await super().connect(sid, namespace)

    async def disconnect(self, sid: str, namespace: str, **options: Any) -> None:
        await self._wait("disconnect")
        await super().disconnect(sid, namespace, **options)

    def basic_enter_room(
        self, sid: str, namespace: str, room: Any, eio_sid: str | None = None
    ) -> None:
        self.calls.append(("enter", sid, room))
        super().basic_enter_room(sid, namespace, room, eio_sid)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        self.calls.append(("leave", sid, room))
        super().basic_leave_room(sid, namespace, room)


class Fixture:
    def __init__(self, manager: Any = None, **options: Any) -> None:
        self.manager = Waiting() if manager is None else manager
        self.sio = socketio_fast.AsyncServer(self.manager, **options)
        self.server = Server(self.sio)
        self.events: list[Any] = []

        @self.sio.event
        def connect(sid: str, environ: Any) -> None:
            self.events.append("connect")

        @self.sio.event
        def disconnect(sid: str) -> None:
            self.events.append("disconnect")

    def client(self, packet: str = "40") -> WebSocket:
        client = self.server.websocket()
        client.text(packet)
        return client

    def gate(self, name: str) -> asyncio.Future[Any]:
        gate = self.server.loop.create_future()
        self.manager.gates[name] = gate
        return gate

    def opens(self, gate: asyncio.Future[Any]) -> None:
        gate.set_result(None)
        self.server.loop.turn()

    def nobody_is_there(self) -> None:
        namespace = self.sio._hub.namespaces["/"]
        assert dict(self.manager.rooms) == {}
        assert namespace.peers == namespace.rooms.rooms == {}
        assert namespace.leaving is None


def sid_in(packets: list[Any]) -> str:
    (packet,) = packets
    assert packet.startswith("40{"), packet
    return str(json.loads(packet[2:])["sid"])


def test_no_registry_without_overrides() -> None:
    class Mine(socketio_fast.AsyncManager):
        async def emit(self, *args: Any, **options: Any) -> None:
            await super().emit(*args, **options)

    assert socketio_fast.AsyncServer(Mine())._hub.registry is None
    assert socketio_fast.AsyncServer()._hub.registry is None


def test_an_override_may_be_set_on_the_manager_itself() -> None:
    manager = socketio_fast.AsyncManager()
    entered: list[Any] = []
    enter = manager.basic_enter_room

    def watch(sid: str, namespace: str, room: Any, eio_sid: Any = None) -> None:
        entered.append(room)
        enter(sid, namespace, room, eio_sid)

    manager.basic_enter_room = watch  # type: ignore[method-assign]
    f = Fixture(manager)
    sid = sid_in(f.client().messages())
    assert entered == [None, sid]


@pytest.mark.parametrize("method", ["pre_connect", "connect"])
def test_a_client_whose_registration_fails_is_refused(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(self: Any, *args: Any) -> None:
        raise LookupError("mine")

    f = Fixture(type("Mine", (socketio_fast.AsyncManager,), {method: fails})())
    client = f.client()
    assert client.messages() == [REFUSED]
    assert errors(caplog)[0].startswith(f"the client manager's {method}() failed")
    assert f.events == ([] if method == "pre_connect" else ["connect", "disconnect"])
    f.nobody_is_there()
    client.text("40")  # it is not taken for a second CONNECT
    assert client.messages() == [REFUSED]


@pytest.mark.parametrize("method", ["pre_connect", "connect"])
def test_an_override_without_super_refuses_and_says_so(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def alone(self: Any, *args: Any) -> str:
        return "sid"

    f = Fixture(type("Mine", (socketio_fast.AsyncManager,), {method: alone})())
    assert f.client().messages() == [REFUSED]
    (error,) = [r.exc_info[1] for r in caplog.records if r.exc_info]
    assert ("has been registered" if method == "pre_connect" else "base class") in str(
        error
    )
    f.nobody_is_there()


def test_a_connect_that_fails_behind_super_keeps_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Mine(socketio_fast.AsyncManager):
        async def connect(self, sid: str, namespace: str) -> Any:
            await super().connect(sid, namespace)
            raise LookupError("mine")

    f = Fixture(Mine())
    client = f.client()
    sid = sid_in(client.messages())
    assert "connect() failed" in errors(caplog)[0]
    f.sio._hub.namespaces["/"].rooms.emit(["m"], sid)
    assert client.messages() == ['42["m"]']


@pytest.mark.parametrize("method", ["disconnect", "pre_disconnect", "basic_leave_room"])
def test_a_client_has_gone_although_its_end_fails(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(self: Any, *args: Any, **options: Any) -> None:
        raise LookupError("mine")

    f = Fixture(type("Mine", (socketio_fast.AsyncManager,), {method: fails})())
    client = f.client()
    sid_in(client.messages())
    client.text("41")
    assert f.events == ["connect", "disconnect"]
    assert len(errors(caplog)) == 1
    f.nobody_is_there()


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("name", ["pre_connect", "connect"])
def test_a_client_that_goes_while_it_is_registered(
    name: str, always: bool, caplog: pytest.LogCaptureFixture
) -> None:
    f = Fixture(always_connect=always)
    gate = f.gate(name)
    client = f.client()
    assert client.messages() == []
    client.leave()
    f.opens(gate)
    f.nobody_is_there()
    assert f.events in ([], ["connect", "disconnect"])
    assert errors(caplog) == []


@pytest.mark.parametrize("always", [True, False])
def test_a_client_that_is_disconnected_while_it_is_registered_is_refused(
    always: bool,
) -> None:
    f = Fixture(always_connect=always)
    gate = f.gate("connect")
    client = f.client()
    (sid,) = f.sio.manager.pending_connect["/"]
    with f.server.loop.running(), suppress(StopIteration):
        f.sio.disconnect(sid).send(None)
    f.opens(gate)
    assert client.messages() == [REFUSED]
    f.nobody_is_there()
    assert f.events == ([] if always else ["connect", "disconnect"])


def test_a_client_that_is_refused_when_it_is_announced_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    f = Fixture(always_connect=True)
    f.sio.on("connect", lambda sid, environ: False)
    connected, disconnected = f.client().messages()
    sid_in([connected])
    assert disconnected == "41"
    f.nobody_is_there()
    assert errors(caplog) == []


def test_a_second_connect_while_one_is_registered_is_answered_once() -> None:
    f = Fixture()
    gate = f.gate("pre_connect")
    client = f.client()
    client.text("40")
    f.opens(gate)
    sid_in(client.messages())
    assert f.events == ["connect"]


def test_a_client_comes_back_while_it_is_unregistered() -> None:
    f = Fixture()
    client = f.client()
    first = sid_in(client.messages())
    gate = f.gate("disconnect")
    client.text("41")
    client.text("40")
    second = sid_in(client.messages())
    f.opens(gate)
    assert list(f.manager.rooms["/"][None]) == [second]
    assert ("leave", first, None) in f.manager.calls


def test_disconnect_waits_for_the_override() -> None:
    f = Fixture()
    sid = sid_in(f.client().messages())
    gate = f.gate("disconnect")
    with f.server.loop.running():
        task = asyncio.ensure_future(f.sio.disconnect(sid), loop=f.server.loop)  # type: ignore[call-overload]
    f.server.loop.turn()
    assert not task.done()
    f.opens(gate)
    assert task.done()


def test_a_namespace_of_clients_stays_while_one_is_registered() -> None:
    f = Fixture(namespaces="*")
    one = f.client("40/n,")
    assert one.messages() != []
    gate = f.gate("pre_connect")
    other = f.client("40/n,")
    one.text("41/n,")
    f.opens(gate)
    (packet,) = other.messages()
    assert str(packet).startswith("40/n,{")
    other.leave()
    assert "/n" not in f.sio._hub.namespaces


def test_a_client_that_is_recovered_is_registered_with_its_rooms() -> None:
    f = Fixture(connection_state_recovery=True)
    client = f.client()
    (packet,) = client.messages()
    answer = json.loads(str(packet)[2:])
    f.sio._hub.namespaces["/"].rooms.enter(answer["sid"], "room")
    client.wire.lose()
    f.server.loop.turn()
    f.manager.calls.clear()
    client = f.client("40" + json.dumps({"pid": answer["pid"]}))
    assert sid_in(client.messages()) == answer["sid"]
    entered = [room for kind, _, room in f.manager.calls if kind == "enter"]
    assert entered == [None, answer["sid"], "room"]


def test_clients_of_revision_3_are_registered_by_their_session() -> None:
    f = Fixture(allow_eio3=True)
    http = f.server.http()
    _, body = http.get(f"{f.server.path}?EIO=3&transport=polling")
    eio_sid = json.loads(body[body.index(b"{") : body.index(b"}") + 1])["sid"]
    assert f.manager.calls == [("enter", eio_sid, None), ("enter", eio_sid, eio_sid)]


def test_a_client_of_another_process_is_disconnected_once() -> None:
    ended: list[str] = []

    class Mine(socketio_fast.AsyncManager):
        def basic_disconnect(self, sid: str, namespace: str, **options: Any) -> None:
            ended.append(sid)
            super().basic_disconnect(sid, namespace, **options)

    f = Fixture(Mine())
    sid = sid_in(f.client().messages())
    with f.server.loop.running(), pytest.raises(StopIteration):
        f.manager.disconnect(sid, "/").send(None)
    assert ended == [sid]


# --- refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "name"),
    [
        (socketio_fast.AsyncManager, "get_participants"),
        (socketio_fast.AsyncManager, "is_connected"),
        (socketio_fast.AsyncManager, "_generate_ack_id"),
        (socketio_fast.AsyncRedisManager, "_handle_emit"),
        (socketio_fast.AsyncRedisManager, "_redis_connect"),
        (socketio_fast.Manager, "connect"),
        (socketio_fast.Manager, "basic_enter_room"),
        (socketio_fast.Manager, "basic_leave_room"),
        (socketio_fast.Manager, "can_disconnect"),
        (socketio_fast.Manager, "initialize"),
        (socketio_fast.PubSubManager, "_handle_emit"),
        (socketio_fast.PubSubManager, "_thread"),
        (socketio_fast.RedisManager, "_publish"),
        (socketio_fast.RedisManager, "_redis_listen_with_retries"),
        (BaseManager, "sid_from_eio_sid"),
    ],
)
def test_what_is_never_called_cannot_be_overridden(base: Any, name: str) -> None:
    with pytest.raises(
        TypeError, match=rf"^Mine overrides {name}\(\), which is never called: \w+"
    ):
        type("Mine", (base,), {name: lambda self, *args: None})
    mixin = type("Mixin", (), {name: lambda self, *args: None})
    with pytest.raises(TypeError, match=rf"^Mine overrides {name}\(\)"):
        type("Mine", (mixin, base), {})


def test_helpers_of_redis_may_be_overridden_with_who_calls_them() -> None:
    class Mine(socketio_fast.AsyncRedisManager):
        def _redis_connect(self) -> None:
            super()._redis_connect()

        async def _publish(self, data: Any) -> None:
            self._redis_connect()

        async def _listen(self) -> Any:
            yield "{}"

    manager = Mine()
    manager._redis_connect()
    assert manager.connected
    assert manager.redis is not None
    assert manager.pubsub is not None
    module, error = manager._get_redis_module_and_error()
    assert module is manager._get_redis_module()
    assert error.__name__ == "RedisError"


@pytest.mark.parametrize("name", ["emit", "enter_room", "leave_room", "close_room"])
def test_a_manager_for_threads_that_overrides_is_not_for_asyncio(name: str) -> None:
    mine = type("Mine", (socketio_fast.Manager,), {name: lambda self, *args: None})
    with pytest.raises(TypeError, match=rf"Mine, which overrides {name}\(\)"):
        socketio_fast.AsyncServer(mine())
    socketio_fast.Server(mine())
