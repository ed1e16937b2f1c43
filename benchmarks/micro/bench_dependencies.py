"""An event whose handler has a dependency, from the message to the acknowledgement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import socketio_fast
from socketio_fast import Depends, testing

MESSAGE = '420["say","hello"]'
ANSWER = '430["hello"]'


def function() -> int:
    return 1


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


async def of_none(sid: str, text: str) -> str:
    return text


async def of_session(sid: str, text: str, session: dict[str, Any] = Depends()) -> str:
    return text


async def of_function(sid: str, text: str, one: int = Depends(function)) -> str:
    return text


async def of_generator(sid: str, text: str, one: int = Depends(generator)) -> str:
    return text


async def of_async_generator(
    sid: str, text: str, one: int = Depends(async_generator)
) -> str:
    return text


@pytest.mark.parametrize(
    "handler",
    [of_none, of_session, of_function, of_generator, of_async_generator],
)
def bench_dependencies(benchmark: Any, loop: Any, handler: Any) -> None:
    benchmark.group = "Event with a dependency: handled, acknowledged"
    sio = socketio_fast.AsyncServer()
    sio.on("say", handler)
    connection = testing.Connection(sio)

    async def connect() -> None:
        await connection.__aenter__()
        await connection.join()

    loop.run_until_complete(connect())
    websocket = connection._websocket

    def handle() -> Any:
        websocket.receive(MESSAGE)
        return websocket.take()

    assert handle() == ANSWER
    benchmark(handle)
    loop.run_until_complete(connection.close())
