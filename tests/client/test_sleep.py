"""The machine slept: a clock jumps that the event loop does not look at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.official_suite import New
from support.threaded_servers import Running, running, wait_until
from support.waiting import until, within

import socketio_fast as socketio
from socketio_fast import exceptions

TRANSPORTS = [["websocket"], ["polling"]]


def noting(came: list[Any]) -> socketio.AsyncServer:
    sio = socketio.AsyncServer()
    sio.on("item", lambda sid, value: came.append(value))
    sio.on("echo", lambda sid, value: value)
    return sio


def fall_asleep(client: Any) -> None:
    """Let the clock that goes on in sleep jump, for the session that is open."""
    slept = 0.0
    client.eio._link.session.set_clock(lambda: time.monotonic() + slept)
    slept = 3600.0


@pytest.fixture
async def came(serve: Any) -> tuple[str, list[Any]]:
    values: list[Any] = []
    server = await serve(noting(values))
    return server.url, values


@pytest.mark.parametrize("transports", TRANSPORTS)
async def test_the_next_emit_is_not_lost(
    new: New, came: tuple[str, list[Any]], transports: list[str]
) -> None:
    url, values = came
    client = new()
    told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    @client.on("disconnect")
    def disconnect(reason: str, description: Any) -> None:
        told.put_nowait((reason, description))

    await client.connect(url, transports=transports, wait_timeout=5)
    await client.emit("item", 1)
    await until(lambda: values == [1])
    fall_asleep(client)
    await client.emit("item", 2)
    answer = asyncio.ensure_future(client.call("echo", "after", timeout=10))
    await client.emit("item", 3)
    assert await within(told.get()) == ("transport error", "ping timeout")
    assert await within(answer) == "after"
    await until(lambda: values == [1, 2, 3])


async def test_with_retries(new: New, came: tuple[str, list[Any]]) -> None:
    url, values = came
    client = new(retries=3, ack_timeout=10)
    await client.connect(url, transports=["websocket"], wait_timeout=5)
    fall_asleep(client)
    await client.emit("item", 1)
    assert await within(client.call("echo", 2)) == 2
    assert values == [1]


async def test_without_the_offline_buffer(
    new: New, came: tuple[str, list[Any]]
) -> None:
    url, values = came
    client = new(offline_buffer=False)
    await client.connect(url, transports=["websocket"], wait_timeout=5)
    fall_asleep(client)
    with pytest.raises(exceptions.BadNamespaceError):
        await client.emit("item", 1)
    await until(lambda: not client.connected)
    await until(lambda: client.connected)
    assert await within(client.call("echo", 2)) == 2
    assert values == []


@pytest.fixture
def threaded() -> Iterator[tuple[Running, list[Any]]]:
    values: list[Any] = []
    with running(lambda: noting(values)) as server:
        yield server, values


def test_the_client_for_threads(threaded: tuple[Running, list[Any]]) -> None:
    server, values = threaded
    with socketio.Client(reconnection_delay=0.01) as client:
        client.connect(server.url, transports=["websocket"], wait_timeout=5)
        fall_asleep(client._inner)
        client.emit("item", 1)
        assert client.call("echo", 2, timeout=10) == 2
        wait_until(lambda: values == [1])
