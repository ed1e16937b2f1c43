"""PostgresAdapter, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import msgpack
import pytest
from support.brokers import PgBouncer, Postgres
from support.waiting import until, within

from adapters.in_memory import known
from socketio_fast import AsyncServer, testing
from socketio_fast.adapters import PostgresAdapter

Servers = Callable[..., Awaitable[list[AsyncServer]]]


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    """A factory: ``one, other = await servers(url, 2)``, which know of each other."""
    running: list[AsyncServer] = []

    async def start(
        url: Any, count: int = 1, namespaces: tuple[str, ...] = ("/",), **options: Any
    ) -> list[AsyncServer]:
        made = [
            AsyncServer(client_manager=PostgresAdapter(url, **options))
            for _ in range(count)
        ]
        for sio in made:
            running.append(sio)
            for namespace in namespaces:
                sio.of(namespace)
            sio.bind(asyncio.get_running_loop())
        for sio in made:
            for namespace in namespaces:
                await within(known(sio, count, namespace))
        return made

    yield start
    for sio in running:
        await sio.unbind()


def adapter_of(sio: AsyncServer) -> PostgresAdapter:
    assert isinstance(sio.manager, PostgresAdapter)
    return sio.manager


async def test_the_notifications(
    postgres: Postgres, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    """A8: As Node's adapter writes them."""
    (sio,) = await servers(postgres.url, payload_threshold=1000)
    uid = adapter_of(sio).uid
    came: list[Any] = []
    listener = await asyncpg.connect(postgres.url)
    try:
        await listener.add_listener("socket.io#/", lambda *args: came.append(args[3]))
        await sio.emit("e", {"a": "ü"}, to="r")
        await sio.emit("e", b"\0")
        await sio.emit("e", "x" * 1000)
        await sio.emit("e")
        await sio.emit("e")
        await until(lambda: len(came) == 5)
        options = {"rooms": [], "except": [], "flags": {}}
        packet = {"type": 2, "data": ["e"], "nsp": "/"}
        head = {"uid": uid, "nsp": "/", "type": 3}
        first, binary, long, *equal = map(json.loads, came)
        assert first["data"]["packet"]["data"] == ["e", {"a": "ü"}]
        assert first["data"]["opts"] == {**options, "rooms": ["r"]}
        assert equal == [{**head, "data": {"packet": packet, "opts": options}}] * 2
        for told, argument in (binary, b"\0"), (long, "x" * 1000):
            id = told.pop("attachmentId")
            assert told == {"uid": uid, "type": 3}
            row = await listener.fetchval(
                "SELECT payload FROM socket_io_attachments WHERE id = $1", int(id)
            )
            assert msgpack.unpackb(row) == {
                **head,
                "data": {
                    "packet": {**packet, "data": ["e", argument]},
                    "opts": options,
                },
            }
    finally:
        await listener.close()
    # Its own it ignores.
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("pooled", [False, True])
async def test_two_servers(postgres: Postgres, servers: Servers, pooled: bool) -> None:
    namespaces = ("/", '/a"b')
    url: Any = postgres.url
    if pooled:
        url = await asyncpg.create_pool(url, min_size=0, max_size=6)
    one, other = await servers(url, 2, namespaces)

    @other.of("/").on("hello")
    def hello(data: bytes) -> Any:
        return [data]

    for namespace in namespaces:
        async with testing.client(other, namespace) as client:
            client.on("q", lambda n: n + 1)
            for data in (1, b"\0", "x" * 10_000, "last"):
                await one.emit("e", data, namespace=namespace)
            for data in (1, b"\0", "x" * 10_000, "last"):
                assert await client.expect("e") == data
            (found,) = await one.of(namespace).fetch_sockets()
            assert found.id == client.sid
            assert await one.of(namespace).timeout(10).emit_with_ack("q", 1) == [2]
            assert await one.call("q", 2, to=client.sid, namespace=namespace) == 3
    answers = await one.of("/").server_side_emit_with_ack("hello", b"\0")
    assert answers == [[b"\0"]]
    if pooled:
        await one.unbind()
        await other.unbind()
        await within(url.close())


