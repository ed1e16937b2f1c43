"""Rooms."""

from __future__ import annotations

from typing import Any

import pytest

from compat.harness import Host, Record, Run


async def test_own_room(run: Run) -> None:
    """K14: own room."""
    server = await run()
    client = await server.client()
    assert list(server.sio.rooms(client.sid())) == [client.sid()]


async def test_enter_and_leave(run: Run) -> None:
    """K15: enter and leave."""
    server = await run()
    client = await server.client()
    sid = client.sid()
    await server.sio.enter_room(sid, "a")
    await server.sio.enter_room(sid, "b")
    assert set(server.sio.rooms(sid)) == {sid, "a", "b"}
    await server.sio.leave_room(sid, "a")
    assert set(server.sio.rooms(sid)) == {sid, "b"}


async def test_enter_twice(run: Run) -> None:
    server = await run()
    client = await server.client()
    sid = client.sid()
    await server.sio.enter_room(sid, "a")
    await server.sio.enter_room(sid, "a")
    assert set(server.sio.rooms(sid)) == {sid, "a"}
    await server.sio.emit("news", room="a")
    await server.sio.emit("end")
    await client.receives("news")
    await client.receives("end")


async def test_leave_a_room_it_is_not_in(run: Run) -> None:
    server = await run()
    client = await server.client()
    await server.sio.leave_room(client.sid(), "a")
    assert list(server.sio.rooms(client.sid())) == [client.sid()]


async def test_leave_when_nobody_is_there(run: Run) -> None:
    server = await run()
    await server.sio.leave_room("nobody", "a")


async def test_close(run: Run) -> None:
    server = await run()
    clients = [await server.client(), await server.client()]
    for client in clients:
        await server.sio.enter_room(client.sid(), "a")
        await server.sio.enter_room(client.sid(), "b")
    await server.sio.close_room("a")
    for client in clients:
        assert set(server.sio.rooms(client.sid())) == {client.sid(), "b"}


async def test_close_a_room_that_is_not_there(run: Run) -> None:
    server = await run()
    await server.sio.close_room("a")


@pytest.mark.parametrize("room", [1, 1.5, ("a", 1), frozenset({1})], ids=repr)
async def test_names_of_rooms(run: Run, room: Any) -> None:
    server = await run()
    client = await server.client()
    await server.sio.enter_room(client.sid(), room)
    assert set(server.sio.rooms(client.sid())) == {client.sid(), room}


@pytest.mark.parametrize("room", [1, 1.5])
async def test_emit_to_a_room_that_is_a_number(run: Run, room: Any) -> None:
    server = await run()
    client = await server.client()
    await server.sio.enter_room(client.sid(), room)
    await server.sio.emit("news", room=room)
    await client.receives("news")


async def test_enter_of_nobody(run: Run) -> None:
    server = await run()
    with pytest.raises(ValueError, match="not connected"):
        await server.sio.enter_room("nobody", "a")


async def test_enter_of_nobody_where_there_is_somebody(run: Run, host: Host) -> None:
    server = await run()
    await server.client()
    with pytest.raises((ValueError, KeyError)) as caught:
        await server.sio.enter_room("nobody", "a")
    assert caught.type is host.outcome("enter-room-unknown-sid")


async def test_enter_in_an_unknown_namespace(run: Run) -> None:
    server = await run()
    client = await server.client()
    with pytest.raises(ValueError, match="not connected"):
        await server.sio.enter_room(client.sid(), "a", namespace="/unknown")


async def test_enter_a_room_of_another(run: Run) -> None:
    server = await run()
    first, second = await server.client(), await server.client()
    with pytest.raises(ValueError, match="cannot enter a sid room"):
        await server.sio.enter_room(first.sid(), second.sid())


async def test_enter_its_own_room(run: Run) -> None:
    server = await run()
    client = await server.client()
    await server.sio.enter_room(client.sid(), client.sid())
    assert list(server.sio.rooms(client.sid())) == [client.sid()]


