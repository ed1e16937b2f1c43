"""The abstract classes of this package.

Two compiled modules cannot cimport each other's classes. So what a module calls above
itself is a class here, and the module above implements it.
"""


cdef class PeerBase:
    """A client in a namespace. `Peer` implements it."""

    cdef int step_returned(self, Outcome step, object value) except -1:
        """A step has ended, which called code of the application."""
        raise NotImplementedError

    cdef int step_raised(self, Outcome step, object error) except -1:
        """A step has failed with this error."""
        raise NotImplementedError

    cdef int start_next_event(self) except -1:
        """With `ordered`, the handler of the client's next event may start."""
        raise NotImplementedError

    cdef int keep_context(self) except -1:
        """Keep the context variables that were set while the client connected."""
        raise NotImplementedError

    cdef int handler_failed(self, object event, object error) except -1:
        """Log what a handler raised, and tell the socket's `error` listeners."""
        raise NotImplementedError

    cdef int event_failed(self, object event, object error, int64_t id) except -1:
        """The handler of an event has raised this error."""
        raise NotImplementedError

    cdef int send_ack(self, object value, int64_t id) except -1:
        """Acknowledge event `id` with what its handler returned."""
        raise NotImplementedError

    cdef int send_error_ack(self, str message, int64_t id) except -1:
        """Acknowledge an event that failed, if the server does that (`error_acks`)."""
        raise NotImplementedError

    cdef int disconnect_handled(self) except -1:
        """The disconnect handler and its listeners have ended."""
        raise NotImplementedError

    cdef int track(self, bint tracked) except -1:
        """Let the garbage collector look at it, or not; see `SessionBase.track()`."""
        raise NotImplementedError


cdef class Connection(SessionHandler):
    """An Engine.IO connection. `ConnectionHandler` implements it."""

    cdef PeerBase peer_in(self, str namespace):
        """The client in a namespace; None if it has not joined it."""
        raise NotImplementedError

    cdef list all_peers(self):
        """The client in each namespace that it has joined, as `Peer` objects."""
        raise NotImplementedError

    cdef int forget(self, PeerBase peer) except -1:
        """The client has left the namespace."""
        raise NotImplementedError

    cdef int send_connect_error(self, str namespace, dict error) except -1:
        """Send CONNECT_ERROR: the namespace does not accept the client."""
        raise NotImplementedError

    cdef int end_connect_deadline(self) except -1:
        """The client has joined a namespace in time."""
        raise NotImplementedError


cdef class Membership:
    """Who is in which room of a namespace. `Rooms` implements it."""

    cdef int added(self, PeerBase peer) except -1:
        """The namespace has accepted a client, which is now in its own room."""
        raise NotImplementedError

    cdef int remove(self, PeerBase peer, bint was_connected) except -1:
        """A client has gone: take it out of all its rooms."""
        raise NotImplementedError


cdef class Relay:
    """The way to clients of other workers or servers. `WorkerRelay` and `AdapterRelay`
    implement it."""

    cdef int namespace_began(self, str name) except -1:
        """A namespace was made in this process."""
        raise NotImplementedError

    cdef int namespace_ended(self, str name) except -1:
        """A namespace of this process was forgotten."""
        raise NotImplementedError

    cdef int check_room(self, object room) except -1:
        """Raise TypeError for a room that cannot be named to other workers."""
        raise NotImplementedError

    cdef int room_created(self, str namespace, object room) except -1:
        """A room has its first member of this process."""
        raise NotImplementedError

    cdef int room_deleted(self, str namespace, object room) except -1:
        """A room has lost its last member of this process."""
        raise NotImplementedError

    cdef int client_added(self, str namespace, str sid) except -1:
        """A client of this process has connected."""
        return 0

    cdef int client_removed(self, str namespace, str sid) except -1:
        """A client of this process has gone."""
        return 0

    cdef Membership rooms_of_others(self, str namespace):
        """Empty rooms, for a namespace that only other workers may have."""
        raise NotImplementedError

    cdef object send(
        self, Membership rooms, Outgoing m, list data, object to, object skip
    ):
        """Send an encoded event to clients of all workers; returns as
        `Rooms.deliver()`."""
        raise NotImplementedError


cdef class ConnectionState(Timed):
    """What outlives the connection of a client in a namespace. `ClientState` implements
    it."""


cdef class Recovery(Timed):
    """Connection state recovery of a namespace. `Backlog` implements it."""

    cdef object restore_session(self, PeerBase peer, object auth):
        """Register a client that connects, under its former sid and with its former
        state if `auth` proves the right to them.

        Returns:
            `auth` without the members that recovery needs.
        """
        raise NotImplementedError

    cdef int persist_session(self, PeerBase peer) except -1:
        """A client has lost its connection: keep its state, it may come back."""
        raise NotImplementedError

    cdef int forget_session(self, PeerBase peer) except -1:
        """A client has gone. Only one whose state is kept can come back."""
        raise NotImplementedError

    cdef int forget_all(self) except -1:
        """Forget all states and packets."""
        raise NotImplementedError

    cdef bint awaits(self):
        """Whether a client may still come back."""
        raise NotImplementedError

    def has_client(self, pid):
        """Whether the client with this pid is here, or may come back, a bool."""
        raise NotImplementedError

    def away_in(self, room):
        """The sids of the clients of a room that may still come back, a list."""
        raise NotImplementedError

    def away_rooms(self):
        """The rooms of clients that may still come back, with their sids, a set."""
        raise NotImplementedError


cdef class NamespaceListener:
    """Hears what happens to a namespace. Subclasses implement what they want to hear.

    Args:
        events: The listeners of the namespace's `connection` event.

    Attributes:
        middlewares: A function that is called with the socket of each new client, and
            refuses the client by raising; or None.
    """

    def __init__(self, Listeners events not None):
        self.events = events

    def client_connects(self, peer):
        """A client sends CONNECT. Gives `peer` its socket, by `Peer.attach()`."""

    def ended(self):
        """The last client has left, and the namespace is forgotten."""


cdef class RoomListener:
    """Hears what happens to the rooms of a namespace. Subclasses implement what they
    want to hear; they may change rooms."""

    def room_created(self, room):
        """A room has its first member."""

    def room_deleted(self, room):
        """A room has lost its last member."""

    def room_joined(self, room, sid):
        """A client has entered a room."""

    def room_left(self, room, sid):
        """A client has left a room."""


cdef class ClientRegistry:
    """Registers the clients of a server, for managers that override how that is done.

    Each method may be a coroutine function, but for `begin_to_leave`.
    """

    def register(self, peer):
        """A client wants to connect: call `peer.name()`. Returns its sid, or None to
        refuse it."""

    def complete(self, peer):
        """The client is to be connected: call `peer.accept()`."""

    def begin_to_leave(self, peer):
        """The disconnect handler of a client is about to run."""

    def unregister(self, peer):
        """The client has gone, or was refused: call `Rooms.leave()`."""
