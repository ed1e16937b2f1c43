"""NatsAdapter, on a real NATS server."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import nats as nats_py
import pytest
from support.brokers import NATS
from support.waiting import until, within
from support.webtransport import certificate

from adapters.in_memory import known
from socketio_fast import AsyncServer, testing
from socketio_fast.adapters import NatsAdapter
from socketio_fast.adapters.nats import token_of

# No heartbeats while messages are counted.
PATIENT: dict[str, Any] = {"heartbeat_interval": 60, "heartbeat_timeout": 120}

Servers = Callable[..., Awaitable[list[AsyncServer]]]


@pytest.fixture
async def servers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    """A factory: ``one, other = await servers(url, 2)``, which know of each other."""
    monkeypatch.setattr("socketio_fast.adapters.cluster.DISCOVERY_TIME", 0)
    running: list[AsyncServer] = []

    async def start(url: Any, count: int = 1, **options: Any) -> list[AsyncServer]:
        made = [
            AsyncServer(client_manager=NatsAdapter(url, **options))
            for _ in range(count)
        ]
        for sio in made:
            running.append(sio)
            sio.of("/")
            sio.bind(asyncio.get_running_loop())
        for sio in made:
            await within(known(sio, count))
        return made

    yield start
    for sio in running:
        await sio.unbind()


def adapter_of(sio: AsyncServer) -> NatsAdapter:
    assert isinstance(sio.manager, NatsAdapter)
    return sio.manager


def received(sio: AsyncServer) -> int:
    """The number of messages that a server has got."""
    count: int = adapter_of(sio)._nats._client.stats["in_msgs"]
    return count


async def test_a_room_reaches_servers_that_have_a_client_in_it(
    nats: NATS, servers: Servers
) -> None:
    one, two, three = await servers(nats.url, 3, **PATIENT)
    async with testing.client(two) as client, testing.client(three) as other:
        await two.enter_room(client.sid, "room")
        await two.enter_room(client.sid, 1)
        # What came before is not counted.
        await one.emit("begin")
        await client.expect("begin")
        await other.expect("begin")
        came = received(three)
        for room in ("room", "empty", 1, 1.0):
            await one.emit("to a room", to=room)
        await one.to("room").except_(client.sid).emit("excepted")
        await one.to("room").disconnect_sockets()  # goes to all
        await until(lambda: not client.connected)
        assert [event.name for event in client.received] == ["to a room"] * 3
        await one.emit("end")
        await other.expect("end")
        assert received(three) == came + 2


async def test_a_room_that_is_left_is_not_listened_to(
    nats: NATS, servers: Servers
) -> None:
    one, two = await servers(nats.url, 2, **PATIENT)
    async with testing.client(two) as client:
        subjects = adapter_of(two)._nats.subscriptions
        before = set(subjects)
        await two.enter_room(client.sid, "a")
        assert set(subjects) - before == {"socket.io./.room.a"}
        await two.enter_room(client.sid, "b")
        await two.leave_room(client.sid, "a")
        await until(lambda: set(subjects) - before == {"socket.io./.room.b"})
        await one.emit("e", 1, to="a")
        await one.emit("e", 2, to="b")
        assert await client.expect("e") == 2
    await until(lambda: set(subjects) == before)


async def test_events_to_different_rooms_keep_their_order(
    nats: NATS, servers: Servers
) -> None:
    one, two = await servers(nats.url, 2)
    async with testing.client(two) as client:
        for room in ("a", "b"):
            await two.enter_room(client.sid, room)
        rooms: list[Any] = ["a", "b", None, client.sid, ["a", "b"]]
        await asyncio.gather(
            *(one.emit("e", i, to=rooms[i % 5]) for i in range(500)),
        )
        assert [await client.expect("e") for _ in range(500)] == list(range(500))


async def test_what_is_too_large(
    nats: NATS, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await servers(nats.url, 2)
    async with testing.client(two, auth=None) as client:
        with pytest.raises(
            ValueError, match="too large for NATS, whose max_payload is"
        ):
            await one.emit("e", b"x" * 1_100_000)
        await one.emit("e", 1)
        assert await client.expect("e") == 1
        # A client whose data are too large is told of without them.
        await two.save_session(client.sid, {"data": "x" * 1_100_000})
        (found,) = await one.fetch_sockets()
        assert (found.id, found.data) == (client.sid, {})
    assert "cannot be sent to another server" in caplog.text


@pytest.mark.parametrize("given", [False, True])
async def test_a_server_that_goes_and_comes(
    mortal_nats: NATS,
    servers: Servers,
    given: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socketio_fast.adapters.nats.PING_INTERVAL", 0.2)
    clients = []
    if given:
        for _ in range(2):
            clients.append(
                await nats_py.connect(
                    mortal_nats.url,
                    reconnect_time_wait=0.1,
                    max_reconnect_attempts=-1,
                    error_cb=_ignore,
                )
            )
        one, other = [(await servers(client))[0] for client in clients]
        await within(known(one, 2))
        await within(known(other, 2))
    else:
        one, other = await servers(mortal_nats.url, 2)
    adapters = [adapter_of(one), adapter_of(other)]
    changes: list[bool] = []
    adapters[0].on_health_change(changes.append)
    async with testing.client(one) as here, testing.client(other) as there:
        await other.enter_room(there.sid, "room")
        for times, number in enumerate((signal.SIGKILL, signal.SIGTERM), 1):
            mortal_nats.stop(number)
            await until(lambda: not any(adapter.healthy for adapter in adapters))
            await one.emit("e", 1)
            assert await here.expect("e") == 1
            await other.enter_room(there.sid, "late")
            await until(lambda times=times: adapters[0].lost_messages >= times)
            mortal_nats.start()
            await until(lambda: all(adapter.healthy for adapter in adapters))
            for room in ("room", "late", None):
                await one.emit("e", room, to=room)
                assert await there.expect("e") == room
            assert await here.expect("e") is None
            assert await one.server_count() == 2
    assert changes == [False, True] * 2
    assert "can receive from nats again" in caplog.text
    for client in clients:
        assert client.is_connected
    for client in clients:
        await client.close()


async def _ignore(error: Exception) -> None:
    pass


async def test_a_server_that_stands_still(
    mortal_nats: NATS, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socketio_fast.adapters.nats_connection.PATIENCE", 0.5)
    monkeypatch.setattr("socketio_fast.adapters.nats.PING_INTERVAL", 0.2)
    one, other = await servers(mortal_nats.url, 2)
    async with testing.client(one) as here, testing.client(other) as there:
        mortal_nats.pause()
        adapters = [adapter_of(one), adapter_of(other)]
        await until(lambda: not any(adapter.healthy for adapter in adapters))
        for i in range(2000):
            await one.emit("e", i)
        for i in range(2000):
            assert await here.expect("e") == i
        assert len(adapters[0]._outbox) <= 1000
        mortal_nats.resume()
        await until(lambda: all(adapter.healthy for adapter in adapters))
        await one.emit("last")
        await there.expect("last")


async def test_a_client_of_the_program_is_left_as_it_was(
    nats: NATS, servers: Servers
) -> None:
    client = await nats_py.connect(nats.url)
    (one,) = await servers(client)
    (other,) = await servers(nats.url)
    await within(known(one, 2))
    async with testing.client(one) as here:
        await other.emit("e", 1)
        assert await here.expect("e") == 1
    await one.unbind()
    assert client.is_connected
    assert not client._subs
    await client.close()


async def test_a_password(tmp_path: Path, servers: Servers) -> None:
    class Guarded(NATS):
        def command(self) -> list[str]:
            return [*super().command(), "--user", "u", "--pass", "p"]

    if NATS.PROGRAM is None:
        pytest.skip("nats-server is not installed")
    broker = Guarded(tmp_path)
    broker.start()
    try:
        (one,) = await servers(broker.url, nats_options={"user": "u", "password": "p"})
        (other,) = await servers([broker.url.replace("//", "//u:p@")])
        await within(known(one, 2))
        await within(known(other, 2))
        stranger = AsyncServer(client_manager=NatsAdapter(broker.url))
        stranger.bind(asyncio.get_running_loop())
        adapter_of(stranger).request_timeout = 0.2
        with pytest.raises(TimeoutError, match="nats is away"):
            await stranger.server_count()
        assert not adapter_of(stranger).healthy
        await stranger.unbind()
    finally:
        broker.stop()


async def test_tls(tmp_path: Path, servers: Servers) -> None:
    path, _ = certificate(tmp_path)

    class Encrypted(NATS):
        def command(self) -> list[str]:
            return [*super().command(), "--tls", "--tlscert", path, "--tlskey", path]

    if NATS.PROGRAM is None:
        pytest.skip("nats-server is not installed")
    broker = Encrypted(tmp_path)
    broker.start()
    try:
        tls = ssl.create_default_context(cafile=path)
        await servers(
            broker.url.replace("nats:", "tls:").replace("127.0.0.1", "localhost"),
            2,
            nats_options={"tls": tls},
        )
    finally:
        broker.stop()


async def test_a_permission_that_is_missing(
    tmp_path: Path, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    if NATS.PROGRAM is None:
        pytest.skip("nats-server is not installed")
    config = (
        'authorization: {users: [{user: "u", password: "p", permissions: '
        '{publish: {deny: "socket.io./.room.>"}}}]}'
    )
    broker = NATS(tmp_path, config)
    broker.start()
    try:
        (one,) = await servers(broker.url, nats_options={"user": "u", "password": "p"})
        await one.emit("e", to="room")
        await until(lambda: "permissions violation for publish" in caplog.text.lower())
    finally:
        broker.stop()


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="Unsupported NATS URL scheme 'redis'"):
        NatsAdapter("redis://x")
    with pytest.raises(TypeError, match="a URL, a list of URLs or a client"):
        NatsAdapter(5)
    with pytest.raises(TypeError, match="a URL is a str, not 5"):
        NatsAdapter(["nats://x", 5])
    with pytest.raises(ValueError, match=r"subject_prefix='a\.\*': names with dots"):
        NatsAdapter(subject_prefix="a.*")
    with pytest.raises(ValueError, match=r"nats_options\['closed_cb'\]"):
        NatsAdapter(nats_options={"closed_cb": None})
    with pytest.raises(ValueError, match="subscription_mode='all': one of"):
        NatsAdapter(subscription_mode="all")
    with pytest.raises(ValueError, match="nats_options are for a URL"):
        NatsAdapter(nats_py.NATS(), nats_options={"user": "u"})


def test_names_in_subjects() -> None:
    names = ["", "a", "a.b", "a*", ">", "a b", "\n", "%", "é", "\ud800", 1, 1.5, -1]
    names += ["1", "$1", "x" * 300, "x" * 301, "é" * 100]
    tokens = [token_of(name) for name in names]
    assert len(set(tokens)) == len(names)
    for token in tokens:
        assert token
        assert token.isascii()
        assert not set(token) & set(". *>\r\n\t")
        assert len(token) <= 200
    assert token_of("/chat") == "/chat"
    assert token_of(True) == token_of(1.0) == token_of(1)