async def test_close_a_room_of_a_client(run: Run) -> None:
    server = await run()
    client = await server.client()
    with pytest.raises(ValueError, match="cannot close a sid room"):
        await server.sio.close_room(client.sid())


async def test_rooms_of_nobody(run: Run) -> None:
    server = await run()
    await server.client()
    assert list(server.sio.rooms("nobody")) == []


async def test_rooms_in_an_unknown_namespace(run: Run) -> None:
    server = await run()
    client = await server.client()
    assert list(server.sio.rooms(client.sid(), namespace="/unknown")) == []


async def test_rooms_are_left_at_the_end(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            record(set(sio.rooms(sid)))

    server = await run(app)
    client, other = await server.client(), await server.client()
    sid = client.sid()
    await server.sio.enter_room(sid, "a")
    await client.close()
    # They are still there for the handler.
    await server.recorded({sid, "a"})
    await server.sio.emit("news", room="a")
    await server.sio.emit("end")
    await other.receives("end")
    assert list(server.sio.rooms(sid)) == []


async def test_rooms_of_a_namespace(run: Run) -> None:
    server = await run(namespaces=["/a"])
    client = await server.client(namespaces=["/a"])
    sid = client.sid("/a")
    await server.sio.enter_room(sid, "room", namespace="/a")
    assert set(server.sio.rooms(sid, "/a")) == {sid, "room"}
    assert list(server.sio.rooms(sid)) == []
    await server.sio.close_room("room", namespace="/a")
    assert list(server.sio.rooms(sid, "/a")) == [sid]


async def test_manager_lists_participants(run: Run) -> None:
    server = await run()
    clients = [await server.client(), await server.client()]
    await server.sio.enter_room(clients[0].sid(), "a")
    members = dict(server.sio.manager.get_participants("/", "a"))
    assert members == {clients[0].sid(): clients[0].sio.eio.sid}
    everybody = dict(server.sio.manager.get_participants("/", None))
    assert set(everybody) == {client.sid() for client in clients}
    assert dict(server.sio.manager.get_participants("/", "b")) == {}


async def test_manager_has_tables_of_rooms(run: Run) -> None:
    """M19: manager has tables of rooms."""
    server = await run()
    client = await server.client()
    await server.sio.enter_room(client.sid(), "a")
    rooms = server.sio.manager.rooms["/"]
    assert set(rooms) == {None, client.sid(), "a"}
    assert list(rooms["a"]) == [client.sid()]
    assert rooms["a"][client.sid()] == client.sio.eio.sid
    assert len(rooms[None]) == 1
    assert client.sid() in rooms[None]


async def test_manager_knows_who_is_connected(run: Run) -> None:
    server = await run()
    client = await server.client()
    manager = server.sio.manager
    assert manager.is_connected(client.sid(), "/")
    assert not manager.is_connected("nobody", "/")
    assert not manager.is_connected(client.sid(), "/unknown")
    assert list(manager.get_namespaces()) == ["/"]


async def test_manager_knows_both_ids(run: Run) -> None:
    server = await run()
    client = await server.client()
    manager, sid, eio_sid = server.sio.manager, client.sid(), client.sio.eio.sid
    assert manager.eio_sid_from_sid(sid, "/") == eio_sid
    assert manager.sid_from_eio_sid(eio_sid, "/") == sid
    assert manager.eio_sid_from_sid("nobody", "/") is None
    assert manager.sid_from_eio_sid("nobody", "/") is None


async def test_manager_gives_rooms(run: Run) -> None:
    server = await run()
    client = await server.client()
    await server.sio.enter_room(client.sid(), "a")
    assert set(server.sio.manager.get_rooms(client.sid(), "/")) == {client.sid(), "a"}
    assert server.sio.manager.is_sid_room("/", client.sid())
    assert not server.sio.manager.is_sid_room("/", "a")
