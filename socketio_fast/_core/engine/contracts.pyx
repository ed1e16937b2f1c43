"""What sessions, transports, handlers and the engine may ask of each other.

These classes call each other in both directions, and two extension modules that cimport
each other's classes cannot be imported. So what each may ask of the others is declared
here, below all of them: a module cimports these classes, and not the module that
implements them. Fields are here if another module reads them.

A method that raises NotImplementedError must be implemented; any other is a default.
"""

cdef str SERVER_DISCONNECT = "server disconnect"
cdef str CLIENT_DISCONNECT = "client disconnect"
cdef str PING_TIMEOUT = "ping timeout"
cdef str TRANSPORT_CLOSE = "transport close"
cdef str TRANSPORT_ERROR = "transport error"


cdef class Transport(Timed):
    """Delivers the messages of one session. Subclasses in Python are for tests."""

    cpdef int send(self, Outgoing m) except -1:
        """Take a message, in order. It may leave at the end of the loop's pass."""
        raise NotImplementedError

    cpdef int flush(self) except -1:
        """Give the network what was taken."""
        raise NotImplementedError

    cdef int part(self) except -1:
        """Let the client read what follows apart from what was sent before, as far as
        that costs nothing."""
        return 0

    cpdef int close(self) except -1:
        """End when everything is delivered, then call session.finished()."""
        raise NotImplementedError

    cpdef int go_away(self) except -1:
        """Like close(), of a server that stops: the client shall connect to another."""
        return self.close()

    cpdef int abort(self, object code) except -1:
        """End now. `code` is a WebSocket close code, or None."""
        raise NotImplementedError

    cpdef int refuse(self) except -1:
        """End now: the handler has not accepted the client."""
        raise NotImplementedError

    cpdef int release(self) except -1:
        """Answer a waiting poll, with a noop packet if nothing else is to be sent."""
        raise NotImplementedError

    cpdef list handover(self):
        """Return the messages that are not delivered: another transport takes over."""
        raise NotImplementedError

    cpdef Py_ssize_t buffered(self) except -1:
        """Return how many bytes the client has not read yet."""
        raise NotImplementedError

    cdef bint settled(self) except -1:
        """Whether everything sent can still be delivered if the server stops now."""
        return True

    cpdef int pause(self) except -1:
        """Read nothing more of the client until resume()."""
        return 0

    cpdef int resume(self) except -1:
        """Read on, first what has been received since pause()."""
        return 0

    cpdef bint writable(self) except -1:
        """Whether a message that is sent now leaves at once."""
        return self.buffered() == 0

    cdef bint track(self, bint tracked) except -1:
        """Let the garbage collector look at what the transport consists of, or do not.

        Returns whether it does. It need not where something holds the transport until
        it is closed; see `http/epoll`.
        """
        return True

    cdef int on_deadline(self, int kind, double now) except -1:
        return 0


cdef class SessionHandler(Timed):
    """The layer above, for one session."""

    cdef int on_open(self) except -1:
        """A client has come. Call session.accept() or refuse(), now or later."""
        raise NotImplementedError

    cdef int on_text(self, const char *p, Py_ssize_t n) except -1:
        """A text message has come. The memory is valid during this call only: it is
        the receive buffer."""
        raise NotImplementedError

    cdef int on_binary(self, bytes data) except -1:
        """A binary message has come."""
        raise NotImplementedError

    cdef int on_close(self, str reason) except -1:
        """The session is over: nothing can be sent any more."""
        raise NotImplementedError

    cdef bint awaits(self) except -1:
        """Whether a handler may wait for something that this client has yet to send."""
        return False

    cdef int on_slow(self, Py_ssize_t size) except -1:
        """`size` bytes wait for the client, more than the high-water mark."""
        return 0

    cdef Py_ssize_t awaited(self) except -1:
        """Return how many acknowledgements of this client have not come."""
        return 0

    cdef int track(self, bint tracked) except -1:
        """Let the garbage collector look at it, or not; see Transport.track()."""
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        return 0


