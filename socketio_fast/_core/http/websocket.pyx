"""The WebSocket transport (RFC 6455), server side.

Reading: the event loop gives what was in the socket as one `bytes`. Frames are scanned
where they lie, and unmasked into a buffer that all connections share, so an idle
connection has no buffer. The bytes of an incomplete frame are kept until the rest has
come. The size of a frame is checked before its payload is kept, so they are never more
than `max_http_buffer_size` and a head.

Writing: `Outgoing` renders the frames of a message once for all connections, and
`Writer` sends what was written in one pass of the event loop by one system call.

The closing handshake (section 5.5.1): after a close frame was sent (`close_sent`),
nothing is sent, and all frames but the client's close frame are ignored. After that has
come, or a violation, the connection is `dead`: nothing is read.
"""
import cython
from cpython.bytearray cimport (
    PyByteArray_AS_STRING,
    PyByteArray_GET_SIZE,
    PyByteArray_Resize,
)
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.string cimport memcpy

from socketio_fast._core.http.connections cimport Connections
from socketio_fast._core.protocol.deflate cimport Deflate
from socketio_fast._core.protocol.outgoing cimport (
    FRAMES_3,
    FRAMES_3_BASE64,
    FRAMES_BASE64,
    Outgoing,
)
from socketio_fast._core.engine.collecting cimport set_tracked
from socketio_fast._core.engine.runner cimport Runner
from socketio_fast._core.engine.contracts cimport (
    BASE64,
    GOING_AWAY,
    REVISION_3,
    SERVER_DISCONNECT,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.message_transport cimport MessageTransport
from socketio_fast._core.protocol.wire cimport (
    SF_BINARY,
    SF_CLOSE,
    SF_CONTINUATION,
    SF_FRAME_CONTROL,
    SF_FRAME_LENGTH,
    SF_FRAME_OPCODE,
    SF_FRAME_RESERVED_BIT,
    SF_FRAME_UNMASKED,
    SF_PING,
    SF_PONG,
    SF_TEXT,
    sf_frame,
    sf_frame_head,
    sf_scan_frame,
    sf_unmask,
    sf_utf8,
    sf_utf8_feed,
)
from socketio_fast._core.engine.writer cimport SocketTransportBase, Writer

from socketio_fast.exceptions import LimitError, ProtocolError

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    # Bytes of the largest payload that is unmasked into the shared buffer.
    SCRATCH_SIZE = 65536
    D_CLOSE = 0
    RSV1 = 0x40  # in an opcode: the message is compressed

# Seconds in which a client must answer a close frame.
cdef double CLOSE_TIMEOUT = 10.0

# All connections share it. A payload in it must be decoded before any Python code runs,
# which could receive another frame.
cdef char unmasked[SCRATCH_SIZE]

cdef dict VIOLATIONS = {
    SF_FRAME_RESERVED_BIT: "reserved bit set without an extension",
    SF_FRAME_OPCODE: "reserved opcode",
    SF_FRAME_UNMASKED: "frame of a client that is not masked",
    SF_FRAME_CONTROL: "control frame that is fragmented or above 125 bytes",
    SF_FRAME_LENGTH: "payload length not in its shortest form, or above 2^63 - 1",
}


@cython.final
cdef class WebSocket(MessageTransport):
    """One WebSocket connection; an asyncio protocol."""

    name = "websocket"

    @staticmethod
    cdef WebSocket new(
        Engine engine, Writer writer, Deflate deflate, Connections connections
    ):
        """A WebSocket on a connection that has spoken HTTP so far."""
        cdef WebSocket self = WebSocket.__new__(WebSocket)
        self.engine = engine
        self.writer = writer
        self.deflate = deflate
        self.connections = connections
        connections.add(self)
        writer.transport.set_protocol(self)
        return self

    cdef int begin(
        self, bytes response, Session session, object environ_source, bytes received
    ) except -1:
        """Accept the handshake, then open the session or begin its upgrade.

        Args:
            response: The whole response, status 101.
            session: A new session, or one that upgrades from polling.
            environ_source: For a new session, its `environ()` makes the environ of the
                session; None: the session upgrades.
            received: What the client has sent behind the request.
        """
        self._write(response)
        self.writer.written = -self.writer.size
        # The response leaves alone: there are clients that handle messages only after
        # they have read the response.
        self.writer.part()
        if environ_source is not None:
            session.open(self, environ_source)
        elif not session.begin_upgrade(self):
            # The session has a WebSocket, or another one is upgrading it.
            self._send_close(None)
        if received:
            self.data_received(received)
        return 0

    # From session.

    cpdef int send(self, Outgoing m) except -1:
        if self.dialect and m.attachments is not None:
            if not self.dialect & REVISION_3:
                return self._write(m.rendering(FRAMES_BASE64))
            return self._write(m.rendering(
                FRAMES_3_BASE64 if self.dialect & BASE64 else FRAMES_3
            ))
        if self.deflate is not None and not m.uncompressed:
            return self._write(self.deflate.frames(m))
        return self._write(m.frames())

    cdef inline int _write(self, bytes data) except -1:
        cdef Writer writer = self.writer
        if self.close_sent or writer.transport is None:
            return 0
        writer.write(data)
        if writer.size + writer.handed > self.engine.high_water_mark:
            if self.session is not None:
                self.engine.overflow(self.session)
        return 0

    cpdef Py_ssize_t buffered(self) except -1:
        return self.writer.buffered()

    cpdef bint writable(self) except -1:
        return self.writer.writable()

    cpdef int flush(self) except -1:
        return self.writer.flush_all()

    cdef int part(self) except -1:
        return self.writer.part()

    cpdef int close(self) except -1:
        self._send_close(None)
        return 0

    cpdef int go_away(self) except -1:
        self._send_close(GOING_AWAY if self.engine.draining else None)
        return 0

    cpdef int abort(self, object code) except -1:
        # The close frame leaves behind what was written before. A client that does not
        # read would never get it. One that has sent a close frame is about to read that
        # and ours, and has CLOSE_TIMEOUT for it.
        self.session = None
        if self.writer.paused and not self.dead:
            self.abort_connection()
        else:
            self._send_close(code)
        return 0

    cpdef int refuse(self) except -1:
        return self.abort(1008)

    cpdef int release(self) except -1:
        return 0

    cpdef int pause(self) except -1:
        if self.paused or self.dead or self.close_sent:
            return 0
        self.paused = True
        # What the event loop gives although reading is paused is kept in `partial`.
        self.needed = PY_SSIZE_T_MAX
        if self.partial is None:
            self.partial = bytearray()
        if self.writer.transport is not None:
            self.writer.transport.pause_reading()
        return 0

    cpdef int resume(self) except -1:
        if not self.paused:
            return 0
        self.paused = False
        self.needed = 0
        self.data_received(b"")
        if self.writer.transport is not None and not self.paused:
            self.writer.transport.resume_reading()
        return 0

    cpdef list handover(self):
        return []

    cdef int _send_close(self, object code) except -1:
        cdef char frame[4]
        if self.close_sent or self.writer.transport is None:
            return 0
        if code is None:
            # As ws for Node.js: a close frame without a code.
            sf_frame_head(frame, SF_CLOSE, 0)
            self._write(frame[:2])
        else:
            sf_frame_head(frame, SF_CLOSE, 2)
            frame[2] = <char> (<int> code >> 8)
            frame[3] = <char> (<int> code & 0xFF)
            self._write(frame[:4])
        self.close_sent = True
        self.close_deadline = self.engine.start(CLOSE_TIMEOUT, D_CLOSE, self)
        # Reading goes on: the client's close frame must be seen.
        return self.resume() if self.paused else 0

    cdef int _close_connection(self) except -1:
        """Close the connection: the closing handshake is over, or impossible."""
        cdef Writer writer = self.writer
        self.dead = True
        self.partial = None
        if writer.fd >= 0:
            # The socket is closed when the client closes, or by the deadline. To close
            # it while something is unread would reset the connection, and the client
            # could lose the close frame.
            return writer.write_eof()
        return writer.close()

    def close_connection(self):
        """End the session and close, because the server stops."""
        cdef Session session = self.session
        if session is None or session.probe is self:
            self._send_close(None)
        else:
            session.close(SERVER_DISCONNECT)

    def sent_bytes(self):
        """Bytes of the frames that were sent; with TLS, before encryption."""
        return max(0, self.writer.written)

    def close_when_idle(self):
        """A WebSocket is not closed for being idle."""

    def abort_connection(self):
        """Close without delay, and without a close frame."""
        if self.writer.transport is not None:
            self.writer.transport.abort()

    cdef int on_deadline(self, int kind, double now) except -1:
        self.close_deadline = None
        self.abort_connection()
        return 0

    cdef bint track(self, bint tracked) except -1:
        cdef Writer writer = self.writer
        if not tracked and not isinstance(writer.transport, SocketTransportBase):
            return True
        set_tracked(self, tracked)
        set_tracked(writer, tracked)
        if writer.transport is not None:
            set_tracked(writer.transport, tracked)
        return tracked

    # From the event loop.

    def data_received(self, data not None):
        # asyncio's loop of Windows gives a bytearray.
        cdef bytes received = data if type(data) is bytes else bytes(data)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(received)
        if not self.dead and not self._keep(PyBytes_AS_STRING(received), n):
            self._receive(PyBytes_AS_STRING(received), n, False)

    cdef int receive(self, const char *p, Py_ssize_t n) except -1:
        if not self.dead and not self._keep(p, n):
            self._receive(p, n, True)
        return 0

    cdef bint _keep(self, const char *p, Py_ssize_t n) except -1:
        """Put these bytes behind those of an incomplete frame, and read that if it is
        complete now. Returns whether there is such a frame."""
        cdef bytearray joined = self.partial
        cdef Py_ssize_t before
        if joined is None:
            return False
        before = PyByteArray_GET_SIZE(joined)
        PyByteArray_Resize(joined, before + n)
        memcpy(PyByteArray_AS_STRING(joined) + before, p, n)
        if before + n >= self.needed:
            self.partial = None
            self._receive(PyByteArray_AS_STRING(joined), before + n, True, joined)
        return True

    cdef int _receive(
        self, const char *p, Py_ssize_t n, bint own, bytearray joined=None
    ) except -1:
        """Read frames, and keep what is incomplete. `joined`: the bytes are in it."""
        cdef Runner runner = self.engine.runner
        cdef Py_ssize_t taken
        cdef bint burst = runner.begin_burst()
        try:
            taken = self._read(p, n, own)
            if taken < n and not self.dead:
                if joined is None:
                    joined = bytearray(p[taken:n])
                else:
                    # This moves no bytes, so it is cheap even if reading pauses behind
                    # every frame.
                    del joined[:taken]
                self.partial = joined
        except BaseException as exc:
            # After a violation nothing that follows can be understood.
            self._fail(exc)
            self._close_connection()
        finally:
            if burst:
                runner.end_burst()
        return 0

    def eof_received(self):
        return False

    def connection_made(self, transport):
        pass  # new() was called with the connection

    def connection_lost(self, exc):
        cdef Session session = self.session
        self.dead = self.close_sent = True
        self.partial = self.fragments = None
        self.track(True)
        self.writer.lost()
        self.connections.discard(self)
        if self.close_deadline is not None:
            self.close_deadline.cancel()
            self.close_deadline = None
        if session is not None:
            session.on_transport_close(self, "transport close")
            self.session = None

    def pause_writing(self):
        self.writer.paused = True

    def resume_writing(self):
        cdef bytes pong = self.pong
        cdef Session session
        self.pong = None
        if pong is not None:
            self._write(pong)
        self.writer.resume()
        session = self.session
        if session is not None:
            session.flushed()

    # Reading.

    cdef Py_ssize_t _read(self, const char *p, Py_ssize_t n, bint own) except -1:
        """Read the complete frames of `n` bytes; returns how many bytes they have.

        `own`: the memory belongs to this connection, so a payload may be unmasked in
        place.
        """
        cdef Py_ssize_t i = 0
        while True:
            try:
                self._read_frames(p, n, own, &i)
                return i
            except ProtocolError as exc:
                if exc.code == 1002 or exc.code == 1009:
                    raise
                self._fail(exc)
            except BaseException as exc:
                self._fail(exc)

    cdef int _read_frames(
        self, const char *p, Py_ssize_t n, bint own, Py_ssize_t *taken
    ) except -1:
        """As `_read()`; `taken` is behind the frame that was read last, which is also
        the one that an exception other than a violation of the framing is about."""
        cdef Py_ssize_t i = taken[0], size
        cdef bytes large
        cdef char *payload
        cdef sf_frame f
        while i < n and not self.dead and not self.paused:
            f = sf_scan_frame(p + i, n - i)
            self._check_frame(&f)
            size = f.length
            if f.head == 0 or n - i - <Py_ssize_t> f.head < size:
                self.needed = f.head + size if f.head else n - i + 1
                return 0
            i += f.head + size
            taken[0] = i
            if size <= SCRATCH_SIZE:
                payload = unmasked
            elif own:
                payload = <char *> p + i - size
            else:
                large = PyBytes_FromStringAndSize(NULL, size)
                payload = PyBytes_AS_STRING(large)
            sf_unmask(payload, p + i - size, size, f.mask)
            if not self.close_sent or f.opcode == SF_CLOSE:
                self._on_frame(
                    f.opcode | RSV1 if f.compressed else f.opcode, f.fin, payload, size
                )
        return 0

    def _fail(self, exc):
        """The client has broken a rule: end its session, with a close frame."""
        cdef Session session = self.session
        if session is None or session.probe is self:
            self._send_close(exc.code if isinstance(exc, ProtocolError) else None)
        else:
            session.on_error(exc)

    cdef int _check_frame(self, const sf_frame *f) except -1:
        """Raise ProtocolError for a rule that the head of a frame breaks.

        It is called as soon as the size of the frame is known, or earlier.
        """
        cdef Py_ssize_t limit = self.engine.max_payload
        if f.error:
            raise ProtocolError(VIOLATIONS[f.error], code=1002)
        if f.compressed and self.deflate is None:
            raise ProtocolError(VIOLATIONS[SF_FRAME_RESERVED_BIT], code=1002)
        if f.head == 0 or f.opcode >= SF_CLOSE:
            return 0
        if f.opcode == SF_CONTINUATION:
            if not self.fragment_type:
                raise ProtocolError("continuation of nothing", code=1002)
            limit -= PyByteArray_GET_SIZE(self.fragments)
        elif self.fragment_type:
            raise ProtocolError("new message inside a fragmented one", code=1002)
        if f.length > <size_t> limit:
            raise LimitError(
                f"message of more than max_http_buffer_size={self.engine.max_payload}",
                code=1009,
            )
        return 0

    cdef int _on_frame(
        self, int opcode, bint fin, const char *p, Py_ssize_t n
    ) except -1:
        cdef char out[128]
        cdef char *payload
        if opcode == SF_CONTINUATION:
            return self._on_fragment(p, n, fin)
        if opcode & ~RSV1 == SF_TEXT or opcode & ~RSV1 == SF_BINARY:
            if fin:
                if opcode & RSV1:
                    return self._on_compressed(opcode, p, n)
                if opcode == SF_TEXT:
                    return self.on_text_message(p, n)
                return self.on_binary(p[:n])
            self.fragment_type = opcode
            self.fragments = bytearray()
            self.utf8 = sf_utf8(0, 0, 0)
            return self._on_fragment(p, n, False)
        if opcode == SF_PING:
            payload = sf_frame_head(out, SF_PONG, n)
            memcpy(payload, p, n)
            if self.writer.paused:
                # A client that pings and does not read gets one pong (section 5.5.3).
                self.pong = out[:payload - out + n]
                return 0
            return self._write(out[:payload - out + n])
        if opcode == SF_CLOSE:
            return self._on_close(p, n)
        return 0  # PONG

    cdef int _on_compressed(self, int opcode, const char *p, Py_ssize_t n) except -1:
        cdef Deflate deflate = self.deflate
        cdef bytes message = deflate.inflate(p, n, self.engine.max_payload)
        if opcode & ~RSV1 == SF_BINARY:
            return self.on_binary(message)
        return self.on_text_message(
            PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message)
        )

    cdef int _on_fragment(self, const char *p, Py_ssize_t n, bint fin) except -1:
        cdef bytearray message = self.fragments
        cdef Py_ssize_t size = PyByteArray_GET_SIZE(message)
        cdef int type = self.fragment_type
        if type == SF_TEXT:
            if not sf_utf8_feed(&self.utf8, p, n) or (fin and self.utf8.need):
                raise ProtocolError("text is not UTF-8", code=1007)
        PyByteArray_Resize(message, size + n)
        memcpy(PyByteArray_AS_STRING(message) + size, p, n)
        if not fin:
            return 0
        self.fragments = None
        self.fragment_type = 0
        p = PyByteArray_AS_STRING(message)
        if type & RSV1:
            return self._on_compressed(type, p, size + n)
        if type == SF_TEXT:
            return self.on_text(p, size + n)
        return self.on_binary(p[:size + n])

    cdef int _on_close(self, const char *p, Py_ssize_t n) except -1:
        cdef Session session = self.session
        cdef sf_utf8 state = sf_utf8(0, 0, 0)
        cdef object code = None
        if n == 1:
            raise ProtocolError("close frame with half a code", code=1002)
        if n:
            code = <unsigned char> p[0] << 8 | <unsigned char> p[1]
            if not (
                1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
            ):
                raise ProtocolError(f"invalid close code {code}", code=1002)
            if not sf_utf8_feed(&state, p + 2, n - 2) or state.need:
                raise ProtocolError("close reason is not UTF-8", code=1007)
        # The answer has the same code. Then the server closes the TCP connection first
        # (section 7.1.1).
        self._send_close(code)
        self.dead = True
        if session is not None:
            session.on_transport_close(self, "transport close")
        return self.writer.finish()
