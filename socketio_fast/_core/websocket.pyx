"""The WebSocket transport: picows reads frames, this writes them.

picows parses and unmasks; fragments, UTF-8, reserved bits and closing are handled here
(RFC 6455). Writing is not picows': a server's frames are unmasked, so `Outgoing` renders
them once for everybody, and a connection writes at most once in a pass of the loop: at
the end of a burst of frames read, or when the engine flushes.

What is written goes straight to the socket while the event loop's transport holds
nothing back (a `send` there costs 1.5 us more), and by that transport when the kernel's
buffer is full, and with TLS.
"""
import asyncio
from base64 import b64decode

import cython
import picows
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from socketio_fast._core cimport eio
from socketio_fast._core.deadlines cimport Deadline
from socketio_fast._core.outgoing cimport Outgoing
from socketio_fast._core.session cimport Engine, Session, Transport
from socketio_fast._core.wire cimport (
    SF_CLOSE,
    SF_PONG,
    sf_frame_head,
    sf_send,
    sf_utf8,
    sf_utf8_feed,
)

from socketio_fast.exceptions import LimitError, ProtocolError

cdef extern from *:
    """
    #define SF_STRING2(x) #x
    #define SF_STRING(x) SF_STRING2(x)
    #ifdef SF_PICOWS_VERSION
    static const char *sf_picows_version = SF_STRING(SF_PICOWS_VERSION);
    #else
    static const char *sf_picows_version = "";
    #endif
    """
    const char *sf_picows_version

# picows' structs are compiled in here, and change between its minor releases; what
# Cython says of a difference is a warning, and memory corruption would follow.
cdef str _COMPILED_AGAINST = sf_picows_version.decode()
if picows.__version__.split(".")[:2] != _COMPILED_AGAINST.split(".")[:2]:
    raise ImportError(
        f"socketio_fast was compiled against picows {_COMPILED_AGAINST}, but picows "
        f"{picows.__version__} is installed: install picows "
        f"{'.'.join(_COMPILED_AGAINST.split('.')[:2])}.*"
    )

cdef enum:
    # A write of less is gathered in one buffer; of more, it is joined by itself.
    SCRATCH_SIZE = 65536
    D_CLOSE = 0

# How long a client has to answer a close frame (seconds; ws for Node.js has 30).
cdef double CLOSE_TIMEOUT = 10.0

cdef char scratch[SCRATCH_SIZE]


@cython.final
cdef class Connections:
    """The open connections of a server; each has `abort_connection()`."""

    def __cinit__(self):
        self.open = set()

    cdef int add(self, object connection) except -1:
        self.open.add(connection)
        return 0

    cdef int discard(self, object connection) except -1:
        self.open.discard(connection)
        if self.waiter is not None and not self.open and not self.waiter.done():
            self.waiter.set_result(None)
        return 0

    async def wait_closed(self, timeout):
        """Wait until all are closed, `timeout` seconds at most."""
        if self.open:
            self.waiter = asyncio.get_running_loop().create_future()
            await asyncio.wait((self.waiter,), timeout=timeout)
            self.waiter = None

    def abort_all(self):
        """Close all, now."""
        for connection in list(self.open):
            connection.abort_connection()


