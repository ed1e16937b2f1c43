"""What programs reach into: environs, connections, the tables of rooms."""

from __future__ import annotations

import copy
import pickle
import time
from typing import Any

import pytest

from compat.harness import Host, Record, Run


def app(sio: Any, record: Record) -> None:
    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        pass

    @sio.on("connect", namespace="/n")
    async def connect_n(sid: str, environ: Any, auth: Any) -> None:
        record(environ)


async def test_environs_can_be_replaced(run: Run) -> None:
    server = await run(app)
    sio = server.sio
    client = await server.client()
    eio_sid = sio.manager.eio_sid_from_sid(client.sid(), "/")
    given = sio.environ[eio_sid]
    assert sio.environ.setdefault(eio_sid, {}) is given
    mine = {**given, "mine": 1}
    sio.environ[eio_sid] = mine
    assert sio.environ[eio_sid] is mine
    assert sio.get_environ(client.sid()) is mine
    sio.environ.update({eio_sid: {**mine, "mine": 2}})
    assert sio.environ[eio_sid]["mine"] == 2


async def test_connect_handlers_get_what_was_set(run: Run) -> None:
    server = await run(app)
    wire = await server.wire()
    (eio_sid,) = server.sio.environ
    mine = {**server.sio.environ[eio_sid], "mine": 1}
    server.sio.environ[eio_sid] = mine
    await wire.text("40/n,")
    assert (await server.next_record())[0] is mine


async def test_environs_can_be_deleted(run: Run) -> None:
    server = await run(app)
    sio = server.sio
    client, other = await server.client(), await server.client()
    eio_sid = sio.manager.eio_sid_from_sid(client.sid(), "/")
    del sio.environ[eio_sid]
    assert eio_sid not in sio.environ
    assert len(sio.environ) == 1
    assert eio_sid not in list(sio.environ)
    assert sio.get_environ(client.sid()) is None
    assert sio.get_environ(other.sid()) is not None
    with pytest.raises(KeyError):
        sio.environ[eio_sid]
    with pytest.raises(KeyError):
        del sio.environ[eio_sid]
    assert sio.environ.pop(eio_sid, None) is None
    sio.environ[eio_sid] = {"mine": 1}
    assert sio.get_environ(client.sid()) == {"mine": 1}
    await client.disconnect()


async def test_environs_of_other_ids(run: Run) -> None:
    server = await run(app)
    environ = server.sio.environ
    environ["somebody"] = {"mine": 1}
    assert environ["somebody"] == {"mine": 1}
    assert dict(environ) == environ.copy() == {"somebody": {"mine": 1}}
    assert copy.deepcopy(environ) == {"somebody": {"mine": 1}}
    del environ["somebody"]
    assert not environ
    with pytest.raises(KeyError):
        del environ["somebody"]


async def test_connections(run: Run, host: Host) -> None:
    server = await run(app, ping_interval=0.05)
    wire = await server.wire()
    ((eio_sid, socket),) = server.sio.eio.sockets.items()
    assert socket.sid == eio_sid
    assert socket.server is server.sio.eio
    assert socket.connected
    assert not socket.upgrading
    assert not socket.closing
    assert not socket.closed
    # The next thing is a ping, which is not answered.
    before = time.time()
    assert await wire.engine_message() == "2"
    assert before - 0.5 <= socket.last_ping <= time.time()
    await server.sio.save_session(wire.sid, {"user": 1})
    assert socket.session["/"] == {"user": 1}
    socket.session = {"/": {"user": 2}}
    assert await server.sio.get_session(wire.sid) == {"user": 2}
    await server.sio.eio.disconnect(eio_sid)
    assert socket.closing
    assert socket.closed


async def test_no_ping_is_outstanding_at_first(run: Run) -> None:
    server = await run(app)
    await server.wire()
    (socket,) = server.sio.eio.sockets.values()
    assert socket.last_ping is None
    assert socket.session == {}


def plain(rooms: Any) -> dict[str, dict[Any, dict[str, str]]]:
    return {
        namespace: {room: dict(members) for room, members in table.items()}
        for namespace, table in rooms.items()
    }


async def test_copies_of_the_tables_of_rooms(run: Run) -> None:
    server = await run(app)
    sio = server.sio
    client = await server.client()
    sid = client.sid()
    await sio.enter_room(sid, "a")
    rooms = sio.manager.rooms
    expected = plain(rooms)
    assert expected["/"].keys() == {None, sid, "a"}
    deep = copy.deepcopy(rooms)
    assert type(deep) is dict
    assert type(deep["/"]) is dict
    assert plain(deep) == expected
    shallow = copy.copy(rooms)
    assert plain(rooms.copy()) == plain(shallow) == expected
    assert plain({"/": rooms["/"].copy()}) == expected
    assert copy.copy(rooms["/"]["a"]) == rooms["/"]["a"].copy()
    assert plain(pickle.loads(pickle.dumps(rooms))) == expected
    assert dict(rooms["/"]["a"]) == copy.deepcopy(rooms["/"]["a"]) == expected["/"]["a"]
    await sio.leave_room(sid, "a")
    assert "a" in deep["/"]
    assert "a" not in rooms["/"]


async def test_copies_of_handlers_register_nothing(run: Run) -> None:
    server = await run(app)
    before = {name: dict(table) for name, table in server.sio.handlers.items()}
    deep = copy.deepcopy(server.sio.handlers)
    assert deep == before
    deep["/"]["x"] = print
    shallow = copy.copy(server.sio.handlers)
    shallow["/other"] = {"x": print}
    copy.copy(server.sio.handlers["/"])["y"] = print
    assert server.sio.handlers == before
