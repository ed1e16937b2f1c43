"""Workers of one machine, without a broker: rooms of all of them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import socketio as python_socketio
from support.raw import WebSocket
from support.waiting import until, within

import socketio_fast
from managers.app import Client
from managers.conftest import Connect
from socketio_fast import AsyncServer, exceptions
from socketio_fast.admin import reporter
from socketio_fast.cluster.manager import WorkersManager

Start = Callable[..., Awaitable["Workers"]]


class Workers:
    """Servers in one directory, and a client of each."""

    def __init__(self, servers: list[AsyncServer], clients: list[Client]) -> None:
        self.servers = servers
        self.clients = clients

    @property
    def sids(self) -> list[str]:
        return [client.sid for client in self.clients]


@pytest.fixture
def start(node: Any, connect: Connect, cluster: str) -> Start:
    """A factory: ``workers = await start(4)``, which know each other."""

    async def start(count: int, **options: Any) -> Workers:
        nodes = [await node(cluster=cluster, **options) for _ in range(count)]
        clients = [await connect(url) for _, url in nodes]
        servers = [sio for sio, _ in nodes]
        for sio in servers:
            await until(lambda sio=sio: len(known(sio)) == count - 1)
        return Workers(servers, clients)

    return start


def remotes(sio: AsyncServer) -> list[Any]:
    """What a server knows of each other worker."""
    return list(sio.manager._relay.remotes.values())  # type: ignore[attr-defined]


def known(sio: AsyncServer) -> list[Any]:
    """The other workers that have said what they have."""
    return [r for r in remotes(sio) if not r.wants("/nobody has this", None)]


def wanted(sio: AsyncServer, room: Any) -> bool:
    """Whether a server knows that others have members of a room."""
    return any(r.wants("/", [room]) for r in remotes(sio))


async def test_events_of_each_reach_the_clients_of_all(start: Start) -> None:
    workers = await start(4)
    for number, sio in enumerate(workers.servers):
        for event in (
            {"number": number},
            b"\x00\xff",
            [1, {"b": b"2"}],
            "é\u2028",
            None,
        ):
            await sio.emit("e", event)
            expected = ("e",) if event is None else ("e", event)
            for client in workers.clients:
                assert await client.next() == expected
        await sio.emit("several", (1, b"2", "three"))
        await sio.of("/").emit("nsp")
        await sio.send("text")
        await sio.volatile.emit("volatile")
        await sio.compress(False).emit("plain", "x" * 5000)
        for client in workers.clients:
            assert await client.next() == ("several", 1, b"2", "three")
            assert await client.next() == ("nsp",)
            assert await client.next() == ("message", "text")
            assert await client.next() == ("volatile",)
            assert await client.next() == ("plain", "x" * 5000)


async def test_order_of_what_one_sends(start: Start) -> None:
    """By whatever way: events, JSON messages between them, rooms and all."""
    workers = await start(2)
    sio, there = workers.servers[0], workers.clients[1]
    await sio.enter_room(there.sid, "r")
    await until(lambda: "r" in workers.servers[1].rooms(there.sid))
    for number in range(0, 300, 3):
        await sio.emit("e", number, to="r")
        await sio.emit("e", number + 1, callback=print, to=there.sid)
        await sio.emit("e", number + 2, skip_sid=workers.clients[0].sid)
    assert [(await there.next())[1] for _ in range(300)] == list(range(300))


async def test_who_is_left_out(start: Start) -> None:
    workers = await start(3)
    sio, (a, b, c) = workers.servers[0], workers.sids
    await sio.enter_room(b, "muted")
    await until(lambda: "muted" in workers.servers[1].rooms(b))
    await sio.emit("1", skip_sid=a)
    await sio.emit("2", skip_sid=[a, b])
    await sio.emit("3", skip_sid=c)
    await sio.emit("4", skip_sid="muted")  # that is no sid
    await sio.except_("muted").emit("5")
    await sio.to(a, b, c).except_("muted", c).emit("6")
    await sio.local.emit("7")
    await sio.emit("8", ignore_queue=True)
    await sio.emit("end")
    got = []
    for client in workers.clients:
        names = []
        while (name := (await client.next())[0]) != "end":
            names.append(name)
        got.append("".join(names))
    assert got == ["345678", "134", "1245"]


async def test_rooms_of_several_workers(start: Start) -> None:
    workers = await start(4)
    for sio, sid in zip(workers.servers[1:], workers.sids[1:], strict=True):
        await sio.enter_room(sid, "r")
        await sio.enter_room(sid, 7)
    await sio.enter_room(workers.sids[1], 0.5)
    for sio in workers.servers:
        others = [r for r in remotes(sio) if not r.tag.endswith(workers.sids[0][-4:])]
        await until(lambda others=others: all(r.wants("/", [7]) for r in others))
        await until(lambda sio=sio: sio is workers.servers[1] or wanted(sio, 0.5))
    for sio in workers.servers:
        await sio.emit("one room", to="r")
        await sio.emit("number", to=7)
        await sio.emit("several", to=["r", "other", workers.sids[1], 0.5])
        await sio.emit("tuple", to=("r", 7))
        await sio.emit("nobody", to="empty")
        await sio.to("r", 7).emit("operator")
        await sio.emit("end")
    names = ("one room", "number", "several", "tuple", "operator", "end")
    for client in workers.clients[1:]:
        # Of each worker in order, and those of several as they come.
        got = [(await client.next())[0] for _ in range(4 * len(names))]
        assert sorted(got) == sorted(4 * names)
    for _ in workers.servers:
        assert await workers.clients[0].next() == ("end",)


async def test_a_worker_without_members_is_sent_nothing(start: Start) -> None:
    """Rooms are told when they begin and end, also by disconnects."""
    workers = await start(2)
    sio, there = workers.servers
    (remote,) = remotes(sio)
    assert remote.wants("/", None)
    assert not remote.wants("/chat", None)
    assert not remote.wants("/", ["r"])
    assert remote.wants("/", ["r", workers.sids[1]])
    for room in ("r", 5, "s"):
        await there.enter_room(workers.sids[1], room)
        await until(lambda room=room: remote.wants("/", [room]))
    await there.leave_room(workers.sids[1], "r")
    await until(lambda: not remote.wants("/", ["r"]))
    await there.close_room("s")
    await until(lambda: not remote.wants("/", ["s"]))
    there.of("/chat")
    await until(lambda: remote.wants("/chat", None))
    await there.disconnect(workers.sids[1])
    await until(lambda: not remote.wants("/", [5]))


async def test_namespaces_that_only_others_have(start: Start, connect: Connect) -> None:
    workers = await start(2, cleanup_empty_child_namespaces=True)
    sio, other = workers.servers
    other.of("/team/{name}")
    client = python_socketio.AsyncClient()
    got: asyncio.Queue[Any] = asyncio.Queue()
    client.on("e", got.put_nowait, namespace="/team/a")
    await client.connect(
        workers.clients[1].sio.connection_url, namespaces=["/team/a"], wait_timeout=10
    )
    (remote,) = remotes(sio)
    await until(lambda: remote.wants("/team/a", None))
    await sio.emit("e", 1, namespace="/team/a")
    await sio.of("/team/a").emit("e", 2)
    assert [await within(got.get()), await within(got.get())] == [1, 2]
    with pytest.raises(TypeError):
        await sio.emit("e", object(), namespace="/nobody")
    with pytest.raises(ValueError, match="slash"):
        await sio.emit("e", 1, namespace="nobody")
    await client.disconnect()
    await until(lambda: not remote.wants("/team/a", None))


async def test_acknowledgements(start: Start) -> None:
    workers = await start(3)
    sio, (_, there, _) = workers.servers[0], workers.clients
    assert await sio.call("double", 4, to=there.sid, timeout=20) == 8
    assert await sio.call("bytes", to=there.sid, timeout=20) == (
        b"\x00\x01",
        {"a": b"b"},
    )
    answers: asyncio.Queue[Any] = asyncio.Queue()
    await sio.emit("double", 5, to=there.sid, callback=answers.put_nowait)
    assert await within(answers.get()) == 10
    await sio.enter_room(there.sid, "r")
    await sio.emit("double", 6, to="r", callback=answers.put_nowait)
    assert await within(answers.get()) == 12
    assert await sio.timeout(20).emit_with_ack("double", 7) == [14] * 3
    assert await sio.to("r").timeout(20).emit_with_ack("double", 7) == [14]
    assert not sio.manager.callbacks


async def test_calls_fail_at_once(start: Start) -> None:
    """Where nobody can answer: the client, its worker, or both are not there."""
    workers = await start(3)
    sio, _, third = workers.servers
    there = workers.clients[1]
    for sid in ("nobody", "nobody" + there.sid[-4:], "nobody" + workers.sids[0][-4:]):
        with pytest.raises(exceptions.CallDisconnectedError):
            await within(sio.call("double", 1, to=sid, timeout=600))
    call = asyncio.ensure_future(sio.call("silent", to=there.sid, timeout=600))
    await until(lambda: bool(sio.manager.callbacks))
    await within(there.sio.disconnect())
    with pytest.raises(exceptions.CallDisconnectedError):
        await within(call)
    last = workers.clients[2].sid
    call = asyncio.ensure_future(sio.call("silent", to=last, timeout=600))
    asked = asyncio.ensure_future(sio.timeout(600).emit_with_ack("silent"))
    callback: list[Any] = []
    await sio.emit("silent", to=last, callback=callback.append)
    await until(lambda: len(sio.manager.callbacks) == 2)
    await third.unbind()
    with pytest.raises(exceptions.CallDisconnectedError):
        await within(call)
    await within(workers.clients[0].sio.disconnect())
    with pytest.raises(exceptions.BroadcastTimeoutError):
        await within(asked)
    assert not callback
    assert not sio.manager.callbacks
    assert await sio.server_count() == 2


async def test_requests_fail_at_once_when_a_worker_goes(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = await start(3)
    sio, other, _ = workers.servers
    monkeypatch.setattr(other.manager.cluster, "receive", lambda message: None)  # type: ignore[attr-defined]
    fetching = asyncio.ensure_future(sio.fetch_sockets())
    await asyncio.sleep(0)
    await other.unbind()
    with pytest.raises(exceptions.BroadcastTimeoutError) as caught:
        await within(fetching, 3)
    assert len(caught.value.responses) == 1
    assert len(await within(sio.fetch_sockets())) == 2


async def test_rooms_are_changed_from_anywhere(start: Start) -> None:
    workers = await start(3)
    sio, other, _ = workers.servers
    a, b, c = workers.sids
    await sio.enter_room(b, "x")
    await sio.sockets_join("y", 2)
    await until(lambda: set(other.rooms(b)) == {b, "x", "y", 2})
    await sio.leave_room(b, "x")
    await sio.in_(b).sockets_leave("y")
    await until(lambda: set(other.rooms(b)) == {b, 2})
    await sio.close_room(2)
    await until(lambda: other.rooms(b) == [b])
    assert sio.rooms(a) == [a, "y"]
    with pytest.raises(ValueError, match="not connected"):
        await sio.enter_room("nobody", "x")
    await sio.disconnect(b)
    await within(workers.clients[1].ended.wait())
    await other.in_(c).disconnect_sockets(close=True)
    await within(workers.clients[2].ended.wait())
    assert not workers.clients[0].ended.is_set()


async def test_rooms_that_cannot_be_named_are_refused(start: Start) -> None:
    workers = await start(2)
    sio, here = workers.servers[0], workers.sids[0]
    room = uuid.uuid4()
    for call in (
        sio.enter_room(here, room),
        sio.enter_room(here, ("chat", 5)),
        sio.enter_room(workers.sids[1], room),
        sio.sockets_join(room),
        sio.close_room(room),
        sio.emit("e", to=[room, workers.sids[1]]),
    ):
        with pytest.raises(
            TypeError, match=r"no room for several workers.*Use str\(\)"
        ):
            await call
    assert sio.rooms(here) == [here]


async def test_all_kinds_of_clients_get_the_same(start: Start) -> None:
    """Polling, WebSocket, revision 3: of bytes that another worker has encoded."""
    workers = await start(2, allow_eio3=True)
    sio = workers.servers[0]
    url = workers.clients[1].sio.connection_url
    polling = python_socketio.AsyncClient()
    got: asyncio.Queue[Any] = asyncio.Queue()
    polling.on("e", lambda *args: got.put_nowait(args))
    await polling.connect(url, transports=["polling"], wait_timeout=10)
    target = "/socket.io/?EIO=3&transport=websocket"
    server = SimpleNamespace(host="127.0.0.1", port=int(url.rsplit(":", 1)[1]))
    ws = await WebSocket.upgrade(server, target)
    await ws.open_packet()
    assert await ws.message() == "40"
    await sio.emit("e", ("x", b"\x01"))
    assert await within(got.get()) == ("x", b"\x01")
    assert await workers.clients[1].next() == ("e", "x", b"\x01")
    assert await ws.message() == '451-["e","x",{"_placeholder":true,"num":0}]'
    assert await ws.message() == b"\x04\x01"
    await polling.disconnect()
    await ws.close()


async def test_workers_that_encode_in_another_way(
    node: Any, connect: Connect, cluster: str
) -> None:
    """One has MessagePack, as while a program is changed worker after worker."""
    pytest.importorskip("msgpack")
    sio, url = await node(cluster=cluster)
    packed, packed_url = await node(cluster=cluster, serializer="msgpack")
    other, other_url = await node(cluster=cluster, serializer="msgpack")
    mine = await connect(url)
    theirs = []
    for address in (packed_url, other_url):
        client = Client(serializer="msgpack")
        theirs.append(await client.connect(address))
    for server in (sio, packed, other):
        await until(lambda server=server: len(known(server)) == 2)
    for server in (sio, packed):
        await server.emit("e", ({"a": b"1"}, 2))
        await server.except_(mine.sid).emit("e", b"3")
        await server.to(mine.sid).emit("e", 4)
        assert await mine.next() == ("e", {"a": b"1"}, 2)
        assert await mine.next() == ("e", 4)
        for client in theirs:
            assert await client.next() == ("e", {"a": b"1"}, 2)
            assert await client.next() == ("e", b"3")
    for client in theirs:
        await client.close()


async def test_who_listens_to_what_is_sent_gets_arguments(start: Start) -> None:
    """Events of other workers are decoded for them, attachments too."""
    workers = await start(2)
    sio, other = workers.servers
    told: list[Any] = []
    socket = other.of("/").sockets[workers.sids[1]]
    socket.on_any_outgoing(lambda *args: told.append(args))
    await sio.emit("e", ({"a": b"1"}, 2))
    await sio.emit("e", 3, to=workers.sids[1])
    assert await workers.clients[1].next() == ("e", {"a": b"1"}, 2)
    assert await workers.clients[1].next() == ("e", 3)
    assert told == [("e", {"a": b"1"}, 2), ("e", 3)]


async def test_recovery_of_what_others_have_sent(start: Start) -> None:
    """Each worker numbers what its own clients are sent."""
    workers = await start(2, connection_state_recovery=True)
    sio, other = workers.servers
    ws, state = await raw_client(workers.clients[1].sio.connection_url, {})
    await other.enter_room(state["sid"], "r")
    await sio.emit("seen", 1, to=state["sid"])
    name, number, first = json.loads((await ws.message())[2:])
    assert (name, number) == ("seen", 1)
    await other.emit("own", 2, to="r")
    *_, offset = json.loads((await ws.message())[2:])
    token, position = first.split(".")
    assert offset == f"{token}.{int(position) + 1}"
    await ws.close()
    backlog: Any = other._hub.namespaces["/"].recovery
    await until(lambda: backlog.sessions == [state["sid"]])
    before = backlog.packets
    await sio.emit("missed", (b"y", 3), to="r")
    await sio.emit("missed", 4, skip_sid=state["sid"])
    await sio.except_("r").emit("missed", 5)
    await sio.emit("missed", 6, to="elsewhere")
    await sio.emit("missed", 7)
    await until(lambda: backlog.packets == before + 5)
    missed: list[Any] = []
    ws, again = await raw_client(
        workers.clients[1].sio.connection_url,
        {"pid": state["pid"], "offset": offset},
        missed,
    )
    assert again == state
    assert missed[0].startswith('451-["missed",{"_placeholder"')
    assert missed[1] == b"y"
    assert json.loads(missed[2][2:])[:2] == ["missed", 7]
    assert len(missed) == 3
    await ws.close()


async def raw_client(
    url: str, auth: Any, missed: list[Any] | None = None
) -> tuple[WebSocket, Any]:
    """A client on a bare socket, and what it was told when it connected; messages that
    it missed come first."""
    server = SimpleNamespace(host="127.0.0.1", port=int(url.rsplit(":", 1)[1]))
    ws = await WebSocket.upgrade(server, "/socket.io/?EIO=4&transport=websocket")
    await ws.open_packet()
    await ws.text("40" + json.dumps(auth))
    while not str(message := await ws.message()).startswith("40"):
        assert missed is not None
        missed.append(message)
    assert isinstance(message, str)
    return ws, json.loads(message[2:])


async def test_server_side_events(start: Start) -> None:
    workers = await start(3)
    heard: asyncio.Queue[Any] = asyncio.Queue()
    for number, sio in enumerate(workers.servers):
        sio.of("/").on("q", lambda *args, n=number: heard.put_nowait((n, *args)) or n)
    await workers.servers[0].server_side_emit("q", b"1", "2")
    assert {await within(heard.get()) for _ in range(2)} == {
        (1, b"1", "2"),
        (2, b"1", "2"),
    }
    answers = await within(workers.servers[1].server_side_emit_with_ack("q"))
    assert sorted(answers) == [0, 2]
    assert [await within(sio.server_count()) for sio in workers.servers] == [3, 3, 3]


async def test_one_that_is_alone_sends_as_without_a_cluster(
    node: Any, connect: Connect, cluster: str
) -> None:
    sio, url = await node(cluster=cluster)
    client = await connect(url)
    assert isinstance(sio.manager, WorkersManager)
    assert not sio.manager._distributed
    with pytest.raises(exceptions.CallDisconnectedError):
        await within(sio.call("double", 1, to="nobody", timeout=600))
    assert await sio.fetch_sockets()
    await sio.emit("e", 1)
    assert await client.next() == ("e", 1)
    second, _ = await node(cluster=cluster)
    await until(lambda: sio.manager._distributed)
    await second.unbind()
    await until(lambda: not sio.manager._distributed)
    await sio.emit("e", 2)
    assert await client.next() == ("e", 2)


async def test_a_worker_that_starts_again_is_another(
    start: Start, node: Any, connect: Connect, cluster: str
) -> None:
    workers = await start(2)
    sio, other = workers.servers
    await other.unbind()
    assert not isinstance(other.manager, WorkersManager)
    await until(lambda: not sio.manager._distributed)
    other.bind(asyncio.get_running_loop())
    await until(lambda: len(known(sio)) == 1)
    await sio.emit("again")
    assert await workers.clients[1].next() == ("again",)


async def test_servers_for_threads(node: Any, connect: Connect, cluster: str) -> None:
    """Their calls come from threads, and go to clients of other workers."""
    sio, url = await node(cluster=cluster)
    threaded = socketio_fast.Server(cluster=cluster)
    serving = socketio_fast.serve(threaded._server, host="127.0.0.1", port=0)
    server = await asyncio.to_thread(threaded._threads.run, serving)
    try:
        mine, theirs = await connect(url), await connect(server.url)
        await until(lambda: len(known(sio)) == 1)
        run = asyncio.to_thread
        assert await run(threaded.server_count) == 2
        await run(threaded.enter_room, mine.sid, "r")
        await run(threaded.emit, "e", b"1", to="r")
        await run(threaded.emit, "all", {"skip": 1}, skip_sid=theirs.sid)
        assert await mine.next() == ("e", b"1")
        assert await mine.next() == ("all", {"skip": 1})
        for number in range(100):
            await run(threaded.emit, "n", number)
        await sio.emit("back", to=theirs.sid)
        assert [(await mine.next())[1] for _ in range(100)] == list(range(100))
        while (await theirs.next())[0] != "back":
            pass
        assert await run(threaded.call, "double", 4, mine.sid) == 8
        assert await sio.call("double", 5, to=theirs.sid, timeout=20) == 10
        assert len(await run(threaded.fetch_sockets)) == 2
        await run(threaded.disconnect, mine.sid)
        await within(mine.ended.wait())
    finally:
        await asyncio.to_thread(threaded._threads.run, server.close())
        await asyncio.to_thread(threaded.shutdown)


async def test_a_manager_that_is_given_stays(
    node: Any, cluster: str, caplog: pytest.LogCaptureFixture
) -> None:
    manager = socketio_fast.AsyncManager()
    sio, _ = await node(manager, cluster=cluster)
    assert sio.manager is manager
    assert "the workers share no rooms" in caplog.text
    caplog.clear()


async def test_admin_counts_and_sees_all(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The UI is told by all workers, as with a broker."""
    monkeypatch.setattr(reporter, "ANNOUNCE_INTERVAL", 0)
    workers = await start(2)
    admins = [
        sio.instrument(auth=False, server_id=str(n), server_stats_interval=0.1)
        for n, sio in enumerate(workers.servers)
    ]
    ui = python_socketio.AsyncClient()
    seen: set[str] = set()
    stats: dict[str, int] = {}
    ui.on("socket_connected", lambda s, *_: seen.add(s["id"]), namespace="/admin")
    ui.on(
        "server_stats",
        lambda s: stats.update({s["serverId"]: s["clientsCount"]}),
        namespace="/admin",
    )
    url = workers.clients[0].sio.connection_url
    await ui.connect(url, namespaces=["/admin"], wait_timeout=10)
    await until(lambda: stats == {"0": 2, "1": 1})
    await until(lambda: workers.sids[1] in seen)
    await ui.disconnect()
    for admin in admins:
        admin.uninstrument()
