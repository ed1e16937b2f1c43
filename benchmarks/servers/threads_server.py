"""The benchmark's application for threads: on socketio_fast, or on python-socketio."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import platform
import socket
import threading
import time
from importlib.metadata import version
from typing import Any

HOSTS = ("run", "werkzeug")


def application(socketio: Any) -> Any:
    sio = socketio.Server(async_mode="threading", cors_allowed_origins="*")

    @sio.event
    def echo(sid: str, data: str) -> None:
        sio.emit("echo", data, to=sid)

    @sio.event
    def ack(sid: str, data: str) -> str:
        return data

    @sio.event
    def broadcast(sid: str, data: str) -> None:
        sio.emit("b", data)

    return sio


def announce(port: int) -> None:
    """Prints that the server listens, once it accepts a connection."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            print(f"listening on {port} pid {os.getpid()}", flush=True)
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", choices=("socketio_fast", "socketio"))
    parser.add_argument("--in", dest="host", choices=HOSTS, default="run")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--versions", action="store_true")
    options = parser.parse_args()
    socketio = importlib.import_module(options.package)
    if options.versions:
        ours = options.package == "socketio_fast"
        packages = ["socketio_fast"] if ours else ["python-socketio"]
        packages += ["werkzeug"] if options.host == "werkzeug" else []
        found = {item: version(item) for item in packages}
        print(json.dumps({"Python": platform.python_version(), **found}))
        return
    sio = application(socketio)
    threading.Thread(target=announce, args=(options.port,), daemon=True).start()
    if options.host == "run":
        socketio.run(sio, "127.0.0.1", options.port)
        return
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = socketio.WSGIApp(sio)
    make_server("127.0.0.1", options.port, app, threaded=True).serve_forever()


if __name__ == "__main__":
    main()
