"""Engine.IO inside a foreign server: ASGI, WSGI, aiohttp, and others.

A foreign server has parsed the HTTP request, and speaks WebSocket itself. Here its
requests and messages come in, and responses and messages go out. If the server gives
its socket away, `adopt_connection()` makes a `WebSocket` of the socket.

Everything here runs on the event loop that the engine is bound to.
"""
from collections import deque

import cython
from cpython.bytes cimport PyBytes_GET_SIZE

from socketio_fast._core.http.admission cimport (
    Admission,
    admit,
    cookie_line,
    tell_refusal,
)
from socketio_fast._core.http.connections cimport Connections
from socketio_fast._core.http.exchange cimport Exchange
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.http.websocket_handshake cimport (
    begin_handshake,
    subprotocol_line,
    switch_protocols,
)
from socketio_fast._core.protocol.outgoing cimport (
    MESSAGES_3,
    MESSAGES_3_BASE64,
    MESSAGES_BASE64,
    Outgoing,
)
from socketio_fast._core.engine.contracts cimport (
    BASE64,
    GOING_AWAY,
    REVISION_3,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.message_transport cimport MessageTransport
from socketio_fast._core.engine.writer cimport Writer

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
cdef class ForeignExchange(Exchange):
    """One HTTP request to Engine.IO that a foreign server has received.

    Args:
        engine: The Engine.IO engine.
        request: The request, without its body.
        environ_source: Its `environ()` makes the environ of a new session.
        answer: Is called once with the response: the status, a list of header pairs
            (bytes, names in lower case), and the body, bytes.
        polling_only: Whether the server cannot open WebSockets. A client is not told to
            upgrade then.
        admission: The result of `consider()` for a request that is `hooked()`.
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
        """Judge the request. Returns whether its body must be read and given to
        `finish()`; if not, the response comes without it."""
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
        """The body of the request has come completely."""
        if PyBytes_GET_SIZE(body) > self.engine.max_payload:
            self.too_large(self.engine)
            return
        try:
            self.deliver(body)
        except BaseException as exc:
            self._fail(exc)

    def lost(self):
        """The connection was lost before the response was sent."""
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
cdef class ForeignWebSocket(MessageTransport):
    """A WebSocket that a foreign server speaks, or a WebTransport session.

    What the server does:

    1. It looks at `status`. If that is not 101, it refuses the client with `body`.
    2. It accepts the client with `headers`, and calls `begin()`.
    3. It gives each message of the client to `receive()`. While `room` is a Future, it
       receives nothing more until that is done.
    4. When it is woken, it sends what `take()` returns, until that is None. If
       `closing` is true then, it closes the WebSocket with the code `code`.
    5. It calls `lost()` at the end.

    Args:
        engine: The Engine.IO engine.
        request: The handshake request.
        environ_source: Its `environ()` makes the environ of a new session.
        admission: The result of `consider()` for a request that is `hooked()`.
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
        self.queued = deque()
        try:
            a = _judged(engine, request, admission)
            if not a.status:
                self.joining = a.session
                if a.session is None:
                    self.is_new = True
                    self.joining = engine.new_session(a.visitor, a.dialect, a.id)
                    a.headers = a.headers + cookie_line(engine, self.joining)
        except BaseException as exc:
            a = _failed(engine, request, exc)
        self.status = a.status or 101
        self.body = a.body
        self.headers = _pairs(a.headers)
        if a.status:
            self.headers.insert(0, (b"content-type", a.content_type or JSON))

    @property
    def subprotocol(self):
        """The subprotocol that the response chooses, a str, or None."""
        cdef bytes line = subprotocol_line(self.request)
        return line[24:-2].decode("latin-1") if line else None

    def begin(self, wake):
        """The server has accepted the client. `wake()` is called when `take()` has
        something to send."""
        cdef Session session = self.joining
        self.joining = None
        self._wake = wake
        if self.is_new:
            session.open(self, self.environ_source)
        elif not session.begin_upgrade(self):
            # The session has a WebSocket, or another one is upgrading it.
            self._close(None)
        self.request = self.environ_source = None

    def receive(self, data):
        """The client has sent a message, str or bytes-like."""
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
        """The client has broken a rule of the protocol: close its session."""
        cdef Session session = self.session
        if session is None or session.probe is self:
            self._close(exc.code if isinstance(exc, ProtocolError) else None)
        else:
            session.on_error(exc)

    def take(self):
        """The next message to send, str or bytes; None: there is none at the moment."""
        cdef Outgoing m = self.current
        cdef Session session = self.session
        cdef list messages
        if m is not None:
            messages = self._messages(m)
            if self.position < len(messages):
                self.position += 1
                return messages[self.position - 1]
            self.queued_bytes -= m.size()
            self.current = None
            if session is not None:
                session.flushed()
        if not self.queued:
            return None
        self.current = self.queued.popleft()
        self.position = 1
        return self._messages(self.current)[0]

    cdef list _messages(self, Outgoing m):
        if self.dialect & REVISION_3:
            return m.rendering(
                MESSAGES_3_BASE64 if self.dialect & BASE64 else MESSAGES_3
            )
        return m.rendering(MESSAGES_BASE64) if self.dialect else m.messages()

    def lost(self):
        """The connection was lost, or is being closed."""
        cdef Session session = self.session
        self.closing = True
        self.resume()
        self._wake = self.session = self.current = None
        self.queued.clear()
        if session is not None:
            session.on_transport_close(self, "transport close")

    # From session.

    cpdef int send(self, Outgoing m) except -1:
        if self.closing:
            return 0
        self.queued.append(m)
        self.queued_bytes += m.size()
        if self.queued_bytes > self.engine.high_water_mark:
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
        return self.queued_bytes


def adopt_connection(
    Engine engine not None, Request request not None, environ_source, transport,
    bint secure,
    Connections connections not None, Admission admission=None,
):
    """Make a `WebSocket` of a connection whose handshake request has been read.

    Args:
        engine: The Engine.IO engine.
        request: The handshake request.
        environ_source: Its `environ()` makes the environ of a new session.
        transport: The transport, of the event loop that the engine is bound to.
        secure: Whether it has TLS.
        connections: The WebSocket is one of these while it is open.
        admission: The result of `consider()` for a request that is `hooked()`.

    Returns:
        None; if the request is refused, the status, header pairs and body of the
        response that the server must send.
    """
    cdef Admission a
    try:
        a = _judged(engine, request, admission)
        a = begin_handshake(engine, request, a, environ_source)
    except BaseException as exc:
        a = _failed(engine, request, exc)
    if a.status:
        content_type = a.content_type or JSON
        return a.status, [(b"content-type", content_type), *_pairs(a.headers)], a.body
    switch_protocols(engine, a, Writer(engine, transport, secure), b"", connections)
    return None


cdef Admission _judged(Engine engine, Request request, Admission admission):
    """The admission of a request for a WebSocket, which hooks may have judged."""
    if admission is None:
        admission = admit(engine, request, True)
        tell_refusal(engine, request, admission)
    return admission


cdef Admission _failed(Engine engine, Request request, object error):
    """Judging a request has raised an error: log it, and answer with status 500."""
    cdef Admission a = Admission.__new__(Admission)
    engine.failed(
        error, "%s %s failed", (escaped(request.method), escaped(request.path))
    )
    a.status = 500
    a.content_type = TEXT
    a.body = b"Internal Server Error"
    a.headers = b""
    return a
