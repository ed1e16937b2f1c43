"""Listening sockets whose connections this package accepts itself."""
import socket as _socket
import ssl
from asyncio import trsock

import cython

from socketio_fast._core.http.epoll cimport Sockets, Watched
from socketio_fast._core.http.socket_transport cimport SocketTransport
from socketio_fast._core.http.tls_transport cimport TlsTransport
from socketio_fast._core.protocol.wire cimport (
    SF_LOST_CONNECTION,
    SF_NO_CONNECTION,
    SF_NO_DESCRIPTOR,
    SF_READABLE,
    sf_accept,
    sf_address,
    sf_ask_address,
    sf_close,
    sf_no_delay,
    sf_spare_descriptor,
)

cdef enum:
    # Connections that a listening socket accepts in a pass, before others are read.
    MAX_ACCEPTED = 64

cdef enum:
    # SSL_OP_ALLOW_CLIENT_RENEGOTIATION, which Python gives no name.
    RENEGOTIATION = 256

# Seconds without accepting where there is no descriptor to accept with.
cdef double ACCEPT_PAUSE = 1.0


@cython.final
cdef class ListeningSocket(Watched):
    """A socket whose connections are accepted."""

    def __dealloc__(self):
        self.fd = -1  # the Python object closes it

    @property
    def sockets(self):
        """As those of asyncio's Server."""
        return () if self.socket is None else (trsock.TransportSocket(self.socket),)

    def close(self):
        """Accept no more connections. Those that there are stay open."""
        self._release()
        self.group.close_if_unused()

    async def wait_closed(self):
        """Wait until connections that were aborted before have ended."""
        await self.group.all_ended()

    cdef int _release(self) except -1:
        if self.fd < 0:
            return 0
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.group.leave(self)
        self.fd = -1
        self.socket.close()
        self.socket = self.factory = self.context = None
        return 0

    cdef int handle(self, int what) except -1:
        cdef int left = MAX_ACCEPTED
        while left and self.fd >= 0 and self._accept():
            left -= 1
        return 0

    cdef int _accept(self) except -1:
        """Accept a connection. Returns whether others may wait."""
        cdef SocketTransport transport
        cdef sf_address address
        cdef int fd = sf_accept(self.fd, &address)
        if fd >= 0:
            if self.context is None:
                transport = SocketTransport.__new__(SocketTransport)
            else:
                transport = TlsTransport.new(self.context)
            transport.take(self.group, fd, &address, self.name)
            try:
                protocol = self.factory()
            except Exception as exc:
                transport.call_failed(exc, "a connection got no protocol")
            else:
                transport.begin(protocol)
            return 1
        if fd == SF_LOST_CONNECTION:
            return 1
        if fd == SF_NO_CONNECTION:
            return 0
        if fd == SF_NO_DESCRIPTOR:
            return self._turn_away()
        self._suspend()
        return 0

    cdef int _turn_away(self) except -1:
        """There is no descriptor for a connection that waits. Close it at once, by the
        spare descriptor: else it would wait, and the loop never sleep."""
        cdef Sockets group = self.group
        cdef sf_address address
        cdef int fd
        if group.spare >= 0:
            sf_close(group.spare)
            fd = sf_accept(self.fd, &address)
            if fd >= 0:
                sf_close(fd)
            group.spare = sf_spare_descriptor()
            if fd >= 0 or fd == SF_LOST_CONNECTION:
                return 1
            if fd == SF_NO_CONNECTION:
                return 0
        else:
            group.spare = sf_spare_descriptor()
        self._suspend()
        return 0

    cdef int _suspend(self) except -1:
        """Accept nothing for a moment."""
        self.watch(0)
        self.timer = self.group.loop.call_later(ACCEPT_PAUSE, self._go_on)
        return 0

    def _go_on(self):
        self.timer = None
        if self.fd >= 0:
            self.watch(SF_READABLE)


def has_own_tls(context):
    """Whether `listen()` can use this `ssl.SSLContext`: before OpenSSL 3, and with an
    option of it, a client may negotiate again in the middle of what the server writes.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"ssl={context!r}: an ssl.SSLContext expected")
    return ssl.OPENSSL_VERSION_INFO >= (3,) and not context.options & RENEGOTIATION


def listen(Sockets group not None, sock, factory, backlog=100, context=None):
    """Accept connections of a bound socket from now on.

    Args:
        group: Watches it.
        sock: The socket; the returned object closes it.
        factory: Makes a protocol for a connection.
        backlog: As that of `socket.listen()`.
        context: An `ssl.SSLContext` that `has_own_tls()`: the connections have TLS.
    """
    cdef ListeningSocket listening
    if sock.type != _socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {sock!r}")
    sock.setblocking(False)
    sf_no_delay(sock.fileno())
    sock.listen(backlog)
    listening = ListeningSocket.__new__(ListeningSocket)
    listening.group = group
    listening.socket = sock
    listening.factory = factory
    listening.context = context
    listening.fd = sock.fileno()
    name = sock.getsockname()
    if isinstance(name, tuple) and name[0] not in ("0.0.0.0", "::"):
        listening.name = name
    group.enter(listening)
    listening.watch(SF_READABLE)
    return listening


def adopt(Sockets group not None, sock, protocol):
    """Read a connected socket from now on.

    Args:
        group: Watches it.
        sock: The socket, which belongs to its transport then.
        protocol: Its protocol.
    """
    cdef SocketTransport transport
    cdef sf_address address
    sock.setblocking(False)
    sf_no_delay(sock.fileno())
    sf_ask_address(sock.fileno(), True, &address)
    transport = SocketTransport.__new__(SocketTransport)
    transport.take(group, sock.detach(), &address, None)
    transport.begin(protocol)
