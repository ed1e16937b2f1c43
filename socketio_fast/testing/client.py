"""Test clients in the server's process, which exchange real packets without sockets."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import urlencode

from socketio_fast import exceptions
from socketio_fast._core.engine import listeners
from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.http.foreign import ForeignWebSocket
from socketio_fast._core.http.request import make_request
from socketio_fast.async_server import AsyncServer
from socketio_fast.event_arguments import arguments_of, value_of
from socketio_fast.hosting.common import EnvironSource, ask, bind
from socketio_fast.packet import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
)
from socketio_fast.sockets.catch_all import CatchAll
from socketio_fast.sockets.events import SocketEvents
from socketio_fast.sockets.iteration import EventIterator
from socketio_fast.testing.clock import Timers, settle

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.events import AnyEvent, EventName, Ts

__all__ = ["Client", "Connection", "Event"]

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Query = Mapping[str, Any] | Iterable[tuple[str, Any]]

#: The default of ``timeout``: seconds of real time that a client waits for the server.
TIMEOUT = 5.0

_WEBSOCKET = {
    "Host": "testserver",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Event(NamedTuple):
    """An event that a client has received from the server."""

    #: The event's name.
    name: str
    #: The event's arguments.
    args: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.name!r}({', '.join(map(repr, self.args))})"


class Connection:
    """An Engine.IO connection by WebSocket that uses no socket.

    It sends the packets that a client on the network would send. They are encoded by
    the server's packet class, and the server decodes them as usual. The server treats
    the handshake request like one from the network: it checks origin and limits, and
    calls the hooks (``allow_request``, ``eio.use``, ``generate_id``, listeners of
    headers).

    Use :func:`~socketio_fast.testing.client` for a client that is connected to a
    namespace. Use this class, in ``async with``, for a connection without one.

    Args:
        server: The server.
        headers: Headers of the handshake request, besides those of every WebSocket
            handshake.
        query: Parameters of the query string, besides ``EIO`` and ``transport``.
        address: The IP address that the server takes for the client's.

    Raises:
        ConnectionRefusedError: On entering: the server refused the request. The second
            of ``args`` is a dict with the HTTP ``status`` and the members of the
            response's JSON body.
        TimeoutError: On entering: a hook has not ended within 5 seconds.
    """

    def __init__(
        self,
        server: AsyncServer,
        *,
        headers: Headers | None = None,
        query: Query | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self._server = server
        self._headers = _pairs(headers)
        self._query = _pairs(query)
        self._address = address
        #: The clients of this connection by namespace, disconnected ones included.
        self.clients: dict[str, Client] = {}
        #: The Engine.IO session id.
        self.sid = ""
        #: Whether the client answers pings. If ``False``, the server closes the
        #: connection after ``ping_timeout``.
        self.answers_pings = True
        #: Whether the connection is open.
        self.connected = False
        #: The headers of the handshake response, as pairs of name and value.
        self.response_headers: list[tuple[str, str]] = []
        #: The WebSocket close code (RFC 6455) that the server sent; ``None`` if it sent
        #: none.
        self.close_code: int | None = None
        self._partial: Any = None  # a packet that waits for attachments
        self._unread: deque[str | bytes] = deque()  # sent, and not read by the server
        self._error: BaseException | None = None  # raised by a listener of the test
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Connection:
        await self._open(TIMEOUT)
        return self

    async def _open(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._timers = Timers.of(loop)
        engine = bind(self._server).engine
        self._timers.adopt(engine)
        self._opened: asyncio.Future[None] = loop.create_future()
        # Run in a task, as in every host, so that context variables which hooks set do
        # not reach the test's own context.
        handshake = loop.create_task(self._shake_hands(engine))
        try:
            if not await self._wait(handshake, timeout):
                raise exceptions.TimeoutError(
                    f"no answer to the handshake in {timeout} s: a hook "
                    "(allow_request, eio.use, a listener of headers) has not ended"
                )
        finally:
            handshake.cancel()
        handshake.result()
        await self._wait(self._opened)
        if not self.connected:
            raise exceptions.ConnectionRefusedError(
                "the server closed the connection", {"code": self.close_code}
            )

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def _shake_hands(self, engine: Engine) -> None:
        request = make_request(
            "GET",
            self._target().encode(),
            self._request_headers(),
            (self._address, 54321),
            ("127.0.0.1", 80),
        )
        environ_source = EnvironSource(request, {})
        admission = await ask(engine, request, environ_source, True)
        self._websocket = ForeignWebSocket(engine, request, environ_source, admission)
        if self._websocket.status != 101:
            raise _refusal(self._websocket)
        self.response_headers = [
            (name.decode(), value.decode("latin-1"))
            for name, value in self._websocket.headers
        ]
        self._websocket.begin(self._wake)
        self.connected = True

    def _request_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of a WebSocket handshake, replaced and extended by the test's."""
        own = {name.lower() for name, _ in self._headers}
        usual = [pair for pair in _WEBSOCKET.items() if pair[0].lower() not in own]
        return [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (*usual, *self._headers)
        ]

    def _target(self) -> str:
        query = urlencode([("EIO", 4), ("transport", "websocket"), *self._query])
        return f"{self._server.default_path}?{query}"

    async def join(
        self,
        namespace: str = "/",
        auth: dict[str, Any] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> Client:
        """Connect to a namespace.

        Args:
            namespace: The name of the namespace.
            auth: The ``auth`` argument of the connect handler.
            timeout: Seconds of real time to wait for the server's answer.

        Returns:
            The client in that namespace.

        Raises:
            ConnectionRefusedError: The server refused the client. ``args`` are the
                message and, if there is any, the data.
            DisconnectedError: The connection is not open, or was closed before the
                server answered.
            TimeoutError: The server did not answer in time.
            TypeError: ``auth`` is neither a dict nor ``None``.
            ValueError: This connection has a client in the namespace already.
        """
        if auth is not None and not isinstance(auth, dict):
            # The server would close the whole connection, as it does for any client.
            raise TypeError(f"auth={auth!r}: a dict or None expected")
        before = self.clients.get(namespace)
        if before is not None and before.connected:
            raise ValueError(
                f"namespace {namespace!r}: this connection has already joined it"
            )
        client = Client(self, namespace)
        self.clients[namespace] = client
        self._send_packet(CONNECT, namespace, auth)
        if not await self._wait(client._accepted, timeout):
            raise exceptions.TimeoutError(
                f"no answer to the CONNECT packet for {namespace!r} in {timeout} s"
            )
        return client._accepted.result()

    async def send(self, packet: str | bytes) -> None:
        """Send an encoded Engine.IO packet without checking it.

        Args:
            packet: The packet: ``str`` for a text frame, ``bytes`` for a binary one.

        Raises:
            DisconnectedError: The connection is not open.
        """
        self._send(packet)
        await settle()
        self._check()

    async def lose(self) -> None:
        """Simulate a failure of the network: the reason is ``"transport close"``."""
        self._ended("transport close")
        await settle()

    async def close(self) -> None:
        """Disconnect every client, and close the connection.

        This waits, for 5 seconds at most, until the handlers that it starts have ended.
        Nothing happens if the connection is closed already.
        """
        eio = self._server.eio
        before = eio.handler_tasks()
        for client in list(self.clients.values()):
            client._leave()
        self._ended("io client disconnect")
        await settle()
        started = eio.handler_tasks() - before
        if started:
            ended = asyncio.ensure_future(asyncio.wait(started))
            if not await self._timers.wait(ended, TIMEOUT):
                ended.cancel()
        self._check()

    # What the server sends.

    def _wake(self) -> None:
        # Not at once, because the engine is writing and must not be called back.
        self._loop.call_soon(self._take)

    def _take(self) -> None:
        websocket = self._websocket
        while self.connected and (message := websocket.take()) is not None:
            if isinstance(message, bytes):
                self._on_message(message)
            else:
                self._on_packet(message)
        if self.connected and websocket.closing:
            self.close_code = websocket.code
            self._ended("transport close")

    def _on_packet(self, packet: str) -> None:
        kind, data = packet[:1], packet[1:]
        if kind == "0":
            self.sid = json.loads(data)["sid"]
            if not self._opened.done():
                self._opened.set_result(None)
        elif kind == "2":
            if self.answers_pings:
                self._send(f"3{data}")
        elif kind == "4":
            self._on_message(data)

    def _on_message(self, message: str | bytes) -> None:
        if self._partial is None:
            packet = self._server.packet_class(encoded_packet=message)
            if packet.packet_type in (BINARY_EVENT, BINARY_ACK):
                self._partial = packet
                return
        else:
            packet = self._partial
            if not packet.add_attachment(message):
                return
            self._partial = None
        client = self.clients.get(packet.namespace or "/")
        if client is not None:
            client._on_packet(packet.packet_type, packet.data, packet.id)

    def _ended(self, reason: str) -> None:
        if not self.connected:
            return
        self.connected = False
        self._websocket.lost()
        for client in self.clients.values():
            client._on_end(reason)
        if not self._opened.done():
            self._opened.set_result(None)

    # What the client sends.

    def _send_packet(
        self, kind: int, namespace: str, data: Any = None, id: int | None = None
    ) -> None:
        encoded = self._server.packet_class(
            kind, data=data, namespace=namespace, id=id
        ).encode()
        for message in encoded if isinstance(encoded, list) else [encoded]:
            self._send(f"4{message}" if isinstance(message, str) else message)

    def _send(self, packet: str | bytes) -> None:
        if not self.connected:
            raise exceptions.DisconnectedError("the connection is closed")
        self._unread.append(packet)
        if len(self._unread) == 1:
            self._give()

    def _give(self, _: object = None) -> None:
        """Give the server the packets that were sent, as long as it reads."""
        websocket = self._websocket
        while self._unread and self.connected:
            if websocket.room is not None:
                # The server does not read, because max_pending_events of this client's
                # events wait for their handlers.
                websocket.room.add_done_callback(self._give)
                return
            websocket.receive(self._unread.popleft())

    async def _wait(
        self, future: asyncio.Future[Any], timeout: float = TIMEOUT
    ) -> bool:
        """Wait for a future; raise the error of a listener of the test, if any.

        Returns:
            Whether the future is done in time.
        """
        await settle()
        done = await self._timers.wait(future, timeout)
        self._check()
        return done

    def _check(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(
        self,
        functions: Iterable[Callable[..., Any]],
        args: tuple[Any, ...],
        ack: Callable[[Any], None] | None = None,
    ) -> None:
        """Call listeners of the test; acknowledge with the first value that one
        returns, in their order."""
        errors: list[BaseException] = []

        async def call(function: Callable[..., Any]) -> Any:
            try:
                value = function(*args)
                return await value if inspect.isawaitable(value) else value
            except asyncio.CancelledError:
                raise
            except BaseException as exc:  # what pytest.fail() raises is no Exception
                errors.append(exc)

        async def run() -> None:
            values = await asyncio.gather(*map(call, functions))
            value = next((value for value in values if value is not None), None)
            if ack is not None and self.connected and not (errors and value is None):
                try:
                    ack(value)
                except Exception as exc:
                    errors.append(exc)
            if errors:
                self._error = errors[0]

        task = self._loop.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Client(SocketEvents, CatchAll, EventIterator):
    """A client in a namespace; :func:`~socketio_fast.testing.client` makes one.

    :meth:`on` and the other methods for listeners are those of
    :class:`~socketio_fast.clients.socket.ClientSocket`. A listener may be a coroutine
    function. If it raises, the next method that the test calls raises the exception.
    What it returns is the acknowledgement, if the server asked for one. The events are
    in :attr:`received` as well. ``disconnect(reason)`` is an event of its own.
    """

    _own_events: ClassVar[Mapping[str, tuple[str, ...]]] = {"disconnect": ("reason",)}

    def __init__(self, connection: Connection, namespace: str) -> None:
        #: The :class:`Connection`, which clients of other namespaces may share.
        self.connection = connection
        #: The name of the namespace.
        self.namespace = namespace
        #: The client's id in the namespace.
        self.sid = ""
        #: The data of the server's CONNECT packet: ``sid`` and, with connection state
        #: recovery, ``pid``.
        self.handshake: dict[str, Any] = {}
        #: Whether the client is connected.
        self.connected = False
        #: Why the client was disconnected, in the words of the JavaScript client:
        #: ``"io server disconnect"``, ``"io client disconnect"`` or
        #: ``"transport close"``; ``None`` before that.
        self.reason: str | None = None
        #: The received events that :meth:`expect` has not returned, a list of
        #: :class:`Event`.
        self.received: list[Event] = []
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._ids = 0
        loop = asyncio.get_running_loop()
        self._accepted: asyncio.Future[Client] = loop.create_future()
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def active(self) -> bool:
        """Whether it is connected: a test client does not connect again."""
        return self.connected

    async def emit(self, event: EventName[Unpack[Ts]], *args: Unpack[Ts]) -> None:
        """Send an event.

        When this returns, the server has received the event, and the client has
        received what the handler sent without waiting for anything.

        Raises:
            DisconnectedError: The client is not connected.
        """
        self._send_event([event, *args])
        await settle()
        self.connection._check()

    async def call(
        self, event: EventName[Unpack[Ts]], *args: Unpack[Ts], timeout: float = TIMEOUT
    ) -> Any:
        """Send an event, and wait for its acknowledgement.

        Args:
            event: The name of the event.
            *args: The arguments of the event.
            timeout: Seconds of real time to wait.

        Returns:
            ``None`` for an acknowledgement without arguments; its argument if it has
            one; a tuple if it has several.

        Raises:
            TimeoutError: No acknowledgement came in time.
            DisconnectedError: The client is not connected, or was disconnected before
                the acknowledgement came.
        """
        future = asyncio.get_running_loop().create_future()
        id = self._ids
        self._ids += 1
        self._acks[id] = future
        try:
            self._send_event([event, *args], id)
            if not await self.connection._wait(future, timeout):
                raise exceptions.TimeoutError(
                    f"no acknowledgement of {event!r} in {timeout} s; "
                    f"{self._what_came()}"
                )
            return value_of(future.result())
        finally:
            self._acks.pop(id, None)

    async def expect(self, event: AnyEvent, *, timeout: float = TIMEOUT) -> Any:
        """Wait for an event, and remove it alone from :attr:`received`.

        Args:
            event: The name of the event.
            timeout: Seconds of real time to wait, which a :class:`Clock` does not
                affect.

        Returns:
            ``None`` for an event without arguments; its argument if it has one; a tuple
            if it has several.

        Raises:
            AssertionError: The event did not come in time, or has not come and the
                client is disconnected. The message lists the events that came.
        """
        deadline = timeout
        while True:
            for i, came in enumerate(self.received):
                if came.name == event:
                    del self.received[i]
                    return value_of(came.args)
            if not self.connected:
                raise AssertionError(f"no event {event!r}; {self._what_came()}")
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            begun = self.connection._timers._real_time()
            try:
                done = await self.connection._wait(future, deadline)
            finally:
                self._waiting.discard(future)
            if not done:
                raise AssertionError(
                    f"no event {event!r} in {timeout} s; {self._what_came()}"
                )
            deadline = max(
                0.0, deadline - (self.connection._timers._real_time() - begun)
            )

    async def join(
        self,
        namespace: str,
        auth: dict[str, Any] | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> Client:
        """Connect to another namespace of the same connection; see
        :meth:`Connection.join`."""
        return await self.connection.join(namespace, auth, timeout=timeout)

    async def disconnect(self) -> None:
        """Leave the namespace: the server's reason is ``"client disconnect"``."""
        self._leave()
        await settle()
        self.connection._check()

    # What the server sends.

    def _on_packet(self, kind: int, data: Any, id: int | None) -> None:
        if kind in (EVENT, BINARY_EVENT):
            self._on_event(Event(data[0], tuple(data[1:])), id)
        elif kind in (ACK, BINARY_ACK):
            future = self._acks.get(-1 if id is None else id)
            if future is not None and not future.done():
                future.set_result(data)
        elif kind == CONNECT:
            self.handshake = data
            self.sid = data["sid"]
            self.connected = True
            if not self._accepted.done():
                self._accepted.set_result(self)
        elif kind == CONNECT_ERROR and not self._accepted.done():
            args = [data["message"]] if isinstance(data, dict) else [str(data)]
            if isinstance(data, dict) and "data" in data:
                args.append(data["data"])
            self._accepted.set_exception(exceptions.ConnectionRefusedError(*args))
        elif kind == DISCONNECT:
            self._on_end("io server disconnect")

    def _on_event(self, event: Event, id: int | None) -> None:
        self.received.append(event)
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        if any_in := listeners.any_in(self):
            self.connection._run(any_in, (event.name, *event.args))
        functions = listeners.take(self, event.name)
        if not functions:
            return

        def ack(value: Any) -> None:
            values = arguments_of(value)
            self.connection._send_packet(ACK, self.namespace, values, id)

        self.connection._run(functions, event.args, None if id is None else ack)

    def _on_end(self, reason: str) -> None:
        gone = exceptions.DisconnectedError(f"the client was disconnected: {reason}")
        if not self._accepted.done():
            self._accepted.set_exception(gone)
        if not self.connected:
            return
        self.connected = False
        self.reason = reason
        if functions := listeners.take(self, "disconnect"):
            self.connection._run(functions, (reason,))
        for future in (*self._waiting, *self._acks.values()):
            if not future.done():
                if future in self._waiting:
                    future.set_result(None)
                else:
                    future.set_exception(gone)

    def _leave(self) -> None:
        if self.connected:
            self._send(DISCONNECT)
            self._on_end("io client disconnect")

    def _send(self, kind: int, data: Any = None, id: int | None = None) -> None:
        if not self.connected:
            raise exceptions.DisconnectedError(
                f"the client is not connected: {self.reason}"
            )
        self.connection._send_packet(kind, self.namespace, data, id)

    def _send_event(self, event: list[Any], id: int | None = None) -> None:
        self._send(EVENT, event, id)
        if any_out := listeners.any_out(self):
            self.connection._run(any_out, tuple(event))

    def _what_came(self) -> str:
        events = ", ".join(map(str, self.received))
        state = "connected" if self.connected else f"disconnected: {self.reason}"
        return f"received: {events or 'nothing'}; {state}"


def _pairs(items: Any) -> list[tuple[str, Any]]:
    if items is None:
        return []
    return list(items.items() if isinstance(items, Mapping) else items)


def _refusal(websocket: ForeignWebSocket) -> exceptions.ConnectionRefusedError:
    body = (websocket.body or b"").decode(errors="replace")
    try:
        said = json.loads(body)
    except ValueError:
        said = {"message": body}
    message = said.pop("message", body) if isinstance(said, dict) else body
    data = {"status": websocket.status, **(said if isinstance(said, dict) else {})}
    return exceptions.ConnectionRefusedError(message, data)
