"""Tries an installed wheel, with nothing but what it depends on.

    python check.py

It imports every module, and serves clients on each event loop that is installed: by
WebSocket, by long-polling and with an upgrade, for asyncio and for threads, until
Ctrl-C. On Windows it also asks for what is not there, which has to be refused.

Prints a line for each, and ends with 1 at the first that fails.
"""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import os
import pkgutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import socketio_fast as socketio
from socketio_fast._core import compiled
from socketio_fast.event_loops import NAMES

WINDOWS = sys.platform == "win32"

#: Seconds for everything. Another processor may be emulated, and the machine busy.
TIMEOUT = 900

#: What Windows has no means for: supervised workers.
POSIX_ONLY = "socketio_fast.workers."

TRANSPORTS = (["websocket"], ["polling"], ["polling", "websocket"])
BINARY = bytes(range(256)) * 300


def main() -> int:
    timer = threading.Timer(TIMEOUT, late)
    timer.daemon = True
    timer.start()
    package = Path(socketio.__file__).parent
    print(f"Python {sys.version.split()[0]}, {sys.platform}, {package}", flush=True)
    print(f"{import_all()} modules imported", flush=True)
    loops = list(installed_loops())
    for name, run in loops:
        run(echo())
        print(f"{name}: echoed by {TRANSPORTS}", flush=True)
    echo_in_threads()
    print("threads: echoed", flush=True)
    for threads in (False, True):
        run_until_signal(threads)
        print(f"run(), threads={threads}: ended by Ctrl-C", flush=True)
    if WINDOWS:
        print(f"{refused()} refused", flush=True)
    print("ok", flush=True)
    return 0


def late() -> None:
    print(f"not over after {TIMEOUT} s", flush=True)
    faulthandler.dump_traceback()
    os._exit(1)


def import_all() -> int:
    """Import each module but those of extras, which name what to install."""
    names = [
        module.name
        for module in pkgutil.walk_packages(
            socketio.__path__, "socketio_fast.", lambda name: None
        )
        if not module.name.endswith("__main__")
    ]
    names += compiled.PLACES
    count = 0
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as exc:
            missing = exc.name or ""
            if missing.startswith("socketio_fast"):
                raise
            if missing == "fcntl" and not (WINDOWS and name.startswith(POSIX_ONLY)):
                raise
        except ImportError as exc:
            if "pip install" not in str(exc):
                raise
        else:
            count += 1
    assert count > 200, f"only {count} of {names}"
    return count


Run = Callable[[Coroutine[Any, Any, None]], None]


def installed_loops() -> list[tuple[str, Run]]:
    loops: list[tuple[str, Run]] = [("asyncio", asyncio.run)]
    for name in NAMES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        loops.append((name, module.run))
    return loops


def application(server: Any) -> Any:
    @server.event
    def say(sid: str, data: Any) -> Any:
        return data

    return server


async def echo() -> None:
    sio = application(socketio.AsyncServer())
    async with await socketio.serve(sio, port=0) as server:
        for transports in TRANSPORTS:
            client = socketio.AsyncClient()
            await client.connect(server.url, transports=transports)
            for data in ("hallo é", {"binary": [BINARY, b""]}, [1, 2.5, None]):
                answer = await client.call("say", data, timeout=60)
                assert answer == data, (transports, answer)
            await client.disconnect()


def echo_in_threads() -> None:
    url, stop = serve_in_threads()
    client = socketio.Client()
    client.connect(url)
    assert client.call("say", BINARY, timeout=60) == BINARY
    client.disconnect()
    stop()


def serve_in_threads() -> tuple[str, Callable[[], None]]:
    """A server for threads, on a thread: its URL, and what stops it."""
    sio = application(socketio.Server())
    server = sio._threads.run(socketio.serve(sio._server, port=0))

    def stop() -> None:
        sio._threads.run(server.close())
        sio._threads.stop()

    return server.url, stop


def run_until_signal(threads: bool) -> None:
    """run() ends when Ctrl-C is pressed, and tells its clients."""
    told = threading.Event()
    problems: list[BaseException] = []
    port = free_port()

    def press() -> None:
        try:
            client = socketio.Client(reconnection=False)
            client.on("disconnect", lambda reason: told.set())
            client.connect(f"http://127.0.0.1:{port}", wait_timeout=60, retry=False)
            assert client.call("say", "hallo", timeout=60) == "hallo"
        except BaseException as exc:
            problems.append(exc)
        finally:
            interrupt()

    server = application(socketio.Server() if threads else socketio.AsyncServer())
    thread = threading.Timer(1, press)
    thread.start()
    socketio.run(server, port=port)
    thread.join()
    assert not problems, problems
    assert told.wait(30), "the client was not told"


def interrupt() -> None:
    if WINDOWS:
        signal.raise_signal(signal.SIGINT)  # by a thread, as Ctrl-C does there
    else:
        os.kill(os.getpid(), signal.SIGINT)


def free_port() -> int:

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def refused() -> int:
    """What is not on Windows raises an error that says so."""

    async def on_a_file() -> None:
        await socketio.serve(socketio.AsyncServer(), uds="server.sock")

    async def at_a_file() -> None:
        await socketio.AsyncClient().connect("unix:///server.sock")

    sio = socketio.AsyncServer()
    attempts: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (RuntimeError, "without workers", lambda: socketio.run(sio, workers=2)),
        (RuntimeError, "without workers", lambda: socketio.run("m:sio", reload=True)),
        (ValueError, "sticky", lambda: socketio.AsyncServer(cluster="unix:directory")),
        (ValueError, "Unix sockets", lambda: asyncio.run(on_a_file())),
        (ValueError, "Unix sockets", lambda: asyncio.run(at_a_file())),
    ]
    for kind, word, attempt in attempts:
        try:
            attempt()
        except kind as exc:
            if word not in str(exc):
                raise
        else:
            raise AssertionError(f"not refused: {word}")
    return len(attempts)


if __name__ == "__main__":
    sys.exit(main())
