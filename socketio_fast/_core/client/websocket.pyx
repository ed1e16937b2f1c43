"""A client's WebSocket (RFC 6455): picows connects and reads, `Writer` writes.

picows does the handshake, TLS and proxies, and gives its listener one frame after the
other; a frame that breaks a rule, such as one that is masked, it answers itself. What
is sent in one pass of the event loop leaves by one system call, for which
frames are made here: picows' own send() costs a call each.

The first frame of what was read at once begins a burst of handlers, the last one ends
it (see `runner`).
"""
import asyncio
import os
from contextlib import suppress

import cython
import picows
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.string cimport memcpy

from socketio_fast._core.engine.contracts cimport (
    BASE64,
    OPEN,
    REVISION_3,
    TRANSPORT_CLOSE,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.client.session cimport ClientSession
from socketio_fast._core.engine.runner cimport Runner
from socketio_fast._core.engine.writer cimport Writer
from socketio_fast._core.protocol.deflate cimport Deflate
from socketio_fast._core.protocol.outgoing cimport (
    MESSAGES_3,
    MESSAGES_3_BASE64,
    MESSAGES_BASE64,
    Outgoing,
)
from socketio_fast._core.protocol.wire cimport (
    SF_BINARY,
    SF_CLOSE,
    SF_PONG,
    SF_TEXT,
    sf_frame_head_size,
    sf_mask,
    sf_masked_frame_head,
)

from socketio_fast.exceptions import ConnectionError, LimitError, ProtocolError
from socketio_fast.options.logs import escaped

cdef enum:
    KEYS_SIZE = 4096
    RSV1 = 0x40  # in an opcode: the message is compressed

cdef object TEXT = picows.WSMsgType.TEXT
cdef object BINARY = picows.WSMsgType.BINARY
cdef object CONTINUATION = picows.WSMsgType.CONTINUATION
cdef object CLOSE = picows.WSMsgType.CLOSE
cdef object PING = picows.WSMsgType.PING

# Close codes that say of no fault: normal, going away, and none at all.
cdef tuple NO_FAULT = (0, 1000, 1001, 1005)

# Random bytes that no masking key has been made of yet: a system call costs more than
# a key, which nobody may be able to foresee (RFC 6455, section 5.3).
cdef unsigned char keys[KEYS_SIZE]
cdef Py_ssize_t keys_left = 0


cdef const unsigned char *_next_key() except NULL:
    """The masking key of the next frame, four bytes."""
    global keys_left
    cdef bytes drawn
    if keys_left == 0:
        drawn = os.urandom(KEYS_SIZE)
        memcpy(keys, PyBytes_AS_STRING(drawn), KEYS_SIZE)
        keys_left = KEYS_SIZE
    keys_left -= 4
    return keys + keys_left


def _forget_keys():
    global keys_left
    keys_left = 0


if hasattr(os, "register_at_fork"):
    # A parent and a forked child must not use the same keys.
    os.register_at_fork(after_in_child=_forget_keys)


cdef bytes _frame(int opcode, bytes head, bytes body):
    """A frame with this payload, in two pieces."""
    return _frame_of(opcode, head, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))


cdef bytes _text_frame(Outgoing m):
    """The frame of a message's text."""
    return _frame_of(SF_TEXT, m.head, m.json(), m.json_size())


cdef bytes _frame_of(int opcode, bytes head, const char *body, Py_ssize_t b):
    cdef const unsigned char *key = _next_key()
    cdef Py_ssize_t h = PyBytes_GET_SIZE(head)
    cdef bytes frame = PyBytes_FromStringAndSize(
        NULL, sf_frame_head_size(h + b) + 4 + h + b
    )
    cdef char *out = sf_masked_frame_head(PyBytes_AS_STRING(frame), opcode, h + b, key)
    sf_mask(out, PyBytes_AS_STRING(head), h, key, 0)
    sf_mask(out + h, body, b, key, h)
    return frame


