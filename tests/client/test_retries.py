"""``retries=`` and ``ack_timeout=``: as the official client's tests of it, and more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.waiting import until, within
from support.wire import node

import socketio_fast as socketio
from socketio_fast import exceptions

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]
FAST: dict[str, Any] = {
    "reconnection_delay": 0.01,
    "reconnection_delay_max": 0.02,
    "randomization_factor": 0,
}


class Application:
    """A server that acknowledges an event the n-th time that it comes."""

    def __init__(self) -> None:
        self.sio = socketio.AsyncServer()
        self.came: list[tuple[Any, ...]] = []
        self.counts: Counter[Any] = Counter()
        self.over = asyncio.Event()

        @self.sio.event
        async def nth(sid: str, n: int, name: Any, *more: Any) -> int:
            self.came.append((name, *more))
            self.counts[name] += 1
            if self.counts[name] < n:
                await self.over.wait()
            return self.counts[name]

        @self.sio.event
        async def cut(sid: str, name: Any) -> int:
            """Ends the connection the first time."""
            self.came.append((name,))
            self.counts[name] += 1
            if self.counts[name] == 1:
                eio_sid = self.sio.manager.eio_sid_from_sid(sid, "/")
                await self.sio.eio.disconnect(eio_sid)
            return self.counts[name]


@pytest.fixture
async def application(serve: Any) -> AsyncIterator[tuple[Application, str]]:
    made = Application()
    server = await serve(made.sio)
    yield made, server.url
    made.over.set()


@pytest.fixture(params=["ours", "node"])
async def url(request: pytest.FixtureRequest, serve: Any) -> AsyncIterator[str]:
    if request.param == "ours":
        made = Application()
        yield (await serve(made.sio)).url
        made.over.set()
    else:
        async with node() as started:
            yield started


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_an_event_is_sent_again_until_it_is_acknowledged(
    url: str, transports: list[str]
) -> None:
    """C8, M21: with our server and Node's."""
    async with socketio.AsyncClient(retries=3, ack_timeout=0.2) as client:
        await client.connect(url, transports=transports, wait_timeout=5)
        socket = client.socket()
        assert await within(socket.emit_with_ack("nth", 3, "a")) == 3
        assert await within(client.call("nth", (2, "b"))) == 2
        answered: asyncio.Queue[Any] = asyncio.Queue()
        await client.emit("nth", (2, "c"), callback=answered.put_nowait)
        assert await within(answered.get()) == 2


async def test_events_are_sent_in_order_one_at_a_time(
    application: tuple[Application, str],
) -> None:
    server, url = application
    async with socketio.AsyncClient(retries=3, ack_timeout=0.2) as client:
        await client.connect(url, transports=["websocket"])
        await client.emit("nth", (2, "a"))
        await client.emit("nth", (1, "b"))
        assert await within(client.call("nth", (1, "c"))) == 1
    assert server.came == [("a",), ("a",), ("b",), ("c",)]


async def test_one_that_is_never_acknowledged_is_given_up_and_the_next_is_sent(
    application: tuple[Application, str], caplog: pytest.LogCaptureFixture
) -> None:
    server, url = application
    async with socketio.AsyncClient(retries=2, ack_timeout=0.05) as client:
        await client.connect(url, transports=["websocket"])
        called: list[Any] = []
        await client.emit("nth", (99, "lost"), callback=called.append)
        asked = asyncio.ensure_future(client.socket().emit_with_ack("nth", 99, "asked"))
        assert await within(client.call("nth", (1, "next"))) == 1
        with pytest.raises(
            exceptions.TimeoutError, match="'nth', which was sent 3 tim"
        ):
            await asked
        assert not called
    assert server.counts == {"lost": 3, "asked": 3, "next": 1}
    assert "event nth was given up" in caplog.text


async def test_the_time_of_one_event_may_be_its_own(
    application: tuple[Application, str],
) -> None:
    server, url = application
    async with socketio.AsyncClient(retries=1, ack_timeout=60) as client:
        await client.connect(url, transports=["websocket"])
        with pytest.raises(exceptions.TimeoutError, match=r"2 times, in 0\.05 s each"):
            await within(client.socket().timeout(0.05).emit_with_ack("nth", 99, "a"))
    assert server.counts == {"a": 2}


async def test_call_waits_no_longer_than_its_timeout_and_the_event_is_dropped(
    application: tuple[Application, str],
) -> None:
    server, url = application
    async with socketio.AsyncClient(retries=100, ack_timeout=0.04) as client:
        await client.connect(url, transports=["websocket"])
        with pytest.raises(exceptions.TimeoutError, match=r"'nth' in 0\.1 s"):
            await client.call("nth", (1000, "a"), timeout=0.1)
        count = server.counts["a"]
        assert await within(client.call("nth", (1, "b"))) == 1
        assert server.counts["a"] == count


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_an_event_outlives_its_connection(
    application: tuple[Application, str], transports: list[str]
) -> None:
    server, url = application
    async with socketio.AsyncClient(retries=3, ack_timeout=5, **FAST) as client:
        await client.connect(url, transports=transports, wait_timeout=5)
        first = asyncio.ensure_future(client.call("cut", "a"))
        second = asyncio.ensure_future(client.call("cut", "b"))
        assert await within(first) == 2
        assert await within(second) == 2
    assert server.came == [("a",), ("a",), ("b",), ("b",)]


