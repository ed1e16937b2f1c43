"""Connections that go from one worker to another: to the one that has their session.

A request for a session of another worker is not answered here. The socket of its
connection goes to that worker, as a descriptor, with all bytes that were received from
the beginning of the request on. It stays there until it brings a request for a session
of a third one, or of this one again.

TLS cannot go that way: its state is in this process. Such a connection stays, and what
goes is one end of a pair of sockets, to whose other end the connection's bytes are
passed, decrypted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, cast

from socketio_fast._core.http.endpoint import Endpoint, OtherWorkers
from socketio_fast._core.http.epoll import Sockets, open_sockets
from socketio_fast._core.http.http1 import Http1Connection
from socketio_fast._core.http.listening import adopt
from socketio_fast._core.http.request import Request
from socketio_fast.cluster.address_limits import AddressLimits
from socketio_fast.cluster.balance import Balance
from socketio_fast.cluster.elsewhere import OtherWorker, address_of
from socketio_fast.cluster.frames import Kind, frame, split_head, with_head
from socketio_fast.cluster.identity import tag_in
from socketio_fast.cluster.links import DescriptorLostError, OutgoingLink
from socketio_fast.cluster.mesh import Mesh
from socketio_fast.cluster.relay import relay
from socketio_fast.hosting.common import Watch
from socketio_fast.hosting.contracts import HostedEngine

__all__ = ["Handover"]

# The path of connections that hosts have let go of: they were asked for a path of
# Engine.IO, which each host has its own of.
HOSTED = "/"

# Names of counters, see docs/scaling.md.
GIVEN = "connections_given_to_workers"
TAKEN = "connections_taken_from_workers"
REFUSED = "connections_refused_by_workers"

# Seconds that a client has to read the response before its connection goes.
LEAVE_TIMEOUT = 60

# The response where the worker with the session reads nothing.
UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n"
    b"\r\n"
)


class Handover(OtherWorkers):
    """Gives connections to other workers, and takes theirs.

    Args:
        mesh: The workers.
        eio: The server, whose sessions this worker has.
        limits: What addresses use of their limits.
    """

    def __init__(self, mesh: Mesh, eio: HostedEngine, limits: AddressLimits) -> None:
        super().__init__(mesh.tag)
        self._mesh = mesh
        #: The engine of this worker.
        self.engine = eio.engine
        #: Its event loop.
        self.loop = asyncio.get_running_loop()
        # By path and scheme.
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        # Those that no host listens with.
        self._own: list[Endpoint] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        # Those of connections that other workers have given.
        self._sockets: Sockets | None = None
        #: The connections whose bytes pass through this worker, and where they go.
        self.relayed: set[asyncio.Transport] = set()
        self._balance = Balance(mesh, eio.engine)
        self._limits = limits
        mesh.receive(Kind.CONNECTION, self._take)

    def listen(self, endpoint: Endpoint) -> None:
        """Serve connections of other workers by this endpoint, if they came to one like
        it."""
        if endpoint.secure:
            endpoint = endpoint.behind_tls()
        self._endpoints[endpoint.path, endpoint.scheme] = endpoint

    def owner(self, sid: str) -> Destination | None:
        """Where a connection goes with a request for this session; ``None``: no other
        worker has it."""
        tag = tag_in(sid)
        return None if tag in (None, self._mesh.tag) else self._worker(tag)

    def newcomer(self) -> Destination | None:
        """Where the connection of a new client goes; ``None``: it stays."""
        tag = self._balance.lighter()
        return None if tag is None else self._worker(tag)

    def _worker(self, tag: str) -> Destination | None:
        link = self._mesh.link(tag)
        return None if link is None else Destination(self, link)

    def take_no_more(self) -> None:
        """Take no new clients of other workers any more: this one is about to stop. Its
        sessions still get their requests."""
        self._balance.leave()

    def close(self) -> None:
        """Close the connections that other workers have given, unless a host does, and
        those that are relayed to them."""
        self._balance.close()
        for transport in list(self.relayed):
            transport.abort()
        for endpoint in self._own:
            endpoint.connections.abort_all()
        for task in list(self._tasks):
            task.cancel()

    @property
    def clients(self) -> int:
        """How many clients this worker has."""
        return len(self.engine.sessions)

    def count(self, name: str) -> None:
        """Count an event."""
        self.engine.counters[name] += 1

    def spawn(self, coroutine: Any) -> None:
        """Run a coroutine as a task."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, tag: str, payload: bytes, descriptor: Callable[[], int]) -> None:
        """A connection has come from another worker."""
        try:
            sock = socket.socket(fileno=descriptor())
        except DescriptorLostError:
            self.count(REFUSED)
            raise
        try:
            head, data = split_head(payload)
            endpoint = self._endpoint(head["path"], head["scheme"])
            addresses = head["addresses"]
            self._balance.hear(tag, head["clients"])
        except BaseException:
            sock.close()
            raise
        self.count(TAKEN)
        sock.setblocking(False)
        arriving = Arriving(endpoint)
        arriving.begins_with(data, self._limits)
        arriving.stays = True
        if addresses is not None:
            client, server = addresses
            arriving.set_proxied_addresses(address_of(client), address_of(server))
        try:
            self._sockets = open_sockets(self.loop, self._sockets)
        except OSError:  # descriptors have run out
            self.count(REFUSED)
            sock.close()
            return
        if self._sockets is None:
            self.spawn(self._accept(arriving, sock))
        else:
            adopt(self._sockets, sock, arriving)

    async def _accept(self, arriving: Arriving, sock: socket.socket) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: arriving, sock)
        except OSError:
            sock.close()  # the client has gone

    def _endpoint(self, path: str, scheme: str) -> Endpoint:
        endpoint = self._endpoints.get((path, scheme))
        if endpoint is None:
            # Another server listens in this process, or none does yet.
            endpoint = Endpoint(
                self.engine, self.loop, path, workers=self, scheme=scheme
            )
            self._endpoints[path, scheme] = endpoint
            self._own.append(endpoint)
        return endpoint


