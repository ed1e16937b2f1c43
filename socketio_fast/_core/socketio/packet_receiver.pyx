"""Packets of one connection, whichever side this is: text and the attachments that it
announces become one `Packet`.

A peer that breaks the protocol is closed: what is raised here for a packet reaches
`Session.on_error()`.
"""
from cpython.bytes cimport PyBytes_GET_SIZE

from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.protocol cimport sio
from socketio_fast._core.protocol.encoding cimport Encoding
from socketio_fast._core.protocol.sio cimport Packet

from socketio_fast.exceptions import LimitError, ProtocolError

cdef enum:
    # Bytes up to which an incomplete packet is not counted: any connection may hold as
    # much.
    UNCOUNTED_SIZE = 65536


cdef class PacketReceiver(Connection):
    """The Socket.IO side of one Engine.IO connection. Abstract: subclasses implement
    dispatch()."""

    cdef int on_text(self, const char *p, Py_ssize_t n) except -1:
        cdef Packet packet
        if self.incomplete is not None:
            raise ProtocolError("text while binary attachments are awaited")
        if self.hub.encoding is None:
            # Text that begins otherwise is no event, and text that ends otherwise is no
            # event of strings.
            if n > 4 and p[0] == c"2" and (
                p[n - 2] == c'"' or self.hub.undecoded is not None
            ) and self.limiter is None and self.take_event(p, n):
                return 0
            packet = sio.decode(
                p, n, self.hub.max_attachments, self.hub.undecoded
            )
        else:
            packet = self.hub.encoding.decode_text(p, n, self.hub.max_attachments)
        packet.size = n
        if self.limiter is not None:
            return self.limited(packet, n)
        if packet.missing:
            return self.await_attachments(packet)
        return self.dispatch(packet)

    cdef int on_binary(self, bytes data) except -1:
        cdef Packet packet = self.incomplete
        cdef Encoding encoding = self.hub.encoding
        if packet is None:
            if encoding is None:
                raise ProtocolError("binary message that no packet has announced")
            packet = encoding.decode_binary(data, self.hub.max_attachments)
        elif encoding is None:
            packet.attach(data)
        else:
            encoding.attach(packet, data)
        packet.size += PyBytes_GET_SIZE(data)
        if self.limiter is not None:
            return self.limited(packet, PyBytes_GET_SIZE(data))
        if packet.missing:
            return self.await_attachments(packet)
        self.forget_incomplete(packet)
        return self.dispatch(packet)

    cdef int forget_incomplete(self, Packet packet) except -1:
        """No attachments of a packet are awaited any more."""
        self.incomplete = None
        if packet.size > UNCOUNTED_SIZE:
            self.hub.forget_incomplete(self)
        return 0

    cdef int await_attachments(self, Packet packet) except -1:
        """Keep a packet until its attachments have come, within bounds of bytes and
        time."""
        cdef Engine engine = self.session.engine
        self.incomplete = packet
        if packet.size > engine.max_pending_bytes and (
            packet.size > engine.config.max_http_buffer_size
        ):
            raise LimitError(
                f"a packet and its attachments have more than max_pending_bytes="
                f"{engine.max_pending_bytes} bytes", code=1009,
            )
        if packet.size > UNCOUNTED_SIZE:
            self.hub.count_incomplete(self, packet.size)
        if self.progress_deadline is None:
            # It is not cancelled when the packet is complete: the next one uses it.
            self.stalled = packet
            self.stalled_at = packet.missing
            self.progress_deadline = engine.start(self._progress_time(), PROGRESS, self)
        return 0

    cdef double _progress_time(self) except -1:
        """Seconds in which one attachment at least must come: as many as a client may
        be silent."""
        cdef Engine engine = self.session.engine
        return engine.ping_interval + engine.ping_timeout

    cdef int check_progress(self) except -1:
        """Close a client that began a packet and has sent no attachment of it since the
        last check."""
        cdef Packet packet = self.incomplete
        cdef Session session = self.session
        cdef Engine engine = session.engine
        self.progress_deadline = None
        if packet is None:
            self.stalled = None
            return 0
        if packet is not self.stalled or packet.missing != self.stalled_at:
            return self.await_attachments(packet)
        engine.counters["incomplete_packets"] += 1
        return session.on_error(LimitError(
            f"{packet.missing} of the attachments of a packet have not come in "
            f"{self._progress_time():g} s", code=1008,
        ))

    cdef bint take_event(self, const char *p, Py_ssize_t n) except -1:
        """Handle an event without a `Packet`, if that is possible. False: it is not,
        and nothing was done."""
        return False

    cdef int dispatch(self, Packet packet) except -1:
        """A packet has come, with all its attachments."""
        raise NotImplementedError

    cdef int limited(self, Packet packet, Py_ssize_t n) except -1:
        """A packet, or a part of it with `n` bytes, of a peer that has limits."""
        raise NotImplementedError

    cdef int end_packet(self) except -1:
        """The connection is over: what is incomplete stays so."""
        if self.incomplete is not None:
            self.forget_incomplete(self.incomplete)
        self.stalled = None
        if self.progress_deadline is not None:
            self.progress_deadline.cancel()
            self.progress_deadline = None
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        return self.check_progress()