@cython.final
cdef class WebSocket(Transport):
    """One WebSocket connection."""

    cdef int begin(self, Session session, object request) except -1:
        """The handshake is done: open a session, or probe one for an upgrade."""
        if request is not None:
            session.open(self, request)
        elif not session.begin_upgrade(self):
            # It has a WebSocket, or another one tries.
            self._send_close(None)
        return 0

    # From session.

    cpdef int send(self, Outgoing m) except -1:
        return self._write(m.frames())

    cdef int _write(self, bytes data) except -1:
        if self.close_sent or self.link is None:
            return 0
        self.pending.append(data)
        self.pending_bytes += PyBytes_GET_SIZE(data)
        if not self.marked and not self.reading:
            self.marked = True
            self.engine.mark(self)
        if self.pending_bytes + self.handed > self.engine.max_buffer_bytes:
            if self.session is not None:
                self.engine.overflow(self.session)
        return 0

    cpdef Py_ssize_t buffered(self) except -1:
        return self.pending_bytes + self.handed

    cpdef int flush(self) except -1:
        cdef Py_ssize_t size = self.pending_bytes, sent = 0, offset = 0
        cdef bytes data
        self.marked = False
        if size == 0 or self.link is None or self.paused:
            return 0
        if self.loop_buffered:
            self.loop_buffered = self.buffer_size() != 0
        if not self.loop_buffered:
            self.handed = 0
        if len(self.pending) == 1:
            data = <bytes> self.pending[0]
        elif size <= SCRATCH_SIZE and self.fd >= 0 and not self.loop_buffered:
            for data in self.pending:
                memcpy(
                    scratch + offset, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
                )
                offset += PyBytes_GET_SIZE(data)
            sent = sf_send(self.fd, scratch, size)
            if sent == size:
                self.pending.clear()
                self.pending_bytes = 0
                return 0
            data = b"".join(self.pending)
        else:
            data = b"".join(self.pending)
        self.pending.clear()
        self.pending_bytes = 0
        if self.fd >= 0 and not self.loop_buffered and offset == 0:
            sent = sf_send(self.fd, PyBytes_AS_STRING(data), size)
            if sent == size:
                return 0
        if sent < 0:
            # The connection is broken; the loop's transport will say so.
            self.link.transport.abort()
            return 0
        # It may call pause_writing() before it returns.
        self.loop_buffered = True
        self.handed = size - sent
        self.link.transport.write(data[sent:] if sent else data)
        return 0

    cpdef int close(self) except -1:
        self._send_close(None)
        return 0

    cpdef int abort(self, object code) except -1:
        # The close frame leaves behind what is pending; nothing more is read or waited
        # for but the answer to it. Who does not read gets none.
        self.session = None
        if self.paused and self.link is not None:
            self.link.transport.abort()
        else:
            self._send_close(code)
        return 0

    cpdef int refuse(self) except -1:
        return self.abort(1008)

    cpdef int release(self) except -1:
        return 0

    cpdef list handover(self):
        return []

    cdef int _send_close(self, object code) except -1:
        cdef char frame[4]
        if self.close_sent or self.link is None:
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
        self._await_close()
        return 0

    cdef int _await_close(self) except -1:
        self.close_sent = True
        self.close_deadline = self.engine.start(CLOSE_TIMEOUT, D_CLOSE, self)
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        if self.link is not None:
            self.link.transport.abort()
        return 0

    def abort_connection(self):
        """Close now, without a close frame."""
        if self.link is not None:
            self.link.transport.abort()

    def fail(self):
        """picows found a protocol error; `failure` is the close frame it answers."""
        cdef Session session = self.session
        if self.close_sent or self.link is None:
            return
        self._write(self.failure)
        self._await_close()
        self.dead = True
        self.flush()
        if session is not None:
            session.on_transport_close(self, "transport error")

    # From picows.

    cdef int _on_text(self, const char *p, Py_ssize_t n) except -1:
        cdef eio.PacketView view
        eio.scan_packet(p, n, &view)
        if self.session is None:
            return 0
        if self.session.probe is self:
            self.session.on_probe_packet(self, view.type, view.data, view.size)
        else:
            self.session.on_packet(view.type, view.data, view.size)
        return 0

    cdef int _on_packet(self, const char *p, Py_ssize_t n) except -1:
        # A message is checked for UTF-8 by whoever decodes it, once. The rest here.
        cdef sf_utf8 state = sf_utf8(0, 0, 0)
        if n == 0 or p[0] != c"4":
            if not sf_utf8_feed(&state, p, n) or state.need:
                raise ProtocolError("text is not UTF-8", code=1007)
            return self._on_text(p, n)
        try:
            return self._on_text(p, n)
        except ProtocolError:
            if not sf_utf8_feed(&state, p, n) or state.need:
                raise ProtocolError("text is not UTF-8", code=1007) from None
            raise

    cdef int _on_binary(self, const char *p, Py_ssize_t n) except -1:
        if self.session is None:
            return 0
        if self.session.probe is self:
            raise ProtocolError("binary message before the upgrade")
        return self.session.on_binary(p[:n])

    cdef int _on_fragment(self, const char *p, Py_ssize_t n, bint fin) except -1:
        cdef bytes message
        self.fragments_size += n
        if self.fragments_size > self.engine.max_payload:
            raise LimitError(
                f"message of more than max_http_buffer_size={self.engine.max_payload}",
                code=1009,
            )
        if self.fragment_type == WSMsgType.TEXT:
            if not sf_utf8_feed(&self.utf8, p, n) or (fin and self.utf8.need):
                raise ProtocolError("text is not UTF-8", code=1007)
        self.fragments.append(p[:n])
        if fin:
            message = b"".join(self.fragments)
            self.fragments = None
            type, self.fragment_type = self.fragment_type, 0
            if type == WSMsgType.TEXT:
                self._on_text(PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message))
            else:
                self._on_binary(PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message))
        return 0

    cdef int _on_frame(self, WSFrame frame) except -1:
        cdef int type = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise ProtocolError("reserved bit set without an extension", code=1002)
        if type == WSMsgType.TEXT or type == WSMsgType.BINARY:
            if self.fragment_type:
                raise ProtocolError("new message inside a fragmented one", code=1002)
            if frame.fin:
                if type == WSMsgType.TEXT:
                    return self._on_packet(frame.payload_ptr, frame.payload_size)
                return self._on_binary(frame.payload_ptr, frame.payload_size)
            self.fragment_type = type
            self.fragments = []
            self.fragments_size = 0
            self.utf8 = sf_utf8(0, 0, 0)
            return self._on_fragment(frame.payload_ptr, frame.payload_size, False)
        if type == WSMsgType.CONTINUATION:
            if not self.fragment_type:
                raise ProtocolError("continuation of nothing", code=1002)
            return self._on_fragment(frame.payload_ptr, frame.payload_size, frame.fin)
        if type == WSMsgType.PING:
            return self._pong(frame)
        if type == WSMsgType.CLOSE:
            return self._on_close(frame)
        return 0  # PONG

    cdef int _pong(self, WSFrame frame) except -1:
        cdef char out[128]
        cdef char *p = sf_frame_head(out, SF_PONG, frame.payload_size)
        memcpy(p, frame.payload_ptr, frame.payload_size)
        self._write(out[:p - out + frame.payload_size])
        return 0

    cdef int _on_close(self, WSFrame frame) except -1:
        cdef Session session = self.session
        cdef object code = None
        if frame.payload_size:
            code = int(frame.get_close_code())
            if not (
                1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
            ):
                raise ProtocolError(f"invalid close code {code}", code=1002)
        # The same code back, and the server is the first to close the connection.
        self._send_close(code)
        self.dead = True
        self.flush()
        if session is not None:
            session.on_transport_close(self, "transport close")
        if self.link is not None:
            self.link.transport.close()
        return 0

    cdef int _lost(self) except -1:
        """The connection is gone, whoever closed it."""
        cdef Session session = self.session
        self.dead = self.close_sent = True
        self.connections.discard(self)
        if self.close_deadline is not None:
            self.close_deadline.cancel()
            self.close_deadline = None
        self.link.transport = self.link.websocket = None
        self.link = None
        self.ws = None
        self.buffer_size = None
        self.fragments = None
        self.pending.clear()
        self.pending_bytes = 0
        if session is not None:
            session.on_transport_close(self, "transport close")
            self.session = None
        return 0


