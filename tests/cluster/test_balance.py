"""New clients go to the worker that has clearly fewer."""

from __future__ import annotations

import asyncio

from support.raw import Connection
from support.waiting import until

from cluster.conftest import StartWorkers, Worker
from socketio_fast.cluster import handover


async def clients(worker: Worker, count: int) -> list[Connection]:
    """New WebSocket clients that come to this worker."""
    return [await worker.client.session() for _ in range(count)]


def count(worker: Worker) -> int:
    return worker.echo.app.clients_count


async def test_clients_that_all_come_to_one_worker_are_shared(
    workers: StartWorkers,
) -> None:
    started = await workers(3)
    await clients(started[0], 60)
    counts = [count(worker) for worker in started]
    assert sum(counts) == 60
    assert max(counts) - min(counts) <= 6, counts


async def test_polling_clients_are_shared_too(workers: StartWorkers) -> None:
    a, b = await workers(2)
    for _ in range(30):
        connection = await a.client.connect()
        await connection.open_session()
        await connection.close()
    assert count(a) + count(b) == 30
    assert count(b) >= 12


async def test_a_small_difference_moves_nobody(workers: StartWorkers) -> None:
    a, b = await workers(2)
    await clients(a, 5)
    assert (count(a), count(b)) == (5, 0)
    assert a.counters[handover.GIVEN] == 0


async def test_an_eighth_moves_nobody(workers: StartWorkers) -> None:
    a, b = await workers(2)
    await clients(a, 80)
    assert (count(a), count(b)) == (42, 38) or abs(count(a) - count(b)) <= 6
    moved = a.counters[handover.GIVEN]
    await clients(b, 2)
    assert b.counters[handover.GIVEN] == 0
    assert a.counters[handover.GIVEN] == moved


async def test_who_was_given_a_client_does_not_give_it_on(
    workers: StartWorkers,
) -> None:
    """Its own number may say so meanwhile: others have given it clients too."""
    a, b, c = await workers(3)
    sent = await clients(a, 40)
    assert len(sent) == 40
    for worker in (b, c):
        assert worker.counters[handover.GIVEN] == 0


async def test_a_worker_that_has_ended_gets_nobody(workers: StartWorkers) -> None:
    a, b = await workers(2)
    await b.client.server.close()
    await until(lambda: a.echo.app.membership.mesh.others == [])
    await clients(a, 20)
    assert count(a) == 20


async def test_a_worker_that_stops_gets_nobody(workers: StartWorkers) -> None:
    """From the beginning, and not only when it has stopped."""
    a, b = await workers(2)
    ended = asyncio.Event()

    @b.echo.app.on("message")
    async def message(sid: str, data: str) -> None:
        await ended.wait()

    (busy,) = await clients(b, 1)
    await busy.text("4holds it up")
    await until(lambda: b.echo.app.handler_tasks() != set())
    closing = asyncio.create_task(b.client.server.close())
    await asyncio.sleep(0)  # it has begun
    await until(lambda: a.echo.app.membership.handover._balance.lighter() is None)
    await clients(a, 30)
    assert count(a) == 30
    ended.set()
    await closing


async def test_other_requests_stay(workers: StartWorkers) -> None:
    """What opens no session is answered where it comes."""
    a, _ = await workers(2)
    await clients(a, 5)
    connection = await a.client.connect()
    (await connection.get("/engine.io/?EIO=4&transport=unknown")).error(0)
    (await connection.get("/elsewhere")).refused(404)
