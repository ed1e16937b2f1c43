"""Connection state recovery: a client that lost its connection continues where it was.

A `Backlog` keeps the events that were sent in one namespace, numbered, and the state of
its clients. Each event carries its number, the *offset*, as its last argument. A client
that reconnects names the last offset it has got and its *pid*, a secret that it got
when it first connected. It gets back its sid, rooms and data, and the events that it
missed. (Socket.IO protocol, revision 5: `pid` and `offset` in `auth` of CONNECT.)

Rule 1: a client gets the events that were sent to it: it was in the room at that time,
    and was not skipped.
Rule 2: a client that missed an event which is no longer kept is not recovered.
Rule 3: a pid has one peer at most. A client that reconnects before its old connection
    was found dead ends the old connection.

What is kept is bounded. A packet is dropped by age when no client can miss it: a client
that may still come back, after at most `duration`, was alive one heartbeat before that.
Packets that are too many are dropped earlier; clients that have not got them are then
not recovered (Rule 2).
"""
from collections import OrderedDict, deque

import cython
from libc.stdint cimport int64_t

from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport (
    Connection,
    ConnectionState,
    PeerBase,
    Recovery,
)
from socketio_fast._core.socketio.hub cimport Namespace
from socketio_fast._core.socketio.peer_messaging cimport CONNECTED
from socketio_fast._core.socketio.peer_lifecycle cimport Peer
from socketio_fast._core.engine.contracts cimport (
    TRANSPORT_CLOSE,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.ids cimport generate_id
from socketio_fast._core.protocol.sio cimport SIO_EVENT


cdef enum:
    ENTRY_SIZE = 512    # bytes that a packet takes besides its data, about
    PART_SIZE = 64      # bytes of an attachment besides its data, or of a room, about
    TOKEN_SIZE = 6      # characters
    FRAME_HEAD = 10     # bytes before a message, at most
    FEW_ROOMS = 16      # rooms that a client has left; more are looked through

cdef tuple SEVERAL = (tuple, set, frozenset)  # rooms, in what fixed() returns


@cython.final
@cython.freelist(64)
cdef class Entry:
    """A packet that was sent."""


@cython.final
cdef class ClientState(ConnectionState):
    """The state of a client in a namespace, while it is connected and while it is
    away."""

    cdef int join(self, object room, int64_t position) except -1:
        if room not in self.joined:
            self.joined[room] = position
        return 0

    cdef int left(self, object room) except -1:
        """The client leaves a room. It may still miss what was sent there before."""
        cdef Backlog backlog = self.backlog
        cdef object joined = self.joined.pop(room, None)
        if joined is None or joined == backlog.position:
            return 0
        if self.past is None:
            self.past = []
        self.past.append((room, joined, backlog.position))
        if len(self.past) > self.prune_at:
            self.past = [span for span in self.past if span[2] >= backlog.first]
            self.prune_at = max(FEW_ROOMS, 2 * len(self.past))
        return 0

    cdef bint _is_for(self, Entry e, int64_t n) except -1:
        """Whether packet `n` was sent to this client."""
        if isinstance(e.skip, SEVERAL):
            if self.sid in e.skip:
                return False
        elif e.skip is not None and e.skip == self.sid:
            return False
        # A tuple may be a room, which no client is in but one that is away.
        if not isinstance(e.to, set) and self._was_in(e.to, n):
            return True
        if not isinstance(e.to, SEVERAL):
            return False
        for room in e.to:
            if self._was_in(room, n):
                return True
        return False

    cdef bint _was_in(self, object room, int64_t n) except -1:
        cdef object joined
        if room is None or room == self.sid:
            return True
        joined = self.joined.get(room)
        if joined is not None and <int64_t> joined < n:
            return True
        for left_room, start, end in self.past or ():
            if start < n <= end and left_room == room:
                return True
        return False

    cdef int on_deadline(self, int kind, double now) except -1:
        return self.backlog._expired(self)


@cython.final
cdef class Kept:
    """The packets and states that the backlogs of all namespaces of a server share the
    bounds of."""

    def __cinit__(self):
        self.entries = deque()
        self.away = OrderedDict()


@cython.final
cdef class Backlog(Recovery):
    """The packets and client states of one namespace.

    Args:
        namespace: The `Namespace`.
        duration: The most seconds that a client may be away.
        max_packets: The most packets that are kept, of all namespaces together.
        max_bytes: The most bytes of these packets.
        max_sessions: The most clients that may be away, of all namespaces together.
        kept: The `Kept` that the backlogs of a server share.
        skip_middlewares: Whether clients that come back do not pass the middlewares.
    """

    def __cinit__(
        self, Namespace namespace not None, *, double duration, Py_ssize_t max_packets,
        Py_ssize_t max_bytes, Py_ssize_t max_sessions, Kept kept not None,
        bint skip_middlewares=True,
    ):
        self.skip_middlewares = skip_middlewares
        self.namespace = namespace
        self.duration = duration
        self.max_packets = max_packets
        self.max_bytes = max_bytes
        self.max_sessions = max_sessions
        self.kept = kept
        self.entries = {}
        self.first = 1
        self.present = {}
        self.away = {}
        self.token = generate_id()[:TOKEN_SIZE]

    cdef Engine _engine(self):
        return self.namespace.hub.engine

    cdef double _window(self):
        """Seconds after which no client that can be recovered may miss a packet.

        A client that comes back has been away for at most `duration`. When it went, the
        server had got a pong for a ping sent at most an interval and two timeouts
        before. The client had received everything that was sent before that ping.
        """
        cdef Engine engine = self._engine()
        return self.duration + engine.ping_interval + 2 * engine.ping_timeout

    # Packets.

    cdef Outgoing record(self, Outgoing m, list data, object to, object skip):
        """Keep an event. Returns the message to send: the event with its offset."""
        cdef Engine engine = self._engine()
        cdef Namespace ns = self.namespace
        cdef Entry e
        cdef double now
        if not ns.peers and not self.away:
            return m
        if ns.hub.session_store is not None:
            # The log of all servers has it.
            if self.offset is None:
                self.offset = ns.hub.session_store.position(ns.name)
            return m if self.offset is None else self._stamped(m, data, self.offset)
        # A volatile event is not kept. Clients take the last string of any event for an
        # offset, so it carries the offset of the last event that was kept.
        m = self._stamped(
            m, data, f"{self.token}.{self.position + (not m.volatile)}"
        )
        if m.volatile:
            return m
        e = Entry.__new__(Entry)
        e.to = fixed(to)
        e.skip = fixed(skip)
        now = engine.now()
        # The renderings are not kept, only the message.
        e.message = outgoing.unrendered(m)
        e.at = now
        e.charge = ENTRY_SIZE + m.size() + PART_SIZE * (
            m.count() + _count(e.to) + _count(e.skip)
        )
        self.position += 1
        self.entries[self.position] = e
        self.bytes += e.charge
        e.backlog = self
        self.kept.entries.append(e)
        self.kept.bytes += e.charge
        self._trim(now)
        if self.sweep is None and self.entries:
            self.sweep = engine.start(self._window(), 0, self)
        return m

    cdef Outgoing _stamped(self, Outgoing m, list data, str offset):
        """A copy of an event with its offset."""
        cdef Namespace ns = self.namespace
        cdef Outgoing own
        if ns.hub.encoding is None:
            return outgoing.with_last(m, offset.encode())
        own = ns.hub.encoding.encode(SIO_EVENT, ns.name, [*data, offset], -1)
        own.uncompressed = m.uncompressed
        own.volatile = m.volatile
        return own

    cdef int _trim(self, double now) except -1:
        """Drop the packets of all namespaces that are too old, the oldest also while
        there are too many."""
        cdef double window = self._window()
        cdef Kept kept = self.kept
        cdef Entry e
        while kept.entries:
            e = kept.entries[0]
            if e.at + window > now and len(kept.entries) <= self.max_packets and (
                kept.bytes <= self.max_bytes
            ):
                break
            kept.entries.popleft()
            if e.backlog is not None:
                e.backlog._drop_first(e, now)
        return 0

    cdef int _drop_first(self, Entry e, double now) except -1:
        """Drop `e`, the oldest packet of this namespace."""
        cdef double missed_until = e.at + self._window()
        if missed_until > now:
            self.lost = self.first
            self.lost_until = missed_until
            self._engine().counters["recovery_packets_dropped"] += 1
        self.bytes -= e.charge
        self.kept.bytes -= e.charge
        del self.entries[self.first]
        self.first += 1
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        """Drop packets by age although no others are sent."""
        cdef Deadline sweep = self.sweep
        self.sweep = None
        self._trim(now)
        if self.entries:
            self._engine().restart(sweep, self._window(), 0)
            self.sweep = sweep
        return 0

    cdef int close_room(self, object room) except -1:
        """A room was closed: the clients that are away leave it as well."""
        cdef ClientState state
        for state in self.away.values():
            state.left(room)
        return 0

    # Clients.

    cdef object restore_session(self, PeerBase base, object auth):
        cdef Peer peer = <Peer> base
        cdef Namespace ns = self.namespace
        cdef ClientState state = None
        cdef Session session = peer.session
        cdef object pid, offset
        if isinstance(auth, dict) and isinstance(auth.get("pid"), str):
            auth = dict(auth)
            pid, offset = auth.pop("pid"), auth.pop("offset", None)
            if ns.hub.session_store is None:
                state = self._restorable(session, pid, offset)
            else:
                state = self._from_store(session, pid)
            self._engine().counters[
                "recoveries_failed" if state is None else "recoveries"
            ] += 1
        if state is None:
            state = ClientState.__new__(ClientState)
            state.backlog = self
            state.sid = ns.hub.engine.new_id()
            # It ends with the tag of this worker, where the client may be recovered.
            state.pid = generate_id() + ((<object> ns.hub.engine).tag or "")
            state.since = self.position
            if ns.hub.session_store is not None:
                state.start = ns.hub.session_store.position(ns.name)
            state.joined = {}
            state.prune_at = FEW_ROOMS
        self.present[state.pid] = state
        state.peer = peer
        peer.sid = state.sid
        peer.recovery = state
        ns.peers[peer.sid] = peer
        if not state.recovered:
            return auth
        if state.data and ns.name in state.data:
            if session.data is None:
                session.data = {}
            session.data[ns.name] = state.data[ns.name]
        state.data = None
        for room in list(state.joined):
            if room in ns.peers:
                # Its name is now the sid of another client, which may have come back.
                del state.joined[room]
            else:
                (<object> ns.rooms).enter(peer.sid, room)
        return auth

    cdef ClientState _from_store(self, Session back, object pid):
        """The state of a client that any server has kept, and the packets that it
        missed; None if it cannot be recovered."""
        cdef Namespace ns = self.namespace
        cdef object kept = ns.hub.session_store.take_session(ns.name, pid)
        cdef ClientState state
        cdef Outgoing m
        cdef Py_ssize_t limit
        if kept is None or kept["sid"] in ns.peers:
            return None
        state = ClientState.__new__(ClientState)
        state.backlog = self
        state.sid = kept["sid"]
        state.pid = pid
        state.since = self.position
        state.start = kept["offset"]
        state.joined = dict.fromkeys(
            [room for room in kept["rooms"] if room != state.sid], self.position
        )
        state.prune_at = FEW_ROOMS
        state.data = {ns.name: kept["data"]}
        state.missed = []
        limit = self._may_wait(back)
        for data in kept["missed"]:
            m = ns.hub.encode(SIO_EVENT, ns.name, data, -1)
            limit -= _sent_size(m, back)
            if limit < 0:
                return None
            state.missed.append(m)
        state.recovered = True
        return state

    cdef ClientState _restorable(self, Session back, object pid, object offset):
        """The state of the client with this pid, and the packets that it missed; None
        if it cannot be recovered."""
        cdef ClientState state = self.present.get(pid)
        cdef Session session
        cdef Peer peer
        cdef int64_t after
        if state is not None:
            peer = state.peer
            if peer.state > CONNECTED:
                # The client was disconnected, and its disconnect handler still runs.
                return None
            # The server has not noticed that the old connection is dead (Rule 3).
            session = peer.session
            session.drop(TRANSPORT_CLOSE)
        state = self.away.get(pid)
        if state is None:
            return None
        self._forget(state)
        after = self._start(state, offset)
        if after < 0:
            return None
        state.missed = self._missed(
            state, back, after, self._may_wait(back)
        )
        if state.missed is None:
            return None
        state.recovered = True
        return state

    cdef int64_t _start(self, ClientState state, object offset) except -2:
        """The number of the last packet that the client has got; -1: not known."""
        cdef object number
        cdef int64_t after = 0
        if isinstance(offset, str):
            token, _, number = offset.partition(".")
            if len(token) != TOKEN_SIZE or not number.isascii():
                return -1
            if not number.isdecimal() or len(number) > 18:
                return -1
            # A client keeps its last offset when it connects anew, to another backlog.
            if token == self.token:
                after = int(number)
        # A client without an offset has received no event yet.
        if after > self.position:
            return -1
        after = max(after, state.since)
        if after < self.lost and self._engine().now() < self.lost_until:
            return -1
        return after

    cdef Py_ssize_t _may_wait(self, Session back) except? -1:
        """The bytes that may be sent at once to a client that comes back.

        They are half of what may wait for it. The other half is for what is sent while
        it reads this: if the client were cut as too slow then, it would come back and
        be sent the same again.
        """
        cdef Py_ssize_t size = back.unread_bytes()
        cdef Connection connection = back.handler
        cdef Peer peer
        cdef Outgoing m
        # What it missed in other namespaces may still wait for their handlers.
        for peer in connection.all_peers():
            if peer.recovery is not None:
                for m in peer.recovery.missed or ():
                    size += _sent_size(m, back)
        return self._engine().max_buffer_bytes // 2 - size

    cdef list _missed(
        self, ClientState state, Session back, int64_t after, Py_ssize_t limit
    ):
        """The packets after number `after` that the client missed; None if they have
        more than `limit` bytes."""
        cdef list missed = []
        cdef Entry e
        cdef int64_t n
        for n in range(max(after + 1, self.first), self.position + 1):
            e = self.entries[n]
            if state._is_for(e, n):
                limit -= _sent_size(e.message, back)
                if limit < 0:
                    return None
                if e.replayed is None:
                    e.replayed = outgoing.unrendered(e.message)
                    self._share(e)
                missed.append(e.replayed)
        return missed

    cdef int _share(self, Entry e) except -1:
        """Let clients that come back in one pass of the loop share a rendering."""
        if self.shared is None:
            self.shared = []
            self._engine().soon(self._end_sharing)
        self.shared.append(e)
        return 0

    def _end_sharing(self):
        cdef Entry e
        for e in self.shared:
            e.replayed = None
        self.shared = None

    cdef int persist_session(self, PeerBase base) except -1:
        cdef Peer peer = <Peer> base
        cdef ClientState state = peer.recovery
        cdef Session session = peer.session
        cdef Engine engine = self._engine()
        if state.peer is not peer or peer.state > CONNECTED:
            return 0
        if peer.state != CONNECTED and not state.recovered:
            # The client was not accepted, and does not know its pid.
            return 0
        del self.present[state.pid]
        state.peer = None
        state.missed = None
        if self.namespace.hub.session_store is not None:
            self.namespace.hub.session_store.persist_session(self.namespace.name, {
                "sid": state.sid,
                "pid": state.pid,
                "rooms": [state.sid, *(peer.rooms or ())],
                "data": (session.data or {}).get(self.namespace.name, {}),
                "offset": state.start,
            })
            return 0
        # The disconnect handler may still change the data.
        if session.data is None:
            session.data = {}
        state.data = session.data
        state.deadline = engine.start(self.duration, 0, state)
        self.away[state.pid] = state
        self.kept.away[state] = None
        if len(self.kept.away) > self.max_sessions:
            engine.counters["recovery_sessions_dropped"] += 1
            state = next(iter(self.kept.away))
            state.backlog._expired(state)
        return 0

    cdef int forget_session(self, PeerBase base) except -1:
        cdef Peer peer = <Peer> base
        cdef ClientState state = peer.recovery
        if state.peer is peer:
            del self.present[state.pid]
            state.peer = None
        return 0

    cdef int _forget(self, ClientState state) except -1:
        """The client is no longer away."""
        del self.away[state.pid]
        del self.kept.away[state]
        state.deadline.cancel()
        state.deadline = None
        return 0

    cdef int _expired(self, ClientState state) except -1:
        self._forget(state)
        return self.namespace.hub.end_if_empty(self.namespace)

    cdef bint awaits(self):
        return len(self.away) > 0

    cdef int forget_all(self) except -1:
        cdef Entry e
        for state in list(self.away.values()):
            self._forget(state)
        for e in self.entries.values():
            e.backlog = e.message = e.replayed = None
        self.kept.bytes -= self.bytes
        self.entries = {}
        self.first = self.position + 1
        self.bytes = 0
        if self.sweep is not None:
            self.sweep.cancel()
            self.sweep = None
        return 0

    def has_client(self, pid):
        """Whether the client with this pid is here, or may come back, a bool."""
        return pid in self.present or pid in self.away

    def cut(self, pid):
        """End the connection of the client with this pid, which has come back before
        it was found dead."""
        cdef ClientState state = self.present.get(pid)
        cdef Peer peer = None if state is None else state.peer
        cdef Session session
        if peer is not None and peer.state <= CONNECTED:
            # drop() may let go of the peer.
            session = peer.session
            session.drop(TRANSPORT_CLOSE)

    def away_in(self, room):
        """The sids of the clients that are away and in this room, a list."""
        cdef ClientState state
        return [
            state.sid for state in self.away.values()
            if room is None or room == state.sid or room in state.joined
        ]

    def away_rooms(self):
        """The rooms of the clients that are away, with their sids, a set."""
        cdef ClientState state
        cdef set rooms = set()
        for state in self.away.values():
            rooms.add(state.sid)
            rooms.update(state.joined)
        return rooms

    @property
    def packets(self):
        """How many packets are kept, an int."""
        return len(self.entries)

    @property
    def sessions(self):
        """The sids of the clients that are away, a list."""
        cdef ClientState state
        return [state.sid for state in self.away.values()]


cdef Py_ssize_t _count(object several) except -1:
    """How many rooms a value of fixed() names."""
    return len(several) if isinstance(several, SEVERAL) else 1


cdef Py_ssize_t _sent_size(Outgoing m, Session session) except -1:
    """The most bytes that a message takes while it waits in a transport."""
    cdef Py_ssize_t size = m.size() + FRAME_HEAD * m.count()
    cdef bytes data
    if session.transport is not None and session.transport.name == "polling":
        for data in m.attachments or ():
            size += (len(data) + 2) // 3  # base64
    return size


cdef object fixed(object rooms):
    """A copy of an argument that names one room or several, which cannot change later.

    A list or set becomes a set. A tuple or frozenset, which may be one room, stays as
    it is. Raises TypeError for a value that is not hashable.
    """
    if isinstance(rooms, (list, set)):
        return set(rooms)
    hash(rooms)
    return rooms
