"""Engine.IO inside another server: ASGI, WSGI, aiohttp, and others.

Such a server has parsed an HTTP request already, and speaks WebSocket itself; it gives
requests and messages, and takes responses and messages. Where it lets go of a socket,
`adopt_connection()` makes a WebSocket of our own of it.

Everything here runs on the event loop that the engine is bound to.
"""
from collections import deque

import cython
from cpython.bytes cimport PyBytes_GET_SIZE

from socketio_fast._core.protocol.deflate cimport Deflate
from socketio_fast._core.http.exchange cimport Exchange
from socketio_fast._core.http.handshake cimport (
    Admission,
    Request,
    admit,
    cookie_header,
    no_websocket,
    tell_refusal,
)
from socketio_fast._core.protocol.outgoing cimport (
    MESSAGES_3,
    MESSAGES_3_BASE64,
    MESSAGES_BASE64,
    Outgoing,
)
from socketio_fast._core.engine.contracts cimport (
    BASE64,
    REVISION_3,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.message_transport cimport MessageTransport
from socketio_fast._core.http.websocket cimport (
    Connections,
    adopt,
    negotiated,
    subprotocol_header,
    websocket_key,
)
from socketio_fast._core.engine.writer cimport Writer

from socketio_fast._core.engine.contracts import GOING_AWAY
from socketio_fast.exceptions import LimitError, ProtocolError
from socketio_fast.options.logs import escaped

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef bytes JSON = b"application/json"
cdef bytes TEXT = b"text/plain; charset=UTF-8"


cdef list _pairs(bytes lines):
    """Header lines as (name in lower case, value) pairs."""
    cdef list pairs = []
    cdef bytes line
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        pairs.append((name.lower(), value))
    return pairs


@cython.final
cdef class HostedExchange(Exchange):
    """One HTTP request for Engine.IO that another server has received.

    Args:
        engine: The Engine.IO engine.
        request: The request, without its body.
        environ_source: Has `environ()`, that of a new session.
        answer: Called once with the response: its status, a list of header pairs
            (bytes, names in lower case), and the body, bytes.
        polling_only: Whether that server cannot open a WebSocket, so that a client is
            not offered one.
        admission: What `consider()` says of a request that is `hooked()`.
    """

    def __init__(
        self, Engine engine not None, Request request not None, environ_source, answer,
        bint polling_only=False, Admission admission=None,
    ):
        if admission is not None and admission.environ_source is not None:
            environ_source = admission.environ_source
        self.admission = admission
        self.polling_only = polling_only
        self.engine = engine
        self.request = request
        self.environ_source = environ_source
        self.headers = b""
        self._answer = answer

    def begin(self):
        """Judge the request. True: it waits for its body, `finish()` comes."""
        cdef Admission a
        try:
            a = self.admission
            if a is None:
                a = admit(self.engine, self.request, False)
                tell_refusal(self.engine, self.request, a)
            self.route(self.engine, a)
        except BaseException as exc:
            self._fail(exc)
        return self.wants_body

    def finish(self, bytes body not None):
        """The whole body of the request."""
        if PyBytes_GET_SIZE(body) > self.engine.max_payload:
            self.too_large(self.engine)
            return
        try:
            self.deliver(body)
        except BaseException as exc:
            self._fail(exc)

    def lost(self):
        """The client has gone without waiting for the response."""
        polling, self.polling = self.polling, None
        self._answer = None
        if polling is not None:
            polling.on_abort(self)

    def _fail(self, exc):
        self.engine.failed(
            exc, "%s %s failed",
            (escaped(self.request.method), escaped(self.request.path)),
        )
        self.respond(500, TEXT, b"Internal Server Error", b"")

    cpdef int respond(
        self, int status, bytes content_type, bytes body, bytes headers
    ) except -1:
        answer, self._answer = self._answer, None
        self.polling = None
        self.wants_body = False
        if answer is not None:
            answer(status, [
                (b"content-type", content_type),
                (b"content-length", b"%d" % PyBytes_GET_SIZE(body)),
                (b"cache-control", b"no-store"),
                *_pairs(self.headers),
                *_pairs(headers),
            ], body)
        return 0

    cdef int send_file(self, Admission a) except -1:
        answer, self._answer = self._answer, None
        self.wants_body = False
        if a.status == 304:
            answer(304, _pairs(self.headers), b"")
        else:
            answer(a.status, [
                (b"content-type", a.content_type),
                (b"content-length", b"%d" % PyBytes_GET_SIZE(a.body)),
                *_pairs(self.headers),
            ], a.body)
        return 0


@cython.final
cdef class HostedWebSocket(MessageTransport):
    """A WebSocket for Engine.IO that another server speaks, or a WebTransport session.

    The host looks at `status`: other than 101, it refuses with `body`. Else it accepts
    with `headers`, calls `begin()`, gives `receive()` what comes, sends what `take()`
    gives whenever it is woken, closes with `code` when `take()` gives None while
    `closing`, and calls `lost()` at the end. While `room` is a Future it receives
    nothing more, before that is done.

    Args:
        engine: The Engine.IO engine.
        request: The handshake request.
        environ_source: Has `environ()`, that of a new session.
        admission: What `consider()` says of a request that is `hooked()`.
    """

    def __init__(
        self, Engine engine not None, Request request not None, environ_source,
        Admission admission=None,
    ):
        cdef Admission a
        if admission is not None and admission.environ_source is not None:
            environ_source = admission.environ_source
        self.name = "webtransport" if request.webtransport else "websocket"
        self.engine = engine
        self.request = request
        self.environ_source = environ_source
        self.pending = deque()
        try:
            a = admission
            if a is None:
                a = admit(engine, request, True)
                tell_refusal(engine, request, a)
        except BaseException as exc:
            engine.failed(exc, "%s failed", (escaped(request.path),))
            self.status = 500
            self.body = b"Internal Server Error"
            self.headers = [(b"content-type", TEXT)]
            return
        self.status = a.status or 101
        self.body = a.body
        if a.status:
            self.headers = [(b"content-type", JSON), *_pairs(a.headers)]
            return
        self.joining = a.session
        if a.session is None:
            self.is_new = True
            self.joining = engine.new_session(a.visitor, a.dialect, a.id)
            a.headers = a.headers + cookie_header(engine, self.joining)
        self.headers = _pairs(a.headers)

    @property
    def subprotocol(self):
        """The subprotocol that the response chooses, a str, or None."""
        cdef bytes line = subprotocol_header(self.request)
        return line[24:-2].decode("latin-1") if line else None

    def begin(self, wake):
        """The host has accepted; it is to call `take()` when `wake()` is called."""
        cdef Session session = self.joining
        self.joining = None
        self._wake = wake
        if self.is_new:
            session.open(self, self.environ_source)
        elif not session.begin_upgrade(self):
            # It has a WebSocket, or another one tries.
            self._close(None)
        self.request = self.environ_source = None

    def receive(self, data):
        """A message of the client: str or bytes."""
        cdef const char *p
        cdef Py_ssize_t n
        if self.closing:
            return
        try:
            if isinstance(data, str):
                p = PyUnicode_AsUTF8AndSize(data, &n)
                self._check_size(n)
                self.on_text(p, n)
            else:
                self._check_size(len(data))
                self.on_binary(bytes(data))
        except BaseException as exc:
            self.fail(exc)

    def _check_size(self, Py_ssize_t n):
        if n > self.engine.max_payload:
            raise LimitError(
                f"message of more than max_http_buffer_size={self.engine.max_payload}",
                code=1009,
            )

    def fail(self, exc):
        """The client broke a rule: its session ends."""
        cdef Session session = self.session
        if session is None or session.probe is self:
            self._close(exc.code if isinstance(exc, ProtocolError) else None)
        else:
            session.on_error(exc)

    def take(self):
        """The next message to send, str or bytes; None if there is none now."""
        cdef Outgoing m = self.current
        cdef Session session = self.session
        cdef list messages
        if m is not None:
            messages = self._messages(m)
            if self.position < len(messages):
                self.position += 1
                return messages[self.position - 1]
            self.pending_bytes -= m.size()
            self.current = None
            if session is not None:
                session.flushed()
        if not self.pending:
            return None
        self.current = self.pending.popleft()
        self.position = 1
        return self._messages(self.current)[0]

    cdef list _messages(self, Outgoing m):
        if self.dialect & REVISION_3:
            return m.rendering(
                MESSAGES_3_BASE64 if self.dialect & BASE64 else MESSAGES_3
            )
        return m.rendering(MESSAGES_BASE64) if self.dialect else m.messages()

    def lost(self):
        """The connection has gone, or is about to."""
        cdef Session session = self.session
        self.closing = True
        self.resume()
        self._wake = self.session = self.current = None
        self.pending.clear()
        if session is not None:
            session.on_transport_close(self, "transport close")

    # From session.

    cpdef int send(self, Outgoing m) except -1:
        if self.closing:
            return 0
        self.pending.append(m)
        self.pending_bytes += m.size()
        if self.pending_bytes > self.engine.high_water_mark:
            if self.session is not None:
                self.engine.overflow(self.session)
        return self._mark()

    cdef int _mark(self) except -1:
        if not self.marked:
            self.marked = True
            self.engine.mark(self)
        return 0

    cpdef int flush(self) except -1:
        self.marked = False
        if self._wake is not None:
            self._wake()
        return 0

    cdef int _close(self, object code) except -1:
        if not self.closing:
            self.closing = True
            self.code = code
            self.resume()
            self._mark()
        return 0

    cpdef int close(self) except -1:
        return self._close(None)

    cpdef int go_away(self) except -1:
        return self._close(GOING_AWAY if self.engine.draining else None)

    cpdef int abort(self, object code) except -1:
        self.session = None
        return self._close(code)

    cpdef int refuse(self) except -1:
        return self.abort(1008)

    cpdef int release(self) except -1:
        return 0

    cpdef int pause(self) except -1:
        if self.room is None and not self.closing:
            self.room = self.engine.loop.create_future()
        return 0

    cpdef int resume(self) except -1:
        room, self.room = self.room, None
        if room is not None and not room.done():
            room.set_result(None)
        return 0

    cpdef list handover(self):
        return []

    cpdef Py_ssize_t buffered(self) except -1:
        return self.pending_bytes


def adopt_connection(
    Engine engine not None, Request request not None, environ_source, transport,
    bint secure,
    Connections connections not None, Admission admission=None,
):
    """Make a WebSocket of a connection whose handshake request has been read.

    Args:
        engine: The Engine.IO engine.
        request: The handshake request.
        environ_source: Has `environ()`, that of a new session.
        transport: Of the event loop that the engine is bound to.
        secure: Whether it has TLS.
        connections: Where the WebSocket is while it is open.
        admission: What `consider()` says of a request that is `hooked()`.

    Returns:
        None; or, if it is refused, the status, header pairs and body for the host to
        answer with.
    """
    cdef Admission a = admission
    cdef Session session
    cdef bytes key
    cdef Deflate deflate
    if a is None:
        a = admit(engine, request, True)
        tell_refusal(engine, request, a)
    session = a.session
    if a.environ_source is not None:
        environ_source = a.environ_source
    if a.status:
        return a.status, [(b"content-type", JSON), *_pairs(a.headers)], a.body
    try:
        key = websocket_key(request)
        deflate = negotiated(engine, request)
    except ProtocolError as exc:
        a = no_websocket(engine, request, exc)
        return a.status, [(b"content-type", JSON)], a.body
    a.headers = a.headers + subprotocol_header(request)
    if session is None:
        session = engine.new_session(a.visitor, a.dialect, a.id)
        a.headers = a.headers + cookie_header(engine, session)
    else:
        environ_source = None
    adopt(
        Writer(engine, transport, secure), engine, session, environ_source, key,
        a.headers,
        b"", connections, deflate,
    )
    return None