async def test_nothing_is_sent_while_there_is_no_connection(serve: Any) -> None:
    server = Application()
    async with socketio.AsyncClient(retries=3, ack_timeout=0.2, **FAST) as client:
        socket = client.socket()
        first = await serve(server.sio)
        port = first.port
        await first.close()
        connecting = asyncio.ensure_future(
            client.connect(
                f"http://127.0.0.1:{port}", transports=["websocket"], retry=True
            )
        )
        await until(lambda: socket.active)
        asked = asyncio.ensure_future(socket.emit_with_ack("nth", 1, "a"))
        await asyncio.sleep(1)  # longer than all retries
        again = Application()
        await serve(again.sio, port=port)
        assert await within(asked) == 1
        await connecting
    assert again.counts == {"a": 1}


async def test_an_event_of_the_connect_handler_is_sent_once(
    application: tuple[Application, str],
) -> None:
    server, url = application
    answered: asyncio.Queue[Any] = asyncio.Queue()
    async with socketio.AsyncClient(retries=3) as client:

        @client.event
        async def connect() -> None:
            await client.emit("nth", (1, "a"), callback=answered.put_nowait)

        await client.connect(url, transports=["websocket"])
        assert await within(answered.get()) == 1
        assert await within(client.call("nth", (1, "b"))) == 1
    assert server.came == [("a",), ("b",)]


async def test_volatile_events_are_not_sent_again(
    application: tuple[Application, str],
) -> None:
    server, url = application
    async with socketio.AsyncClient(retries=3, ack_timeout=0.03) as client:
        await client.connect(url, transports=["websocket"])
        await client.socket().volatile.emit("nth", 99, "a")
        await until(lambda: server.counts["a"] == 1)
        await asyncio.sleep(0.1)
        assert await within(client.call("nth", (1, "b"))) == 1
    assert server.counts == {"a": 1, "b": 1}


async def test_an_id_tells_events_that_come_again(
    application: tuple[Application, str],
) -> None:
    server, url = application
    options: dict[str, Any] = {"retries": 2, "ack_timeout": 0.1, "retry_ids": True}
    async with socketio.AsyncClient(**options) as client:
        await client.connect(url, transports=["websocket"])
        await client.call("nth", (2, "a"))
        await client.call("nth", (1, "b"))
    ids = [id for _, id in server.came]
    assert ids[0] == ids[1] != ids[2]
    assert all(isinstance(id, str) and len(id) > 16 for id in ids)


async def test_what_is_queued_is_bounded(application: tuple[Application, str]) -> None:
    _, url = application
    options: dict[str, Any] = {"retries": 2, "max_offline_events": 4}
    async with socketio.AsyncClient(**options) as client:
        await client.connect(url, transports=["websocket"])
        for _ in range(4):
            client.emit("nth", (99, "a"))
        with pytest.raises(exceptions.OfflineBufferError, match="max_offline_events=4"):
            client.emit("nth", (99, "a"))


async def test_emit_waits_while_many_events_are_queued(
    application: tuple[Application, str],
) -> None:
    server, url = application
    options: dict[str, Any] = {"retries": 2, "max_offline_events": 8}
    async with socketio.AsyncClient(**options) as client:
        await client.connect(url, transports=["websocket"])
        for n in range(40):
            await within(client.emit("nth", (1, n)))
        await within(client.call("nth", (1, "last")))
    assert server.came == [*((n,) for n in range(40)), ("last",)]


async def test_arguments_count_as_they_are_when_the_event_is_emitted(
    application: tuple[Application, str],
) -> None:
    server, url = application
    async with socketio.AsyncClient(retries=2) as client:
        await client.connect(url, transports=["websocket"])
        client.emit("nth", (1, "first"))
        name = ["a"]
        client.emit("nth", (1, "second", name))
        name.append("b")
        await within(client.call("nth", (1, "last")))
        with pytest.raises(TypeError):
            client.emit("nth", (1, object()))
    assert server.came[1] == ("second", ["a"])


async def test_who_waits_gets_an_error_when_the_client_disconnects(
    application: tuple[Application, str],
) -> None:
    _, url = application
    client = socketio.AsyncClient(retries=2)
    await client.connect(url, transports=["websocket"])
    asked = asyncio.ensure_future(client.call("nth", (99, "a"), timeout=None))
    await until(lambda: len(client._queues) == 1)
    await client.disconnect()
    with pytest.raises(exceptions.CallDisconnectedError):
        await within(asked)
    with pytest.raises(exceptions.BadNamespaceError):
        client.emit("nth", 1)