cdef class HandlerFactory:
    """Makes the handler of each new session."""

    cdef SessionHandler new_handler(self, SessionBase session):
        raise NotImplementedError

    cdef int observed(self, Observer observer) except -1:
        """The engine tells this observer from now on; None: nobody."""
        return 0


cdef class SessionBase(Timed):
    """One Engine.IO connection. `session.Session` implements it."""

    # Called by transports, and by what accepts them.

    cdef int open(self, Transport transport, object request) except -1:
        """Begin over this transport. `request` has environ(), or is None."""
        raise NotImplementedError

    cdef int begin_upgrade(self, Transport probe) except -1:
        """Try to upgrade to this WebSocket. Returns False if that cannot be."""
        raise NotImplementedError

    cdef int on_packet(self, int type, const char *p, Py_ssize_t n) except -1:
        """A packet has come. Its memory is valid during this call only."""
        raise NotImplementedError

    cdef int on_binary(self, bytes data) except -1:
        """A binary message has come."""
        raise NotImplementedError

    cdef int on_probe_packet(
        self, Transport probe, int type, const char *p, Py_ssize_t n
    ) except -1:
        """A packet has come by the WebSocket of an upgrade that is under way."""
        raise NotImplementedError

    cdef int on_error(self, object error) except -1:
        """The client broke a rule, or the server failed: log why, and end now."""
        raise NotImplementedError

    cdef int on_bad_message(self, object error) except -1:
        """Like on_error(), but what was sent to the client is delivered first."""
        raise NotImplementedError

    cdef int on_transport_close(self, Transport transport, str reason) except -1:
        """The connection of this transport, or of this probe, has gone."""
        raise NotImplementedError

    cdef int finished(self) except -1:
        """The transport has delivered everything, or never will."""
        raise NotImplementedError

    cdef int flushed(self) except -1:
        """The client has read some of what waited for it."""
        raise NotImplementedError

    cdef bint is_paused(self) except -1:
        """Whether the client is not read, because its handlers have too much to do."""
        raise NotImplementedError

    cdef int too_slow(self) except -1:
        """More than max_buffer_bytes wait for the client: log that, and end now."""
        raise NotImplementedError

    # Called by handlers.

    cdef int accept(self) except -1:
        """Send the open packet: messages can be sent and received from now on."""
        raise NotImplementedError

    cdef int refuse(self) except -1:
        """End before the session has begun. Does nothing afterwards."""
        raise NotImplementedError

    cdef int send(self, Outgoing m) except -1:
        """Send a message, and count it for the observer."""
        raise NotImplementedError

    cdef int pass_on(self, Outgoing m) except -1:
        """Like send(), but not counted: the caller has told the observer."""
        raise NotImplementedError

    cdef int part(self) except -1:
        """See Transport.part()."""
        raise NotImplementedError

    cdef int close(self, str reason, bint going=False) except -1:
        """End when everything sent is delivered. `going`: because the server stops."""
        raise NotImplementedError

    cdef int drop(self, str reason, object code=None) except -1:
        """End now. `code` is a WebSocket close code, or None."""
        raise NotImplementedError

    cdef int reserve(self, Py_ssize_t size) except -1:
        """The handler keeps `size` bytes more for the client; fewer, if negative."""
        raise NotImplementedError

    cdef Py_ssize_t unread_bytes(self) except -1:
        """Return how many bytes wait to be read by the client, or to be sent."""
        raise NotImplementedError

    cdef bint above(self) except -1:
        """Whether the client has more to read than the high-water mark."""
        raise NotImplementedError

    cdef int dropped(self, Outgoing m) except -1:
        """A volatile message is not sent: count it."""
        raise NotImplementedError

    cdef int begin_event(self, Py_ssize_t size) except -1:
        """An event of `size` bytes waits for its handler, or its handler suspended."""
        raise NotImplementedError

    cdef int end_event(self, Py_ssize_t size) except -1:
        """An event that began waits no more, or its handler has ended."""
        raise NotImplementedError

    cdef int expect(self) except -1:
        """The server waits for an acknowledgement of this client from now on."""
        raise NotImplementedError

    # Called by the engine, and by what a session consists of.

    cdef Py_ssize_t buffered(self) except -1:
        """Return how many bytes the client has not read yet."""
        raise NotImplementedError

    cdef int forget(self) except -1:
        """End without a word: the event loop has gone, and the connection with it."""
        raise NotImplementedError

    cdef int complete_upgrade(self) except -1:
        """Go on by the WebSocket of the upgrade, with all that is undelivered."""
        raise NotImplementedError

    cdef int end_upgrade(self) except -1:
        """Forget the WebSocket of an upgrade. Does nothing if there is none."""
        raise NotImplementedError

    cdef int closing_failed(self, object error) except -1:
        """Report that a step of closing has failed. The session ends all the same."""
        raise NotImplementedError

    cdef bint watch(self) except -1:
        """More than the high-water mark waits. Returns whether check() must be called
        at the end of the pass; False: that has been asked for already."""
        raise NotImplementedError

    cdef int check(self) except -1:
        """Write, and see whether the client reads too slowly."""
        raise NotImplementedError

    cdef int track(self, bint tracked) except -1:
        """Let the garbage collector look at the session and at what it consists of, or
        do not, if its transport is not looked at. A full collection would take about
        1 µs for each client."""
        raise NotImplementedError

    cpdef object below(self, Py_ssize_t limit):
        """Return a Future that is done when at most `limit` bytes wait; None: now."""
        raise NotImplementedError


