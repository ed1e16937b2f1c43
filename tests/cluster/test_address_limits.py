"""Limits by address hold for all workers together."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.raw import polling, turns
from support.waiting import until, within

from cluster.conftest import StartWorkers, Worker
from socketio_fast._core.engine.shared_limits import SharedLimits
from socketio_fast.cluster import address_limits, handover
from socketio_fast.cluster.frames import Kind
from socketio_fast.cluster.mesh import Mesh
from socketio_fast.options.limits import Limits, Rate

NEVER_AGAIN = 1 / 3600


async def status(worker: Worker) -> int:
    """That of the response to a new long-polling client."""
    async with await worker.client.connect() as connection:
        return (await connection.get(polling())).status


def sessions(worker: Worker, address: str = "127.0.0.1") -> int:
    """Those of an address, as a worker knows them."""
    limits = worker.echo.app.engine.limits
    assert limits is not None
    visitor = limits.visitors.get(address)
    return 0 if visitor is None else visitor.connections


async def admitted(worker: Worker) -> bool:
    """Whether a further TCP connection is served."""
    async with await worker.client.connect() as connection:
        try:
            return (await connection.get("/elsewhere")).status == 404
        except (asyncio.IncompleteReadError, ConnectionError):
            return False


async def know(count: int, *workers: Worker) -> None:
    """The workers have heard of so many sessions."""
    await until(lambda: all(sessions(worker) == count for worker in workers))


async def told(intervals: int) -> None:
    """After so many intervals, other workers have read of tokens that were taken."""
    await asyncio.sleep(intervals * address_limits.INTERVAL)
    await turns(10)


async def test_connections_of_an_address(workers: StartWorkers) -> None:
    a, b, c = await workers(3, Limits(connections_per_address=3))
    first = await a.client.session()
    await b.client.session()
    await c.client.session()
    await know(3, a, b, c)
    for worker in (a, b, c):
        assert await status(worker) == 429
        assert worker.counters["refused_connections_per_address"] == 1
    await first.close()
    await know(2, a, b, c)
    assert await status(c) == 200
    await know(3, a, b, c)
    assert await status(b) == 429


async def test_the_next_connection_knows_of_the_last(workers: StartWorkers) -> None:
    """Others are told in the pass in which a connection opens."""
    a, b = await workers(2, Limits(connections_per_address=1))
    await a.client.session()
    assert await status(b) == 429


async def test_new_connections_of_an_address(workers: StartWorkers) -> None:
    limits = Limits(connections=Rate(NEVER_AGAIN, burst=3))
    a, b = await workers(2, limits)
    for worker in (a, b, a):
        assert await status(worker) == 200
    await know(3, a, b)
    assert await status(a) == 429
    assert await status(b) == 429


@pytest.mark.parametrize("name", ["address_events", "address_bytes"])
async def test_the_rate_of_an_address(workers: StartWorkers, name: str) -> None:
    """U7: all connections of an address, at all workers, together."""
    a, b = await workers(2, Limits(**{name: Rate(NEVER_AGAIN, burst=3)}))
    first, second = await a.client.session(), await b.client.session()
    for _ in range(3):
        await first.echoes("1")
    await told(2)
    await second.text("42")
    await second.fails_with(1008)
    assert b.counters["refused_events"] == 1


async def test_tokens_come_back_once(workers: StartWorkers) -> None:
    """What one worker has let clients take is taken from the buckets of all, so that
    together they let no more pass than one would."""
    a, b = await workers(2, Limits(address_events=Rate(10, burst=20)))
    first, second = await a.client.session(), await b.client.session()
    begun = time.monotonic()
    for _ in range(20):
        await first.echoes("1")
    await told(4)
    # 4 of 20 are back, and more where that has taken longer.
    for _ in range(20):
        await second.text("42")
    await until(lambda: b.counters["refused_events"] == 1)
    assert 2 <= len(b.echo.got) <= 1 + 10 * (time.monotonic() - begun)


async def test_tcp_connections_of_an_address(workers: StartWorkers) -> None:
    a, b = await workers(2, Limits(tcp_connections_per_address=2))
    first, second = await a.client.connect(), await b.client.connect()
    for connection in (first, second):
        assert (await connection.get("/elsewhere")).status == 404
    for worker in (a, b):
        assert not await admitted(worker)
        assert worker.counters["refused_tcp_connections"] == 1
    await first.close()

    async def again() -> None:
        # What has closed is looked for once a second.
        while not await admitted(b):
            pass

    await within(again())


async def test_a_connection_that_is_handed_over_is_admitted_once(
    workers: StartWorkers,
) -> None:
    """It still counts where it came from when it arrives."""
    a, b = await workers(2, Limits(tcp_connections_per_address=2))
    polls = await a.client.connect()
    sid = await polls.open_session()
    posts = await b.client.connect()
    assert (await posts.post(polling(sid), "4hello")).text == "ok"
    assert a.echo.got == ["hello"]
    assert a.counters[handover.TAKEN] == 1
    for worker in (a, b):
        assert not await admitted(worker)


async def test_a_worker_that_comes_is_told(workers: StartWorkers) -> None:
    limits = Limits(connections_per_address=2)
    (a,) = await workers(1, limits)
    for _ in range(2):
        await a.client.session()
    (b,) = await workers(1, limits)
    await know(2, b)
    assert await status(b) == 429


async def test_of_many_addresses_too(
    workers: StartWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that comes is told of some at a time."""
    monkeypatch.setattr(address_limits, "CHUNK", 3)
    limits = Limits(connections_per_address=2)
    options = {"trusted_proxies": ["127.0.0.0/8"]}
    (a,) = await workers(1, limits, **options)
    addresses = [f"192.0.2.{n}" for n in range(10)]
    for address in addresses:
        async with await a.client.connect() as connection:
            await connection.get(polling(), ("X-Forwarded-For", address))
    (b,) = await workers(1, limits, **options)
    await until(lambda: all(sessions(b, address) == 1 for address in addresses))


