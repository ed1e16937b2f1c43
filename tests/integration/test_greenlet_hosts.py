"""WSGI servers that run on greenlets, in a process whose threads are not theirs."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support.processes import python

import socketio_fast
from socketio_fast.threads import facade as threads


class EventletInput(io.BytesIO):
    __module__ = "eventlet.wsgi"


class Handler:
    """gevent's start_response is a method."""

    __module__ = "gevent.pywsgi"

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> None:
        self.status = status


def get(
    environ: dict[str, Any], handler: Handler, app: Any
) -> tuple[str, Iterable[bytes]]:
    body = app(
        {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/socket.io/",
            "QUERY_STRING": "EIO=4&transport=polling",
            "wsgi.input": io.BytesIO(),
            **environ,
        },
        handler.start_response,
    )
    return handler.status, body


class Threaded(Handler):
    __module__ = "waitress"


@pytest.mark.parametrize(
    ("environ", "handler", "package"),
    [
        ({"eventlet.input": None}, Threaded, "eventlet"),
        ({"wsgi.input": EventletInput()}, Threaded, "eventlet"),
        ({}, Handler, "gevent"),
    ],
)
def test_they_are_refused(
    environ: dict[str, Any],
    handler: type[Handler],
    package: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = socketio_fast.WSGIApp(socketio_fast.Server())
    for _ in range(3):
        status, body = get(environ, handler(), app)
        assert status == "500 Internal Server Error"
        assert b"its log says why" in b"".join(body)
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert f"runs on {package}" in record.getMessage()
    assert "--threads" in record.getMessage()


def test_so_are_threads_that_were_patched_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = socketio_fast.WSGIApp(socketio_fast.Server())
    monkeypatch.setattr(threads, "_patched", lambda module, *_: "gevent" in module)
    assert get({}, Threaded(), app)[0] == "500 Internal Server Error"
    assert "runs on gevent" in caplog.text


def test_hosts_with_threads_are_not() -> None:
    sio = socketio_fast.Server()
    status, body = get({}, Threaded(), socketio_fast.WSGIApp(sio))
    assert status == "200 OK"
    assert b"".join(body).startswith(b'0{"sid"')
    sio.shutdown()


PROGRAM = """
import http.client, threading
import socketio_fast as socketio
{imports}

app = socketio.WSGIApp(socketio.Server())
ports, done = [], threading.Event()

def client():
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(2):
        connection.request("GET", "/socket.io/?EIO=4&transport=polling")
        response = connection.getresponse()
        print(response.status, response.read().decode())
    import os
    os._exit(0)

{start}
threading.Thread(target=client).start()
{serve}
"""
HOSTS = {
    "eventlet": (
        "import eventlet, eventlet.wsgi",
        "sock = eventlet.listen(('127.0.0.1', 0)); port = sock.getsockname()[1]",
        "eventlet.wsgi.server(sock, app, log_output=False)",
    ),
    "gevent": (
        "from gevent import pywsgi",
        "server = pywsgi.WSGIServer(('127.0.0.1', 0), app, log=None); server.start(); "
        "port = server.server_port",
        "server.serve_forever()",
    ),
}


@pytest.mark.parametrize("package", HOSTS)
def test_the_real_ones(package: str, tmp_path: Path) -> None:
    pytest.importorskip(package)
    imports, start, serve = HOSTS[package]
    program = PROGRAM.format(imports=imports, start=start, serve=serve)
    done = python("-W", "ignore", "-u", "-c", program, cwd=tmp_path)
    refused = "500 The server cannot be hosted so; its log says why\n"
    assert done.stdout == refused * 2, done.stderr
