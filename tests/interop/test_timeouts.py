"""What the server waits for in vain, with the official client."""

from __future__ import annotations

import pytest
from support.js_client import JSClient, Refused
from support.waiting import until

import socketio_fast


async def test_a_client_that_joins_nothing_is_closed(serve):
    """S3: connect_timeout; nobody had let it into a namespace."""
    sio = socketio_fast.AsyncServer(cors_allowed_origins="*", connect_timeout=0.2)
    server = await serve(sio)
    async with JSClient(server.url, transports=["websocket"]) as client:
        with pytest.raises(Refused):
            await client.connect("/unknown")
        assert client.engine is not None

        await until(lambda: not sio.eio.sockets)
