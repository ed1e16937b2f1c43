"""Who is told what happens in a server and on a connection.

The layers above call these objects, if there are any. Where there is none, that costs a
comparison with None: for an `Observer` at each packet that is received, each emit(),
and each client that comes or goes (a broadcast is told once, not once for each
recipient); for a `ConnectionListener` at each packet.
"""
import cython


cdef class Observer:
    """Is told what happens in a server. Subclasses implement the methods they want.

    Methods are called in the middle of what they tell. They may send messages, which
    leave later, and may remove this observer. They must not close or disconnect a
    client, nor change rooms. They must raise nothing: an exception would be printed and
    forgotten, and SystemExit would end the process at once. Messages are counted
    without a call of Python.

    Args:
        events: Whether `event_received()` and `event_sent()` are called.
    """

    def __init__(self, bint events=False):
        self.events = events

    cdef int count_in(self, Py_ssize_t size) except -1:
        """A packet of `size` bytes has come."""
        self.packets_in += 1
        self.bytes_in += size
        return 0

    cdef int count_out(self, Py_ssize_t packets, Py_ssize_t size) except -1:
        """A message is sent: so many packets, of `size` bytes together."""
        self.packets_out += packets
        self.bytes_out += size
        return 0

    # Engine.IO: `session` is a `Session`.

    cpdef void session_opened(self, object session) noexcept:
        """A session was accepted."""

    cpdef void session_upgraded(self, object session) noexcept:
        """A session went from polling to WebSocket."""

    cpdef void session_closed(self, object session, str reason) noexcept:
        """A session that was accepted has ended."""

    cpdef void request_refused(self, str reason) noexcept:
        """A request to Engine.IO, or to join a namespace that there is not, was
        refused. `reason` is one of few words: `origin`, `draining`, `unknown_sid`."""

    # Socket.IO: `peer` is a `Peer`, `namespace` a `Namespace`.

    cpdef void peer_connected(self, object peer) noexcept:
        """A client was accepted in a namespace, and has been told."""

    cpdef void peer_refused(self, object peer) noexcept:
        """A client was not accepted in a namespace, by a handler or a middleware."""

    cpdef void peer_disconnected(self, object peer, str reason) noexcept:
        """A connected client leaves; its disconnect handler has not run yet."""

    cpdef void event_received(self, object peer, list event) noexcept:
        """A client sent `[name, *arguments]`; its handler has not run yet."""

    cpdef void event_sent(
        self, object namespace, list event, object to, object skip
    ) noexcept:
        """emit() was called with these arguments; once for all recipients."""

    cpdef void room_joined(self, object peer, object room) noexcept:
        """A client entered a room other than its own."""

    cpdef void room_left(self, object peer, object room) noexcept:
        """A client left such a room, or was disconnected while in it."""


@cython.final
cdef class Observers(Observer):
    """Tells several observers.

    Args:
        members: The observers, a tuple.
    """

    def __init__(self, tuple members not None):
        cdef Observer member
        self.members = members
        for member in members:
            self.events = self.events or member.events

    cdef int count_in(self, Py_ssize_t size) except -1:
        cdef Observer member
        for member in self.members:
            member.count_in(size)
        return 0

    cdef int count_out(self, Py_ssize_t packets, Py_ssize_t size) except -1:
        cdef Observer member
        for member in self.members:
            member.count_out(packets, size)
        return 0

    cpdef void session_opened(self, object session) noexcept:
        cdef Observer member
        for member in self.members:
            member.session_opened(session)

    cpdef void session_upgraded(self, object session) noexcept:
        cdef Observer member
        for member in self.members:
            member.session_upgraded(session)

    cpdef void session_closed(self, object session, str reason) noexcept:
        cdef Observer member
        for member in self.members:
            member.session_closed(session, reason)

    cpdef void request_refused(self, str reason) noexcept:
        cdef Observer member
        for member in self.members:
            member.request_refused(reason)

    cpdef void peer_connected(self, object peer) noexcept:
        cdef Observer member
        for member in self.members:
            member.peer_connected(peer)

    cpdef void peer_refused(self, object peer) noexcept:
        cdef Observer member
        for member in self.members:
            member.peer_refused(peer)

    cpdef void peer_disconnected(self, object peer, str reason) noexcept:
        cdef Observer member
        for member in self.members:
            member.peer_disconnected(peer, reason)

    cpdef void event_received(self, object peer, list event) noexcept:
        cdef Observer member
        for member in self.members:
            if member.events:
                member.event_received(peer, event)

    cpdef void event_sent(
        self, object namespace, list event, object to, object skip
    ) noexcept:
        cdef Observer member
        for member in self.members:
            if member.events:
                member.event_sent(namespace, event, to, skip)

    cpdef void room_joined(self, object peer, object room) noexcept:
        cdef Observer member
        for member in self.members:
            member.room_joined(peer, room)

    cpdef void room_left(self, object peer, object room) noexcept:
        cdef Observer member
        for member in self.members:
            member.room_left(peer, room)