@cython.final
cdef class Listener(WSListener):
    """What picows calls."""

    cpdef on_ws_connected(self, WSTransport transport):
        self.websocket.ws = transport
        # The request is not needed any more, and is the largest part of an idle
        # connection.
        transport.request = transport.response = None

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef WebSocket ws = self.websocket
        cdef Session session
        if ws.dead:
            return
        if ws.close_sent and frame.msg_type != WSMsgType.CLOSE:
            return
        ws.reading = True
        try:
            ws._on_frame(frame)
        except Exception as exc:
            session = ws.session
            if session is None or session.probe is ws:
                ws._send_close(getattr(exc, "code", None))
            else:
                session.on_error(exc)
        if frame.last_in_buffer or ws.close_sent:
            ws.reading = False
            ws.flush()

    cpdef on_ws_disconnected(self, WSTransport transport):
        cdef WebSocket ws = self.websocket
        self.websocket = None
        ws._lost()

    cpdef pause_writing(self):
        if self.websocket is not None:
            self.websocket.paused = True

    cpdef resume_writing(self):
        cdef WebSocket ws = self.websocket
        if ws is not None:
            ws.paused = False
            ws.handed = 0
            ws.flush()


@cython.final
cdef class Link:
    """The transport that picows knows.

    Its writes (the handshake response, close frames for protocol errors) take their
    place among ours; its socket options are not wanted (uvloop sets TCP_NODELAY, a Unix
    socket has none of them).
    """

    def get_extra_info(self, name, default=None):
        if name == "socket":
            return self
        if name == "ssl_object":
            return self  # so that it does not send to the socket by itself
        return default

    def fileno(self):
        return self.websocket.fd

    def setsockopt(self, *args):
        pass

    def getsockopt(self, *args):
        return 0

    def get_write_buffer_size(self):
        return 0

    def write(self, data):
        cdef WebSocket ws = self.websocket
        if ws is None:
            return
        data = bytes(data)
        if ws.ws is None:
            ws._write(data)  # the response
        elif ws.failure is None and data[:1] == b"\x88":
            # The frames before the bad one are delivered after this call.
            ws.failure = data
            ws.engine.soon(ws.fail)

    def close(self):
        if self.transport is not None:
            self.transport.close()

    def abort(self):
        if self.transport is not None:
            self.transport.abort()


