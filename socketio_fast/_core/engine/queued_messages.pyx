"""A transport whose messages wait until somebody takes them: who speaks its protocol is
no part of the core. It may be another server's WebSocket, or QUIC.

What whoever speaks the protocol does, on either side:

1. Each message that comes it gives to `receive()`. While `room` is a Future, it
   receives nothing more until that is done.
2. When it is woken, it sends what `take()` returns, until that is None. If `closing` is
   true then, it closes with the code `code`.
3. It calls `lost()` at the end.
"""
from collections import deque

from socketio_fast._core.engine.contracts cimport (
    BASE64,
    REVISION_3,
    SessionBase as Session,
)
from socketio_fast._core.engine.message_transport cimport MessageTransport
from socketio_fast._core.protocol.outgoing cimport (
    MESSAGES_3,
    MESSAGES_3_BASE64,
    MESSAGES_BASE64,
    Outgoing,
)

from socketio_fast.exceptions import LimitError

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL


cdef class QueuedMessages(MessageTransport):
    """Messages in a queue, and those that come. Abstract: subclasses say how it begins,
    set `engine` and `_wake`, and what a broken rule means (`fail()`)."""

    def __cinit__(self):
        self.queued = deque()

    def fail(self, exc):
        """The peer has broken a rule of the protocol."""
        raise NotImplementedError

    def receive(self, data):
        """A message has come, str or bytes-like."""
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

    cpdef int abort(self, object code) except -1:
        self.session = None
        return self._close(code)

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
