"""One program of a client, run with both packages against the same server.

::

    async def test_greets(program: Program) -> None:
        async def run(sio: Any, url: str, note: Note) -> None:
            sio.on("connect", lambda: note("connect"))
            await sio.connect(url)
            note(await sio.call("echo", 1))

        await program(run)

What both have noted must be the same, exceptions that end the program included.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

import aiohttp
import engineio as python_engineio
import socketio as python_socketio
from support.client_application import add_handlers
from support.waiting import within

import socketio_fast
from socketio_fast import engineio

Note = Callable[..., None]
Run = Callable[[Any, str, Note], Coroutine[Any, Any, None]]


class Program(Protocol):
    async def __call__(self, run: Run, **options: Any) -> list[Any]: ...


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[str]:
    """The application of tests/support/client_application.py on our server."""
    sio = socketio_fast.AsyncServer()
    add_handlers(sio, socketio_fast.exceptions.ConnectionRefusedError)
    async with await socketio_fast.serve(sio, port=0) as server:
        yield server.url


async def noted(package: Any, run: Run, url: str, options: dict[str, Any]) -> list[Any]:
    """What the program notes with this package."""
    notes: list[Any] = []
    async with aiohttp.ClientSession() as http:
        sio = package.AsyncClient(
            **{"handle_sigint": False, "http_session": http, **options}
        )
        try:
            await within(run(sio, url, lambda *what: notes.append(what)), "its end")
        except Exception as error:
            notes.append(("raised", package_name(error), error.args))
        with contextlib.suppress(Exception):
            await within(sio.disconnect(), "disconnect")
    return notes


def package_name(error: BaseException) -> str:
    """The name of the class in python-socketio that programs catch it by."""
    for kind in type(error).__mro__:
        if hasattr(python_socketio.exceptions, kind.__name__):
            return kind.__name__
    return type(error).__name__


async def compared(run: Run, **options: Any) -> list[Any]:
    """Run it with both, and give what both have noted."""
    options = {"reconnection": False, **options}
    async with served() as url:
        theirs = await noted(python_socketio, run, url, options)
        ours = await noted(socketio_fast, run, url, options)
    assert ours == theirs
    return theirs


async def compared_engines(run: Run, **options: Any) -> list[Any]:
    """Run it with the Engine.IO clients of both, and give what both have noted. Their
    server sends back what it is sent, and disconnects who sends ``bye``."""
    eio = engineio.AsyncServer()

    @eio.on("message")
    async def message(sid: str, data: Any) -> None:
        await (eio.disconnect(sid) if data == "bye" else eio.send(sid, data))

    async with await socketio_fast.serve(eio, port=0, path="engine.io") as server:
        theirs = await noted(python_engineio, run, server.url, options)
        ours = await noted(engineio, run, server.url, options)
    assert ours == theirs
    return theirs
