"""Workers that die, stop, or send nonsense."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.processes import environment
from support.waiting import until, within

from managers.app import Client
from managers.conftest import Connect
from socketio_fast.cluster.frames import HEAD, PROTOCOL, Kind, frame
from socketio_fast.cluster.identity import file_name

# Seconds for four processes to listen.
START_TIMEOUT = 50.0

PROGRAM = """
import asyncio, logging, sys
logging.basicConfig(level=logging.WARNING)
import socketio_fast

async def main():
    sio = socketio_fast.AsyncServer(cluster=sys.argv[1], ping_timeout=60)

    @sio.on("do")
    async def do(sid, method, options):
        return {"result": await getattr(sio, method)(**options)}

    sio.on("counters", lambda sid: dict(sio.eio.counters))

    @sio.on("fill")
    async def fill(sid, size, count):
        for number in range(count):
            await sio.emit("filled", (number, "x" * size))

    @sio.on("call_elsewhere")
    async def call_elsewhere(sid, to):
        try:
            await sio.call("silent", to=to, timeout=600)
        except Exception as exc:
            await sio.emit("failed", type(exc).__name__, to=sid)

    server = await socketio_fast.serve(sio, host="127.0.0.1", port=0)
    print(server.url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Worker:
    """A process, and a client of it."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        self.client = Client()

    async def counts(self, count: int) -> None:
        """Wait until it counts so many servers."""
        for _ in range(2000):
            if await self.client.do("server_count") == count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"there are not {count} servers")

    def kill(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


def begun(cluster: str, log: Path) -> Worker:
    with open(log, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, cluster],
            cwd=log.parent,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    return Worker(process, log)


@pytest.fixture
async def workers(cluster: str, tmp_path: Path) -> AsyncIterator[list[Worker]]:
    """Four processes that know each other."""
    started: list[Worker] = []
    try:
        for number in range(4):
            started.append(begun(cluster, tmp_path / f"log{number}"))
        for worker in started:
            assert worker.process.stdout is not None
            url = await within(
                asyncio.to_thread(worker.process.stdout.readline), seconds=START_TIMEOUT
            )
            await worker.client.connect(url.strip())
        for worker in started:
            await worker.counts(4)
        yield started
    finally:
        for worker in started:
            worker.kill(signal.SIGCONT)
            worker.process.kill()
        for worker in started:
            await worker.client.close()
            worker.process.communicate()


async def test_processes_do_for_each_other(workers: list[Worker]) -> None:
    """What test_workers.py does in one process, with four."""
    clients = [worker.client for worker in workers]
    for here in clients:
        for there in clients:
            if there is not here:
                await here.do("enter_room", sid=there.sid, room="r")
                await here.do("emit", event="room", to="r", data=b"1")
                assert await there.next() == ("room", b"1")
                assert await here.do("call", event="double", data=4, to=there.sid) == 8
                await here.do("leave_room", sid=there.sid, room="r")
        await here.do("emit", event="all", data=[{"a": 1}])
        for client in clients:
            assert await client.next() == ("all", [{"a": 1}])
    await clients[0].do("disconnect", sid=clients[3].sid)
    await within(clients[3].ended.wait())


async def test_a_worker_that_is_killed(workers: list[Worker]) -> None:
    """Calls to its clients fail at once, and the others go on, in order."""
    here, there, third = (worker.client for worker in workers[:3])
    await here.sio.emit("call_elsewhere", third.sid)
    await here.sio.emit("fill", (1000, 500))
    workers[2].kill(signal.SIGKILL)
    for client in (here, there):
        numbers = []
        failed = client is not here
        while len(numbers) < 500 or not failed:
            name, *args = await client.next()
            if name == "failed":
                failed = True
                assert args == ["CallDisconnectedError"]
            else:
                numbers.append(args[0])
        assert numbers == list(range(500))
    await workers[0].counts(3)
    await here.do("emit", event="end")
    assert await there.next() == ("end",)


async def test_a_worker_that_does_not_read(workers: list[Worker]) -> None:
    """It costs the others nothing; what it misses is counted, and logged once."""
    here, there, last, fourth = (worker.client for worker in workers)
    workers[2].kill(signal.SIGSTOP)
    for start in range(0, 40, 10):
        await here.sio.emit("fill", (1_000_000, 10))
        for client in (here, there, fourth):
            numbers = [(await client.next())[1] for _ in range(10)]
            assert numbers == list(range(10)), start
    dropped = (await here.call("counters"))["messages_dropped_for_workers"]
    assert 20 <= dropped < 40
    # It is told of this when it reads again.
    await there.do("enter_room", sid=there.sid, room="late")
    await here.do("enter_room", sid=here.sid, room="late")
    workers[2].kill(signal.SIGCONT)
    for _ in range(40 - dropped):
        assert (await last.next())[0] == "filled"
    await last.do("emit", event="from it", to="late")
    for client in (here, there):
        assert await client.next() == ("from it",)
    await here.do("emit", event="end")
    assert await last.next() == ("end",)
    log = workers[0].log.read_text()
    assert log.count("does not read") == 1
    assert f"reads again; {dropped} messages" in log


# --- nonsense -------------------------------------------------------------------

Node = Callable[..., Awaitable[Any]]


def message(payload: bytes) -> bytes:
    return frame(Kind.MESSAGE, payload)


def other(value: Any) -> bytes:
    return message(b"\x10" + json.dumps(value).encode())


NONSENSE = {
    "nothing": message(b""),
    "an unknown type": message(b"\x09\x01\x00\x00\x00/"),
    "an event that ends": message(b"\x00\x10"),
    "an event with many rooms": message(b"\x00\x14" + b"\xff" * 24),
    "an event without text": message(b"\x00" + b"\x00" * 17 + b"\x01\x00\x00\x00/"),
    "a state that ends": message(b"\x01\x05\x00\x00\x00ab"),
    "a room of an unknown type": message(b"\x04\x01\x00\x00\x00/x\x00\x00\x00\x00"),
    "a number that is none": message(b"\x04\x01\x00\x00\x00/i\x01\x00\x00\x00x"),
    "no JSON": message(b"\x10{"),
    "no object": other([1]),
    "no method": other({}),
    "an unknown method": other({"method": "shout"}),
    "a call of nobody": other({"method": "call"}),
    "a call without arguments": other({"method": "call", "id": 1, "sid": []}),
    "gone without id": other({"method": "gone"}),
    "a change of nothing": other({"method": "change", "change": "join"}),
    "a response to nobody": other({"method": "response"}),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_refused(
    nonsense: bytes,
    node: Node,
    connect: Connect,
    cluster: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By the link of a worker that is there. It is logged, and nothing changes."""
    sio, url = await node(cluster=cluster)
    second, second_url = await node(cluster=cluster)
    client, sender = await connect(url), await connect(second_url)
    tag = second.manager.host_id
    hello = json.dumps({"protocol": PROTOCOL, "tag": tag, "pid": 1}).encode()
    path = Path(cluster.removeprefix("unix:")) / file_name(sio.manager.host_id)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(frame(Kind.HELLO, hello) + nonsense)
        await until(lambda: "refused" in caplog.text or "unknown" in caplog.text)
        caplog.clear()
        sock.sendall(nonsense)
        await second.emit("end")
        assert await client.next() == ("end",)
        assert await sender.next() == ("end",)
    caplog.clear()


async def test_what_is_no_frame_ends_that_link_alone(
    node: Node, connect: Connect, cluster: str, caplog: pytest.LogCaptureFixture
) -> None:
    sio, url = await node(cluster=cluster)
    second, _ = await node(cluster=cluster)
    client = await connect(url)
    path = Path(cluster.removeprefix("unix:")) / file_name(sio.manager.host_id)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(HEAD.pack(1 << 31, Kind.MESSAGE))
        await until(lambda: "the link is closed" in caplog.text)
    caplog.clear()
    await second.emit("end")
    assert await client.next() == ("end",)
