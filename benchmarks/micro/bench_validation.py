"""An event whose handler gets a model, from the message to the acknowledgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest

import socketio_fast
from socketio_fast import testing

MESSAGE = '420["order",{"product":"tea","count":2,"tags":["a","b"]}]'
ANSWER = '430["tea"]'


@dataclass
class Record:
    product: str
    count: int
    tags: list[str]


class Struct(msgspec.Struct):
    product: str
    count: int
    tags: list[str]


class Model(pydantic.BaseModel):
    product: str
    count: int
    tags: list[str]


def of_dict(sid: str, order: dict[str, Any]) -> str:
    product: str = order["product"]
    return product


def of_dataclass(sid: str, order: Record) -> str:
    return order.product


def of_struct(sid: str, order: Struct) -> str:
    return order.product


def of_model(sid: str, order: Model) -> str:
    return order.product


@pytest.mark.parametrize("handler", [of_dict, of_dataclass, of_struct, of_model])
def bench_validated(benchmark: Any, loop: Any, handler: Any) -> None:
    benchmark.group = "Event with an object of three fields: handled, acknowledged"
    sio = socketio_fast.AsyncServer()
    sio.on("order", handler)
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
