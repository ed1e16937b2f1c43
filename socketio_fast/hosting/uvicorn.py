"""A WebSocket class for uvicorn that hands Engine.IO's connections to the core.

``uvicorn --ws socketio_fast.uvicorn:WebSocketProtocol module:app``, where ``app`` is an
:class:`socketio_fast.ASGIApp` or has one mounted. When that is asked for a WebSocket,
behind all middleware, it takes over the connection; every other WebSocket is served as
``--ws auto`` would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

try:
    from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol
except ImportError as exc:
    raise ImportError(
        'uvicorn is not installed: pip install "socketio-fast[uvicorn]"'
    ) from exc

from socketio_fast._core.http.connections import Connections
from socketio_fast._core.http.foreign import adopt_connection
from socketio_fast._core.http.request import Request
from socketio_fast._core.http.websocket import WebSocket
from socketio_fast.hosting.asgi import HANDOVER
from socketio_fast.hosting.common import EnvironSource, ask, elsewhere
from socketio_fast.hosting.contracts import HostedEngine

if TYPE_CHECKING:
    import asyncio

    class _Base(asyncio.Protocol):
        """What the WebSocket protocols of uvicorn have in common."""

        transport: asyncio.Transport
        scope: Any
        connections: set[Any]
        handshake_complete: bool
        disconnected: bool

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        async def run_asgi(self) -> None: ...
        async def send(self, message: Any) -> None: ...
        def send_500_response(self) -> None: ...
        def shutdown(self) -> None: ...
elif AutoWebSocketsProtocol is None:
    raise ImportError(
        "uvicorn has no WebSocket library: pip install websockets, or wsproto"
    )
else:
    _Base = AutoWebSocketsProtocol

__all__ = ["WebSocketProtocol"]


class WebSocketProtocol(_Base):
    """A WebSocket protocol class of uvicorn."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The connection, after it has been handed over.
        self._adopted: Connections | None = None

    async def run_asgi(self) -> None:
        """Called by uvicorn to run the application."""
        self.scope["extensions"][HANDOVER] = self._hand_over
        await super().run_asgi()

    async def _hand_over(
        self, eio: HostedEngine, request: Request, environ_source: EnvironSource
    ) -> None:
        if self.disconnected:
            return
        owner = elsewhere(eio, request)
        if owner is not None:
            self._let_go(Connections())
            try:
                await owner.adopt(self.transport, request, b"")
            finally:
                self.connections.discard(self)
            return
        engine = eio.engine
        admission = await ask(engine, request, environ_source, True)
        if self.disconnected:
            return
        adopted = Connections()
        refusal = adopt_connection(
            engine,
            request,
            environ_source,
            self.transport,
            self.transport.get_extra_info("sslcontext") is not None,
            adopted,
            admission,
        )
        if refusal is not None:
            status, headers, body = refusal
            await self.send(
                {
                    "type": "websocket.http.response.start",
                    "status": status,
                    "headers": headers,
                }
            )
            await self.send({"type": "websocket.http.response.body", "body": body})
            return
        self._let_go(adopted)
        try:
            await adopted.wait_closed(None)
        finally:
            adopted.abort_all()
            self.connections.discard(self)

    def _let_go(self, adopted: Connections) -> None:
        self._adopted = adopted
        # With this uvicorn neither reads nor writes any more.
        self.handshake_complete = self.disconnected = True

    def send_500_response(self) -> None:
        """Called by uvicorn to answer that the application has failed."""
        if self._adopted is None:
            super().send_500_response()

    def shutdown(self) -> None:
        """Called by uvicorn when the server stops."""
        if self._adopted is None:
            super().shutdown()
            return
        for websocket in list(self._adopted.open):
            cast(WebSocket, websocket).close_connection()
