"""run() of what is for threads: a Server, alone and beside a WSGI application."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import socketio as python_socketio

PROGRAM = """
import flask
import socketio_fast as socketio

flask_app = flask.Flask(__name__)
sio = socketio.Server()

@flask_app.route("/hello")
def hello():
    return "hello"

@flask_app.route("/upload", methods=["POST"])
def upload():
    return str(len(flask.request.data))

@sio.event
def connect(sid, environ):
    print("connect", environ["REMOTE_ADDR"], flush=True)

@sio.event
def echo(sid, data):
    return data

@sio.event
def disconnect(sid, reason):
    print("disconnect", reason, flush=True)

class Wrapper:
    # Stands for the server, as typed wrappers of servers do.

    def __getattr__(self, name):
        return getattr(sio, name)

socketio.run({app}, port=0)
"""


@contextmanager
def program(app: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that runs the application, and its URL."""
    (tmp_path / "program.py").write_text(PROGRAM.replace("{app}", app))
    process = subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"http://[\d.:]+", line)
        assert match, f"not where it listens: {line!r}"
        yield process, match[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "app",
    [
        *("sio", "socketio.WSGIApp(sio, flask_app)"),
        *("Wrapper()", "socketio.WSGIApp(Wrapper(), flask_app)"),
    ],
)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_clients_and_the_stop(app: str, transport: str, tmp_path: Path) -> None:
    """S5, S9: clients and the stop."""
    with program(app, tmp_path) as (process, url):
        async with python_socketio.AsyncSimpleClient(handle_sigint=False) as client:
            await client.connect(url, transports=[transport])
            assert await client.call("echo", [1, b"\xff"]) == [1, b"\xff"]
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 10) == 0
        assert process.stdout is not None
        said = process.stdout.read().splitlines()
        assert said == ["connect 127.0.0.1", "disconnect server disconnect"]


def test_the_wsgi_application_is_served(tmp_path: Path) -> None:
    with (
        program("socketio.WSGIApp(sio, flask_app)", tmp_path) as (_, url),
        requests.Session() as http,
    ):
        assert http.get(f"{url}/hello").text == "hello"
        assert http.post(f"{url}/upload", b"x" * 2_000_000).text == "2000000"
        assert http.get(f"{url}/socket.io/?EIO=3").status_code == 400
        assert http.get(f"{url}/nowhere").status_code == 404


def test_without_one_other_paths_are_files_or_not_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>page</p>")
    app = 'socketio.WSGIApp(sio, static_files={"/": "page.html"})'
    with program(app, tmp_path) as (_, url), requests.Session() as http:
        assert http.get(url).text == "<p>page</p>"
        assert http.get(f"{url}/nowhere").status_code == 404


def test_the_second_signal_does_not_wait(tmp_path: Path) -> None:
    app = "socketio.WSGIApp(sio, lambda environ, start: socketio.Server().sleep(60))"
    with program(app, tmp_path) as (process, url):
        with requests.Session() as http, pytest.raises(requests.Timeout):
            http.get(f"{url}/slow", timeout=0.5)
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT
