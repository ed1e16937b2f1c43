"""Kafka. Where there is no broker, only what is said of that."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import socketio as python_socketio
from support.kafka import Kafka
from support.waiting import within

from managers.conftest import Connect
from socketio_fast import AsyncServer, KafkaManager

Node = Callable[[Any], Awaitable[tuple[AsyncServer, str]]]

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


@pytest.mark.timeout(120)
async def test_beside_python_socketio(
    kafka: Kafka, node: Node, connect: Connect
) -> None:
    """Its manager sends to clients of ours, and receives what ours sends."""
    ours, url = await node(KafkaManager(kafka.url))
    client = await connect(url)
    theirs = python_socketio.KafkaManager(kafka.url, write_only=True)
    # kafka-python takes bytes alone; that manager gives it the text of JSON.
    theirs.json = SimpleNamespace(dumps=lambda data: json.dumps(data).encode())
    await asyncio.to_thread(theirs.emit, "e", {"a": b"1"})
    assert await client.next() == ("e", {"a": b"1"})

    listening = python_socketio.KafkaManager(kafka.url)
    messages = listening._listen()
    heard = asyncio.create_task(asyncio.to_thread(next, messages))
    while not heard.done():
        await ours.emit("e", "text")
        await asyncio.wait({heard}, timeout=0.2)
    assert json.loads(heard.result())["data"] == ["text"]
    await asyncio.to_thread(messages.close)
    for manager in (theirs, listening):
        manager.consumer.close()
        manager.producer.close()


RETURNING = """
import asyncio, sys
import socketio_fast as socketio

async def main(url):
    servers = []
    for _ in range(2):
        servers.append(socketio.AsyncServer(client_manager=socketio.KafkaManager(url)))
        await socketio.serve(servers[-1], host="127.0.0.1", port=0)
    one, other = servers
    heard = asyncio.Event()

    @other.of("/").on("heard")
    def hear():
        heard.set()

    async def reaches():
        heard.clear()
        while not heard.is_set():
            await one.of("/").server_side_emit("heard")
            await asyncio.sleep(0.2)

    await reaches()
    print("reaches", flush=True)
    sys.stdin.readline()
    for number in range(3):
        await one.emit("e", number)
    # It is known when an attempt to publish has failed. A heartbeat may be lost too.
    while one.manager.lost_messages < 3:
        await asyncio.sleep(0.1)
    print("lost", flush=True)
    sys.stdin.readline()
    await reaches()
    print("reaches", flush=True)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.timeout(180)
async def test_a_broker_that_is_killed_and_comes_back(
    tmp_path: Path, kafka: Kafka
) -> None:
    # In a process of its own, since kafka-python leaves sockets open.
    mortal = Kafka(tmp_path)
    await asyncio.to_thread(mortal.start)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RETURNING, mortal.url),
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert await within(process.stdout.readline(), seconds=60) == b"reaches\n"
        mortal.kill()
        process.stdin.write(b"\n")
        assert await within(process.stdout.readline(), seconds=60) == b"lost\n"
        await asyncio.to_thread(mortal.start)
        process.stdin.write(b"\n")
        assert await within(process.stdout.readline(), seconds=90) == b"reaches\n"
    finally:
        mortal.stop()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
