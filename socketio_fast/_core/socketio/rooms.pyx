"""Rooms: who is a member, and the fan-out of one message to many clients.

Two kinds of rooms are not stored: the room of each client, named by its sid, and the
room of all clients, None. The namespace's table of peers stands for both. A room has a
table of its members, and a peer a set of its rooms, so a disconnect takes time in
proportion to the rooms of that client.

`send()` only queues; writing and closing follow at the end of the pass of the event
loop (see engine.Engine). So nobody leaves a room during a fan-out, unless somebody
listens to what connections send (`Engine.packet_listeners`).
"""
import asyncio
from collections.abc import Hashable, Iterable, Iterator, Mapping, MappingView

import cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError, PyDict_Next
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.protocol.encoding cimport Encoding
from socketio_fast._core.engine.rate_limits cimport Limits
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport Membership, PeerBase, Relay
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.peer_messaging cimport (
    CONNECTED,
    CONNECTING,
    DISCONNECTED,
    DISCONNECTING,
)
from socketio_fast._core.socketio.peer_lifecycle cimport Peer
from socketio_fast._core.socketio.recovery cimport ClientState
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.protocol.sio cimport SIO_EVENT

from socketio_fast._core.protocol.sio import RESERVED_EVENTS as _RESERVED
from socketio_fast.exceptions import LimitError
from socketio_fast.handlers.names import check_namespace

cdef frozenset _reserved = _RESERVED


cpdef object one_or_several(object rooms):
    """Check an argument that names one room or several; None names none.

    Several rooms are a list, tuple, set or frozenset. Other iterables that cannot be a
    room themselves (generators, views of dicts, deques) become a list. A tuple or
    frozenset is one room if a client has entered it as a room.

    Raises:
        TypeError: The argument is neither a room nor several.
    """
    if rooms is None or isinstance(rooms, (str, list, tuple, set, frozenset, int)):
        return rooms
    if isinstance(rooms, (Iterator, MappingView)) or (
        isinstance(rooms, Iterable)
        and not isinstance(rooms, (Hashable, Mapping))
    ):
        return list(rooms)
    if not isinstance(rooms, Hashable):
        raise TypeError(
            f"{rooms!r:.80} is no room: a sid, a room (a hashable value) or a list of "
            "them expected; several arguments of an event are a tuple, "
            "emit(event, (first, second))"
        )
    return rooms


cpdef int check_sendable(Hub hub, str namespace, list data) except -1:
    """Raise the errors that sending this event would raise. For a namespace without
    clients, where nothing is sent."""
    check_namespace(namespace)
    _check_name(data)
    hub.encode(SIO_EVENT, namespace, data, -1)
    return 0


