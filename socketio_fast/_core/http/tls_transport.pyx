"""The asyncio transport of a socket with TLS that this package reads and writes itself.

OpenSSL, by Python's `ssl`, makes bytes of records and records of bytes, in memory. What
was received is decrypted into the buffer that all transports of a server share, and a
WebSocket reads it there. What is written in a pass of the event loop leaves as few
records as it fits into.
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

cdef object SSLWantReadError = _ssl.SSLWantReadError
cdef object SSLZeroReturnError = _ssl.SSLZeroReturnError
cdef object MemoryBIO = _ssl.MemoryBIO

cdef enum:
    # Bytes of the largest record (RFC 8446, 5.1).
    LARGEST_RECORD = 16384
    # What _read_record() returns besides a number of bytes.
    END = 0             # the peer has ended TLS
    INCOMPLETE = -1
    FAILED = -2

# Seconds for the handshake, and to wait for the peer's end of TLS: asyncio's.
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
            self.records = getattr(self.tls, "_sslobj", self.tls)
            self.timer = self.group.loop.call_later(HANDSHAKE_TIMEOUT, self.abort)
            self.rewatch()
        except Exception as exc:
            self.call_failed(exc, "TLS could not begin")
        return 0

    # asyncio.Transport.

    def get_extra_info(self, str name not None, default=None):
        """What is known of the connection: also "ssl_object", "sslcontext", "cipher",
        "peercert" and "compression"."""
        if name == "ssl_object":
            return self.tls
        if name == "sslcontext":
            return self.context
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
        self.flags |= CLOSING
        try:
            self.records.shutdown()
        except OSError:
            pass  # the peer's end is not here yet
        self._send_records()
        if not self.held:
            self.all_sent()

    # Events.

    cdef bint wants_to_read(self):
        return self.flags & LINGERING or not self.flags & (
            PAUSED | ENDED | CLOSING | LEFT
        )

    cdef int receive_into(self) except -1:
        return self.receive()

    cdef int received(self, char *p, Py_ssize_t n) except -1:
        self.incoming.write(PyMemoryView_FromMemory(p, n, PyBUF_READ))
        if self.flags & HANDSHAKING and not self._shake_hands():
            return 0
        return self._read(p, self.incoming.pending != 0)

    cdef int end_of_stream(self) except -1:
        """The peer has ended TLS, or the connection without that."""
        if self.flags & (HANDSHAKING | LINGERING):
            return self.end(None)
        self.flags |= ENDED
        self.protocol.eof_received()
        self.close()
        return 0

    cdef int all_sent(self) except -1:
        if self.flags & (ENDED | OVER):
            return self.end(None)
        # To close now would reset the connection if the peer still sends, and take from
        # it what it has not read yet.
        self.flags |= LINGERING
        sf_end_sending(self.fd)
        self.timer = self.group.loop.call_later(SHUTDOWN_TIMEOUT, self.abort)
        return self.rewatch()

    cdef int lost(self, object error) except -1:
        self.later = None
        self._cancel_timer()
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
        while more and not self.flags & OVER and (
            self.flags & LINGERING or not self.flags & (PAUSED | ENDED | CLOSING)
        ):
            size = 0
            n = INCOMPLETE
            while more and BUFFER_SIZE - size >= LARGEST_RECORD:
                n = self._read_record(p + size, BUFFER_SIZE - size)
                if n > 0:
                    size += n
                more = n > 0 and self.incoming.pending != 0
            if size and not self.flags & (CLOSING | OVER):
                self._deliver(p, size)
            if n == END and not self.flags & OVER:
                if self.flags & PAUSED and not self.flags & CLOSING:
                    more = True  # it comes again
                else:
                    self.end_of_stream()
        if more and self.flags & PAUSED and not self.flags & CLOSING:
            self.flags |= LEFT
        return self._send_records()

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
        if not self.flags & BUFFERED:
            return SocketTransport.received(self, p, n)
        while n and not self.flags & OVER:
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
        self.flags &= ~LEFT
        p = <char *> PyMem_RawMalloc(BUFFER_SIZE)
        if p is NULL:
            raise MemoryError
        try:
            self._read(p, True)
            self.rewatch()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self.call_failed(exc, "the protocol of a connection failed")
        finally:
            PyMem_RawFree(p)

    cdef int _send_records(self) except -1:
        if self.outgoing.pending and self.fd >= 0 and not self.flags & OVER:
            self.send(self.outgoing.read())
        return 0

    cdef int _fail(self, object error) except -1:
        """TLS has failed: the peer is told why, if OpenSSL has said it."""
        self._send_records()
        return self.end(error)

    cdef int _cancel_timer(self) except -1:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return 0
