"""A broker that goes away and comes back, in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.waiting import within

from managers.in_process import Broker, Connect, Manager, Node, broker
from socketio_fast import AsyncServer, PubSubManager
from socketio_fast.async_pubsub_manager import AsyncPubSubManager

__all__ = ["broker"]


# --- a broker that goes away ----------------------------------------------------


async def test_publishing_to_a_broker_that_is_away(
    broker: Broker,
    node: Node,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    manager = Manager(broker)
    one, url = await node(manager)
    client = await connect(url)
    broker.away = OSError("away")
    for number in range(5):
        await one.emit("e", number)
        assert await client.next() == ("e", number)
    assert broker.attempts == 2
    assert manager.lost_messages == 5
    # Then after 1, 2, 4, … seconds, twice each.
    for delay in (1, 2, 4, 8, 16, 32, 60, 60):
        now += delay - 0.1
        await one.emit("e")
        attempts = broker.attempts
        now += 0.2
        await one.emit("e")
        await within(_idle(manager))
        assert broker.attempts == attempts + 2, delay
    assert broker.published == []
    assert manager.lost_messages == 5 + 2 * 8
    broker.away = None
    now += 61
    await one.emit("e")
    await one.emit("e")
    await within(_idle(manager))
    assert len(broker.published) == 2
    assert manager.lost_messages == 21
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert warnings == [
        "cannot publish to asyncpubsub (OSError: away): only clients of this process "
        "get events",
        "can publish to asyncpubsub again, 21 messages are lost",
    ]


@pytest.mark.parametrize(
    ("error", "after", "attempts"),
    [
        (OSError("broken"), 60.0, 2),
        (OSError("broken"), 0.01, 1),
        (TimeoutError("no answer"), 60.0, 1),
    ],
)
async def test_what_may_have_been_published_is_not_published_twice(
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    after: float,
    attempts: int,
) -> None:
    """It is tried again only if the connection has broken while it was idle."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    manager = Manager(broker, write_only=True)
    await manager.emit("e", 1)
    now += after
    broker.away, broker.attempts = error, 0
    await manager.emit("e", 1)
    assert broker.attempts == attempts
    assert manager.lost_messages == 1
    await manager.close()


async def _idle(manager: AsyncPubSubManager) -> None:
    if manager._sending is not None:
        await asyncio.wait([manager._sending])


async def test_a_connection_that_broke_while_idle_loses_nothing(broker: Broker) -> None:
    class Once(Manager):
        failed = False

        async def _publish(self, data: dict[str, Any]) -> None:
            if not self.failed:
                self.failed = True
                raise OSError("broken")
            await super()._publish(data)

    manager = Once(broker, write_only=True)
    await manager.emit("e", None)
    assert len(broker.published) == 1
    assert manager.lost_messages == 0


async def test_receiving_from_a_broker_that_goes_away(
    broker: Broker,
    node: Node,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager = Manager(broker)
    _, url = await node(manager)
    client = await connect(url)
    delays: list[float] = []
    sleep = asyncio.sleep

    async def skip(delay: float) -> None:
        delays.append(delay)
        if len(delays) == 3:
            manager._listen = working  # type: ignore[method-assign]
        await sleep(0)

    working = manager._listen

    async def broken() -> AsyncIterator[Any]:
        raise OSError("still away")
        yield

    monkeypatch.setattr(asyncio, "sleep", skip)
    manager._listen = broken  # type: ignore[method-assign]
    broker.deliver(OSError("away"))
    while len(delays) < 3:
        await sleep(0)
    await within(manager._subscribed.wait())
    broker.deliver({"method": "emit", "event": "e", "data": [], "host_id": "h"})
    await client.nothing_before("e")
    # It begins anew with the next.
    broker.deliver(OSError("away"))
    while len(delays) < 4:
        await sleep(0)
    assert delays == [1, 2, 4, 1]
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    lost = "what other processes send is missed"
    assert warnings[:2] == [
        f"cannot receive from asyncpubsub (OSError: away): {lost}",
        "can receive from asyncpubsub again",
    ]


async def test_messages_are_published_in_order_one_at_a_time() -> None:
    published: list[int] = []
    waiting: asyncio.Queue[None] = asyncio.Queue()

    class Slow(AsyncPubSubManager):
        active = 0

        async def _publish(self, data: dict[str, Any]) -> None:
            self.active += 1
            assert self.active == 1
            await waiting.get()
            published.append(data["data"][0])
            self.active -= 1

    manager = Slow(write_only=True)
    tasks = [asyncio.ensure_future(manager.emit("e", n)) for n in range(5)]
    await asyncio.sleep(0)
    tasks[1].cancel()  # it has been asked for, and is published
    for _ in tasks:
        waiting.put_nowait(None)
    await within(asyncio.wait(tasks))
    assert published == [0, 1, 2, 3, 4]
    assert [task.cancelled() for task in tasks] == [False, True, False, False, False]


async def test_close_publishes_what_waits_and_ends_the_subscription(
    broker: Broker,
) -> None:
    manager = Manager(broker)
    sio = AsyncServer(client_manager=manager)
    sio.bind(asyncio.get_running_loop())
    await within(manager._subscribed.wait())
    emission = asyncio.ensure_future(sio.emit("e"))
    await asyncio.sleep(0)
    await within(sio.unbind())
    assert broker.queues == []
    assert len(broker.published) == 1
    await within(emission)
    # It may begin again.
    sio.bind(asyncio.get_running_loop())
    await within(manager._subscribed.wait())
    assert manager.listened == 2
    await within(sio.unbind())


async def test_another_loop_than_the_servers_is_refused(
    broker: Broker, node: Node
) -> None:
    one, _ = await node(Manager(broker))

    def use() -> None:
        with pytest.raises(RuntimeError, match="another event loop than its server's"):
            asyncio.run(one.manager.emit("e", None, "/"))

    await asyncio.to_thread(use)


def test_one_that_only_sends_may_go_from_loop_to_loop(broker: Broker) -> None:
    manager = Manager(broker, write_only=True)
    for _ in range(2):
        asyncio.run(manager.emit("e", None))
    assert len(broker.published) == 2


@pytest.mark.parametrize("method", ["_publish", "_listen"])
def test_a_subclass_without_its_methods(method: str) -> None:
    args = [{}] if method == "_publish" else []
    for manager in (AsyncPubSubManager(), PubSubManager()):
        function = getattr(manager, method)
        with pytest.raises(NotImplementedError, match=f"has no {method}"):
            function(*args)