class _Silent:
    """A logger for picows: what happens is logged here, once."""

    def isEnabledFor(self, level):
        return False

    def log(self, *args, **kwargs):
        pass

    debug = info = warning = error = exception = log


_SILENT = _Silent()


def websocket_key(headers):
    """The Sec-WebSocket-Key of a valid WebSocket handshake (RFC 6455, 4.2.1).

    Raises ProtocolError that says what is missing. `headers` are (name in lower case,
    value) as bytes.
    """
    key = version = None
    upgrade = connection = False
    for name, value in headers:
        if name == b"sec-websocket-key":
            key = value if key is None else b""
        elif name == b"sec-websocket-version":
            version = value
        elif name == b"upgrade":
            upgrade = upgrade or b"websocket" in _tokens(value)
        elif name == b"connection":
            connection = connection or b"upgrade" in _tokens(value)
    if not upgrade or not connection:
        raise ProtocolError("not an upgrade to websocket")
    if version != b"13":
        raise ProtocolError("Sec-WebSocket-Version is not 13")
    try:
        valid = len(b64decode(key or b"", validate=True)) == 16
    except ValueError:
        valid = False
    if not valid:
        raise ProtocolError("Sec-WebSocket-Key is not 16 bytes in base64")
    return key


def _tokens(value):
    return [token.strip() for token in value.lower().split(b",")]


def subprotocol_header(headers):
    """The response line that chooses the first subprotocol offered, as ws for Node.js
    does: browsers fail a connection for which none is chosen. Empty for no offer."""
    for name, value in headers:
        if name == b"sec-websocket-protocol":
            return b"Sec-WebSocket-Protocol: " + value.split(b",")[0].strip() + b"\r\n"
    return b""


def adopt(
    transport, Engine engine not None, Session session not None, request,
    bytes key not None, bytes headers not None, bytes tail not None,
    Connections connections not None,
):
    """Turn an HTTP connection into a WebSocket.

    The only place that touches `picows.picows.WSProtocol`, which is private: pinned to
    one minor release in pyproject.toml, checked above. It gets a handshake request of
    the form that it accepts, then what the client sent behind its own.

    Args:
        transport: The event loop's transport.
        engine: Where a new session belongs.
        session: The session that upgrades, or the new one.
        request: The handshake `Request` of a new one; None for an upgrade.
        key: Its valid Sec-WebSocket-Key.
        headers: More lines for the response.
        tail: Bytes behind the request.
        connections: Those of the server.
    """
    cdef WebSocket ws = WebSocket.__new__(WebSocket)
    cdef Link link = Link.__new__(Link)
    cdef Listener listener = Listener.__new__(Listener)
    socket = transport.get_extra_info("socket")
    ws.name = "websocket"
    ws.engine = engine
    ws.pending = []
    ws.link = link
    ws.fd = (
        -1 if transport.get_extra_info("ssl_object") is not None or socket is None
        else socket.fileno()
    )
    ws.buffer_size = transport.get_write_buffer_size
    ws.connections = connections
    connections.add(ws)
    link.transport = transport
    link.websocket = ws
    listener.websocket = ws
    # pause_writing() as soon as the transport holds anything back.
    transport.set_write_buffer_limits(high=0)

    protocol = picows.picows.WSProtocol(
        host_port=None,
        ws_path=None,
        is_client_side=False,
        ws_listener_factory=lambda request: _response(listener, headers),
        logger=_SILENT,
        disconnect_on_exception=True,
        websocket_handshake_timeout=None,
        enable_auto_ping=False,
        auto_ping_idle_timeout=None,
        auto_ping_reply_timeout=None,
        auto_ping_strategy=picows.WSAutoPingStrategy.PING_WHEN_IDLE,
        enable_auto_pong=False,
        max_frame_size=engine.max_payload,
        extra_headers=None,
        read_buffer_init_size=2048,
    )
    ws.reading = True
    protocol.connection_made(link)
    transport.set_protocol(protocol)
    _feed(
        protocol,
        b"GET / HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: " + key + b"\r\n\r\n",
    )
    ws.begin(session, request)
    if tail:
        _feed(protocol, tail)
    ws.reading = False
    ws.flush()


def _response(listener, headers):
    response = picows.WSUpgradeResponse.create_101_response()
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name:
            response.headers.add(name.decode("latin-1"), value.strip().decode("latin-1"))
    return picows.WSUpgradeResponseWithListener(response, listener)


def _feed(protocol, data):
    while data:
        buffer = protocol.get_buffer(len(data))
        n = min(len(buffer), len(data))
        buffer[:n] = data[:n]
        protocol.buffer_updated(n)
        data = data[n:]
