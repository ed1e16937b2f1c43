"""A server on the event loop of a thread, for tests of clients that block."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import socketio_fast
from socketio_fast.threads.loop import LoopThread
from support.waiting import WAIT


class Running:
    """A server that listens, and may be stopped and started again on its port."""

    def __init__(self, make: Callable[[], Any], **options: Any) -> None:
        self._make = make
        self._options = options
        self._thread = LoopThread("server")
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        scheme = "https" if "ssl_certfile" in self._options else "http"
        return f"{scheme}://127.0.0.1:{self._port}"

    def start(self) -> None:
        self.app = self._make()
        where = {"host": "127.0.0.1", "port": self._port}
        options = self._options if "uds" in self._options else where | self._options
        self._server = self.run(socketio_fast.serve(self.app, **options))
        self._port = self._server.port

    def stop(self) -> None:
        """Stop it as if it was killed: connections are cut."""
        self.run(self._server.close())

    def run(self, coro: Any) -> Any:
        """Run a coroutine where the server runs."""
        return self._thread.run(coro, WAIT)

    def end(self) -> None:
        self.stop()
        self._thread.stop(WAIT)


@contextmanager
def running(make: Callable[[], Any], **options: Any) -> Iterator[Running]:
    """Run the server that a function makes, with these options of ``serve()``."""
    server = Running(make, **options)
    try:
        yield server
    finally:
        server.end()


def wait_until(condition: Callable[[], bool], seconds: float = WAIT) -> None:
    """Wait for what tells nobody that it has happened."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.005)


def make_server() -> socketio_fast.AsyncServer:
    """What the clients for threads are tested with."""
    sio = socketio_fast.AsyncServer(namespaces=["/", "/chat", "/other"])

    @sio.on("connect", namespace="/refusing")
    async def refuse(sid: str, environ: Any, auth: Any) -> bool:
        return False

    @sio.on("ask", namespace="*")
    async def ask(namespace: str, sid: str, *args: Any) -> Any:
        return args

    @sio.on("echo", namespace="*")
    async def echo(namespace: str, sid: str, *args: Any) -> None:
        await sio.emit("echo", args, to=sid, namespace=namespace)

    @sio.event
    async def kick(sid: str) -> None:
        await sio.disconnect(sid)

    @sio.event
    async def who(sid: str) -> str:
        return sid

    return sio


def gathered(sio: socketio_fast.Client, event: str = "echo", **options: Any) -> Any:
    """Handle an event; a function returns the arguments of each."""
    came: queue.Queue[Any] = queue.Queue()
    sio.on(event, lambda *args: came.put(args), **options)
    return lambda: came.get(timeout=WAIT)


def loop_threads() -> list[threading.Thread]:
    """The threads of clients that run now. Managers and emitters share one, which runs
    until the process ends."""
    return [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("socketio_fast")
        and thread.name != "socketio_fast-managers"
    ]
