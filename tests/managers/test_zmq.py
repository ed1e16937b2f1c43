"""ZeroMQ: its URLs, and a broker that goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
from support.brokers import ZeroMQ
from support.processes import python
from support.waiting import until, within

from managers.conftest import Connect
from socketio_fast import AsyncServer, ZmqManager

Node = Callable[[Any], Awaitable[tuple[AsyncServer, str]]]


@pytest.mark.parametrize(
    "url", ["tcp://h:1+2", "zmq+tcp://h:1", "zmq+tcp://h", "zmq+ipc:///x:1+2"]
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"zmq\+tcp://host:port1\+port2 expected"):
        ZmqManager(url)


def test_ports_are_those_at_the_end() -> None:
    manager = ZmqManager("zmq+tcp://10.0.0.1:10+11")
    assert manager._sink_url == "tcp://10.0.0.1:10"
    assert manager._source_url == "tcp://10.0.0.1:11"


async def test_a_channel_is_of_those_who_share_it(
    zeromq: ZeroMQ, node: Node, connect: Connect
) -> None:
    _, url = await node(ZmqManager(zeromq.url, channel="mine"))
    client = await connect(url)
    for channel in ("socketio", "mine"):
        manager = ZmqManager(zeromq.url, channel=channel, write_only=True)
        await manager.async_manager.emit("e", channel)
        await manager.async_manager.close()
    await client.nothing_before("e", "mine")


async def test_what_is_no_message_is_ignored(
    zeromq: ZeroMQ, node: Node, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    sio, url = await node(ZmqManager(zeromq.url))
    client = await connect(url)
    with zmq.Context() as context, context.socket(zmq.PUSH) as sink:
        sink.connect(sio.manager._owner._sink_url)  # type: ignore[attr-defined]
        sink.send(b"\x80")
        sink.send(b"[" * 100_000)
        sink.send(b"[]")
        sink.send(
            b'{"type": "message", "channel": "socketio", "data": '
            b'{"method": "emit", "event": "e", "data": [], "host_id": "h"}}'
        )
        await client.nothing_before("e")
    assert caplog.text.count("is ignored on zmq channel 'socketio'") == 1
    assert "cannot receive" not in caplog.text


async def test_a_broker_that_goes_away(
    zeromq: ZeroMQ, node: Node, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    sio, url = await node(ZmqManager(zeromq.url))
    client = await connect(url)
    manager: Any = sio.manager
    await sio.emit("e", 1)
    zeromq.stop()
    await until(lambda: manager._receiving.lasts)
    for number in range(1, 4):
        await within(sio.emit("e", number))
    for number in (1, 1, 2, 3):
        assert await client.next() == ("e", number)
    assert manager.lost_messages == 3
    assert caplog.text.count("cannot publish to zmq") == 1
    assert caplog.text.count("cannot receive from zmq") == 1


PUBLISHER = """
import os, sys
# Once, rather than in each process.
import uvloop, zmq.utils.monitor
from socketio_fast import ZmqManager

for number in range(30):
    if not os.fork():
        manager = ZmqManager(sys.argv[1], write_only=True)
        manager.emit("said", number)
        manager.close()
        os._exit(manager.lost_messages)
    assert os.wait()[1] == 0
"""


async def test_what_was_published_leaves_before_close_returns(tmp_path: Path) -> None:
    """Of processes that end at once: some of them lost it."""
    with zmq.Context() as context, context.socket(zmq.PULL) as broker:
        broker.setsockopt(zmq.RCVTIMEO, 10_000)
        port = broker.bind_to_random_port("tcp://127.0.0.1")
        url = f"zmq+tcp://127.0.0.1:{port}+{port}"
        arguments = ("-c", PUBLISHER, url)
        done = await asyncio.to_thread(python, *arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        got = [json.loads(await asyncio.to_thread(broker.recv)) for _ in range(30)]
    assert sorted(message["data"]["data"] for message in got) == [
        [number] for number in range(30)
    ]
