"""Client managers that override how clients are registered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.waiting import within

from compat.harness import Host, Record, Run

ALL = (
    *("pre_connect", "connect", "pre_disconnect", "disconnect", "basic_disconnect"),
    *("basic_enter_room", "basic_leave_room"),
)


def watching(base: Any, names: tuple[str, ...]) -> Any:
    """A manager that notes the calls of these methods, and has super() do them."""
    calls: list[tuple[Any, ...]] = []

    def override(name: str) -> Any:
        if name in ("pre_connect", "connect", "disconnect"):

            async def method(self: Any, *args: Any, **options: Any) -> Any:
                calls.append((name, *args, options))
                result = await getattr(super(cls, self), name)(*args, **options)
                if name == "disconnect":
                    self.over.put_nowait(None)
                return result

        else:

            def method(self: Any, *args: Any, **options: Any) -> Any:
                calls.append((name, *args, options))
                return getattr(super(cls, self), name)(*args, **options)

        return method

    cls = type("Watching", (base,), {name: override(name) for name in names})
    manager: Any = cls()
    manager.calls = calls
    manager.over = asyncio.Queue()
    return manager


def app(sio: Any, record: Record) -> None:
    calls = sio.manager.calls

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> bool:
        calls.append(("handler of connect", sio.manager.is_connected(sid, "/")))
        how = (auth or {}).get("how")
        if how == "suspend":
            await asyncio.sleep(0)
        return how != "refuse"

    @sio.event
    async def join(sid: str, room: str) -> None:
        await sio.enter_room(sid, room)

    @sio.event
    async def leave(sid: str, room: str) -> None:
        await sio.leave_room(sid, room)

    @sio.event
    async def close(sid: str, room: str) -> None:
        await sio.close_room(room)

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        calls.append(("handler of disconnect", sio.manager.is_connected(sid, "/")))
        record("disconnect")


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("how", ["", "suspend"])
async def test_overrides_are_called_as_clients_come_and_go(
    run: Run, host: Host, always: bool, how: str
) -> None:
    manager = watching(host.socketio.AsyncManager, ALL)
    server = await run(app, client_manager=manager, always_connect=always)
    client = await server.client(auth={"how": how})
    sid = client.sid()
    await client.call("join", "a")
    await client.call("leave", "a")
    await client.call("join", "b")
    await client.call("close", "b")
    await client.call("join", "c")
    eio_sid = manager.eio_sid_from_sid(sid, "/")
    await client.disconnect()
    await within(manager.over.get(), "the end")
    connect = [("connect", sid, "/", {})]
    handler = [("handler of connect", always)]
    assert manager.calls == [
        ("pre_connect", eio_sid, "/", {}),
        ("basic_enter_room", sid, "/", None, {"eio_sid": eio_sid}),
        ("basic_enter_room", sid, "/", sid, {"eio_sid": eio_sid}),
        *(connect + handler if always else handler + connect),
        ("basic_enter_room", sid, "/", "a", {"eio_sid": None}),
        ("basic_leave_room", sid, "/", "a", {}),
        ("basic_enter_room", sid, "/", "b", {"eio_sid": None}),
        ("basic_leave_room", sid, "/", "b", {}),
        ("basic_enter_room", sid, "/", "c", {"eio_sid": None}),
        ("pre_disconnect", sid, {"namespace": "/"}),
        ("handler of disconnect", False),
        ("disconnect", sid, "/", {"ignore_queue": True}),
        ("basic_disconnect", sid, "/", {"ignore_queue": True}),
        ("basic_leave_room", sid, "/", None, {}),
        ("basic_leave_room", sid, "/", sid, {}),
        ("basic_leave_room", sid, "/", "c", {}),
    ]
    assert dict(manager.rooms) == {}


@pytest.mark.parametrize("name", ALL)
async def test_each_override_alone_is_called(run: Run, host: Host, name: str) -> None:
    manager = watching(host.socketio.AsyncManager, (name,))
    server = await run(app, client_manager=manager)
    client = await server.client()
    await client.call("join", "a")
    await server.sio.emit("news", room="a")
    await client.receives("news")
    await server.sio.emit("own", to=client.sid())
    await client.receives("own")
    await server.sio.disconnect(client.sid())
    assert dict(manager.rooms) == {}
    assert name in [call[0] for call in manager.calls]


async def test_a_client_that_is_refused_is_unregistered(run: Run, host: Host) -> None:
    manager = watching(host.socketio.AsyncManager, ("disconnect", "basic_leave_room"))
    server = await run(app, client_manager=manager)
    await server.refused(auth={"how": "refuse"})
    await within(manager.over.get(), "the end")
    handler, disconnect, *left = manager.calls
    sid = disconnect[1]
    assert handler == ("handler of connect", False)
    assert disconnect == ("disconnect", sid, "/", {"ignore_queue": True})
    assert left == [
        ("basic_leave_room", sid, "/", None, {}),
        ("basic_leave_room", sid, "/", sid, {}),
    ]
    assert dict(manager.rooms) == {}


async def test_a_manager_may_refuse_a_client(run: Run, host: Host) -> None:
    class Full(host.socketio.AsyncManager):  # type: ignore[misc]
        async def pre_connect(self, eio_sid: str, namespace: str) -> Any:
            return None

    server = await run(client_manager=Full())
    error = await server.refused()
    assert error == host.outcome("refused-by-manager")
    assert dict(server.sio.manager.rooms) == {}


async def test_a_manager_may_choose_sids(run: Run, host: Host) -> None:
    class Named(host.socketio.AsyncManager):  # type: ignore[misc]
        async def pre_connect(self, eio_sid: str, namespace: str) -> Any:
            sid = f"client-of-{namespace}"
            self.basic_enter_room(sid, namespace, None, eio_sid=eio_sid)
            self.basic_enter_room(sid, namespace, sid, eio_sid=eio_sid)
            self.pending_connect.setdefault(namespace, []).append(sid)
            return sid

    server = await run(client_manager=Named(), namespaces=["/", "/n"])
    client = await server.client(namespaces=["/n"])
    assert client.sid("/n") == "client-of-/n"
    await server.sio.emit("news", to="client-of-/n", namespace="/n")
    await client.receives("news", namespace="/n")


async def test_connect_may_wait_before_and_after_super(run: Run, host: Host) -> None:
    steps: list[Any] = []
    done = asyncio.Event()

    class Slow(host.socketio.AsyncManager):  # type: ignore[misc]
        async def connect(self, sid: str, namespace: str) -> Any:
            await asyncio.sleep(0.01)
            steps.append(self.is_connected(sid, namespace))
            sid = await super().connect(sid, namespace)
            steps.append(self.is_connected(sid, namespace))
            await self.emit("first", None, namespace, room=sid)
            await asyncio.sleep(0.01)
            done.set()
            return sid

    server = await run(app=None, client_manager=Slow())
    client = await server.client()
    await client.receives("first")
    await within(done.wait(), "the end of connect()")
    assert steps == [False, True]


async def test_disconnect_may_wait_and_knows_the_rooms(run: Run, host: Host) -> None:
    seen: list[Any] = []
    over = asyncio.Event()

    class Slow(host.socketio.AsyncManager):  # type: ignore[misc]
        async def disconnect(self, sid: str, namespace: str, **options: Any) -> None:
            await asyncio.sleep(0.01)
            seen.append(set(self.get_rooms(sid, namespace)) - {sid})
            seen.append("a" in self.rooms[namespace])
            await super().disconnect(sid, namespace, **options)
            seen.append("a" in self.rooms.get(namespace, {}))
            over.set()

    server = await run(client_manager=Slow())
    client = await server.client()
    await server.sio.enter_room(client.sid(), "a")
    await client.disconnect()
    await within(over.wait(), "the end")
    assert seen == [{"a"}, True, False]


async def test_rooms_are_without_a_client_that_has_left_them(
    run: Run, host: Host
) -> None:
    """What Open WebUI's manager looks at."""
    empty: asyncio.Queue[Any] = asyncio.Queue()

    class Channels(host.socketio.AsyncManager):  # type: ignore[misc]
        def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
            super().basic_leave_room(sid, namespace, room)
            if room is not None and room not in self.rooms.get(namespace, {}):
                empty.put_nowait(room)

    server = await run(client_manager=Channels())
    one, other = await server.client(), await server.client()
    for client in (one, other):
        await server.sio.enter_room(client.sid(), "shared")
    await server.sio.enter_room(one.sid(), "own")
    sids = one.sid(), other.sid()
    await one.disconnect()
    assert {
        await within(empty.get(), "an empty room"),
        await within(empty.get(), "an empty room"),
    } == {sids[0], "own"}
    await server.sio.disconnect(sids[1])
    assert {
        await within(empty.get(), "an empty room"),
        await within(empty.get(), "an empty room"),
    } == {sids[1], "shared"}


async def test_sio_disconnect_runs_the_overrides(run: Run, host: Host) -> None:
    manager = watching(host.socketio.AsyncManager, ("pre_disconnect", "disconnect"))
    server = await run(app, client_manager=manager)
    client = await server.client()
    sid = client.sid()
    await server.sio.disconnect(sid)
    assert [call[0] for call in manager.calls] == [
        *("handler of connect", "pre_disconnect"),
        *("handler of disconnect", "disconnect"),
    ]
    assert dict(manager.rooms) == {}
