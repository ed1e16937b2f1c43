"""The benchmark's application on socketio_fast."""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import threading
import time
from importlib.metadata import version

import msgspec

import socketio_fast as socketio

NAMESPACES = 100

# What serves it, with its WebSocket class.
HOSTS = {
    "run": "",
    "uvicorn": "websockets-sansio",
    "uvicorn-ws": "socketio_fast.uvicorn:WebSocketProtocol",
}

sio = socketio.AsyncServer(cors_allowed_origins="*")


@sio.event
async def echo(sid: str, data: str) -> None:
    await sio.emit("echo", data, to=sid)


@sio.event
async def ack(sid: str, data: str) -> str:
    return data


class Move(msgspec.Struct):
    id: str
    tags: list[str]
    x: float


@sio.event
async def validated(sid: str, move: Move) -> Move:
    return move


@sio.event
async def echo_bin(sid: str, data: bytes) -> None:
    await sio.emit("echo_bin", data, to=sid)


@sio.event
async def broadcast(sid: str, data: str) -> None:
    await sio.emit("b", data)


@sio.event
async def room(sid: str, data: str) -> None:
    await sio.emit("b", data, room="r0")


@sio.event
async def gather(sid: str, data: str) -> int:
    return len(await sio.timeout(5).emit_with_ack("q", data))


@sio.event
async def join(sid: str, count: int) -> int:
    for i in range(count):
        await sio.enter_room(sid, f"r{i}")
    return count


def serve_echo(path: str) -> None:
    @sio.on("echo", namespace=path)
    async def echo(sid: str, data: str) -> None:
        await sio.emit("echo", data, to=sid, namespace=path)


for number in range(1, NAMESPACES):
    serve_echo(f"/n{number}")


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


def versions() -> dict[str, str]:
    packages = ("httptools", "msgspec", "orjson", "uvloop")
    return {
        "Python": platform.python_version(),
        "socketio_fast": socketio.__version__,
        **{name: version(name) for name in packages},
    }


def in_uvicorn(port: int, ws: str) -> None:
    import uvicorn

    uvicorn.run(
        socketio.ASGIApp(sio),
        host="127.0.0.1",
        port=port,
        backlog=2048,
        loop="uvloop",
        http="httptools",
        ws=ws,
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--in", dest="host", choices=HOSTS, default="run")
    parser.add_argument("--certificate", help="for TLS")
    parser.add_argument("--key", help="of the certificate")
    parser.add_argument("--deflate", action="store_true")
    parser.add_argument("--versions", action="store_true")
    options = parser.parse_args()
    if options.versions:
        print(json.dumps(versions()))
        return
    sio.eio.per_message_deflate = options.deflate
    threading.Thread(target=announce, args=(options.port,), daemon=True).start()
    if options.host != "run":
        in_uvicorn(options.port, HOSTS[options.host])
        return
    socketio.run(
        sio,
        "127.0.0.1",
        options.port,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.key,
    )


if __name__ == "__main__":
    main()