cdef bytes masked(Outgoing m, int dialect):
    """The frames of a message."""
    cdef list parts = []
    if m.attachments is None:
        return _text_frame(m)
    if dialect:
        for message in m.rendering(
            MESSAGES_BASE64 if not dialect & REVISION_3
            else MESSAGES_3_BASE64 if dialect & BASE64 else MESSAGES_3
        ):
            if isinstance(message, str):
                parts.append(_frame(SF_TEXT, (<str> message).encode(), b""))
            else:
                parts.append(_frame(SF_BINARY, message, b""))
    else:
        if m.head is not None:
            parts.append(_text_frame(m))
        for data in m.attachments:
            parts.append(_frame(SF_BINARY, data, b""))
    return b"".join(parts)


cdef bytes compressed(Outgoing m, Deflate deflate):
    """The frames of a message, compressed where that is worth it."""
    cdef list parts = []
    cdef Outgoing part
    cdef bytes head, body, data
    cdef int opcode
    for part in [m] if m.attachments is None else m.apart():
        if part.attachments is None:
            opcode, head, body = SF_TEXT, part.head, part.body()
        else:
            opcode, head, body = SF_BINARY, part.attachments[0], b""
        data = deflate.compressed(head, body)
        if data is None:
            parts.append(_frame(opcode, head, body))
        else:
            parts.append(_frame(opcode | RSV1, data, b""))
    return b"".join(parts)


# Tasks that nobody else refers to.
cdef set _ending = set()


async def _until_ended(ws):
    with suppress(Exception):
        await ws.wait_disconnected()


cdef int _retrieve(object ws) except -1:
    """picows has met an error and has sent a close frame, or is to hear of one. It puts
    it into a Future, which asyncio logs if nobody looks at it."""
    task = asyncio.ensure_future(_until_ended(ws))
    _ending.add(task)
    task.add_done_callback(_ending.discard)
    return 0


class Listener(picows.WSListener):
    """What picows tells of one connection. It refers to its `ClientWebSocket`."""

    def __init__(self, socket):
        self.socket = socket

    def on_ws_connected(self, transport):
        (<ClientWebSocket> self.socket).on_connected(transport)

    def on_ws_frame(self, transport, frame):
        (<ClientWebSocket> self.socket).on_frame(frame)

    def on_ws_disconnected(self, transport):
        handshake = transport.close_handshake
        if handshake is not None and handshake.sent is not None:
            _retrieve(transport)
        try:
            (<ClientWebSocket> self.socket).on_disconnected()
        except BaseException:
            _retrieve(transport)
            raise

    def pause_writing(self):
        cdef ClientWebSocket socket = self.socket
        if socket.writer is not None:
            socket.writer.paused = True

    def resume_writing(self):
        cdef ClientWebSocket socket = self.socket
        cdef Session session = socket.session
        if socket.writer is not None:
            socket.send_pong()
            socket.writer.resume()
            if session is not None:
                session.flushed()


