"""Subclasses of clients that override ``emit()``, as programs on python-socketio do."""

from __future__ import annotations

from typing import Any

import socketio_fast


async def test_send_names_the_arguments_of_emit() -> None:
    """So that an override may take what follows the data as ``**options``."""
    emitted: list[Any] = []

    class AsyncClient(socketio_fast.AsyncClient):
        async def emit(  # type: ignore[override]
            self, event: str, data: Any = None, **options: Any
        ) -> None:
            emitted.append((event, data, options))

    class Client(socketio_fast.Client):
        def emit(  # type: ignore[override]
            self, event: str, data: Any = None, **options: Any
        ) -> None:
            emitted.append((event, data, options))

    await AsyncClient().send("a", "/chat", print)
    Client().send("a", "/chat", print)
    options = {"namespace": "/chat", "callback": print}
    assert emitted == [("message", "a", options)] * 2