async def test_the_connections_of_a_worker_that_ends_count_no_more(
    workers: StartWorkers,
) -> None:
    a, b = await workers(2, Limits(connections_per_address=1))
    await a.client.session()
    await know(1, b)
    # As the kernel does when the process is killed.
    a.echo.app.membership.mesh.close()
    await know(0, b)
    assert await status(b) == 200


async def test_limits_that_are_set_later(workers: StartWorkers) -> None:
    a, b = await workers(2)
    for worker in (a, b):
        worker.echo.app.limits = Limits(connections_per_address=2)
    await a.client.session()
    await b.client.session()
    await know(2, a, b)
    # Of a new configuration nothing has been counted.
    b.echo.app.limits = Limits(connections_per_address=3)
    assert sessions(b) == 1
    for expected in (200, 200, 429):
        assert await status(b) == expected
    b.echo.app.limits = None
    assert await status(b) == 200


async def test_networks_and_exempt_addresses(workers: StartWorkers) -> None:
    """The first 64 bits of an IPv6 address are one."""
    limits = Limits(connections_per_address=1, exempt=["192.0.2.0/24"])
    a, b = await workers(2, limits, trusted_proxies=["127.0.0.0/8"])

    async def answer(worker: Worker, address: str) -> int:
        async with await worker.client.connect() as connection:
            headers = ("X-Forwarded-For", address)
            return (await connection.get(polling(), headers)).status

    assert await answer(a, "2001:db8::1") == 200
    await until(lambda: sessions(b, "2001:db8::/64") == 1)
    assert await answer(b, "2001:db8::2") == 429
    for worker in (a, b):
        assert await answer(worker, "192.0.2.1") == 200


@pytest.mark.parametrize(
    "limits", [None, Limits(events=5, bytes=1000, pending_handshakes=10)]
)
async def test_nothing_is_told_without_limits_by_address(
    workers: StartWorkers, limits: Limits | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    send = Mesh.send

    def noted(mesh: Mesh, tag: str, kind: Kind, payload: bytes) -> bool:
        sent.append(kind)
        return send(mesh, tag, kind, payload)

    monkeypatch.setattr(Mesh, "send", noted)
    a, b = await workers(2, limits)
    client = await a.client.session()
    await client.echoes("hello")
    await asyncio.sleep(1.5 * address_limits.BEAT)
    assert sent, "workers have met"
    assert Kind.LIMITS not in sent
    assert type(a.echo.app.engine.limits) is not SharedLimits
    assert b.echo.app.clients_count == 0
