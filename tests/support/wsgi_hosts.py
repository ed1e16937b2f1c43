"""WSGI servers for tests: in this process, or in one of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import requests
import waitress.server
from waitress import wasyncore
from werkzeug.serving import WSGIRequestHandler, make_server

import socketio_fast

#: A context manager, of a WSGI application, that gives its URL.
Host = Callable[[Any], AbstractContextManager[str]]

TIMEOUT = 10.0
#: Seconds until a process of its own answers.
START_TIMEOUT = 30.0


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def werkzeug(app: Any, **options: Any) -> Iterator[str]:
    """What ``flask run`` is, with threads."""
    server = make_server(
        "127.0.0.1", 0, app, threaded=True, request_handler=_Quiet, **options
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        scheme = "https" if server.ssl_context else "http"
        yield f"{scheme}://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join(TIMEOUT)
        server.server_close()


@contextmanager
def on_waitress(app: Any) -> Iterator[str]:
    """It has threads, and gives no access to its sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = waitress.server.create_server(app, sockets=[listening], threads=16)
        thread = threading.Thread(target=_run, args=(server,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            # On its own thread, which ends when it has nothing to wait for.
            with contextlib.suppress(OSError):  # it has ended already
                server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
            thread.join(TIMEOUT)
            server.task_dispatcher.shutdown(timeout=TIMEOUT)


def _run(server: Any) -> None:
    # It may find that its sockets have been closed while it looks at them.
    with contextlib.suppress(OSError, ValueError):
        server.run()


@contextmanager
def gunicorn(app: str, cwd: Path, *arguments: str) -> Iterator[str]:
    """``module:app`` in a process of its own, on threads."""
    paths = [cwd, Path(socketio_fast.__file__).parents[1]]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        os.set_inheritable(listening.fileno(), True)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", app, "--threads", "20"),
                *("--bind", f"fd://{listening.fileno()}", "--graceful-timeout", "1"),
                *arguments,
            ],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            pass_fds=[listening.fileno()],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            # A connection waits in the backlog until the program has been imported.
            requests.get(f"{url}/socket.io/", timeout=START_TIMEOUT)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=3 * TIMEOUT)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors
