"""The benchmark's application on python-socketio, uvicorn and uvloop."""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
from importlib.metadata import version
from typing import Any

import msgspec
import socketio
import uvicorn

NAMESPACES = 100

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")


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
async def validated(sid: str, data: Any) -> Any:
    return msgspec.to_builtins(msgspec.convert(data, Move))


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


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"listening on {self.config.port} pid {os.getpid()}", flush=True)


def versions() -> dict[str, str]:
    packages = (
        "python-socketio",
        "python-engineio",
        "msgspec",
        "uvicorn",
        "uvloop",
        "websockets",
    )
    return {
        "Python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--certificate", help="for TLS")
    parser.add_argument("--key", help="of the certificate")
    parser.add_argument("--deflate", action="store_true")
    parser.add_argument("--versions", action="store_true")
    options = parser.parse_args()
    if options.versions:
        print(json.dumps(versions()))
        return
    config = uvicorn.Config(
        socketio.ASGIApp(sio),
        host="127.0.0.1",
        port=options.port,
        ssl_certfile=options.certificate,
        ssl_keyfile=options.key,
        backlog=2048,
        loop="uvloop",
        http="httptools",
        # Of uvicorn's three, the newest. Tried beside `websockets` and `wsproto`, in
        # runs too noisy to rank them.
        ws="websockets-sansio",
        ws_per_message_deflate=options.deflate,
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
    Server(config).run()


if __name__ == "__main__":
    main()
