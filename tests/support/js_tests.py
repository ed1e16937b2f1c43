"""What the tests with the official JavaScript client share."""

from __future__ import annotations

from typing import Any

from support.js_client import JSClient


async def fence(sio: Any, *clients: JSClient) -> None:
    """Each client's next event is this one: what should not have come, did not."""
    await sio.emit("fence")
    for client in clients:
        assert await client.expect("fence") == []
