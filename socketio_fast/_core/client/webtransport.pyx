"""A client's WebTransport session, without QUIC: see `queued_messages`."""
import cython

from socketio_fast._core.client.session cimport ClientSession
from socketio_fast._core.engine.contracts cimport (
    TRANSPORT_CLOSE,
    EngineBase as Engine,
    SessionBase as Session,
)


cdef enum:
    # Bytes that untaken() counts of a close packet which has been written: the two of
    # its frame, and the packet as what was taken last from the queue.
    CLOSE_SIZE = 3


@cython.final
cdef class ClientWebTransport(QueuedMessages):
    """One WebTransport session of a client.

    Args:
        engine: Flushes it, and has the limits.
    """

    name = "webtransport"

    def __init__(self, Engine engine not None):
        self.engine = engine

    def begin(self, wake, unread):
        """The stream is open. `wake()` is called when there is something to take, or
        when it is to be closed; `unread()` returns how many bytes of the stream the
        server has not acknowledged."""
        self._wake = wake
        self.unread = unread

    def untaken(self):
        """How many bytes the server has not taken yet, an int."""
        return self.queued_bytes + (0 if self.unread is None else self.unread())

    def fail(self, exc):
        """The server has broken a rule of the protocol: end the session."""
        cdef Session session = self.session
        if session is None:
            self.abort(None)
        elif session.probe is self:
            # The session goes on by polling.
            (<ClientSession> session).give_up_upgrade(exc)
        else:
            session.on_error(exc)

    def lost_by(self, error):
        """The connection was lost, for this reason."""
        cdef Session session = self.session
        if session is not None and session.probe is self:
            (<ClientSession> session).give_up_upgrade(error)
        elif session is not None and not self.closing:
            (<ClientSession> session).fail(TRANSPORT_CLOSE, error)
        elif session is not None:
            (<ClientSession> session).may_be_lost(self, self.untaken(), error)
        self.lost()

    def lost(self):
        """The connection was lost, or is being closed."""
        cdef Session session = self.session
        if session is not None:
            # It may have read the close packet, which came last, and have closed the
            # connection before it has acknowledged that.
            (<ClientSession> session).may_be_lost(
                self, self.untaken() - CLOSE_SIZE, "it has closed the connection"
            )
        self.unread = None
        QueuedMessages.lost(self)

    cpdef int refuse(self) except -1:
        return self.abort(None)

    cpdef int abort(self, object code) except -1:
        self.aborted = True
        QueuedMessages.abort(self, code)
        return self._mark()  # it may have been closing already
