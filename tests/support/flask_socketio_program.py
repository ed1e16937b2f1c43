"""A program of Flask-SocketIO on this package, as docs/sync.md says."""

# ruff: noqa: E402

from __future__ import annotations

import os
import queue
from typing import Any

import socketio_fast
from socketio_fast import alias

alias.install()

import flask
from flask import request, session
from flask_socketio import (
    ConnectionRefusedError,
    Namespace,
    SocketIO,
    call,
    disconnect,
    emit,
    join_room,
    rooms,
    send,
)

app = flask.Flask(__name__)
app.secret_key = "secret"
sio = SocketIO(app, message_queue=os.environ.get("MESSAGE_QUEUE"))
assert isinstance(sio.server, socketio_fast.Server)
gone: queue.Queue[Any] = queue.Queue()


@app.route("/login/<user>")
def login(user: str) -> str:
    session["user"] = user
    return user


@app.route("/gone/<int:count>")
def who_has_gone(count: int) -> Any:
    return flask.jsonify([gone.get(timeout=10) for _ in range(count)])


@sio.on("connect")
def on_connect(auth: Any) -> None:
    if auth == {"refuse": True}:
        raise ConnectionRefusedError("not you")
    emit("welcome", [session.get("user"), auth])


@sio.on("disconnect")
def on_disconnect(reason: str) -> None:
    gone.put([session.get("count"), reason])


@sio.event
def count(data: Any) -> Any:
    session["count"] = session.get("count", 0) + 1
    join_room("room")
    emit("counted", data, room="room")
    emit("others", broadcast=True, include_self=False)
    return data, session["count"], sorted(rooms()) == sorted([request.sid, "room"])


@sio.on("json")
def on_json(data: Any) -> None:
    send(data, json=True)


@sio.event
def ask() -> Any:
    return call("question", 20)


@sio.event
def fail() -> None:
    raise LookupError("failed")


@sio.event
def leave() -> None:
    disconnect()


@sio.on_error_default
def on_error(error: Exception) -> str:
    return str(error)


class Chat(Namespace):
    def on_connect(self) -> None:
        join_room("lobby")

    def on_disconnect(self, reason: str) -> None:
        gone.put(["chat", reason])

    def on_say(self, text: str) -> str:
        self.emit("said", text, room="lobby")
        return "said"


sio.on_namespace(Chat("/chat"))
