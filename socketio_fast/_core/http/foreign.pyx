"""Engine.IO inside a foreign server: ASGI, WSGI, aiohttp, and others.

A foreign server has parsed the HTTP request, and speaks WebSocket itself. Here its
requests and messages come in, and responses and messages go out. If the server gives
its socket away, `adopt_connection()` makes a `WebSocket` of the socket.

Everything here runs on the event loop that the engine is bound to.
"""
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
from socketio_fast._core.engine.contracts cimport (
    GOING_AWAY,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.writer cimport Writer

from socketio_fast.exceptions import ProtocolError
from socketio_fast.options.logs import escaped

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
cdef class ForeignWebSocket(QueuedMessages):
    """A WebSocket that a foreign server speaks, or a WebTransport session.

    What the server does:

    1. It looks at `status`. If that is not 101, it refuses the client with `body`.
    2. It accepts the client with `headers`, and calls `begin()`.
    3. From there on it does what `queued_messages` says.

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

    def fail(self, exc):
        """The client has broken a rule of the protocol: close its session."""
        cdef Session session = self.session
        if session is None or session.probe is self:
            self._close(exc.code if isinstance(exc, ProtocolError) else None)
        else:
            session.on_error(exc)

    cpdef int go_away(self) except -1:
        return self._close(GOING_AWAY if self.engine.draining else None)

    cpdef int refuse(self) except -1:
        return self.abort(1008)


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
