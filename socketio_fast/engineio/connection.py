"""The Engine.IO connection of a client as an object with events."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import Any, TypeVar, overload

from socketio_fast._core.engine.failures import contain
from socketio_fast._core.engine.observer import ConnectionListener
from socketio_fast._core.engine.session import Session
from socketio_fast._core.protocol.outgoing import Outgoing
from socketio_fast.options.logs import Logger

__all__ = ["EVENTS", "Connection"]

F = TypeVar("F", bound=Callable[..., Any])

#: The events of a connection.
EVENTS = (
    "packet",
    "packet_create",
    "message",
    "heartbeat",
    "flush",
    "drain",
    "upgrading",
    "upgrade",
    "close",
)

TYPES = ("open", "close", "ping", "pong", "message", "upgrade", "noop")


class _Listeners(ConnectionListener):
    """The listeners of a session, which has them as ``conn`` once there is one."""

    def __init__(self, session: Session, logger: Logger) -> None:
        self._session = session
        self._logger = logger
        self._sent: list[Outgoing] = []  # sent in this pass of the loop
        self.by_event: dict[str, list[tuple[Callable[..., Any], bool]]] = {}

    def emit(self, event: str, *args: Any) -> None:
        listeners = self.by_event.get(event)
        for entry in list(listeners or ()):
            listener, once = entry
            if once and listeners and entry in listeners:
                listeners.remove(entry)
                self.forget(event)
            try:
                self._session.run(listener, *args)
            except BaseException as exc:
                message = "listener of %r of a connection failed"
                loop = self._session.engine.loop
                contain(loop, self._logger, exc, message, (event,))

    def forget(self, event: str) -> None:
        """Drop what no listener needs, after listeners have been removed."""
        if not self.by_event.get(event):
            self.by_event.pop(event, None)
        if not self.by_event and self._session.conn is self:
            self._session.hear(None)

    # Called by the session.

    def received(self, type: int, data: bytes, binary: bool) -> None:
        payload: str | bytes = data if binary else data.decode("utf-8", "replace")
        self.emit("packet", {"type": TYPES[type], "data": payload})
        if type == 3:
            self.emit("heartbeat")
        elif type == 4:
            self.emit("message", payload)

    def sending(self, message: Outgoing) -> None:
        if self.by_event.get("packet_create"):
            self.emit("packet_create", message)
        if self.by_event.get("flush") or self.by_event.get("drain"):
            if not self._sent:
                self._session.engine.soon(self._flush)
            self._sent.append(message)

    def _flush(self) -> None:
        sent, self._sent = self._sent, []
        self.emit("flush", sent)
        if self.by_event.get("drain"):
            # below() hands these messages over, now or when the client has read more.
            left = self._session.below(0)
            if left is None:
                self.emit("drain")
            else:
                left.add_done_callback(self._drained)

    def _drained(self, left: Future[bool]) -> None:
        if not left.cancelled() and left.result():
            self.emit("drain")

    def upgrading(self, transport: str) -> None:
        self.emit("upgrading", transport)

    def upgraded(self, transport: str) -> None:
        self.emit("upgrade", transport)

    def closed(self, reason: str) -> None:
        self.emit("close", reason)


class Connection:
    """The Engine.IO connection of a client: what carries all its namespaces.

    Two of the same connection are equal. It costs nothing until something listens.

    Args:
        session: The session, ``eio.sockets[eio_sid]``.
    """

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Connection) and other._session is self._session

    def __hash__(self) -> int:
        return hash(self._session)

    def __repr__(self) -> str:
        return f"<Connection {self.id} {self.transport_name}>"

    @property
    def id(self) -> str:
        """The Engine.IO id."""
        return self._session.id

    @property
    def transport_name(self) -> str:
        """``"polling"``, ``"websocket"`` or ``"webtransport"``."""
        return self._session.transport_name

    @property
    def upgraded(self) -> bool:
        """Whether it was upgraded from polling to WebSocket."""
        return self._session.upgraded

    @property
    def connected(self) -> bool:
        """Whether messages can be sent and received."""
        return self._session.connected

    @property
    def environ(self) -> dict[str, Any]:
        """The request that opened it, as a WSGI environ; always the same dict."""
        return self._session.environ

    request = environ

    @property
    def remote_address(self) -> str:
        """The address of the client, or of the nearest proxy that is not trusted."""
        address: str = self.environ.get("REMOTE_ADDR", "")
        return address

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for the client to read them."""
        return self._session.buffered_bytes

    def send(self, data: str | bytes) -> None:
        """Send an Engine.IO message, which is no packet of Socket.IO."""
        self._session.send_message(data)

    def close(self) -> None:
        """Close the connection, after all that was sent before."""
        self._session.disconnect()

    @overload
    def on(self, event: str, listener: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, listener: F) -> F: ...

    def on(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call a function at each event of the connection, or decorate one.

        Listeners run in the middle of what they are told, on the event loop: they are
        plain functions and must not wait.

        Args:
            event: ``packet`` with ``{"type", "data"}``; ``message`` with its data;
                ``heartbeat``, an answer to a ping; ``packet_create`` with the packet
                that is sent; ``flush`` with a list of the packets that are sent in one
                pass of the event loop, when they leave; ``drain``, when the network has
                taken all there was; ``upgrading`` and ``upgrade`` with the transport's
                name; ``close`` with the reason.
            listener: The function.

        Raises:
            ValueError: There is no such event.
        """
        return self._add(event, listener, False)

    @overload
    def once(self, event: str, listener: None = None) -> Callable[[F], F]: ...

    @overload
    def once(self, event: str, listener: F) -> F: ...

    def once(self, event: str, listener: F | None = None) -> F | Callable[[F], F]:
        """Call a function at the next such event only; see :meth:`on`."""
        return self._add(event, listener, True)

    def off(self, event: str, listener: Callable[..., Any] | None = None) -> None:
        """Remove a listener of an event, or all of them, if it is there."""
        _known(event)
        listeners = self._session.conn
        if not isinstance(listeners, _Listeners):
            return
        listeners.by_event[event] = [
            entry
            for entry in listeners.by_event.get(event, ())
            if listener is not None and entry[0] != listener
        ]
        listeners.forget(event)

    def _add(self, event: str, listener: F | None, once: bool) -> F | Callable[[F], F]:
        _known(event)

        def register(function: F) -> F:
            session = self._session
            if session.closed:
                return function  # the session is closed: no event will come
            listeners = session.conn
            if not isinstance(listeners, _Listeners):
                listeners = _Listeners(session, session.engine.logger)
                session.hear(listeners)
            listeners.by_event.setdefault(event, []).append((function, once))
            return function

        return register if listener is None else register(listener)


def _known(event: str) -> None:
    if event not in EVENTS:
        raise ValueError(f"event {event!r} of a connection: one of {EVENTS} expected")
