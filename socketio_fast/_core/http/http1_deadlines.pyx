"""What the client of an HTTP/1.1 connection must send or read, and until when."""
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.http.http1_exchange cimport HttpConnection

cdef enum:
    # Deadlines.
    D_READ      # the client must send a request, or the rest of one
    D_WRITE     # it must read something of what was written


cdef class TimedConnection(HttpConnection):
    """A connection that is closed if its client is late. Abstract."""

    cdef int on_late(self) except -1:
        """The client has not sent in time what it must."""
        raise NotImplementedError

    cdef int _set_deadline(self, double delay) except -1:
        """The client must send something within `delay` seconds; 0: without limit."""
        cdef Engine engine = self.endpoint.engine
        self.expects_nothing = False
        if delay == 0:
            if self.deadline is not None:
                self.deadline.cancel()
                self.deadline = None
        elif self.deadline is None:
            self.deadline = engine.start(delay, D_READ, self)
        else:
            engine.restart(self.deadline, delay, D_READ)
        return 0

    cdef int _expect_nothing(self) except -1:
        """Let the client send nothing, until _set_deadline() is called again. The
        deadline is kept meanwhile: moving it is cheaper than making another."""
        self.expects_nothing = True
        return 0

    cdef int _expect_reading(self) except -1:
        """The client must read something of what was written within
        `Endpoint.patience` seconds."""
        cdef Engine engine = self.endpoint.engine
        cdef double delay = self.endpoint.patience
        self.unread = self.writer.unread()
        if self.write_deadline is None:
            self.write_deadline = engine.start(delay, D_WRITE, self)
        else:
            engine.restart(self.write_deadline, delay, D_WRITE)
        return 0

    cdef int _stop_expecting(self) except -1:
        if self.write_deadline is not None:
            self.write_deadline.cancel()
            self.write_deadline = None
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        if kind == D_READ:
            self.deadline = None
            if self.writer is None or self.expects_nothing:
                return 0
            return self.on_late()
        self.write_deadline = None
        if self.writer is None:
            return 0
        if self.writer.unread() < self.unread:
            return self._expect_reading()
        return self._stalled()

    cdef int _stalled(self) except -1:
        cdef Engine engine = self.endpoint.engine
        engine.counters["stalled_responses"] += 1
        engine.logger.info(
            "an HTTP client has read nothing of %d bytes for %g s, closed",
            self.unread, self.endpoint.patience,
        )
        return self.abort()
