"""The application that clients are tried against, in a process of its own.

``python -m support.client_application PACKAGE PORT OPTIONS``: PACKAGE is
``socketio_fast``, served by its own server, or ``socketio``, python-socketio in
uvicorn; OPTIONS are JSON, see :data:`support.client_servers.DEFAULTS`. It prints a line
as soon as it listens, and ends when its stdin does. tests/interop/server.mjs is the
same in JavaScript, and tests/interop/rust/server.rs in Rust.

In every namespace that lets clients in:

=====================  ===============================================================
``echo(*args)``        emits ``echo`` with them, and acknowledges with them
``ack(n)``             acknowledges with the n arguments 0, 1, 2, …
``binary(data)``       emits ``binary`` with ``{"data": data, "parts": [data, data]}``,
                       and acknowledges with the size and the bytes 0 to 255
``ask(*args)``         emits ``question`` with them, to be acknowledged, and emits
                       ``answered`` with the list of what comes back
``burst(n)``           emits ``item`` with each of 0 to n - 1, and acknowledges with n
``note(name, value)``  adds the value to the named list, and acknowledges with value
``notes(name)``        acknowledges with that list
``kick()``             disconnects the client from the namespace
``drop()``             ends the connection without a word
``silent()``           is never acknowledged
``later(seconds)``     acknowledges then, with seconds
``whoami()``           acknowledges with the client's ``sid``, and the ``auth``,
                       ``headers`` (names in lower case), ``query`` and ``transport``
                       that the client came with
=====================  ===============================================================

The namespaces are ``/``, ``/chat``; ``/refuse``, which refuses with the message
"refused" and the data ``{"reason": "never"}``; and ``/auth``, which refuses with the
message "unauthorized" whoever has not the auth ``{"token": "secret"}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections import defaultdict
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl

NAMESPACES = ("/", "/chat", "/auth")

#: What ``binary`` is acknowledged with besides the size.
ALL_BYTES = bytes(range(256))


def add_handlers(sio: Any, refused: type[Exception]) -> None:
    """Add the application to a server of either package."""
    notes: defaultdict[str, list[Any]] = defaultdict(list)
    came_with: dict[str, Any] = {}
    for namespace in NAMESPACES:
        _add_connect(sio, refused, namespace, came_with)
        _add_messages(sio, namespace, notes)
        _add_ends(sio, namespace, came_with)

    @sio.on("connect", namespace="/refuse")
    async def refuse(sid: str, environ: Any, auth: Any = None) -> None:
        raise refused("refused", {"reason": "never"})


def _add_connect(
    sio: Any, refused: type[Exception], namespace: str, came_with: dict[str, Any]
) -> None:
    @sio.on("connect", namespace=namespace)
    async def connect(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        if namespace == "/auth" and (auth or {}).get("token") != "secret":
            raise refused("unauthorized")
        query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        came_with[sid] = {
            "sid": sid,
            "auth": auth or {},
            "headers": {
                name[5:].replace("_", "-").lower(): value
                for name, value in environ.items()
                if name.startswith("HTTP_")
            },
            "query": query,
            "transport": query.get("transport"),
        }

    @sio.on("whoami", namespace=namespace)
    async def whoami(sid: str) -> Any:
        return came_with[sid]


def _add_messages(sio: Any, namespace: str, notes: defaultdict[str, list[Any]]) -> None:
    async def emit(sid: str, event: str, *args: Any, **options: Any) -> None:
        await sio.emit(event, args, to=sid, namespace=namespace, **options)

    @sio.on("echo", namespace=namespace)
    async def echo(sid: str, *args: Any) -> Any:
        await emit(sid, "echo", *args)
        return args

    @sio.on("ack", namespace=namespace)
    async def ack(sid: str, count: int) -> Any:
        return tuple(range(count))

    @sio.on("binary", namespace=namespace)
    async def binary(sid: str, data: bytes) -> Any:
        await emit(sid, "binary", {"data": data, "parts": [data, data]})
        return len(data), ALL_BYTES

    @sio.on("ask", namespace=namespace)
    async def ask(sid: str, *args: Any) -> None:
        async def answered(*answer: Any) -> None:
            await emit(sid, "answered", list(answer))

        await emit(sid, "question", *args, callback=answered)

    @sio.on("burst", namespace=namespace)
    async def burst(sid: str, count: int) -> int:
        for number in range(count):
            await emit(sid, "item", number)
        return count

    @sio.on("note", namespace=namespace)
    async def note(sid: str, name: str, value: Any) -> Any:
        notes[name].append(value)
        return value

    @sio.on("notes", namespace=namespace)
    async def get_notes(sid: str, name: str) -> Any:
        return notes[name]

    @sio.on("later", namespace=namespace)
    async def later(sid: str, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds


def _add_ends(sio: Any, namespace: str, came_with: dict[str, Any]) -> None:
    @sio.on("kick", namespace=namespace)
    async def kick(sid: str) -> None:
        await sio.disconnect(sid, namespace=namespace)

    @sio.on("drop", namespace=namespace)
    async def drop(sid: str) -> None:
        await sio.eio.disconnect(sio.manager.eio_sid_from_sid(sid, namespace))

    @sio.on("disconnect", namespace=namespace)
    async def disconnect(sid: str, reason: Any = None) -> None:
        came_with.pop(sid, None)


def _seconds_and_bytes(options: dict[str, Any]) -> dict[str, Any]:
    """What both packages call the same."""
    known = {
        "ping_interval",
        "ping_timeout",
        "max_http_buffer_size",
        "transports",
        "allow_upgrades",
        "cookie",
    }
    return {name: value for name, value in options.items() if name in known}


def _serve_ours(port: int, options: dict[str, Any]) -> None:
    import socketio_fast

    sio = socketio_fast.AsyncServer(
        connection_state_recovery=options["recovery"],
        per_message_deflate=options["per_message_deflate"],
        **_seconds_and_bytes(options),
    )
    add_handlers(sio, socketio_fast.exceptions.ConnectionRefusedError)
    # Its announcement is the line that says that it listens.
    socketio_fast.run(sio, port=port, path=options["path"], shutdown_timeout=2)


def _serve_python_socketio(port: int, options: dict[str, Any]) -> None:
    socketio: Any = import_module("socketio")
    import uvicorn

    sio = socketio.AsyncServer(async_mode="asgi", **_seconds_and_bytes(options))
    add_handlers(sio, socketio.exceptions.ConnectionRefusedError)

    class Server(uvicorn.Server):
        async def startup(self, *args: Any, **more: Any) -> None:
            await super().startup(*args, **more)
            print("listening", flush=True)

    app = socketio.ASGIApp(sio, socketio_path=options["path"])
    Server(
        uvicorn.Config(
            app,
            port=port,
            log_level="error",
            access_log=False,
            timeout_graceful_shutdown=1,
            ws_per_message_deflate=options["per_message_deflate"],
        )
    ).run()


def _end_with_stdin() -> None:
    """Whoever started this process has ended, or says that it should."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    serve = {"socketio_fast": _serve_ours, "socketio": _serve_python_socketio}
    serve[sys.argv[1]](int(sys.argv[2]), json.loads(sys.argv[3]))
