"""``GET /healthz`` and ``GET /readyz``: what orchestrators ask a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from socketio_fast._core.engine.engine import Engine

if TYPE_CHECKING:
    from socketio_fast._core.http.request import Request

__all__ = ["HealthPages"]

Answer = tuple[int, bytes, bytes, bytes]

TEXT = b"text/plain; charset=UTF-8"
NO_STORE = b"Cache-Control: no-store\r\n"


class HealthPages:
    """Answers at ``/healthz`` and ``/readyz`` while a server runs.

    ``/healthz`` is 200 while the event loop runs. ``/readyz`` is 200 while the server
    takes new clients, and 503 while it drains or stops; ``/readyz?cluster`` is 503 also
    while the client manager cannot reach other servers.

    Args:
        engine: The server's engine.
        reaches_others: Whether the client manager can.
    """

    def __init__(self, engine: Engine, reaches_others: Callable[[], bool]) -> None:
        self._engine = engine
        self._reaches_others = reaches_others
        self._stopping = False
        self._added = {"/healthz": self._health, "/readyz": self._ready}
        engine.pages = {**(engine.pages or {}), **self._added}

    def stop(self) -> None:
        """The server begins to stop."""
        self._stopping = True

    def close(self) -> None:
        """Answer no longer."""
        left = {
            path: page
            for path, page in (self._engine.pages or {}).items()
            if page != self._added.get(path)
        }
        self._engine.pages = left or None

    async def _health(self, request: Request) -> Answer:
        return _answer(request, 200, b"ok\n")

    async def _ready(self, request: Request) -> Answer:
        if self._stopping or self._engine.draining:
            return _answer(request, 503, b"draining\n")
        if request.query == "cluster" and not self._reaches_others():
            return _answer(request, 503, b"other servers cannot be reached\n")
        return _answer(request, 200, b"ready\n")


def _answer(request: Request, status: int, text: bytes) -> Answer:
    if request.method not in ("GET", "HEAD"):
        return 405, TEXT, b"Method Not Allowed\n", b"Allow: GET, HEAD\r\n"
    return status, TEXT, text, NO_STORE
