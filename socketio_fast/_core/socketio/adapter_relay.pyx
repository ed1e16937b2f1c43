"""Events between the servers of several machines, by an adapter in Python.

An event that a program emits is encoded once. The adapter gets its name and arguments
and, where packets are JSON without attachments, the text that clients get.
"""
import cython


from socketio_fast._core.protocol cimport sio
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.protocol.sio cimport SIO_EVENT
from socketio_fast._core.socketio.contracts cimport Membership, Relay
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.rooms cimport Rooms

from socketio_fast.handlers.names import check_namespace


@cython.final
cdef class AdapterRelay(Relay):
    """Tells an adapter of the events and rooms of this server.

    Args:
        hub: The namespaces of this server.
        adapter: Has `namespace_began(name)`, `namespace_ended(name)`,
            `room_created(namespace, room)`, `room_deleted(namespace, room)`,
            `client_added(namespace, sid)`, `client_removed(namespace, sid)` and
            `emitted(namespace, data, text, to, excepted, volatile, compress)`. That
            returns a pair: whether it delivers the event to clients of this server
            too, and what the sender is to wait for.
        sends: Whether events that programs emit come here; else the program overrides
            `emit()` of the adapter.
        rooms: Whether the adapter is told of rooms.
        clients: Whether it is told of clients.
        shares_own: Whether it is told of events for one client of this server.
    """

    def __cinit__(
        self, Hub hub not None, adapter, *, bint sends=True, bint rooms=False,
        bint clients=False, bint shares_own=False,
    ):
        self.hub = hub
        self.adapter = adapter
        self.sends = sends
        self.rooms = rooms
        self.clients = clients
        self.shares_own = shares_own

    cdef int namespace_began(self, str name) except -1:
        self.adapter.namespace_began(name)
        return 0

    cdef int namespace_ended(self, str name) except -1:
        self.adapter.namespace_ended(name)
        return 0

    def check(self, room):
        """Raise TypeError for a room that cannot be named to other servers."""
        self.check_room(room)

    cdef int check_room(self, object room) except -1:
        if room is None or isinstance(room, (str, int, float)):
            return 0
        raise TypeError(
            f"{room!r:.80} is no room for several servers: each has to know it by a "
            "str, an int or a float. Use str() of it"
        )

    cdef int room_created(self, str namespace, object room) except -1:
        if self.rooms:
            self.adapter.room_created(namespace, room)
        return 0

    cdef int room_deleted(self, str namespace, object room) except -1:
        if self.rooms:
            self.adapter.room_deleted(namespace, room)
        return 0

    cdef int client_added(self, str namespace, str sid) except -1:
        if self.clients:
            self.adapter.client_added(namespace, sid)
        return 0

    cdef int client_removed(self, str namespace, str sid) except -1:
        if self.clients:
            self.adapter.client_removed(namespace, sid)
        return 0

    cdef Membership rooms_of_others(self, str namespace):
        check_namespace(namespace)
        return Rooms(Namespace(self.hub, namespace))

    cdef object send(
        self, Membership rooms, Outgoing m, list data, object to, object skip
    ):
        cdef object waits
        if not self.shares_own and type(to) is str and (
            to in (<Rooms> rooms).namespace.peers
        ):
            return (<Rooms> rooms).deliver(m, data, to, skip, None)
        delivers, waits = self._tell(<Rooms> rooms, m, data, to, skip)
        if delivers:
            return waits
        blocked = (<Rooms> rooms).deliver(m, data, to, skip, None)
        return waits if blocked is None else blocked

    def emit(
        self, str namespace not None, list data not None, to, excepted, skipped, *,
        bint compress=True, bint volatile=False,
    ):
        """Send an event to clients of all servers.

        Args:
            namespace: The namespace.
            data: `[name, *arguments]`.
            to: A room, a list of them, or None for all clients.
            excepted: Who is left out: a room or sid, a list of them, or None.
            skipped: The sids that `excepted` means in this process.
            compress: Whether it may be compressed on its way.
            volatile: Whether it is dropped for clients that it would have to wait for.

        Returns:
            As Rooms.emit().
        """
        cdef Namespace ns = self.hub.namespaces.get(namespace)
        cdef Rooms rooms
        cdef Outgoing m
        cdef object waits
        if ns is None:
            rooms = <Rooms> self.rooms_of_others(namespace)
        else:
            rooms = <Rooms> ns.rooms
        m = rooms.encode(data)
        m.uncompressed = not compress
        m.volatile = volatile
        delivers, waits = self._tell(rooms, m, data, to, excepted)
        if delivers:
            return waits
        blocked = rooms.deliver(m, data, to, skipped, None)
        return waits if blocked is None else blocked

    def receive(
        self, str namespace not None, bytes text not None, list data not None, to,
        bint compress, bint volatile,
    ):
        """Send an event of another server to clients of this one, as it came.

        Only where packets are JSON: see `takes_text`.

        Args:
            namespace: The namespace, which this server has.
            text: The JSON of the event.
            data: The same, decoded.
            to: As of emit().
            compress: As of emit().
            volatile: As of emit().
        """
        cdef Namespace ns = self.hub.namespaces[namespace]
        cdef Outgoing m = Outgoing.__new__(Outgoing)
        m.head = sio.head(SIO_EVENT, namespace, -1, 0)
        m._body = text
        m.droppable = True
        m.uncompressed = not compress
        m.volatile = volatile
        (<Rooms> ns.rooms).deliver(m, data, to, None, None)

    @property
    def takes_text(self):
        """Whether receive() may be called: clients get JSON."""
        return self.hub.encoding is None

    cdef object _tell(
        self, Rooms rooms, Outgoing m, list data, object to, object excepted
    ):
        cdef bytes text = None
        if self.hub.encoding is None and not m.attachments:
            text = m.body()
        return self.adapter.emitted(
            rooms.namespace.name, data, text, to, excepted, m.volatile,
            not m.uncompressed,
        )
