"""The asyncio transport of a socket that this package reads and writes itself.

Reading that is paused is forgotten only when an event comes meanwhile: most pauses end
before. HTTP and WebSockets are given what was received where it lies; all transports of
a server are read into one buffer.
"""
import asyncio
import os
import socket as _socket
from asyncio import trsock
from collections import deque

from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc

from socketio_fast._core.engine.collecting cimport set_tracked
from socketio_fast._core.engine.contracts cimport SessionBase as Session
from socketio_fast._core.engine.writer cimport Flusher
from socketio_fast._core.http.epoll cimport BUFFER_SIZE, Sockets, Watched
from socketio_fast._core.http.http1 cimport Http1Core
from socketio_fast._core.http.websocket cimport WebSocket
from socketio_fast._core.protocol.wire cimport (
    SF_ADDRESS_TEXT,
    SF_IPV4,
    SF_NO_NAME,
    SF_OTHER_ADDRESS,
    SF_ENDING,
    SF_READABLE,
    SF_WRITABLE,
    sf_address,
    sf_ask_address,
    sf_close,
    sf_end_sending,
    sf_host,
    sf_receive,
    sf_send,
)

from socketio_fast._core.http.http1 import Http1Connection

cdef enum:
    # Chunks of fewer bytes are joined.
    SMALL_CHUNK = 65536


cdef tuple _as_tuple(const sf_address *address):
    cdef char host[SF_ADDRESS_TEXT]
    if sf_host(address, host) < 0:
        return None
    text = (<bytes> host).decode("ascii")
    if address.family == SF_IPV4:
        return text, address.port
    return text, address.port, address.flow, address.scope