async def test_old_attachments_are_removed(
    postgres: Postgres, servers: Servers
) -> None:
    (sio,) = await servers(postgres.url, table_name="public.mine", cleanup_interval=99)
    adapter = adapter_of(sio)
    reader = await asyncpg.connect(postgres.url)
    try:
        for _ in range(2):
            await sio.emit("e", b"\0")
            await until(lambda: adapter._sending is None)
            assert await reader.fetchval("SELECT count(*) FROM mine") == 1
            adapter.cleanup_interval = 0
            await adapter._clean_up_once()
            assert await reader.fetchval("SELECT count(*) FROM mine") == 0
    finally:
        await reader.close()


async def test_poisoned_notifications(
    postgres: Postgres, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    (sio,) = await servers(postgres.url)
    packet = {"type": 2, "data": ["next"]}
    good = {"uid": "u", "nsp": "/", "type": 3, "data": {"packet": packet, "opts": {}}}
    writer = await asyncpg.connect(postgres.url)
    try:
        id = await writer.fetchval(
            "INSERT INTO socket_io_attachments (payload) VALUES ($1) RETURNING id",
            b"\xc1",
        )
        async with testing.client(sio) as client:
            for payload in (
                *("", "{", "5", "[]", "{}", "[" * 7000, '{"attachmentId": 1}'),
                json.dumps({"uid": "u", "attachmentId": "x"}),
                json.dumps({"uid": "u", "attachmentId": 999_999}),
                json.dumps({"uid": "u", "attachmentId": id}),
                json.dumps(good),
            ):
                await writer.execute("SELECT pg_notify($1, $2)", "socket.io#/", payload)
            await client.expect("next")
    finally:
        await writer.close()
    (warning,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "a message by postgres is refused (" in warning.getMessage()
    assert warning.getMessage().isprintable()


async def test_a_namespace_that_postgres_has_no_name_for(
    postgres: Postgres, servers: Servers
) -> None:
    (sio,) = await servers(postgres.url)
    name = "/" + "x" * 60
    async with testing.client(sio) as client:
        with pytest.raises(ValueError, match="more than the 63 bytes"):
            await sio.emit("e", namespace=name)
        sio.of(name)
        await sio.emit("e")
        await client.expect("e")


async def test_a_postgres_that_goes_and_comes(servers: Servers) -> None:
    if Postgres.PROGRAM is None:
        pytest.skip("postgresql is not installed")
    postgres = Postgres()
    postgres.start()
    try:
        one, other = await servers(postgres.url, 2)
        async with testing.client(one) as here, testing.client(other) as there:
            postgres.stop(signal.SIGQUIT)
            adapters = [adapter_of(one), adapter_of(other)]
            await until(lambda: not any(adapter.healthy for adapter in adapters))
            await one.emit("e", 1)
            assert await here.expect("e") == 1
            postgres.start()
            await until(lambda: all(adapter.healthy for adapter in adapters))
            await within(known(one, 2))
            await one.emit("e", 2)
            assert await there.expect("e") == 2
    finally:
        postgres.end()


async def test_a_pgbouncer_between(
    postgres: Postgres,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if PgBouncer.PROGRAM is None:
        pytest.skip("pgbouncer is not installed")
    monkeypatch.setattr("socketio_fast.adapters.postgres.TIMEOUT", 0.5)
    bouncer = PgBouncer(postgres, "transaction")
    bouncer.start()
    sio = AsyncServer(client_manager=PostgresAdapter(bouncer.url))
    try:
        sio.bind(asyncio.get_running_loop())
        async with testing.client(sio) as client:
            await until(lambda: "cannot receive from postgres" in caplog.text)
            await sio.emit("e", 1)
            assert await client.expect("e") == 1
        assert "pool_mode=transaction" in caplog.text
    finally:
        await sio.unbind()
        bouncer.stop()


async def test_what_is_refused() -> None:
    for options, why in [
        ({"table_name": "a; DROP TABLE b"}, "table_name='a; DROP TABLE b': a name of"),
        ({"payload_threshold": 8001}, "payload_threshold=8001: 1 to 8000 bytes"),
        ({"cleanup_interval": 0}, "cleanup_interval=0: more than 0 seconds"),
    ]:
        with pytest.raises(ValueError, match=why):
            PostgresAdapter(**options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"PostgresAdapter\(5\): a URL or a pool"):
        PostgresAdapter(5)
    pool = asyncpg.create_pool("postgresql://localhost", min_size=1, max_size=1)
    with pytest.raises(ValueError, match="a pool of one connection"):
        PostgresAdapter(pool)
