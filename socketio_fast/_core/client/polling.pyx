"""A client's long-polling, without the HTTP: what a POST carries, what a response to a
GET means. A `Poster` makes the requests.

One POST is under way at a time, so that packets arrive in order. What is sent meanwhile
leaves with the next one, as much as the server takes in one (`maxPayload`).
"""
import cython
from cpython.bytes cimport PyBytes_GET_SIZE

from socketio_fast._core.client.session cimport ClientSession
from socketio_fast._core.engine.contracts cimport (
    REVISION_3,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.protocol.outgoing cimport Outgoing, control

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef Outgoing CLOSE = control(b"1")

# Packets in one POST: servers of python-engineio refuse more, and end the session.
cdef Py_ssize_t MAX_PACKETS = 16


cdef class Poster:
    """Makes the requests of a session. Subclasses implement what raises
    NotImplementedError. The methods must not block."""

    def post(self, body, binary):
        """Send a POST with this body; call `polling.posted()` when it was answered."""
        raise NotImplementedError

    def untaken(self):
        """How many bytes of the POST under way the server has not taken yet, as far as
        that can be told."""
        return 0

    def read_on(self):
        """The session is read again, after `received()` had returned False."""
        raise NotImplementedError

    def stop(self):
        """Make no requests any more, and end those under way."""
        raise NotImplementedError


@cython.final
cdef class ClientPolling(PayloadTransport):
    """The long-polling of one session.

    Args:
        engine: Flushes it.
        poster: Makes its requests.
    """

    name = "polling"

    def __init__(self, Engine engine not None, Poster poster not None):
        self.engine = engine
        self.poster = poster
        self.queued = []

    # From session.

    cpdef int send(self, Outgoing m) except -1:
        if self.over or self.closing:
            return 0
        self.queued.append(m)
        self.queued_bytes += self._size(m)
        if self.queued_bytes > self.engine.high_water_mark:
            if self.session is not None:
                self.engine.overflow(self.session)
        if not self.marked:
            self.marked = True
            self.engine.mark(self)
        return 0

    cdef Py_ssize_t _size(self, Outgoing m) except -1:
        return m.size() if self.dialect else PyBytes_GET_SIZE(m.packets())

    cpdef int flush(self) except -1:
        self.marked = False
        return self._post()

    cdef int _post(self) except -1:
        cdef list messages
        if self.posting or self.resting or not self.queued or self.over:
            return 0
        messages = self._take()
        self.posting = True
        self.poster.post(self.payload(messages), self.wants_binary(messages))
        return 0

    cdef list _take(self):
        """Take from the queue what one POST carries: at least one packet."""
        cdef ClientSession session = <ClientSession> self.session
        cdef Py_ssize_t most = PY_SSIZE_T_MAX, size = 0, n = 0, count = 0, more
        cdef list queued = self.queued
        cdef Outgoing m = queued[0]
        if session is not None and session.max_payload:
            most = session.max_payload
        if m.count() > 1 and (m.count() > MAX_PACKETS or self._size(m) > most):
            # A message of several packets is split.
            self.queued_bytes -= self._size(m)
            queued[:1] = m.apart()
            for m in queued[:m.count()]:
                self.queued_bytes += self._size(m)
        for m in queued:
            more = self._size(m)
            if n and (count + m.count() > MAX_PACKETS or size + n + more > most):
                break  # `n` separators
            size += more
            count += m.count()
            n += 1
        self.queued = queued[n:]
        self.queued_bytes -= size
        self.posting_bytes = size
        return queued[:n]

    cpdef int close(self) except -1:
        if not self.closing:
            self.send(CLOSE)
            self.closing = True
            self.resting = False  # an upgrade that is under way is given up
            self._post()
        return 0

    cpdef int abort(self, object code) except -1:
        self.over = True
        self.queued = []
        self.queued_bytes = 0
        self.rest = None
        self.session = None
        self._stop()
        return 0

    cdef int _stop(self) except -1:
        cdef Poster poster = self.poster
        self.poster = None  # it refers to this transport
        if poster is not None:
            poster.stop()
        return 0

    cpdef int refuse(self) except -1:
        return self.abort(None)

    cpdef int release(self) except -1:
        return 0

    cpdef list handover(self):
        cdef list queued = self.queued
        self.over = True
        self.queued = []
        self.queued_bytes = 0
        self.session = None
        self._stop()
        return queued

    cpdef Py_ssize_t buffered(self) except -1:
        return self.queued_bytes + (self.posting_bytes if self.posting else 0)

    def untaken(self):
        """How many bytes the server has not taken yet, an int."""
        return self.queued_bytes + (
            self.poster.untaken() if self.posting and self.poster is not None else 0
        )

    cpdef bint writable(self) except -1:
        return not self.posting and not self.queued and not self.resting

    cpdef int resume(self) except -1:
        if self.rest is not None:
            self._read_on()
        if self.rest is None and not self.over:
            self.poster.read_on()
        return 0

    # From the requests.

    def rest_for_upgrade(self):
        """Begin no POST any more. The upgrade is completed when none is under way, and
        no GET."""
        self.resting = True

    def go_on(self):
        """The upgrade has failed."""
        self.resting = False
        self._post()

    def posted(self):
        """The POST was answered."""
        cdef Session session = self.session
        self.posting = False
        self.posting_bytes = 0
        if session is None:
            return
        session.flushed()
        if self.closing and not self.queued:
            self.over = True
            self.session = None
            self._stop()
            session.on_transport_close(self, "transport close")
        else:
            self._post()

    def received(self, bytes body not None, bint binary=False):
        """A GET was answered with this body.

        Returns:
            Whether the next GET may begin. If not, `Poster.read_on()` follows, or the
            session is over.
        """
        if self.over or self.session is None:
            return False
        self.rest = body
        self.rest_at = 0
        self.rest_is_binary = binary
        self._read_on()
        return self.rest is None and not self.over and not self._close_is_posted()

    cdef bint _close_is_posted(self) noexcept:
        """The close packet is in the POST under way: the server ends the session with
        it, and knows it no more when a GET comes."""
        return self.closing and self.posting and not self.queued

    cdef int _read_on(self) except -1:
        cdef Session session = self.session
        cdef bytes body = self.rest
        try:
            if self.dialect & REVISION_3:
                self.rest_at = self.read_3(
                    body, self.rest_at, self.rest_is_binary, False
                )
            else:
                self.rest_at = self.read(body, self.rest_at, False)
        except BaseException as exc:
            self.rest = None
            session.on_error(exc)
            return 0
        if self.rest_at == PyBytes_GET_SIZE(body) or self.over:
            self.rest = None
        return 0

    def poll_failed(self, error):
        """A GET was not answered as it should."""
        if not self._close_is_posted():  # else the answer of that POST decides
            self.failed(error)

    def failed(self, error):
        """A POST was not answered as it should."""
        cdef Session session = self.session
        if session is not None and not self.over:
            (<ClientSession> session).fail("transport error", error)
