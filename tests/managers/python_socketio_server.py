"""A server of python-socketio in a process of its own; it prints its port.

Arguments: the name of a manager of python-socketio, and its URL.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

import socketio as python_socketio
import uvicorn

from managers.app import register


async def main(manager: str, url: str) -> None:
    logging.basicConfig(level=logging.INFO)
    client_manager = getattr(python_socketio, manager)(url)
    sio = python_socketio.AsyncServer(
        async_mode="asgi",
        client_manager=client_manager,
        cors_allowed_origins="*",
        logger=logging.getLogger("app"),
    )
    register(sio)
    app = python_socketio.ASGIApp(sio)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        config = uvicorn.Config(app, log_level="warning")
        await uvicorn.Server(config).serve([listening])


asyncio.run(main(*sys.argv[1:]))