@cython.final
cdef class ClientWebSocket(MessageTransport):
    """One WebSocket connection to a server.

    Args:
        engine: Flushes it, and has the limits.
    """

    name = "websocket"

    def __init__(self, Engine engine not None):
        self.engine = engine
        self.max_payload = engine.max_payload

    @property
    def closed(self):
        """Whether it has lost its connection, a bool."""
        return self.ws is None

    def listen(self, Deflate deflate=None):
        """Return what picows tells what happens. `deflate`: the compression that
        the server has accepted; or None."""
        self.deflate = deflate
        return Listener(self)

    # From session.

    cpdef int send(self, Outgoing m) except -1:
        if self.deflate is not None and not m.uncompressed and (
            m.attachments is None or not self.dialect
        ) and m.size() >= self.deflate.threshold:
            return self._write(compressed(m, self.deflate))
        return self._write(masked(m, self.dialect))

    cdef int _write(self, bytes frames) except -1:
        cdef Writer writer = self.writer
        if self.close_sent or writer is None:
            return 0
        writer.write(frames)
        if writer.size + writer.handed > self.engine.high_water_mark:
            if self.session is not None:
                self.engine.overflow(self.session)
        return 0

    cpdef Py_ssize_t buffered(self) except -1:
        return 0 if self.writer is None else self.writer.buffered()

    def untaken(self):
        """How many bytes the server has not taken yet, an int."""
        return 0 if self.writer is None else self.writer.size + self.writer.unread()

    cpdef bint writable(self) except -1:
        return self.writer is not None and self.writer.writable()

    cpdef int flush(self) except -1:
        return 0 if self.writer is None else self.writer.flush_all()

    cpdef int close(self) except -1:
        return 0 if self.writer is None else self._send_close(1000)

    cpdef int abort(self, object code) except -1:
        self.session = None
        if self.writer is not None and (
            self.writer.paused or self.close_sent and not self.dead
        ):
            self.abort_connection()
        else:
            self._send_close(1000 if code is None else code)
            self._disconnect()
        return 0

    cpdef int refuse(self) except -1:
        return self.abort(None)

    cpdef int release(self) except -1:
        return 0

    cpdef list handover(self):
        return []  # nothing is upgraded from a WebSocket

    cdef int _send_close(self, object code) except -1:
        if self.close_sent or self.writer is None:
            return 0
        self._write(_frame(SF_CLOSE, (<int> code).to_bytes(2, "big"), b""))
        self.close_sent = True
        self.writer.flush_all()
        return 0

    cdef int send_pong(self) except -1:
        """Answer the last ping, which came while the connection was paused."""
        cdef bytes pong = self.pong
        self.pong = None
        return 0 if pong is None else self._write(pong)

    cdef int _disconnect(self) except -1:
        """Close the connection when everything written has left."""
        self.dead = True
        if self.ws is not None:
            self.ws.underlying_transport.close()
        return 0

    def abort_connection(self):
        """Close without delay, and without a close frame."""
        self.dead = True
        if self.ws is not None:
            self.ws.underlying_transport.abort()

    # From picows.

    def on_connected(self, ws):
        self.ws = ws
        self.accepted = True
        self.writer = Writer(self.engine, ws.underlying_transport, ws.is_secure)

    def on_disconnected(self):
        cdef Session session = self.session
        cdef object ws = self.ws
        cdef object handshake = None if ws is None else ws.close_handshake
        self.dead = self.close_sent = True
        self.fragments = self.held = None
        self.ws = None
        if self.writer is not None:
            if session is not None:
                (<ClientSession> session).may_be_lost(
                    self, self.writer.size + self.writer.handed,
                    "it has closed the connection",
                )
            self.writer.lost()
        if self.in_burst:
            self.in_burst = False
            self.engine.runner.end_burst()
        if session is not None:
            if handshake is not None and handshake.sent is not None:
                # picows has closed the connection, for a rule that the server broke.
                self._fail(ProtocolError(
                    handshake.sent.reason or "a frame breaks the rules of WebSocket",
                    code=1002,
                ))
            else:
                session.on_transport_close(self, TRANSPORT_CLOSE)
            self.session = None

    cpdef int pause(self) except -1:
        if self.paused or self.dead or self.ws is None:
            return 0
        self.paused = True
        self.held = []
        self.ws.underlying_transport.pause_reading()
        return 0

    cpdef int resume(self) except -1:
        cdef list held = self.held
        if not self.paused:
            return 0
        self.paused = False
        self.held = None
        while held and not self.paused and not self.dead:
            kind, end, data, compressed = held.pop(0)
            try:
                self._on_frame(kind, end, data, compressed)
            except BaseException as exc:
                self._fail(exc)
        if self.paused:
            self.held = held + (self.held or [])
        elif self.ws is not None and not self.dead:
            self.ws.underlying_transport.resume_reading()
        return 0

    cdef int on_frame(self, object frame) except -1:
        """A frame has come. Its memory is valid during this call only."""
        cdef object kind = frame.msg_type
        cdef bint end = frame.fin
        cdef Runner runner = self.engine.runner
        cdef bint compressed
        if self.dead:
            return 0
        if not self.in_burst:
            self.in_burst = runner.begin_burst()
        try:
            compressed = frame.rsv1
            if frame.rsv2 or frame.rsv3 or compressed and (
                self.deflate is None or not (kind is TEXT or kind is BINARY)
            ):
                raise ProtocolError(
                    "reserved bit set without an extension", code=1002
                )
            if self.paused and kind is not PING:
                self.held.append((kind, end, frame.get_payload_as_bytes(), compressed))
            else:
                self._on_frame(kind, end, frame.get_payload_as_bytes(), compressed)
        except BaseException as exc:
            self._fail(exc)
        if self.in_burst and (frame.last_in_buffer or self.dead):
            self.in_burst = False
            runner.end_burst()
        return 0

    cdef int _on_frame(
        self, object kind, bint end, bytes data, bint compressed
    ) except -1:
        if end and self.fragments is None and (kind is TEXT or kind is BINARY):
            if compressed:
                data = self._inflated(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
            elif PyBytes_GET_SIZE(data) > self.max_payload:
                self._too_large()
            if kind is TEXT:
                return self.on_text_message(
                    PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
                )
            return self.on_binary(data)
        if kind is TEXT or kind is BINARY or kind is CONTINUATION:
            return self._on_fragment(kind, end, data, compressed)
        if kind is CLOSE:
            return self._on_close(data)
        if kind is PING:
            self.pong = _frame(SF_PONG, data, b"")
            if not self.writer.paused:
                self.send_pong()
        return 0  # PONG

    cdef int _on_close(self, bytes data) except -1:
        """The server closes: picows has checked the code and the reason."""
        cdef Session session = self.session
        cdef object code = int.from_bytes(data[:2], "big") if data else 1005
        self._send_close(1000 if code == 1005 else code)
        self._disconnect()
        if session is None:
            return 0
        if code in NO_FAULT or session.probe is self or session.state != OPEN:
            return session.on_transport_close(self, TRANSPORT_CLOSE)
        (<ClientSession> session).fail(TRANSPORT_CLOSE, ConnectionError(
            f"the server has closed the WebSocket with code {code}: "
            f"{escaped(data[2:].decode()) or 'it gives no reason'}"
        ))
        return 0

    cdef bytes _inflated(self, const char *p, Py_ssize_t n):
        return self.deflate.inflate(p, n, self.max_payload)

    cdef int _too_large(self) except -1:
        raise LimitError(
            f"message of more than max_http_buffer_size={self.max_payload}", code=1009
        )

    cdef int _on_fragment(
        self, object kind, bint end, bytes data, bint compressed
    ) except -1:
        cdef bytearray message = self.fragments
        if kind is CONTINUATION:
            if message is None:
                raise ProtocolError("continuation of nothing", code=1002)
        elif message is not None:
            raise ProtocolError("new message inside a fragmented one", code=1002)
        else:
            self.fragments = message = bytearray()
            self.text = kind is TEXT
            self.is_compressed = compressed
        if PyByteArray_GET_SIZE(message) + PyBytes_GET_SIZE(data) > self.max_payload:
            self._too_large()
        message += data
        if not end:
            return 0
        self.fragments = None
        if self.is_compressed:
            data = self._inflated(
                PyByteArray_AS_STRING(message), PyByteArray_GET_SIZE(message)
            )
            if self.text:
                return self.on_text_message(
                    PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
                )
            return self.on_binary(data)
        if self.text:
            return self.on_text_message(
                PyByteArray_AS_STRING(message), PyByteArray_GET_SIZE(message)
            )
        return self.on_binary(bytes(message))

    cdef int _fail(self, object error) except -1:
        """The server has broken a rule: end the session, with a close frame."""
        cdef Session session = self.session
        if session is None:
            return self.abort(None)
        if session.probe is self:
            # The session goes on by polling.
            (<ClientSession> session).give_up_upgrade(error)
            return 0
        return session.on_error(error)
