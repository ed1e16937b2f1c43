"""A chat with rooms, names, typing notices and a list of who is there.

    python examples/chat/server.py [--host HOST] [--port PORT] [--client-js PATH]

A browser connects with its name as `auth` and joins one room at a time, of which it
is told the messages, who types, and who comes and goes.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import socketio_fast as socketio

STATIC = Path(__file__).resolve().parent / "static"
MAX_NAME, MAX_ROOM, MAX_TEXT = 24, 32, 2000
Data = dict[str, Any]
Handler = Callable[..., Awaitable[Data]]


class BadInput(socketio.exceptions.ConnectionRefusedError):
    """What a client sent cannot be used: its connection, or its event, is refused."""


def text(value: object, what: str, limit: int, *, lines: bool = False) -> str:
    """`value`, if it is text that fits: one visible line, or `lines` of anything."""
    if not isinstance(value, str):
        raise BadInput(f"The {what} must be text.")
    value = value.strip() if lines else " ".join(value.split())
    if not 0 < len(value) <= limit:
        raise BadInput(f"The {what} must have 1 to {limit} characters.")
    if not lines and not value.isprintable():
        raise BadInput(f"The {what} has characters that cannot be shown.")
    return value


def channel(room: str) -> str:
    """The Socket.IO room of a chat room, which is never one of those named by a sid."""
    return f"chat:{room}"


def answered(handler: Handler) -> Handler:
    """Let `handler` take the event's first argument and acknowledge how it went."""

    @functools.wraps(handler)
    async def answer(sid: str, value: object = None, *_: object) -> Data:
        try:
            return {"ok": True, **await handler(sid, value)}
        except BadInput as error:
            return {"ok": False, "error": str(error)}

    return answer


def create(client_js: Path | None = None) -> tuple[socketio.AsyncServer, Data]:
    """A chat server, and the files to serve beside it."""
    sio = socketio.AsyncServer()
    people: dict[str, dict[str, str]] = {}  # room: {sid: name}

    async def whereabouts(sid: str) -> tuple[str, str]:
        session = await sio.get_session(sid)
        if "room" not in session:
            raise BadInput("Join a room first.")
        return session["name"], session["room"]

    async def leave(sid: str) -> None:
        async with sio.session(sid) as session:
            room = session.pop("room", None)
        if room is None:
            return
        name = people[room].pop(sid)
        if not people[room]:
            del people[room]
        await sio.leave_room(sid, channel(room))
        await sio.emit("left", {"id": sid, "name": name}, to=channel(room))

    @sio.event
    async def connect(sid: str, environ: Data, auth: object) -> None:
        name = auth.get("name") if isinstance(auth, dict) else None
        await sio.save_session(sid, {"name": text(name, "name", MAX_NAME)})

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        await leave(sid)

    @sio.event
    @answered
    async def join(sid: str, value: object) -> Data:
        room = text(value, "room", MAX_ROOM)
        await leave(sid)
        await sio.enter_room(sid, channel(room))
        async with sio.session(sid) as session:
            session["room"], name = room, session["name"]
        here = people.setdefault(room, {})
        here[sid] = name
        data = {"id": sid, "name": name}
        await sio.emit("joined", data, to=channel(room), skip_sid=sid)
        return {"room": room, "people": here}

    @sio.event
    @answered
    async def message(sid: str, value: object) -> Data:
        name, room = await whereabouts(sid)
        said = text(value, "message", MAX_TEXT, lines=True)
        data = {"id": sid, "name": name, "text": said, "time": int(time.time() * 1000)}
        await sio.emit("message", data, to=channel(room), skip_sid=sid)
        return {"time": data["time"]}

    @sio.event
    @answered
    async def typing(sid: str, value: object) -> Data:
        name, room = await whereabouts(sid)
        data = {"id": sid, "name": name, "active": value is True}
        await sio.emit("typing", data, to=channel(room), skip_sid=sid)
        return {}

    return sio, {
        "/": str(STATIC / "index.html"),
        "/static": str(STATIC),
        "/client.js": {  # the official client, or what loads it from its CDN
            "filename": str(client_js or STATIC / "cdn.js"),
            "content_type": "text/javascript; charset=utf-8",
        },
    }


sio, static_files = create()
app = sio  # for `socketio-fast run server:app`


def main() -> None:
    parser = argparse.ArgumentParser(description="A chat with rooms.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--client-js", type=Path, help="a file, instead of the CDN's")
    args = parser.parse_args()
    if args.client_js and not args.client_js.is_file():
        parser.error(f"--client-js: no such file: {args.client_js}")
    sio, static_files = create(args.client_js)
    socketio.run(sio, host=args.host, port=args.port, static_files=static_files)


if __name__ == "__main__":
    main()
