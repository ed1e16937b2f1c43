"""The asyncio transport of a socket with TLS that this package reads and writes itself.

OpenSSL, by Python's `ssl`, makes bytes of records and records of bytes, in memory. What
was received is decrypted into the buffer that all transports of a server share, and a
WebSocket reads it there.
"""
import ssl as _ssl

import cython
from cpython.buffer cimport (
    PyBUF_READ,
    PyBUF_WRITABLE,
    PyBUF_WRITE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.string cimport memcpy

from socketio_fast._core.engine.writer cimport unread_bytes
from socketio_fast._core.http.epoll cimport BUFFER_SIZE
from socketio_fast._core.http.socket_transport cimport (
    BUFFERED,
    CLOSING,
    ENDED,
    HANDSHAKING,
    LEFT,
    LINGERING,
    OVER,
    PAUSED,
    SocketTransport,
)
from socketio_fast._core.protocol.wire cimport SF_READABLE, sf_end_sending

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef object SSLObject = _ssl.SSLObject
cdef object SSLWantReadError = _ssl.SSLWantReadError
cdef object SSLZeroReturnError = _ssl.SSLZeroReturnError
cdef object MemoryBIO = _ssl.MemoryBIO

cdef enum:
    # Bytes of the largest record (RFC 8446, 5.1).
    LARGEST_RECORD = 16384
    # Bytes that a peer may make OpenSSL answer while it takes nothing.
    MAX_ANSWERS = 65536
    # What _read_record() returns besides a number of bytes.
    END = 0             # the peer has ended TLS
    INCOMPLETE = -1
    FAILED = -2

# Seconds for the handshake, and for a peer to take more of what is left, or to end TLS
# as well, after close(): asyncio's.
cdef double HANDSHAKE_TIMEOUT = 60.0
cdef double SHUTDOWN_TIMEOUT = 30.0


@cython.final
cdef class TlsTransport(SocketTransport):
    """The asyncio transport of a connection with TLS."""

    @staticmethod
    cdef TlsTransport new(object context):
        """A transport that `take()` gives its socket. Its protocol is told that it is
        connected when the handshake is done."""
        cdef TlsTransport self = TlsTransport.__new__(TlsTransport)
        self.context = context
        self.flags = HANDSHAKING
        return self

    cdef int begin(self, object protocol) except -1:
        self.later = protocol
        self.high = PY_SSIZE_T_MAX  # who is not connected is not paused
        try:
            self.incoming = MemoryBIO()
            self.outgoing = MemoryBIO()
            self.tls = self.context.wrap_bio(
                self.incoming, self.outgoing, server_side=True
            )
            # What an SSLObject calls itself, without the calls in between.
            self.records = (
                getattr(self.tls, "_sslobj", self.tls) if type(self.tls) is SSLObject
                else self.tls
            )
            self.timer = self.group.loop.call_later(HANDSHAKE_TIMEOUT, self.abort)
            self.group.handshakes.add(self)
            self.rewatch()
        except (SystemExit, KeyboardInterrupt):
            self.end(None)
            raise
        except BaseException as exc:
            self.call_failed(exc, "TLS could not begin")
        return 0

    # asyncio.Transport.

    def get_extra_info(self, str name not None, default=None):
        """What is known of the connection: also "ssl_object", "sslcontext", "cipher",
        "peercert" and "compression", when the handshake is done."""
        if name == "sslcontext":
            return self.context
        if self.flags & HANDSHAKING:
            return SocketTransport.get_extra_info(self, name, default)
        if name == "ssl_object":
            return self.tls
        if name == "cipher":
            return self.tls.cipher()
        if name == "peercert":
            return self.tls.getpeercert()
        if name == "compression":
            return self.tls.compression()
        return SocketTransport.get_extra_info(self, name, default)

    def resume_reading(self):
        """Receive again."""
        self.flags &= ~PAUSED
        if self.flags & LEFT:
            self.group.loop.call_soon(self._read_left)
        elif not self.watched & SF_READABLE:
            self.rewatch()

    def write(self, data not None):
        """Send bytes, or a view of them."""
        if self.flags & (CLOSING | HANDSHAKING) or self.fd < 0 or not len(data):
            return
        try:
            self.records.write(data)
        except OSError as exc:  # SSLError is one
            self._fail(exc)
        else:
            self._send_records()

    def can_write_eof(self):
        """False: TLS ends in both directions."""
        return False

    def write_eof(self):
        """Raise NotImplementedError."""
        raise NotImplementedError("TLS has no half-closed connections")

    def close(self):
        """Close when all is sent, and the peer has ended TLS as well."""
        if self.flags & CLOSING:
            return
        if self.flags & HANDSHAKING:
            self.end(None)
            return
        self.flags |= CLOSING | LINGERING
        # OpenSSL reads as it shuts down, and takes data for an error that is final.
        self._discard()
        try:
            self.tls.unwrap()
        except OSError:
            pass  # the peer's end is not here yet
        else:
            self.flags |= ENDED
        self._send_records()
        if self.flags & OVER:
            return
        self._wait_for_peer()
        if self.held:
            self.rewatch()
        else:
            self.all_sent()

    def _is_late(self):
        """The peer has had SHUTDOWN_TIMEOUT seconds: whether it has taken something."""
        cdef Py_ssize_t left = unread_bytes(self)
        if 0 < left < self.left:
            self._wait_for_peer()
        else:
            self.end(None)

    # Events.

    cdef bint wants_to_read(self):
        if self.flags & LINGERING:
            return not self.flags & ENDED
        return not self.flags & (PAUSED | ENDED | CLOSING | LEFT)

    cdef int receive_into(self) except -1:
        return self.receive()

    cdef int received(self, char *p, Py_ssize_t n) except -1:
        self.incoming.write(PyMemoryView_FromMemory(p, n, PyBUF_READ))
        if self.flags & HANDSHAKING and not self._shake_hands():
            return 0
        if self.flags & LINGERING:
            return self.end_of_stream() if self._discard() else 0
        return self._read(p, self.incoming.pending != 0)

    cdef int end_of_stream(self) except -1:
        """The peer has ended TLS, or the connection without that."""
        if self.flags & HANDSHAKING:
            return self.end(None)
        self.flags |= ENDED
        if self.flags & LINGERING:
            return self.rewatch() if self.held else self.end(None)
        self.protocol.eof_received()
        self.close()
        return 0

    cdef int all_sent(self) except -1:
        if self.flags & (ENDED | OVER):
            return self.end(None)
        # To close now would reset the connection if the peer still sends, and take from
        # it what it has not read yet.
        sf_end_sending(self.fd)
        return self.rewatch()

    cdef int end(self, object error) except -1:
        self.group.handshakes.discard(self)
        self._cancel_timer()
        return SocketTransport.end(self, error)

    cdef int lost(self, object error) except -1:
        self.later = None
        return SocketTransport.lost(self, error)

    # TLS.

    cdef int _shake_hands(self) except -1:
        """Go on with the handshake. Returns whether it is done."""
        try:
            self.records.do_handshake()
        except SSLWantReadError:
            self._send_records()
            return 0
        except Exception as exc:
            self._fail(exc)
            return 0
        self._cancel_timer()
        self.group.handshakes.discard(self)
        self.flags &= ~HANDSHAKING
        self.high = 65536
        protocol, self.later = self.later, None
        self.set_protocol(protocol)
        self._send_records()
        protocol.connection_made(self)
        return 1

    cdef int _read(self, char *p, bint more) except -1:
        """Decrypt what was received, into a buffer of BUFFER_SIZE bytes, and give it to
        the protocol. `more`: there may be a record."""
        cdef Py_ssize_t size, n
        while more and not self.flags & (PAUSED | ENDED | CLOSING | OVER):
            size = 0
            n = INCOMPLETE
            while more and BUFFER_SIZE - size >= LARGEST_RECORD:
                n = self._read_record(p + size, BUFFER_SIZE - size)
                if n > 0:
                    size += n
                more = n > 0 and self.incoming.pending != 0
            if size and not self.flags & OVER:
                self._deliver(p, size)
            if n == END and not self.flags & (CLOSING | OVER):
                if self.flags & PAUSED:
                    more = True  # it comes again
                else:
                    self.end_of_stream()
        if more and self.flags & PAUSED and not self.flags & CLOSING:
            self.flags |= LEFT
        return self._answer()

    cdef int _answer(self) except -1:
        """Send what OpenSSL has answered by itself."""
        cdef Py_ssize_t n = self.outgoing.pending
        if n == 0:
            return 0
        self.answered = self.answered + n if self.held else 0
        if self.answered > MAX_ANSWERS:
            return self.end(ConnectionError("the peer takes no answers of TLS"))
        return self._send_records()

    cdef bint _discard(self) except -1:
        """Read what was received to nowhere. Returns whether the peer has ended TLS."""
        try:
            while self.incoming.pending:
                if not self.records.read(LARGEST_RECORD):
                    return True
        except SSLWantReadError:
            pass
        except SSLZeroReturnError:
            return True
        except OSError:
            self.incoming.read()
        return False

    cdef Py_ssize_t _read_record(self, char *p, Py_ssize_t size) except -3:
        """Decrypt a record. Returns its size, or END, INCOMPLETE or FAILED."""
        try:
            return self.records.read(
                size, PyMemoryView_FromMemory(p, size, PyBUF_WRITE)
            )
        except SSLWantReadError:
            return INCOMPLETE
        except SSLZeroReturnError:
            return END
        except OSError as exc:
            self._fail(exc)
            return FAILED

    cdef int _deliver(self, char *p, Py_ssize_t n) except -1:
        cdef Py_buffer view
        cdef Py_ssize_t size
        while n and not self.flags & (CLOSING | OVER):
            if not self.flags & BUFFERED:
                return SocketTransport.received(self, p, n)
            buffer = self.protocol.get_buffer(n)
            PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
            size = min(n, view.len)
            memcpy(view.buf, p, size)
            PyBuffer_Release(&view)
            if not size:
                raise RuntimeError("get_buffer() returned an empty buffer")
            self.protocol.buffer_updated(size)
            p += size
            n -= size
        return 0

    def _read_left(self):
        """Read on, behind resume_reading()."""
        cdef char *p
        if not self.flags & LEFT or self.flags & (PAUSED | CLOSING):
            return
        p = <char *> PyMem_RawMalloc(BUFFER_SIZE)
        if p is NULL:
            raise MemoryError
        self.flags &= ~LEFT
        try:
            self._read(p, True)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self.call_failed(exc, "the protocol of a connection failed")
        finally:
            PyMem_RawFree(p)
            self.rewatch()

    cdef int _send_records(self) except -1:
        """Send what OpenSSL has made."""
        if self.outgoing.pending and self.fd >= 0 and not self.flags & OVER:
            self.send(self.outgoing.read())
        return 0

    cdef int _wait_for_peer(self) except -1:
        self.left = unread_bytes(self)
        self.timer = self.group.loop.call_later(SHUTDOWN_TIMEOUT, self._is_late)
        return 0

    cdef int _fail(self, object error) except -1:
        """TLS has failed. The peer is told why, if OpenSSL says it and the peer reads.
        """
        self._send_records()
        return self.end(error)

    cdef int _cancel_timer(self) except -1:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return 0
