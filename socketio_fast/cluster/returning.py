"""Clients that come back to another worker than the one that may recover them.

A client that was cut off connects again, and any worker may accept its connection. Its
``pid`` ends with the tag of the worker that keeps its state. The connection stays where
it came to. Its messages go to that worker, as those of a WebSocket that it serves, and
there the client is recovered. So its rooms, its ``sid`` and what it has missed stay
where they are, and nothing that is sent to it meanwhile is lost or comes twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from socketio_fast._core.engine.failures import log_failure
from socketio_fast._core.http.request import Request, make_request
from socketio_fast._core.socketio.connection import ConnectionHandler
from socketio_fast._core.socketio.forwarding import Forwarder
from socketio_fast.cluster.elsewhere import HIGH, OtherWorker, RemoteWebSocket
from socketio_fast.hosting.common import Sender
from socketio_fast.options.logs import escaped

__all__ = ["Returning"]

#: A message of Engine.IO as a WebSocket carries it.
Message = str | bytes

# Seconds in which the other worker must answer; then the client is not recovered.
RETURN_TIMEOUT = 5.0

# The parameters of a request that are about its transport.
OF_TRANSPORT = {"EIO", "transport", "sid", "t", "j", "b64"}

GOING_AWAY = 1001
CLOSE = "1"
PING = "2"
PONG = "3"
MESSAGE = "4"


class Returning:
    """Passes clients that come back on to the workers that may recover them.

    Args:
        owner: Says which other worker an id belongs to; ``None``: none.
        spawn: Runs a coroutine as a task.
    """

    def __init__(
        self,
        owner: Callable[[str], OtherWorker | None],
        spawn: Callable[[Any], None],
    ) -> None:
        self._owner = owner
        self._spawn = spawn

    def take_back(
        self, handler: ConnectionHandler, namespace: str, auth: Any, size: int
    ) -> bool:
        """Pass a client on that asks for its first namespace, if another worker may
        recover it.

        Args:
            handler: Of its connection.
            namespace: The namespace.
            auth: What the client has sent, with its ``pid``.
            size: Bytes of the CONNECT packet.

        Returns:
            Whether it is passed on. If that worker does not await it after all, the
            handler goes on.
        """
        owner = self._owner(auth["pid"])
        if owner is None:
            return False
        client = _Client(owner, handler, namespace, auth, size)
        self._spawn(client.run())
        return True


class _Client:
    """One client that comes back."""

    def __init__(
        self,
        owner: OtherWorker,
        handler: ConnectionHandler,
        namespace: str,
        auth: Any,
        size: int,
    ) -> None:
        self._owner = owner
        self._session = handler.session
        self._namespace = namespace
        self._auth = auth
        self._size = size
        # What came while the other worker is asked.
        self._early: list[Message] = []
        self._remote: RemoteWebSocket | None = None
        self._sender: Sender | None = None
        self._closed = False
        self._forwarder = Forwarder(handler, self._receive, self._on_close)
        self._asked = self._forwarder.connect_packet(namespace, auth)

    async def run(self) -> None:
        """Ask the other worker, and begin to pass messages on."""
        if self._closed:
            return  # it has left in the pass in which it came
        remote = RemoteWebSocket(self._owner)
        pid = self._auth["pid"]
        try:
            request = _handshake(self._session.environ)
            await remote.open(request, (self._namespace, pid), RETURN_TIMEOUT)
        except Exception as exc:
            # The client must not wait for ever because of that.
            log_failure(
                self._owner.engine.logger,
                exc,
                "session %s was not passed on to the worker that awaits it",
                (escaped(self._session.sid),),
            )
        early, self._early = self._early, []
        for message in early:
            self._forwarder.let_go(len(message))
        if self._closed:
            remote.lost()
        elif remote.status != 101:
            self._forwarder.give_back(self._namespace, self._auth, self._size, early)
        else:
            self._remote = remote
            self._sender = Sender(remote, self._deliver, self._close)
            for message in (*self._asked, *early):
                self._receive(message)

    # From the client.

    def _receive(self, message: Message) -> None:
        remote = self._remote
        if remote is None:
            self._early.append(message)
            self._forwarder.hold(len(message))
            return
        remote.receive(message)
        if remote.room is not None:
            self._forwarder.hold(len(message))
            remote.room.add_done_callback(
                lambda room: self._forwarder.let_go(len(message))
            )

    def _on_close(self, reason: str) -> None:
        self._closed = True
        if self._remote is not None and self._sender is not None:
            if reason == "client disconnect":
                self._remote.receive(CLOSE)
            self._sender.end()

    # From the other worker.

    async def _deliver(self, message: Message) -> None:
        if isinstance(message, bytes):
            self._forwarder.send(message)
        elif message.startswith(MESSAGE):
            self._forwarder.send(message[1:])
        elif message.startswith(PING):
            # This worker has a heartbeat of its own with the client.
            assert self._remote is not None
            self._remote.receive(PONG + message[1:])
        if self._session.buffered_bytes > HIGH:
            below = self._session.below(HIGH)
            if below is not None:
                await below

    async def _close(self, code: int | None) -> None:
        if code is None:
            self._session.disconnect()
        elif code == GOING_AWAY:
            self._session.send_away()
        else:
            self._forwarder.drop(code)


def _handshake(environ: dict[str, Any]) -> Request:
    """The handshake of a WebSocket that the client might have made."""
    path = environ.get("RAW_URI", "").partition("?")[0] or quote(environ["PATH_INFO"])
    query = [
        item
        for item in environ["QUERY_STRING"].split("&")
        if item and item.partition("=")[0] not in OF_TRANSPORT
    ]
    headers = [
        (name[5:].lower().replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    ]
    target = f"{path}?{'&'.join(['EIO=4', 'transport=websocket', *query])}"
    return make_request(
        "GET",
        target.encode("latin-1"),
        headers,
        client_address=_address(environ, "REMOTE_ADDR", "REMOTE_PORT"),
        server=_address(environ, "SERVER_NAME", "SERVER_PORT"),
        scheme=environ["wsgi.url_scheme"],
    )


def _address(environ: dict[str, Any], host: str, port: str) -> tuple[str, int] | None:
    with contextlib.suppress(KeyError, ValueError):
        return str(environ[host]), int(environ[port])
    return None
