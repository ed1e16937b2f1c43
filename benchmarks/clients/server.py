"""The server that the clients' benchmarks talk to: ours, for all of them."""

from __future__ import annotations

import argparse
import os
import socket
import threading
import time

import socketio_fast as socketio

sio = socketio.AsyncServer(cors_allowed_origins="*")


@sio.event
async def echo(sid: str, data: str) -> None:
    await sio.emit("echo", data, to=sid)


@sio.event
async def flood(sid: str, count: int) -> None:
    for number in range(count):
        await sio.emit("b", f"{number:032}")


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
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    threading.Thread(target=announce, args=(options.port,), daemon=True).start()
    socketio.run(sio, "127.0.0.1", options.port)


if __name__ == "__main__":
    main()
