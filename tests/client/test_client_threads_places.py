"""Where the client for threads is used, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import queue
import signal
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nest_asyncio
import pytest
import socketio as python_socketio
from support.processes import python
from support.threaded_servers import (
    Running,
    gathered,
    loop_threads,
    make_server,
    running,
    wait_until,
)
from support.waiting import WAIT

import socketio_fast as socketio

HERE = Path(__file__).parent


@pytest.fixture
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


@pytest.fixture
def sio() -> Iterator[socketio.Client]:
    with socketio.Client(reconnection_delay=0.05, handle_sigint=False) as client:
        yield client


# Where it is used.


async def test_in_a_program_with_a_running_loop(
    server: Running, sio: socketio.Client
) -> None:
    came = gathered(sio)
    sio.connect(server.url)
    sio.emit("echo", 1)
    assert came() == (1,)
    assert await asyncio.to_thread(sio.call, "ask", 2) == 2
    sio.disconnect()


def test_in_a_nested_loop_as_in_jupyter() -> None:
    program = """
import asyncio, sys
import nest_asyncio
import socketio_fast as socketio

nest_asyncio.apply()

async def cell(url):
    with socketio.Client() as sio:
        sio.connect(url)
        print(sio.call("ask", 1))
    client = socketio.AsyncClient()
    loop = asyncio.get_running_loop()
    loop.run_until_complete(client.connect(url))
    print(loop.run_until_complete(client.call("ask", 2)))
    await client.disconnect()

asyncio.run(cell(sys.argv[1]))
"""
    assert nest_asyncio
    with running(make_server) as server:
        done = python("-c", program, server.url, cwd=HERE)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "1\n2\n")


def test_in_a_thread(server: Running) -> None:
    results: list[Any] = []

    def work() -> None:
        with socketio.Client() as sio:
            sio.connect(server.url)
            results.append(sio.call("ask", 1))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(WAIT)
    assert results == [1]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_no_connection_and_may_make_one() -> None:
    program = """
import os, sys, threading
import socketio_fast as socketio

sio = socketio.Client()
sio.connect(sys.argv[1])
before = sio.call("who")
waiting = threading.Thread(target=sio.wait)
waiting.start()
pid = os.fork()
if not pid:
    assert not sio.connected and sio.get_sid() is None
    assert sio.eio.state == "disconnected"
    try:
        sio.emit("echo")
    except socketio.exceptions.BadNamespaceError:
        pass
    sio.connect(sys.argv[1])
    assert sio.call("who") not in (None, before)
    sio.disconnect()
    assert not [t for t in threading.enumerate() if "socketio_fast-loop" in t.name]
    sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert sio.call("who") == before
sio.disconnect()
print("well")
"""
    with running(make_server) as server:
        done = python("-W", "ignore", "-c", program, server.url, cwd=HERE)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "well\n")


def test_sigint_disconnects_and_then_does_what_it_did() -> None:
    """C26: ``handle_sigint``."""
    program = """
import os, signal, sys, threading
import socketio_fast as socketio

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
sio = socketio.Client()

@sio.event
def disconnect(reason):
    print(reason)

sio.connect(sys.argv[1])
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    sio.wait()
except KeyboardInterrupt:
    print("interrupted", sio.connected)
"""
    with running(make_server) as server:
        done = python("-c", program, server.url, cwd=HERE)
    assert done.stderr == ""
    assert done.stdout == "client disconnect\ninterrupted False\n"


def test_sigint_during_a_reconnection(server: Running) -> None:
    program = """
import os, signal, sys, threading
import socketio_fast as socketio

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
sio = socketio.Client(reconnection_delay=60)
sio.connect(sys.argv[1])
sio.emit("kick_all")
sio.manager.on("close", lambda *args: os.kill(os.getpid(), signal.SIGINT))
try:
    sio.wait()
except KeyboardInterrupt:
    print("interrupted")
"""

    @server.app.event
    async def kick_all(sid: str) -> None:
        asyncio.get_running_loop().call_later(0.1, stop)

    def stop() -> None:
        stopping.append(asyncio.ensure_future(server._server.close()))

    stopping: list[Any] = []
    done = python("-c", program, server.url, cwd=HERE)
    assert (done.stderr, done.stdout) == ("", "interrupted\n")


def test_sigint_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    socketio.Client(handle_sigint=False)
    assert signal.getsignal(signal.SIGINT) is before
    thread = threading.Thread(target=socketio.Client)
    thread.start()
    thread.join(WAIT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_program_ends_while_it_is_connected() -> None:
    """C26: and disconnects before."""
    program = """
import sys
import socketio_fast as socketio

sio = socketio.Client()
sio.connect(sys.argv[1])
sio.emit("last", "words")
"""
    with running(make_server) as server:
        got: queue.Queue[Any] = queue.Queue()
        server.app.on("last", lambda sid, data: got.put(data))
        done = python("-c", program, server.url, cwd=HERE)
        assert (done.returncode, done.stderr) == (0, "")
        assert got.get(timeout=WAIT) == "words"


# What it leaves behind.


def test_threads_and_descriptors_end_with_the_connection(server: Running) -> None:
    descriptors = None
    sio = socketio.Client(handle_sigint=False)
    for number in range(20):
        sio.connect(server.url)
        assert sio.call("ask", number) == number
        sio.disconnect()
        wait_until(lambda: not loop_threads())
        if number == 9:
            descriptors = len(os.listdir("/proc/self/fd"))
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= (descriptors or 0))


def test_a_client_that_nobody_refers_to_ends(server: Running) -> None:
    sio = socketio.Client(handle_sigint=False)
    sio.connect(server.url)
    sio.disconnect()
    gone = weakref.ref(sio)
    del sio
    gc.collect()
    assert gone() is None


def test_background_tasks_and_sleep(sio: socketio.Client) -> None:
    done: list[Any] = []
    thread = sio.start_background_task(lambda *a, **k: done.append((a, k)), 1, b=2)
    thread.join(WAIT)
    assert done == [((1,), {"b": 2})]
    assert thread.daemon
    sio.sleep(0.01)


def test_names_and_signatures_are_python_socketios() -> None:
    theirs, ours = python_socketio.Client(), socketio.Client()
    for name in dir(theirs):
        if name.startswith("_"):
            continue
        assert hasattr(ours, name), name
        method = getattr(theirs, name)
        if not inspect.ismethod(method):
            continue
        wanted = inspect.signature(method).parameters.values()
        found = inspect.signature(getattr(ours, name)).parameters.values()
        if name == "event":
            continue
        assert [(p.name, p.default) for p in wanted] == [
            (p.name, p.default) for p in found
        ], name
    wanted = inspect.signature(python_socketio.Client).parameters.values()
    found = inspect.signature(socketio.Client).parameters.values()
    positional = [p for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [(p.name, p.default) for p in wanted if p.kind is not p.VAR_KEYWORD] == [
        (p.name, p.default) for p in positional
    ]


def test_the_log_says_what_happens(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with socketio.Client(logger=True, engineio_logger=True, handle_sigint=False) as sio:
        sio.connect(server.url)
        sio.emit("echo", 1)
    assert 'Emitting event "echo"' in caplog.text
