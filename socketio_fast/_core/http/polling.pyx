"""The HTTP long-polling transport.

A GET waits until there is something to send, and is answered with all of it. A POST
brings packets of the client. A session has one of each at a time: a second one breaks
the protocol, and closes the session. What is sent in one pass of the event loop leaves
in one payload.
"""
import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from socketio_fast._core.http.compression cimport compressed
from socketio_fast._core.protocol.eio cimport count_packets
from socketio_fast._core.protocol.jsonp cimport form_payload, script
from socketio_fast._core.protocol.outgoing cimport Outgoing, control
from socketio_fast._core.engine.contracts cimport (
    REVISION_3,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.payload_transport cimport PayloadTransport, count_of

from socketio_fast._core.http.compression import accepted_encoding
from socketio_fast.exceptions import LimitError, ProtocolError

cdef Outgoing NOOP = control(b"6")
cdef Outgoing CLOSE = control(b"1")
cdef bytes PLAIN = b"text/plain; charset=UTF-8"
cdef bytes BINARY = b"application/octet-stream"
cdef bytes SCRIPT = b"text/javascript; charset=UTF-8"
# For "ok", as in the reference implementation: some browsers offer text/plain as a
# download.
cdef bytes HTML = b"text/html"
cdef bytes TEXT = b"text/plain"
cdef bytes JSON = b"application/json"
cdef bytes UNKNOWN = b'{"code":1,"message":"Session ID unknown"}'
cdef bytes NO_FILTER = b"X-XSS-Protection: 0\r\n"
cdef bytes NO_SNIFFING = b"X-Content-Type-Options: nosniff\r\n"


cdef class Responder:
    """One HTTP request, which must get one response. Abstract."""

    cpdef int respond(
        self, int status, bytes content_type, bytes body, bytes headers
    ) except -1:
        """Send the response; `headers` are further lines, each with its CRLF."""
        raise NotImplementedError

    cpdef bytes header(self, bytes name):
        """The value of a request header (name in lower case); None: it was not sent."""
        raise NotImplementedError


@cython.final
cdef class Polling(PayloadTransport):
    """The polling side of one session."""

    name = "polling"

    def __cinit__(self, Engine engine not None):
        self.engine = engine
        self.queued = []

    # From session.

    cpdef int send(self, Outgoing m) except -1:
        self.queued.append(m)
        self.queued_bytes += self._size(m)
        if self.queued_bytes > self.engine.high_water_mark:
            if self.session is not None:
                self.engine.overflow(self.session)
        if self.poll is not None and not self.marked:
            self.marked = True
            self.engine.mark(self)
        return 0

    cdef inline Py_ssize_t _size(self, Outgoing m) except -1:
        return m.size() if self.dialect else PyBytes_GET_SIZE(m.packets())

    cpdef int flush(self) except -1:
        self.marked = False
        if self.poll is not None and (self.queued or self.closing):
            self._take()
        return 0

    cdef int _take(self) except -1:
        """Answer the GET with the queued messages, as many as its client accepts.

        The answer that carries the close packet ends the session.
        """
        cdef Session session = self.session
        cdef list messages = self.queued
        cdef Py_ssize_t most = self.max_answer
        cdef bint last
        if self.opens:
            # The first answer in revision 3 has the open packet, and the initial one,
            # as in the reference implementation: old clients read no more of it.
            self.opens = False
            most = 1 if self.engine.initial_packet is None else 2
        if self.closing:
            messages.append(CLOSE)
        if most and count_of(messages) > most:
            messages = self._take_some(most)
        else:
            self.queued = []
            self.queued_bytes = 0
        last = self.closing and not self.queued
        if self.closing and not last:
            self.queued.pop()  # the close packet; _take() appends it again
        self._answer(messages)
        if session is not None:
            session.flushed()
        if last and session is not None:
            self.session = None
            self._let_go(400, JSON, UNKNOWN)
            session.finished()
        return 0

    cdef list _take_some(self, Py_ssize_t most):
        """Take `most` packets from the queue; there are more. A message of several
        packets may be split."""
        cdef list taken = [], queued = self.queued, parts
        cdef Py_ssize_t left = most
        cdef Outgoing m = queued[0]
        while m.count() <= left:
            left -= m.count()
            self.queued_bytes -= self._size(m)
            taken.append(m)
            m = queued[len(taken)]
        parts = m.apart() if left else [m]
        self.queued_bytes -= self._size(m)
        queued[:len(taken) + 1] = parts[left:]
        taken += parts[:left]
        for m in parts[left:]:
            self.queued_bytes += self._size(m)
        return taken

    cdef int part(self) except -1:
        return self.flush()

    cpdef int close(self) except -1:
        # If no GET waits, the next one gets the close packet. If none comes, a deadline
        # ends the session.
        self.closing = True
        if self.rest is not None:
            self._let_go(200, HTML, b"ok")
        self.flush()
        return 0

    cpdef int go_away(self) except -1:
        cdef Responder poll
        cdef Session session = self.session
        self.flush()
        self.discarded = True
        poll, self.poll = self.poll, None
        self._let_go(503, TEXT, b"Service Unavailable")
        if poll is not None:
            poll.respond(503, TEXT, b"Service Unavailable", b"")
        if session is not None:
            self.session = None
            session.finished()
        return 0

    cpdef int abort(self, object code) except -1:
        self.queued = []
        self.opens = False
        self.closing = self.discarded = True
        if self.poll is not None:
            self._answer([CLOSE])
        self._let_go(400, JSON, UNKNOWN)
        self.session = None
        return 0

    cpdef int refuse(self) except -1:
        cdef Responder poll = self.poll
        self.poll = self.session = None
        self.refused = True
        return 0 if poll is None else self.on_poll(poll)

    cpdef int release(self) except -1:
        if self.poll is not None:
            if self.queued:
                self._take()
            else:
                self._answer([NOOP])
        return 0

    cpdef list handover(self):
        cdef list queued
        # What the client has sent by this transport is read before what it sends by the
        # WebSocket.
        self._read_rest(True)
        queued = self.queued
        self.queued = []
        self.discarded = True
        if self.poll is not None:
            self._answer([NOOP])
        return queued

    cpdef Py_ssize_t buffered(self) except -1:
        return self.queued_bytes

    cpdef bint writable(self) except -1:
        return self.poll is not None

    cdef bint settled(self) except -1:
        # Queued messages need a GET, and a POST needs its answer.
        return self.post is None and (self.poll is not None or not self.queued)

    # From HTTP.

    cdef int on_poll(self, Responder responder) except -1:
        """A GET has come."""
        if self.refused:
            responder.respond(403, JSON, b'{"code":4,"message":"Forbidden"}', b"")
            return 0
        if self.poll is not None:
            self._overlap(responder, "GET")
            return 0
        self.poll = responder
        if self.queued or self.closing:
            self._take()
        return 0

    cdef int on_post(self, Responder responder) except -1:
        """The head of a POST has come. Returns whether its body is to be read; if not,
        it has been answered."""
        if self.post is not None:
            self._overlap(responder, "POST")
            return False
        if (
            not self.dialect & REVISION_3
            and responder.header(b"content-type") == BINARY
        ):
            self._fail(responder, ProtocolError("binary POST (EIO 3) in revision 4"))
            return False
        self.post = responder
        return True

    cdef int on_body(self, Responder responder, bytes body) except -1:
        """The body of the POST has come completely."""
        cdef Session session = self.session
        if session is None:
            self.post = None
            responder.respond(400, JSON, UNKNOWN, b"")
            return 0
        try:
            if self.jsonp is not None:
                body = form_payload(body)
            if self.engine.max_packets and not self.dialect & REVISION_3:
                self.check_count(count_packets(
                    PyBytes_AS_STRING(body),
                    PyBytes_AS_STRING(body) + PyBytes_GET_SIZE(body),
                ))
        except BaseException as exc:
            self.post = None
            self._fail(responder, exc)
            return 0
        return self._take_post(body, 0, False)

    cdef int _take_post(self, bytes body, Py_ssize_t at, bint whole) except -1:
        """Read the packets of a POST from `at` on, and answer the POST.

        While the session is paused, the rest of the packets and the answer are delayed.
        `whole`: all packets are read now.
        """
        cdef Session session = self.session
        cdef Responder post = self.post
        self.post = self.rest = None
        try:
            if self.dialect & REVISION_3:
                at = self.read_3(
                    body, at, post.header(b"content-type") == BINARY, whole
                )
            else:
                at = self.read(body, at, whole)
        except BaseException as exc:
            if self.in_message and isinstance(exc, ProtocolError):
                # As in the reference implementation, messages that are queued still
                # reach the client.
                session.on_bad_message(exc)
                return post.respond(200, HTML, b"ok", self._headers(post))
            session.on_error(exc)
            post.respond(400, JSON, b'{"code":3,"message":"Bad request"}', b"")
            return 0
        if session.is_paused() and not whole:
            self.rest = body
            self.rest_at = at
            self.post = post
            return 0
        return post.respond(200, HTML, b"ok", self._headers(post))

    cpdef int resume(self) except -1:
        return self._read_rest(False)

    cdef int _read_rest(self, bint whole) except -1:
        if self.rest is None:
            return 0
        if self.rest_at < PyBytes_GET_SIZE(self.rest):
            return self._take_post(self.rest, self.rest_at, whole)
        return self._let_go(200, HTML, b"ok")

    cdef int _let_go(self, int status, bytes content_type, bytes text) except -1:
        """Answer a POST of which nothing more is read."""
        cdef Responder post = self.post
        self.post = self.rest = None
        if post is not None:
            post.respond(status, content_type, text, self._headers(post))
        return 0

    cdef int check_count(self, Py_ssize_t count) except -1:
        if 0 < self.engine.max_packets < count:
            raise LimitError(
                f"{count} packets in a POST exceed "
                f"Payload.max_decode_packets={self.engine.max_packets}"
            )
        return 0

    cdef int on_abort(self, Responder responder) except -1:
        """The connection of a request was lost before its response."""
        cdef Session session = self.session
        if responder is self.poll:
            self.poll = None
        elif responder is self.post:
            self.post = self.rest = None
        else:
            return 0
        if session is not None and not self.discarded:
            session.on_transport_close(self, "transport error")
        return 0

    def _overlap(self, Responder responder, method):
        self._fail(
            responder, ProtocolError(f"a second {method} while one is under way")
        )

    def _fail(self, Responder responder, error):
        session = self.session
        if session is not None:
            (<Session> session).on_error(error)
        responder.respond(400, JSON, b'{"code":3,"message":"Bad request"}', b"")

    cdef bytes _headers(self, Responder responder):
        """Header lines for the response to an old client."""
        cdef bytes agent
        if not self.dialect:
            return b""
        agent = responder.header(b"user-agent") or b""
        # The filter of Internet Explorer takes such responses for an attack, so the
        # reference implementation switches it off.
        if b";MSIE" in agent or b"Trident/" in agent:
            return NO_FILTER
        return b""

    cdef int _answer(self, list messages) except -1:
        cdef Responder poll = self.poll
        cdef bytes payload = self.payload(messages), encoding
        cdef bytes content_type = PLAIN, headers = b""
        self.poll = None
        if self.dialect:
            headers = self._headers(poll)
            if self.jsonp is not None:
                payload = script(self.jsonp, payload)
                content_type = SCRIPT
                headers += NO_SNIFFING
            elif self.wants_binary(messages):
                content_type = BINARY
        if (
            0 <= self.engine.compress_from <= PyBytes_GET_SIZE(payload)
            and may_compress(messages)
        ):
            encoding = accepted_encoding(poll.header(b"accept-encoding"))
            if encoding is not None:
                payload = compressed(payload, encoding)
                headers += b"Content-Encoding: " + <bytes> encoding + b"\r\n"
        poll.respond(200, content_type, payload, headers)
        return 0


cdef bint may_compress(list messages) except -1:
    """Whether all of these may be compressed."""
    cdef Outgoing m
    for m in messages:
        if m.uncompressed:
            return False
    return True
