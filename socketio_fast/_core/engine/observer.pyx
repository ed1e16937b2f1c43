"""Who is told what happens in a server and on a connection.

The layers above call these objects, if there are any. Where there is none, that costs a
comparison with None: for an `Observer` at each packet that is received, each emit(),
and each client that comes or goes (a broadcast is told once, not once for each
recipient); for a `ConnectionListener` at each packet.
"""


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

    # Socket.IO: `peer` is a `Peer`, `namespace` a `Namespace`.

    cpdef void peer_connected(self, object peer) noexcept:
        """A client was accepted in a namespace, and has been told."""

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