class Destination(OtherWorker):
    """Another worker, to which a connection may go.

    Args:
        handover: Of this worker.
        link: To the other one.
    """

    def __init__(self, handover: Handover, link: OutgoingLink) -> None:
        super().__init__(handover.engine, handover.loop, link)
        self.handover = handover

    def take_over(
        self,
        transport: asyncio.Transport,
        data: bytes,
        proxied_addresses: tuple[Any, Any] | None,
        endpoint: Endpoint,
    ) -> None:
        """Give a connection away.

        Args:
            transport: The event loop's transport of the connection.
            data: What has been received from the beginning of the request on.
            proxied_addresses: The client's and the server's address as a proxy has
                named them; None: no proxy has.
            endpoint: By which it was served.
        """
        transport.pause_reading()
        head = {
            "path": endpoint.path,
            "scheme": endpoint.scheme,
            "addresses": proxied_addresses,
            "clients": self.handover.clients,
        }
        if endpoint.secure:
            if proxied_addresses is None:
                head["addresses"] = (
                    transport.get_extra_info("peername"),
                    transport.get_extra_info("sockname"),
                )
            self._give_relayed(head, data, transport)
            return

        def give() -> None:
            # When it has left the connection is the other worker's, and this closes a
            # descriptor.
            self._send(
                head, data, sock.fileno(), transport.abort, lambda: _refuse(transport)
            )

        sock = cast(socket.socket, transport.get_extra_info("socket"))
        Leaving(transport, give)

    def _give_relayed(
        self, head: dict[str, Any], data: bytes, transport: asyncio.Transport
    ) -> None:
        """Give one end of a pair of sockets away, and relay the connection to it."""
        try:
            ours, theirs = socket.socketpair()
        except OSError:  # descriptors have run out
            self.handover.count(REFUSED)
            _refuse(transport)
            return

        def refuse() -> None:
            _refuse(transport)
            theirs.close()

        self.handover.spawn(relay(transport, ours, self.handover.relayed))
        self._send(head, data, theirs.fileno(), theirs.close, refuse)

    async def adopt(
        self, transport: asyncio.Transport, request: Request, received: bytes
    ) -> None:
        """Give away a connection that a host has let go of, and wait until it has left.

        Args:
            transport: The event loop's transport of the connection.
            request: The handshake of a WebSocket, which the host has read from it.
            received: What came behind that.
        """
        loop = asyncio.get_running_loop()
        secure = transport.get_extra_info("sslcontext") is not None
        left: asyncio.Future[None] = loop.create_future()
        self.take_over(
            transport,
            request.head() + received,
            (request.client_address, request.server),
            Endpoint(self.engine, loop, HOSTED, secure=secure, scheme=request.scheme),
        )
        transport.set_protocol(Watch(transport.get_protocol(), left))
        try:
            await left
        finally:
            transport.abort()

    def give(self, sock: socket.socket, request: Request) -> None:
        """Give away a socket that a host has let go of; it is closed.

        Args:
            sock: The connection.
            request: The handshake of a WebSocket, which the host has read from it.
        """
        head = {
            "path": HOSTED,
            "scheme": request.scheme,
            "addresses": (request.client_address, request.server),
            "clients": self.handover.clients,
        }

        def refuse() -> None:
            with contextlib.suppress(OSError):
                sock.send(UNAVAILABLE)
            sock.close()

        self._send(head, request.head(), sock.fileno(), sock.close, refuse)

    def _send(
        self,
        head: dict[str, Any],
        data: bytes,
        descriptor: int,
        left: Callable[[], None],
        refuse: Callable[[], None],
    ) -> None:
        """Send a descriptor, which has to stay open until either function is called:
        it has left, or cannot."""

        def sent(has_left: bool) -> None:
            if has_left:
                left()
            else:
                self.handover.count(REFUSED)
                refuse()

        self.handover.count(GIVEN)
        message = frame(Kind.CONNECTION, with_head(head, data))
        if not self.link.send_descriptor(message, descriptor, sent):
            sent(False)


