"""One HTTP request to Engine.IO, whatever server has received it, and its session."""
import cython
from cpython.bytes cimport PyBytes_GET_SIZE

from socketio_fast._core.http.admission cimport Admission, cookie_line
from socketio_fast._core.protocol.jsonp cimport script_head
from socketio_fast._core.http.polling cimport Polling, Responder
from socketio_fast._core.http.request cimport POST, Request
from socketio_fast._core.engine.contracts cimport (
    JSONP,
    REVISION_3,
    EngineBase as Engine,
    SessionBase as Session,
)

from socketio_fast.exceptions import LimitError

cdef enum:
    # Packets of one answer that python-engineio's clients accept: they drop a larger
    # one (`Payload.max_decode_packets`).
    PYTHON_PACKETS = 16

cdef bytes JSON = b"application/json"
cdef bytes TEXT = b"text/plain; charset=UTF-8"


@cython.final
cdef class Body:
    """Collects the body of a request while it comes.

    Several pieces are joined to one buffer: a list of many small `bytes` would take
    many times the memory of their data.
    """

    cpdef int add(self, object piece) except -1:
        """Add the next piece, bytes-like."""
        cdef bytes data = bytes(piece)
        self.size += PyBytes_GET_SIZE(data)
        if self.joined is not None:
            self.joined += data
        elif self.first is None:
            self.first = data or None
        elif data:
            self.joined = bytearray(self.first)
            self.joined += data
            self.first = None
        return 0

    cpdef bytes take(self):
        """Return what has come, and forget it."""
        cdef bytes body = self.first or b""
        if self.joined is not None:
            body = bytes(self.joined)
        self.first = self.joined = None
        return body


cdef class Exchange(Responder):
    """One request and its response. Subclasses implement respond() and send_file()."""

    cpdef bytes header(self, bytes name):
        return self.request.header(name)

    cdef int route(self, Engine engine, Admission a) except -1:
        """Go on with a request that has been judged.

        It gets its response now, or when its body has come (then `wants_body` is true),
        or when there is something to send.
        """
        cdef Session session = a.session
        cdef Polling polling
        cdef bint post = self.request.known_method == POST
        self.headers = a.headers
        if post and self.request.body_size() > engine.max_payload:
            self.wants_body = True
            if session is not None:
                self.polling = <Polling> session.transport
            return self.too_large(engine)
        if a.status:
            if a.content_type is not None:
                return self.send_file(a)
            return self.respond(a.status, JSON if a.body else TEXT, a.body, b"")
        if post:
            polling = <Polling> session.transport
            if polling.on_post(self):
                self.polling = polling
                self.wants_body = True
            return 0
        if session is None:
            polling = Polling(engine)
            polling.lasting = self.polling_only
            polling.opens = a.dialect & REVISION_3
            if _is_python(self.request):
                polling.max_answer = PYTHON_PACKETS
            if a.dialect & JSONP:
                polling.jsonp = script_head(self.request.parameter(b"j"))
            session = engine.new_session(a.visitor, a.dialect, a.id)
            self.headers = self.headers + cookie_line(engine, session)
            self.polling = polling
            session.open(polling, self.environ_source)
        else:
            polling = <Polling> session.transport
            self.polling = polling
        polling.on_poll(self)
        return 0

    cdef int send_file(self, Admission a) except -1:
        """Answer with a file, which caches may store; its lines are in `headers`."""
        raise NotImplementedError

    cdef int deliver(self, bytes body) except -1:
        """The body of the request has come completely."""
        cdef Polling polling = self.polling
        self.wants_body = False
        if self.awaiting_hooks:
            self.early = body
        elif polling is not None:
            polling.on_body(self, body)
        return 0

    cdef int too_large(self, Engine engine) except -1:
        """The body is larger than the limit: refuse it, and end the session."""
        cdef Polling polling = self.polling
        cdef Session session = None if polling is None else polling.session
        # As in the reference implementation, the response has no body.
        self.respond(413, TEXT, b"", b"")
        if session is not None:
            session.on_error(LimitError(
                f"body of more than max_http_buffer_size={engine.max_payload} bytes"
            ))
        return 0


cdef bint _is_python(Request request) except -1:
    """Whether the client is python-engineio's.

    It sends the User-Agent of requests or aiohttp. If a program has set another one,
    its parameter `t` shows it: seconds with a fraction.
    """
    cdef bytes agent = request.header(b"user-agent")
    cdef str time
    if agent is not None and (b"python-requests/" in agent or b"aiohttp/" in agent):
        return True
    time = request.parameter(b"t")
    if time is None:
        return False
    whole, point, fraction = time.partition(".")
    return bool(point) and whole.isdigit() and fraction.isdigit()
