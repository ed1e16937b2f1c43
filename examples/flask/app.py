"""Names: Flask's session says who a client is, and Flask's views reach all clients."""

from __future__ import annotations

import os
from typing import Any

import flask

import socketio_fast as socketio

MAX_TEXT = 200

app = flask.Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY") or os.urandom(32)
sio = socketio.Server()
app.wsgi_app = socketio.WSGIApp(sio, app.wsgi_app)  # type: ignore[method-assign]


@app.get("/")
def index() -> str:
    return flask.render_template("index.html", name=flask.session.get("name"))


@app.post("/login")
def log_in() -> Any:
    name = flask.request.form.get("name", "").strip()
    if not 0 < len(name) <= 24:
        return "A name has 1 to 24 characters.", 400
    flask.session["name"] = name
    return flask.redirect("/")


@app.post("/announce")
def announce() -> Any:
    text = flask.request.form.get("text", "")
    sio.emit("said", {"name": "everybody", "text": text[:MAX_TEXT]})
    return "", 204


@sio.event
def connect(sid: str, environ: dict[str, Any]) -> None:
    with app.request_context(environ):  # of the handshake: its cookies
        name = flask.session.get("name")
    if name is None:
        raise socketio.exceptions.ConnectionRefusedError("log in first")
    sio.save_session(sid, {"name": name})


@sio.event
def say(sid: str, text: object = None) -> dict[str, Any]:
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
        return {"ok": False, "error": f"Text of 1 to {MAX_TEXT} characters, please."}
    sio.emit("said", {"name": sio.get_session(sid)["name"], "text": text})
    return {"ok": True}


if __name__ == "__main__":
    socketio.run(app.wsgi_app, port=int(os.environ.get("PORT", 5000)))