def _refuse(transport: asyncio.Transport) -> None:
    transport.write(UNAVAILABLE)
    transport.close()


class Leaving(asyncio.Protocol):
    """The protocol of a connection that is about to go. It waits until the end of the
    last response has left: what the event loop holds would be lost.

    Args:
        transport: The connection.
        give: Gives it away.
    """

    def __init__(self, transport: asyncio.Transport, give: Callable[[], None]) -> None:
        self._give = give
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)
        if transport.get_write_buffer_size():
            self._timer = asyncio.get_running_loop().call_later(
                LEAVE_TIMEOUT, transport.abort
            )
            transport.set_write_buffer_limits(high=0)
        else:
            give()

    def resume_writing(self) -> None:
        """Nothing is left to write."""
        if self._timer is not None:
            self._stop()
            self._give()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or this descriptor was closed."""
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Arriving(Http1Connection):
    """A connection that another worker has given."""

    _data = b""
    _limits: AddressLimits
    _client: Any = None

    def begins_with(self, data: bytes, limits: AddressLimits) -> None:
        """Read this first: what that worker has received, from the beginning of a
        request on. It has admitted the connection, which is only counted here."""
        self._data = data
        self._limits = limits

    def set_proxied_addresses(self, client: Any, server: Any) -> None:
        """Set the addresses as a proxy has named them."""
        self._client = client
        super().set_proxied_addresses(client, server)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        client = self._client or transport.get_extra_info("peername")
        self._limits.hold(transport, client)
        super().connection_made(transport)
        data, self._data = self._data, b""
        self.data_received(data)