cdef class EngineBase(Flusher):
    """All sessions of one server. `engine.Engine` implements it."""

    cdef SessionBase new_session(self, Visitor visitor, int dialect, str id):
        """Make a session that is not open yet.

        Args:
            visitor: As whose connection it counts; None: no limits apply.
            dialect: Flags of `Dialect`, how its client speaks.
            id: Its id; None: a new one.
        """
        raise NotImplementedError

    cdef str new_id(self):
        """Return a new id, for a session or for a client in a namespace."""
        raise NotImplementedError

    cdef Outgoing open_packet(self, SessionBase session):
        """Render the open packet of a session, whose transport is known."""
        raise NotImplementedError

    cdef double now(self):
        """Return the time of the event loop (seconds)."""
        raise NotImplementedError

    cdef Deadline start(self, double delay, int kind, Timed owner):
        """Start a deadline: owner.on_deadline(kind) is called in `delay` seconds."""
        raise NotImplementedError

    cdef int restart(self, Deadline d, double delay, int kind) except -1:
        """Move a deadline to `delay` seconds from now."""
        raise NotImplementedError

    cdef int restart_since(
        self, Deadline d, double started, double delay, int kind
    ) except -1:
        """Move a deadline to `delay` seconds after `started`."""
        raise NotImplementedError

    cdef int mark(self, Transport transport) except -1:
        """Call transport.flush() at the end of this pass of the event loop."""
        raise NotImplementedError

    cdef int overflow(self, SessionBase session) except -1:
        """Call session.check() at the end of this pass: it is above the mark."""
        raise NotImplementedError

    cdef list blocked(self):
        """Return a Future for each session of `over_high_water` that is above the mark
        still, and clear that table."""
        raise NotImplementedError

    cpdef int soon(self, object callback) except -1:
        """Call `callback()` in the next pass of the event loop."""
        raise NotImplementedError

    cdef bint runs(self) except -1:
        """Whether the event loop runs, and its thread is known."""
        raise NotImplementedError

    cdef int tell_refusal(self, str cause, object address, str message) except -1:
        """Report that a request or a client was refused; it is logged now and then."""
        raise NotImplementedError

    cdef int failed(self, object error, str message, tuple args) except -1:
        """Log an error that must not end what serves all clients."""
        raise NotImplementedError
