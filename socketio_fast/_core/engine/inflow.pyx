"""A client is read no faster than its handlers can take what it sends.

A session has a `Flow` from the first event that waits. Above max_pending_events or
max_pending_bytes the client is not read; it is read on at half of both, so that it does
not stop and go with each event.

A handler may wait for an acknowledgement of the same client, behind events that are not
read because of it. So while the server waits for one the limits are HARD times as high.
A client that reaches those too, and whose handlers make no progress from one ping to
the next, is deadlocked: its session ends.
"""
import cython

from socketio_fast._core.engine.contracts cimport (
    OPEN,
    EngineBase,
    SessionBase,
    SessionHandler,
    Transport,
)

cdef enum:
    HARD = 4


@cython.final
@cython.no_gc  # it holds numbers alone
@cython.freelist(16)
cdef class Flow:
    """The events of one client that are under way."""

    cdef int begin_event(self, SessionBase session, Py_ssize_t size) except -1:
        """An event of `size` bytes is under way: pause the client if that is too much.
        """
        cdef EngineBase engine = session.engine
        self.events += 1
        self.bytes += size
        if (
            self.events > engine.max_pending_events
            or self.bytes > engine.max_pending_bytes
        ):
            if not self._awaited(session):
                self.pause(session)
        return 0

    cdef bint end_event(self, SessionBase session, Py_ssize_t size) except -1:
        """An event is no longer under way. Returns whether to read on, in a later pass
        of the event loop: what is read then may be this client's next event."""
        self.events -= 1
        self.bytes -= size
        self.progressed = True
        return self.paused and self.has_room(session)

    cdef bint has_room(self, SessionBase session) except -1:
        """Whether a client that is paused may be read on."""
        cdef EngineBase engine = session.engine
        if self._awaited(session):
            return True
        return (
            self.events <= engine.max_pending_events // 2
            and self.bytes <= engine.max_pending_bytes // 2
        )

    cdef int pause(self, SessionBase session) except -1:
        """Read nothing more of the client until it has room."""
        cdef Transport transport = session.transport
        if self.paused or session.state != OPEN:
            return 0
        self.paused = True
        self.progressed = True
        self.unread = -1
        session.engine.counters["paused_clients"] += 1
        transport.pause()
        return 0

    cdef bint is_deadlocked(self, SessionBase session) except -1:
        """Whether handlers may wait for something that is not read because of them."""
        cdef SessionHandler handler = session.handler
        return (
            not self.progressed
            and self._overcrowded(session.engine) and handler.awaits()
        )

    cdef bint _awaited(self, SessionBase session) except -1:
        """Whether the next event is let in beyond the limits, since it may be an
        acknowledgement that a handler waits for."""
        cdef SessionHandler handler = session.handler
        return (
            handler is not None and handler.awaits()
            and not self._overcrowded(session.engine)
        )

    cdef bint _overcrowded(self, EngineBase engine) except -1:
        return (
            self.events > HARD * engine.max_pending_events
            or self.bytes > HARD * engine.max_pending_bytes
        )
