"""run() where it is not alone: in another thread, beside a running loop, on a port that
is taken."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from support.processes import listening, python

import socketio_fast

IN_A_THREAD = """
import sys, threading
import socketio_fast as socketio

app = {app}
thread = threading.Thread(target=socketio.run, args=(app,), kwargs={{"port": 0}})
thread.daemon = True
thread.start()
sys.stdin.readline()
print("the main thread ends")
"""

APPS = [
    "socketio.AsyncServer()",
    "socketio.Server()",
    "socketio.ASGIApp(socketio.AsyncServer())",
    "socketio.WSGIApp(socketio.Server())",
]


@pytest.mark.parametrize("app", APPS)
def test_in_a_thread_that_is_not_the_main_one(app: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(IN_A_THREAD.format(app=app))
    # A loop that ends with the process closes nothing.
    arguments = ("-W", "ignore::ResourceWarning", "program.py")
    with listening(*arguments, cwd=tmp_path, stdin=-1) as program:
        url = re.search(r"http://[\d.:]+", program.line)
        assert url
        poll = f"{url[0]}/socket.io/?EIO=4&transport=polling"
        with urllib.request.urlopen(poll, timeout=10) as response:
            assert response.read().startswith(b'0{"sid"')
        assert program.process.stdin is not None
        program.process.stdin.write("\n")
        program.process.stdin.flush()
        status, out, err = program.ended()
    assert (status, out, err) == (0, "the main thread ends\n", "")


@pytest.mark.parametrize(
    ("app", "instead"),
    [
        (socketio_fast.AsyncServer, "await socketio.serve(app, host, port)"),
        (socketio_fast.Server, "threading.Thread(target=socketio.run"),
    ],
)
async def test_where_a_loop_runs(app: type, instead: str) -> None:
    """As in Jupyter, whose cells run on a loop."""
    with pytest.raises(RuntimeError, match=re.escape(instead)):
        socketio_fast.run(app(), port=0)


async def test_in_a_thread_beside_a_loop() -> None:
    """What that loop's own thread may not do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await asyncio.to_thread(
                socketio_fast.run, socketio_fast.AsyncServer(), port=port
            )


@pytest.mark.parametrize("app", APPS)
def test_a_port_that_is_taken_is_one_line(app: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = f"import socketio_fast as socketio; socketio.run({app}, port={port})"
        done = python("-c", program, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("socketio-fast: ")
    assert str(port) in line
    assert "in use" in line


@pytest.mark.parametrize("server", [socketio_fast.AsyncServer, socketio_fast.Server])
def test_a_port_that_is_taken_is_an_error_in_other_threads(server: type) -> None:
    """Where SystemExit would say nothing."""
    errors: list[BaseException] = []

    def run(port: int) -> None:
        try:
            socketio_fast.run(server(), port=port)
        except BaseException as exc:
            errors.append(exc)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        thread = threading.Thread(target=run, args=(taken.getsockname()[1],))
        thread.start()
        thread.join(10)
    assert [type(error) for error in errors] == [OSError]


def test_other_errors_are_as_they_are() -> None:
    with pytest.raises(ValueError, match="path="):
        socketio_fast.run(socketio_fast.AsyncServer(), path="/")
    with pytest.raises(TypeError, match="app is int"):
        socketio_fast.run(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "port", ["5000x", "-1", 65536, -1, 5.5, True, "", [5000], b"1"]
)
@pytest.mark.parametrize("server", [socketio_fast.AsyncServer, socketio_fast.Server])
def test_what_is_no_port_is_named(server: type, port: Any) -> None:
    with pytest.raises(ValueError, match=r"number from 0 .* to 65535") as caught:
        socketio_fast.run(server(), port=port)
    assert f"port={port!r}" in str(caught.value)


@pytest.mark.parametrize("port", ["0", 0.0, 0, None])
async def test_ports_as_programs_write_them(port: Any) -> None:
    sio = socketio_fast.AsyncServer()
    async with await socketio_fast.serve(sio, port=port) as running:
        assert int(running.url.rpartition(":")[2]) > 0