@cython.final
cdef class Rooms(Membership):
    """The rooms of one namespace."""

    def __cinit__(self, Namespace namespace not None):
        self.namespace = namespace
        self.recovery = namespace.recovery
        self.rooms = {}

    cdef Peer _peer(self, object sid):
        cdef PyObject *found = PyDict_GetItemWithError(self.namespace.peers, sid)
        return None if found is NULL else <Peer> found

    def find(self, str sid not None):
        """The client with a sid, or None. A client that the registry is
        unregistering is still found."""
        cdef dict leaving = self.namespace.leaving
        if leaving is not None and sid in leaving:
            return leaving[sid]
        return self._peer(sid)

    def enter(self, str sid not None, room):
        """Put a client into a room.

        Raises:
            ValueError: The client is not connected, or the room is another client's
                own.
            LimitError: The client is in as many rooms as it may be.
        """
        cdef Peer peer = self._peer(sid)
        cdef Observer observer = self.namespace.hub.observer
        cdef dict members
        cdef Limits limits
        cdef Relay relay
        cdef bint new = False
        if peer is None or peer.state == DISCONNECTED:
            raise ValueError(
                "sid is not connected to requested namespace: "
                f"{self.namespace.hub.absence_of(sid, self.namespace.name)}"
            )
        if room == sid or room is None:
            return
        if self._peer(room) is not None:
            raise ValueError("cannot enter a sid room")
        members = self.rooms.get(room)
        if members is None:
            relay = self.namespace.hub.relay
            if relay is not None:
                relay.check_room(room)
            members = self.rooms[room] = {}
            new = True
        if peer in members:
            return
        limits = self.namespace.hub.engine.limits
        if limits is not None and 0 <= limits.rooms <= len(peer.rooms or ()):
            if not members:
                del self.rooms[room]
            raise LimitError(
                f"{sid} is in as many rooms as it may be, rooms_per_socket="
                f"{limits.rooms}"
            )
        members[peer] = None
        if peer.rooms is None:
            peer.rooms = set()
            peer.track(not peer.session.untracked)
        peer.rooms.add(room)
        if peer.recovery is not None:
            (<ClientState> peer.recovery).join(room, self.recovery.position)
        if new and relay is not None:
            relay.room_created(self.namespace.name, room)
        if observer is not None:
            observer.room_joined(peer, room)
        if self.listener is not None:
            if new:
                self.listener.room_created(room)
            self.listener.room_joined(room, peer.sid)

    def leave(self, str sid not None, room):
        """Take a client out of a room. Nothing happens if it is not in the room.

        A client that the registry unregisters leaves its own room and the room of all
        at the same time.
        """
        cdef Peer peer = self._peer(sid)
        if self.namespace.leaving is not None:
            peer = self.find(sid)
            if peer is not None and peer.leaving and (room is None or room == sid):
                if self._peer(sid) is peer:
                    del self.namespace.peers[sid]
                return
        if peer is not None and peer.rooms and room in peer.rooms:
            peer.rooms.discard(room)
            self._left(peer, room)
            self._leave(peer, room)

    cdef int _left(self, Peer peer, object room) except -1:
        """Keep the client out of that room if it is recovered."""
        # Not if a disconnect handler changes the rooms of a client that has gone.
        if peer.recovery is not None and peer.state < DISCONNECTING:
            (<ClientState> peer.recovery).left(room)
        return 0

    cdef int _leave(self, Peer peer, object room) except -1:
        cdef dict members = self.rooms[room]
        cdef Observer observer = self.namespace.hub.observer
        cdef Relay relay
        del members[peer]
        if not members:
            del self.rooms[room]
            relay = self.namespace.hub.relay
            if relay is not None:
                relay.room_deleted(self.namespace.name, room)
        if observer is not None:
            observer.room_left(peer, room)
        if self.listener is not None:
            self.listener.room_left(room, peer.sid)
            if not members:
                self.listener.room_deleted(room)
        return 0

    def close(self, room):
        """Take every client out of a room. Raises ValueError for a client's own."""
        cdef Peer peer
        if self._peer(room) is not None:
            raise ValueError("cannot close a sid room")
        for peer in list(self.rooms.get(room, ())):
            if peer.rooms and room in peer.rooms:  # a listener may have changed rooms
                peer.rooms.discard(room)
                self._left(peer, room)
                self._leave(peer, room)
        if self.recovery is not None:
            self.recovery.close_room(room)

    def of(self, str sid not None):
        """The rooms of a client, a list; its own room is the first."""
        cdef Peer peer = self.find(sid)
        if peer is None:
            return []
        return [peer.sid, *(peer.rooms or ())]

    def members(self, room):
        """The sids of the clients in a room, a list; None: of all clients."""
        cdef Peer peer
        return [peer.sid for peer in self._recipients(room)]

    def participants(self, room):
        """`(sid, Engine.IO id)` of the clients in a room, or in any of several."""
        cdef Peer peer
        return [(peer.sid, peer.session.id) for peer in self._recipients(room)]

    cdef int added(self, PeerBase peer) except -1:
        cdef Relay relay = self.namespace.hub.relay
        if relay is not None:
            relay.client_added(self.namespace.name, peer.sid)
        if self.listener is not None:
            self.listener.room_created(peer.sid)
            self.listener.room_joined(peer.sid, peer.sid)
        return 0

    cdef int remove(self, PeerBase base, bint was_connected) except -1:
        cdef Peer peer = <Peer> base
        cdef set rooms = peer.rooms
        cdef Relay relay = self.namespace.hub.relay
        peer.rooms = None
        if rooms:
            for room in rooms:
                self._leave(peer, room)
        if relay is not None and was_connected:
            relay.client_removed(self.namespace.name, peer.sid)
        if self.listener is not None and was_connected:
            self.listener.room_left(peer.sid, peer.sid)
            self.listener.room_deleted(peer.sid)
        return 0

    cdef bint _is_room(self, object to) except -1:
        """Whether a tuple or frozenset is one room, because a client has entered it."""
        return isinstance(to, (tuple, frozenset)) and to in self.rooms

    cdef dict _recipients(self, object to):
        """The peers in a room, or in any of several rooms, as the keys of a dict: each
        once."""
        cdef Peer peer
        cdef dict union
        if to is None:
            return {peer: None for peer in self.namespace.peers.values()}
        if isinstance(to, (list, tuple, set, frozenset)):
            if self._is_room(to):
                return self.rooms[to]
            union = {}
            for room in to:
                peer = self._peer(room)
                if peer is not None:
                    union[peer] = None
                else:
                    union.update(self.rooms.get(room, ()))
            return union
        peer = self._peer(to)
        if peer is not None:
            return {peer: None}
        return self.rooms.get(to, {})

    cpdef emit(
        self, list data, object to=None, object skip=None, object callback=None,
        bint compress=True, bint volatile=False,
    ):
        """Send the event `[name, *arguments]` to everybody, a room, or several.

        Args:
            data: The event's name and arguments. Raises TypeError if it is not JSON
                with bytes in it.
            to: A sid, a room, a list of them, or None for all.
            skip: A sid or a list of them that get nothing.
            callback: Called with the arguments of the acknowledgement, once for each
                client that answers; or a `Reply` for the one client there is.
            compress: Whether it may be compressed on its way.
            volatile: Whether it is dropped for clients that it would have to wait for.

        Returns:
            As of deliver().
        """
        cdef Outgoing m = self.encode(data)
        m.uncompressed = not compress
        m.volatile = volatile
        return self.deliver(
            m, data, one_or_several(to), one_or_several(skip), callback
        )

    def ask(
        self, list data, object to, object skip, object collector, bint compress=True
    ):
        """emit() to clients each of which is to acknowledge it.

        Args:
            data: As of emit().
            to: As of emit().
            skip: As of emit().
            collector: Its `answered(sid, arguments)` is called for each that answers,
                its `gone(sid)` for each that goes without that.
            compress: As of emit().

        Raises RuntimeError, and asks nobody, for a client whose own connect handler
        asks: see `Peer.check_ask()`.

        Returns:
            Of each client that was asked, the `Peer` and the number to forget_ack() by.
        """
        to, skip = one_or_several(to), one_or_several(skip)
        cdef Outgoing m = self.encode(data), own
        cdef Encoding encoding = self.namespace.hub.encoding
        cdef list asked = []
        cdef set several = set(_sids(skip))
        cdef Peer peer
        cdef int64_t id
        m.uncompressed = not compress
        if self.namespace.watched is not None:
            self._show(data, to, skip)
        cdef list peers = list(self._recipients(to))
        for peer in peers:
            if peer.state == CONNECTING and peer.sid not in several:
                peer.check_ask()
        for peer in peers:
            if peer.state > CONNECTED or peer.sid in several:
                continue
            id = peer.ask(collector, data[0])
            if encoding is None:
                own = outgoing.numbered(m, self.namespace.name, id)
            else:
                own = encoding.numbered(m, self.namespace.name, data, id)
            peer.send(own)
            asked.append((peer, id))
        if self.namespace.hub.watches_sent:
            self._tell(data, m, len(asked), to, skip)
        return asked

    cdef Outgoing encode(self, list data):
        """The message of an event; it may be encoded by any thread."""
        cdef Outgoing m
        if self.namespace.hub.encoding is None:
            m = outgoing.event(self.namespace.name, data, -1)
            if _may_be_reserved(m):
                _check_name(data)
        else:
            _check_name(data)
            m = self.namespace.hub.encoding.encode(
                SIO_EVENT, self.namespace.name, data, -1
            )
        m.droppable = True
        return m

    cdef bint sends_unseen(self) except -1:
        """Whether nobody but the clients is shown what is sent to them."""
        cdef Hub hub = self.namespace.hub
        return (
            self.recovery is None and self.namespace.watched is None
            and hub.encoding is None and not hub.watches_sent
            and not self._has_packet_listeners()
        )

    cdef Outgoing encode_pair(self, object name, object argument):
        """The message of an event of strings or bytes; None: there are others."""
        cdef PyObject *items[2]
        cdef Outgoing m
        items[0] = <PyObject *> name
        items[1] = <PyObject *> argument
        m = outgoing.of_strings(SIO_EVENT, self.namespace.name, items, 2, -1)
        if m is not None:
            if _may_be_reserved(m):
                _check_name([name, argument])
            m.droppable = True
        return m

    cdef object deliver_unseen(self, Outgoing m, object to, object skip):
        """deliver(), where `sends_unseen()`."""
        cdef Engine engine = self.namespace.hub.engine
        cdef Peer peer
        if skip is None and to is not None and (
            engine is None or engine.over_high_water is None
        ):
            peer = self._peer(to)
            if peer is not None:
                peer.send(m)
                return None
        return self.deliver(m, None, to, skip, None)

    cdef object deliver(
        self, Outgoing m, list data, object to, object skip, object callback
    ):
        """send(). Returns a Future if the sender must wait for slow clients, else
        None."""
        cdef Engine engine = self.namespace.hub.engine
        if engine is not None and engine.over_high_water is not None:
            return self._deliver_and_wait(m, data, to, skip, callback)
        self.send(m, data, to, skip, callback)
        return None

    cdef object _deliver_and_wait(
        self, Outgoing m, list data, object to, object skip, object callback
    ):
        cdef Engine engine = self.namespace.hub.engine
        engine.over_high_water.clear()
        self.send(m, data, to, skip, callback)
        waits = engine.blocked()
        if len(waits) > 1:
            return asyncio.gather(*waits)
        return waits[0] if waits else None

    cdef int send(
        self, Outgoing m, list data, object to, object skip, object callback
    ) except -1:
        """Send an encoded event to the clients of rooms."""
        cdef Peer peer
        cdef PyObject *value
        cdef Py_ssize_t i = 0, recipients
        if self.recovery is not None and callback is None:
            m = self.recovery.record(
                m, data, [to] if self._is_room(to) else to, skip
            )
        if callback is None and skip is None and isinstance(to, str):
            # The most frequent case: one client.
            peer = self._peer(to)
            if peer is not None:
                if self.namespace.watched is not None:
                    self._show(data, to, skip)
                peer.send(m)
                if self.namespace.hub.watches_sent:
                    self._tell(data, m, 1, to, skip)
                return 0
        if self.namespace.watched is not None:
            self._show(data, to, skip)
        if to is None and skip is None and callback is None and not (
            self._has_packet_listeners()
        ):
            # The second most frequent: all clients. No set of them is built.
            while PyDict_Next(self.namespace.peers, &i, NULL, &value):
                (<Peer> value).send(m)
            recipients = len(self.namespace.peers)
        else:
            recipients = self._fan_out(self._recipients(to), data, m, skip, callback)
            if recipients == 0 and isinstance(to, int):
                self._warn_of_number(data, to)
        if self.namespace.hub.watches_sent:
            self._tell(data, m, recipients, to, skip)
        return 0

    cdef int _warn_of_number(self, list data, object to) except -1:
        """Warn of `emit("x", 1, 2)`: it sends one argument to room 2, where the program
        means two arguments."""
        cdef Hub hub = self.namespace.hub
        if to not in self.rooms and not hub.warned_of_number:
            hub.warned_of_number = True
            hub.logger.warning(
                "%.80r was sent to room %r, which nobody is in. If that was meant as "
                "an argument of the event: several arguments are a tuple, "
                "emit(event, (first, second)). This is told once", data[0], to,
            )
        return 0

    cdef bint _has_packet_listeners(self) except -1:
        """Whether listeners, which are Python code, may run while something is sent."""
        cdef Engine engine = self.namespace.hub.engine
        return engine is not None and engine.packet_listeners

    cdef int _show(self, list data, object to, object skip) except -1:
        """Call the listeners for outgoing events of those sockets among the recipients
        that have some."""
        cdef Peer peer
        cdef dict recipients = None if to is None else dict(self._recipients(to))
        for peer in list(self.namespace.watched):
            if recipients is not None and peer not in recipients:
                continue
            if isinstance(skip, (list, tuple, set, frozenset)):
                if peer.sid in skip:
                    continue
            elif skip is not None and peer.sid == skip:
                continue
            peer.tell_outgoing(data)
        return 0

    cdef int _tell(
        self, list data, Outgoing m, Py_ssize_t recipients, object to, object skip
    ) except -1:
        """An event was sent to so many: tell who looks on."""
        cdef Hub hub = self.namespace.hub
        cdef Observer observer
        cdef Py_ssize_t packets = recipients, size
        if m.attachments is None:
            size = PyBytes_GET_SIZE(m.head) + m.json_size()
        else:
            packets *= m.count()
            size = m.size()
        size *= recipients
        if hub.meter is not None:
            hub.meter.event_out(self.namespace, data[0], recipients, size)
        if hub.observer is not None:
            observer = hub.observer
            observer.count_out(packets, size)
            if observer.events:
                observer.event_sent(self.namespace, data, to, skip)
        return 0

    cdef Py_ssize_t _fan_out(
        self, dict peers, list data, Outgoing m, object skip, object callback
    ) except -1:
        """Send `m`, the encoded `data`, to these clients. Returns how many got it."""
        cdef PyObject *key
        cdef Py_ssize_t i = 0, sent = 0
        cdef int64_t id
        cdef Peer peer, skipped = None
        cdef Encoding encoding = self.namespace.hub.encoding
        cdef Outgoing own
        cdef set several = None
        if isinstance(skip, (list, tuple, set, frozenset)):
            several = set(skip)
        elif skip is not None:
            skipped = self._peer(skip)
        if (
            callback is not None and encoding is not None
            or self._has_packet_listeners()
        ):
            # An encoding may be Python code, listeners are: either may change rooms,
            # and the table that is iterated.
            peers = dict(peers)
        while PyDict_Next(peers, &i, &key, NULL):
            peer = <Peer> key
            if peer is skipped or (several is not None and peer.sid in several):
                continue
            sent += 1
            if callback is None:
                peer.send(m)
            elif peer.state <= CONNECTED:
                # Each client acknowledges with an id of its own.
                id = peer.new_ack(callback, data[0])
                if encoding is None:
                    own = outgoing.numbered(m, self.namespace.name, id)
                else:
                    own = encoding.numbered(m, self.namespace.name, data, id)
                peer.send(own)
        return sent


cdef bint _may_be_reserved(Outgoing m) noexcept:
    """Whether `["name"` begins as a reserved name does. Few do, and a look costs less
    than one into the set."""
    cdef char first = m.json()[2]
    return first == c"c" or first == c"d" or first == c"n" or first == c"r"


cdef int _check_name(list data) except -1:
    """Raise ValueError for a reserved event name, which must not be sent."""
    event = data[0] if data else None
    if isinstance(event, str) and event in _reserved:
        raise ValueError(f"{event!r} is a reserved event name: it cannot be emitted")
    return 0


cdef object _sids(object skip):
    """The sids of an argument that is one sid, several, or None."""
    if skip is None:
        return ()
    return skip if isinstance(skip, (list, tuple, set, frozenset)) else (skip,)