cpdef Observer joined(Observer first, Observer added):
    """An observer that tells both; None stands for nobody."""
    if first is None:
        return added
    if isinstance(first, Observers):
        return Observers((*(<Observers> first).members, added))
    return Observers((first, added))


cpdef Observer without(Observer first, Observer removed):
    """What is left of an observer without one that was joined to it; None: nobody."""
    cdef list left
    if not isinstance(first, Observers):
        return None if first is removed else first
    left = [member for member in (<Observers> first).members if member is not removed]
    if not left:
        return None
    return left[0] if len(left) == 1 else Observers(tuple(left))


cdef class EventWatch:
    """Watches one event of a client while its handlers run. Abstract."""

    cdef int ended(self, int64_t took, object error) except -1:
        """All handlers have ended, after so many nanoseconds. `error` is what one has
        raised, or None."""
        raise NotImplementedError

    cdef int unhandled(self) except -1:
        """No handler takes it, or its client has gone before one could."""
        return 0


@cython.final
cdef class TracedEvent(EventWatch):
    """Watches an event that has a span.

    Args:
        tracer: Has made the span.
        span: What `Tracer.receiving()` has returned.
        context: In which the handlers run.
        figures: Is told too when they have ended; or None.
    """

    def __cinit__(
        self, Tracer tracer not None, object span, object context, EventWatch figures
    ):
        self.tracer = tracer
        self.span = span
        self.context = context
        self.figures = figures

    cdef int ended(self, int64_t took, object error) except -1:
        if self.figures is not None:
            self.figures.ended(took, error)
        self.tracer.handled(self.span, error)
        return 0

    cdef int unhandled(self) except -1:
        self.tracer.unhandled(self.span)
        return 0


cdef class Tracer:
    """Makes spans of what happens. Subclasses implement all methods.

    They are called in the middle of what they tell, as those of an `Observer`, and must
    raise nothing. A `context` is a new `Context`, in which they may set variables for
    the code that runs next.
    """

    cpdef void connecting(self, object peer, object context) noexcept:
        """A client joins a namespace: its middlewares and its connect handler run next,
        and later its disconnect handler, in this context."""

    cpdef void connected(self, object peer, object context, object error) noexcept:
        """That has ended. `error` is why the client was not accepted, or None."""

    cpdef object receiving(self, object peer, list event, object context):
        """A client has sent `[name, *arguments]`; the list may be changed. Its handlers
        run next, in this context.

        Returns:
            Anything, which `handled()` gets.
        """
        raise NotImplementedError

    cpdef void handled(self, object span, object error) noexcept:
        """All handlers have ended. `error` is what one has raised, or None."""

    cpdef void unhandled(self, object span) noexcept:
        """No handler has run."""

    def handshake(self, dict headers not None):
        """A client is about to connect with these headers, which may be changed."""

    cpdef list sending(self, str namespace, list event, object to):
        """The application sends `[name, *arguments]` to clients.

        Returns:
            The event that is sent.
        """
        raise NotImplementedError

    cpdef object asking(self, object peer, object event):
        """An event of this name asks the client for an acknowledgement.

        Returns:
            Anything, which `answered()` gets.
        """
        raise NotImplementedError

    cpdef void answered(self, object asked, str outcome) noexcept:
        """The client has acknowledged it (outcome "acknowledged"), or is not expected
        to any more: "disconnected", "abandoned"."""


cdef class ConnectionListener:
    """Is told what happens on one connection: `Session.conn`. Subclasses implement the
    methods that they want.

    Methods are called in the middle of what they tell, and may do anything, such as
    close the session: it looks at its state afterwards.
    """

    cpdef void received(self, int type, bytes data, bint binary) except *:
        """A packet has come. `type` is that of Engine.IO; `data` of a message that is
        not `binary` is UTF-8, and not validated."""

    cpdef void sending(self, object message) except *:
        """An `Outgoing` is about to be sent."""

    cpdef void upgrading(self, str transport) except *:
        """The client has begun to upgrade to the transport of this name."""

    cpdef void upgraded(self, str transport) except *:
        """The transport of this name has taken over."""

    cpdef void closed(self, str reason) except *:
        """The session is over. Nothing is told afterwards."""
