"""A process that is forked after it has published: ``gunicorn --preload``."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.brokers import RabbitMQ, ZeroMQ
from support.waiting import within

from managers.conftest import Connect
from managers.in_process import Broker, Manager
from socketio_fast import AsyncServer, KombuManager, ZmqManager

HERE = Path(__file__).parent
Node = Callable[[Any], Awaitable[tuple[AsyncServer, str]]]

#: Since Python 3.12 a process with threads is warned when it forks, whatever it does.
FORKS = ["-W", "ignore:This process:DeprecationWarning"]

PROGRAM = """
import os, sys
import socketio_fast

manager = socketio_fast.{name}(sys.argv[1], write_only=True)
manager.emit("said", "before")
pid = os.fork()
for number in range(3):
    manager.emit("said", f"{{'parent' if pid else 'child'}} {{number}}")
manager.close()
assert manager.lost_messages == 0
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""


async def both_are_heard(name: str, url: str, client: Any) -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, *FORKS, "-c", PROGRAM.format(name=name), url),
        cwd=HERE,
        stderr=subprocess.PIPE,
    )
    try:
        _, errors = await within(program.communicate())
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    assert (program.returncode, errors) == (0, b"")
    heard = [(await within(client.events.get()))[1] for _ in range(7)]
    assert heard[0] == "before"
    for who in ("parent", "child"):
        own = [text for text in heard if text.startswith(who)]
        assert own == [f"{who} {number}" for number in range(3)]


async def test_zeromq(zeromq: ZeroMQ, node: Node, connect: Connect) -> None:
    _, url = await node(ZmqManager(zeromq.url))
    await both_are_heard("ZmqManager", zeromq.url, await connect(url))


async def test_rabbitmq(rabbitmq: RabbitMQ, node: Node, connect: Connect) -> None:
    _, url = await node(KombuManager(rabbitmq.url))
    await both_are_heard("KombuManager", rabbitmq.url, await connect(url))


def test_a_manager_of_the_program_forgets_its_connection(tmp_path: Path) -> None:
    program = """
import os
import socketio_fast

class Manager(socketio_fast.PubSubManager):
    connection = None
    forks = 0

    def _publish(self, data):
        if self.connection is None:
            self.connection = os.getpid()
        assert self.connection == os.getpid()

    def _after_fork(self):
        self.connection = None
        self.forks += 1

manager = Manager(write_only=True)
manager.emit("e", 1)
pid = os.fork()
manager.emit("e", 2)
manager.emit("e", 3)
assert (manager.lost_messages, manager.forks) == (0, 0 if pid else 1)
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""
    done = subprocess.run(
        [sys.executable, *FORKS, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_who_was_there_is_asked_anew_on_another_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A child that was forked after its parent had looked says hello itself."""
    monkeypatch.setattr("socketio_fast.managers.cluster.DISCOVERY_TIME", 0)
    broker = Broker()
    manager = Manager(broker)
    sio = AsyncServer(client_manager=manager)

    async def look() -> None:
        sio.bind(asyncio.get_running_loop())
        await manager.cluster.discover()
        assert manager.cluster.hosts == {}
        manager.cluster.hosts["other"] = 0.0
        assert manager.thread is not None
        manager.thread.cancel()  # as is whatever ran in a parent

    for _ in range(2):
        asyncio.run(within(look()))
    assert [m["method"] for m in broker.published].count("hello") == 2