cdef class SocketTransport(Watched):
    """The asyncio transport of a connection."""

    cdef int take(
        self, Sockets group, int fd, const sf_address *address, tuple name
    ) except -1:
        """This connected socket is its own. It reads nothing before `begin()`."""
        self.fd = fd
        self.group = group
        self.address = address[0]
        self.name = name
        return group.enter(self)

    def __cinit__(self):
        self.fd = -1
        self.edge = True
        self.high = 65536
        self.low = 16384

    def __dealloc__(self):
        if self.fd >= 0 and not self.lent:
            sf_close(self.fd)

    def __repr__(self):
        state = "closed" if self.fd < 0 else (
            "closing" if self.flags & CLOSING else "open"
        )
        return f"<{type(self).__name__} fd={self.fd} {state}>"

    cdef int begin(self, object protocol) except -1:
        """Tell this protocol that it is connected, and read."""
        self.set_protocol(protocol)
        try:
            protocol.connection_made(self)
            if not self.flags & OVER:
                self.rewatch()
        except (SystemExit, KeyboardInterrupt):
            self.end(None)
            raise
        except BaseException as exc:
            self.call_failed(exc, "a connection could not be opened")
        return 0

    # asyncio.Transport.

    def get_extra_info(self, str name not None, default=None):
        """What is known of the connection: "peername", "sockname", "socket"."""
        cdef sf_address own
        if name == "peername":
            if self.address.family == SF_NO_NAME:
                return ""
            if self.address.family != SF_OTHER_ADDRESS:
                return _as_tuple(&self.address)
            if self.fd >= 0:
                return self.get_extra_info("socket").getpeername()
        if name == "sockname":
            if self.name is not None:
                return self.name
            if self.fd >= 0:
                sf_ask_address(self.fd, False, &own)
                if own.family > SF_NO_NAME:
                    self.name = _as_tuple(&own)
                    if self.name == self.group.last_name:
                        self.name = self.group.last_name  # connections share it
                    self.group.last_name = self.name
                    return self.name
                return self.get_extra_info("socket").getsockname()
        if name == "socket":
            if self.socket is None and self.fd >= 0:
                self.socket = trsock.TransportSocket(_socket.socket(fileno=self.fd))
                self.lent = True
            return default if self.socket is None else self.socket
        return default

    def set_protocol(self, protocol not None):
        """Tell this protocol what happens from now on."""
        self.protocol = protocol
        self.flags &= ~(BUFFERED | WEBSOCKET | HTTP)
        if type(protocol) is WebSocket:
            self.flags |= WEBSOCKET
        elif type(protocol) is Http1Connection or (
            isinstance(protocol, Http1Core)
            and type(protocol).data_received is Http1Core.data_received
        ):
            self.flags |= HTTP
        elif isinstance(protocol, asyncio.BufferedProtocol):
            self.flags |= BUFFERED

    def get_protocol(self):
        """The current protocol."""
        return self.protocol

    def is_closing(self):
        """Whether the transport is closing or closed."""
        return bool(self.flags & CLOSING)

    def is_reading(self):
        """Whether the transport receives."""
        return not self.flags & (PAUSED | CLOSING)

    def pause_reading(self):
        """Receive nothing until resume_reading()."""
        self.flags |= PAUSED

    def resume_reading(self):
        """Receive again."""
        self.flags &= ~PAUSED
        if not self.watched & SF_READABLE:
            self.rewatch()

    def get_write_buffer_size(self):
        """Bytes that the kernel has not taken yet."""
        return self.held

    def get_write_buffer_limits(self):
        """(low, high) in bytes, see set_write_buffer_limits()."""
        return self.low, self.high

    def set_write_buffer_limits(self, high=None, low=None):
        """Call the protocol's pause_writing() above `high` bytes, 65,536 by default,
        and resume_writing() at `low`, a quarter of that."""
        if high is None:
            high = 65536 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high = high
        self.low = low

    cdef bint flushed_by(self, Flusher flusher) except -1:
        Watched.flushed_by(self, flusher)
        self.high = 1
        self.low = 0
        return self.held != 0

    def write(self, data not None):
        """Send bytes, or a view of them."""
        if self.flags & ENDING:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not self.flags & CLOSING and self.fd >= 0:
            self.send(data)

    cdef int send(self, object data) except -1:
        """Send this, or hold what the kernel does not take."""
        cdef Py_buffer view
        cdef Py_ssize_t sent = 0, n
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        n = view.len
        if self.held == 0 and n:
            sent = sf_send(self.fd, <char *> view.buf, n)
        PyBuffer_Release(&view)
        if sent < 0:
            return self.end(_broken())
        if sent < n:
            return self._hold(data, sent)
        return 0

    def writelines(self, parts):
        """Send several."""
        self.write(b"".join(parts))

    def can_write_eof(self):
        """True: a direction can be closed alone."""
        return True

    def write_eof(self):
        """End the stream when all is sent; the peer may go on sending."""
        if self.flags & (ENDING | CLOSING):
            return
        self.flags |= ENDING
        if not self.held:
            sf_end_sending(self.fd)

    def close(self):
        """Close when all is sent."""
        if self.flags & CLOSING:
            return
        self.flags |= CLOSING
        if not self.held:
            self.all_sent()

    def abort(self):
        """Close now; what is not sent is lost."""
        self.end(None)

    # Events.

    cdef int handle(self, int what) except -1:
        try:
            if what & SF_WRITABLE and self.held:
                self._send_held()
            if what & SF_READABLE:
                if not self.wants_to_read():
                    self.rewatch()
                elif self.flags & BUFFERED:
                    self.receive_into()
                else:
                    self.receive()
                if what & SF_ENDING and not self.flags & (ENDED | OVER):
                    self.rearm()  # the end follows what was received
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self.call_failed(exc, "the protocol of a connection failed")
        return 0

    cdef bint wants_to_read(self):
        return not self.flags & (PAUSED | ENDED | CLOSING)

    cdef int receive(self) except -1:
        cdef Sockets group = self.group
        cdef char *p = group.buffer
        cdef Py_ssize_t n
        cdef bint nested = group.buffer_in_use
        if nested:
            # A handler runs the event loop inside of its callback.
            p = <char *> PyMem_RawMalloc(BUFFER_SIZE)
            if p is NULL:
                raise MemoryError
        group.buffer_in_use = True
        try:
            n = sf_receive(self.fd, p, BUFFER_SIZE)
            if n == BUFFER_SIZE:
                self.rearm()  # there is more
            if n > 0:
                self.received(p, n)
            else:
                self._nothing_received(n)
        finally:
            if nested:
                PyMem_RawFree(p)
            else:
                group.buffer_in_use = False
        return 0

    cdef int received(self, char *p, Py_ssize_t n) except -1:
        """The peer has sent these bytes, which lie in a buffer of BUFFER_SIZE bytes."""
        cdef object protocol = self.protocol
        if self.flags & WEBSOCKET:
            return (<WebSocket> protocol).receive(p, n)
        if self.flags & HTTP:
            return (<Http1Core> protocol).receive(p, n)
        protocol.data_received(p[:n])
        return 0

    cdef int receive_into(self) except -1:
        """Receive for a BufferedProtocol."""
        cdef Py_buffer view
        cdef Py_ssize_t n
        buffer = self.protocol.get_buffer(-1)
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            if view.len == 0:
                raise RuntimeError("get_buffer() returned an empty buffer")
            n = sf_receive(self.fd, <char *> view.buf, view.len)
            if n == view.len:
                self.rearm()
        finally:
            PyBuffer_Release(&view)
        if n > 0:
            self.protocol.buffer_updated(n)
        else:
            self._nothing_received(n)
        return 0

    cdef int _nothing_received(self, Py_ssize_t n) except -1:
        if n == 0:
            self.end_of_stream()
        elif n < -1:
            self.end(OSError(-1 - n, os.strerror(-1 - n)))
        return 0

    cdef int end_of_stream(self) except -1:
        self.flags |= ENDED
        if self.protocol.eof_received():
            self.rewatch()
        else:
            self.close()
        return 0

    cdef int _send_held(self) except -1:
        """Send what the kernel takes of what it has not taken before."""
        cdef Py_buffer view
        cdef Py_ssize_t sent, rest
        while self.held:
            PyObject_GetBuffer(self.chunks[0], &view, PyBUF_SIMPLE)
            rest = view.len - self.sent
            sent = sf_send(self.fd, <char *> view.buf + self.sent, rest)
            PyBuffer_Release(&view)
            if sent < 0:
                return self.end(_broken())
            self.held -= sent
            if sent < rest:
                self.sent += sent
                break
            self.sent = 0
            self.chunks.popleft()
        if self.flags & FULL and self.held <= self.low:
            self.flags &= ~FULL
            self.protocol.resume_writing()
        if self.held or self.flags & OVER:
            return 0
        self.chunks = None
        if self.flags & CLOSING:
            return self.all_sent()
        if self.flags & ENDING:
            sf_end_sending(self.fd)
        return self.rewatch()

    cdef int all_sent(self) except -1:
        """close() was called, and all that was written before has been sent."""
        return self.end(None)

    cdef int _hold(self, object data, Py_ssize_t sent) except -1:
        """Keep `data` from `sent` on until the kernel takes it."""
        cdef Py_ssize_t n = len(data) - sent if type(data) is bytes else (
            memoryview(data).nbytes - sent
        )
        cdef object last
        if self.chunks is None:
            self.chunks = deque()
        last = self.chunks[-1] if self.chunks else None
        if n < SMALL_CHUNK and type(last) is bytearray and len(last) < SMALL_CHUNK:
            last += memoryview(data).cast("B")[sent:]
        elif n < SMALL_CHUNK:
            self.chunks.append(bytearray(memoryview(data).cast("B")[sent:]))
        else:
            view = memoryview(data).cast("B")[sent:]
            self.chunks.append(view if type(view.obj) is bytes else bytes(view))
        self.held += n
        if not self.watched & SF_WRITABLE:
            self.rewatch()
        if self.held > self.high and not self.flags & FULL:
            self.flags |= FULL
            try:
                self.protocol.pause_writing()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                self.group.loop.call_exception_handler({
                    "message": "protocol.pause_writing() failed", "exception": exc,
                    "transport": self, "protocol": self.protocol,
                })
        return 0

    cdef int rewatch(self) except -1:
        """Watch the socket for what is wanted now."""
        return self.watch(
            (SF_READABLE if self.wants_to_read() else 0)
            | (SF_WRITABLE if self.held and not self.flags & OVER else 0)
        )

    cdef int end(self, object error) except -1:
        """The connection has ended: the protocol is told in the next pass."""
        if self.flags & OVER or self.fd < 0:
            return 0
        self.flags |= CLOSING | OVER
        self.chunks = None
        self.held = 0
        return self.group.end(self, error)

    cdef int call_failed(self, object exc, str message) except -1:
        """A method of the protocol has raised what it should have handled."""
        self.group.loop.call_exception_handler({
            "message": message, "exception": exc, "transport": self,
            "protocol": self.protocol,
        })
        return self.end(exc)

    cdef int lost(self, object error) except -1:
        protocol, self.protocol = self.protocol, None
        set_tracked(self, True)
        self._release()
        if protocol is None:
            return 0
        try:
            protocol.connection_lost(error)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self.call_failed(exc, "connection_lost() failed")
        return 0

    cdef int track(self) except -1:
        cdef WebSocket websocket
        cdef Session session
        set_tracked(self, True)
        if self.flags & WEBSOCKET and self.protocol is not None:
            websocket = self.protocol
            websocket.track(True)
            session = websocket.session
            if session is not None:
                session.track(True)
        return 0

    cdef int _release(self) except -1:
        self.group.leave(self)
        if self.lent:
            self.socket._sock.close()
            self.socket = None
        else:
            sf_close(self.fd)
        self.fd = -1
        return 0


cdef object _broken():
    """The error of a socket that cannot be written to."""
    return ConnectionError("the connection is broken")
