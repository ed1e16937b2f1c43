"""Kafka. Where there is no broker, only what is said of that."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from managers.conftest import Connect
from socketio_fast import AsyncServer, KafkaManager

Node = Callable[[Any], Awaitable[tuple[AsyncServer, str]]]

URL = os.environ.get("SOCKETIO_FAST_KAFKA")

# Not the checkout, whose package may not be built.
HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("kafka://", ["localhost:9092"]),
        ("kafka://h:1", ["h:1"]),
        (["kafka://h:1", "kafka://g:2"], ["h:1", "g:2"]),
    ],
)
def test_urls(url: Any, servers: list[str]) -> None:
    assert KafkaManager(url).kafka_urls == servers


@pytest.mark.parametrize("url", ["h:1", ["kafka://h:1", "amqp://"]])
def test_urls_that_are_refused(url: Any) -> None:
    with pytest.raises(ValueError, match="kafka://host:port expected"):
        KafkaManager(url)


def test_a_broker_that_is_away() -> None:
    # kafka-python leaves sockets open when it cannot connect.
    program = """
import socketio_fast
manager = socketio_fast.KafkaManager("kafka://127.0.0.1:1", write_only=True)
for number in range(3):
    manager.emit("e", number)
print(manager.lost_messages)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "3\n", done.stderr
    assert done.stderr.count("cannot publish to kafka") == 1


@pytest.mark.skipif(URL is None, reason="SOCKETIO_FAST_KAFKA names no Kafka broker")
async def test_events_reach_the_clients_of_both(node: Node, connect: Connect) -> None:
    (one, url1), (_, url2) = [await node(KafkaManager(URL)) for _ in range(2)]
    a, b = await connect(url1), await connect(url2)
    await one.emit("e", b"1")
    assert [await a.next(), await b.next()] == [("e", b"1")] * 2
    assert await one.call("double", 21, to=b.sid) == 42
