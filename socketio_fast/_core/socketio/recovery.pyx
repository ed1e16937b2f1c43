"""Connection state recovery: a client that was cut off goes on where it was.

A `Backlog` has the events that were sent in one namespace, numbered, and the state of
the clients in it. Each event carries an *offset*, its number, as its last argument; a
client that comes back names the last one it has, and its *pid*, a secret that it was
given when it connected. It gets back its sid, rooms and data, and what it has missed.

Rule 1: what is replayed was for this client when it was sent: it was in the room then,
    and is not among those to be skipped.
Rule 2: a client that has missed something which is not kept any more is not recovered.
Rule 3: there is one peer at most for a pid. Who comes back before its old connection
    was found to be dead ends that.

What is kept is bounded. Packets go by age when nobody can miss them: a client that is
away less than `duration` was alive a heartbeat before. If they go earlier, since there
are too many, those who have not got that far are too late (Rule 2).
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
from socketio_fast._core.socketio.messaging cimport CONNECTED
from socketio_fast._core.socketio.peer cimport Peer
from socketio_fast._core.engine.contracts cimport (
    TRANSPORT_CLOSE,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.ids cimport generate_id
from socketio_fast._core.protocol.sio cimport SIO_EVENT


cdef enum:
    ENTRY_SIZE = 512    # bytes of a packet that has none, about
    PART_SIZE = 64      # bytes of an attachment that has none, or of a room, about
    TOKEN_SIZE = 6
    FRAME_HEAD = 10
    FEW_ROOMS = 16

cdef tuple SEVERAL = (tuple, set, frozenset)  # rooms, in what fixed() returns


@cython.final
@cython.freelist(64)
cdef class Entry:
    """A packet that was sent."""


@cython.final
cdef class ClientState(ConnectionState):
    """What is known of a client in a namespace, while it is there and away."""

    cdef int join(self, object room, int64_t position) except -1:
        if room not in self.joined:
            self.joined[room] = position
        return 0

    cdef int left(self, object room) except -1:
        """It leaves a room; what was sent there before is still for it."""
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
        """Whether packet `n` was for this client."""
        if isinstance(e.skip, SEVERAL):
            if self.sid in e.skip:
                return False
        elif e.skip is not None and e.skip == self.sid:
            return False
        # A tuple may be the room of a client that is away, and of nobody else.
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
    """What the backlogs of all namespaces of a server keep together."""

    def __cinit__(self):
        self.entries = deque()
        self.away = OrderedDict()


@cython.final
cdef class Backlog(Recovery):
    """The packets and clients of one namespace.

    Args:
        namespace: The `Namespace`.
        duration: Seconds that a client may be away.
        max_packets: Packets that are kept, at most, of all namespaces.
        max_bytes: Bytes of them, likewise.
        max_sessions: Clients that are away, at most, of all namespaces.
        kept: The `Kept` that the backlogs of a server share.
        skip_middlewares: Whether those who come back do not pass them.
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
        """Seconds after which a packet is missed by nobody that can be recovered.

        A client went at most `duration` ago; then the server knew of a pong, for a ping
        that was sent an interval and two timeouts before, at most. What was sent before
        a ping had come when the client answered it.
        """
        cdef Engine engine = self._engine()
        return self.duration + engine.ping_interval + 2 * engine.ping_timeout

    # What is sent.

    cdef Outgoing record(self, Outgoing m, list data, object to, object skip):
        """Keep an event; returns what is to be sent: the event with its offset."""
        cdef Engine engine = self._engine()
        cdef Namespace ns = self.namespace
        cdef Entry e
        cdef Outgoing own
        cdef str offset
        cdef double now
        if not ns.peers and not self.away:
            return m
        # A volatile event is not kept. Clients take the last string of any event for an
        # offset: it gets that of the last which was kept.
        offset = f"{self.token}.{self.position + (not m.volatile)}"
        if ns.hub.encoding is None:
            m = outgoing.with_last(m, offset.encode())
        else:
            own = ns.hub.encoding.encode(SIO_EVENT, ns.name, [*data, offset], -1)
            own.plain = m.plain
            own.volatile = m.volatile
            m = own
        if m.volatile:
            return m
        e = Entry.__new__(Entry)
        e.to = fixed(to)
        e.skip = fixed(skip)
        now = engine.now()
        # What it is rendered as goes when it has been sent.
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

    cdef int _trim(self, double now) except -1:
        """Let go of packets that are too old, and of the oldest of too many, whichever
        namespace they are of."""
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
        """Its oldest packet, `e`, goes."""
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
        """Packets go although no others come."""
        cdef Deadline sweep = self.sweep
        self.sweep = None
        self._trim(now)
        if self.entries:
            self._engine().restart(sweep, self._window(), 0)
            self.sweep = sweep
        return 0

    cdef int close_room(self, object room) except -1:
        """Nobody is in a room any more; those who are away are not, either."""
        cdef ClientState state
        for state in self.away.values():
            state.left(room)
        return 0

    # Who comes and goes.

    cdef object restore_session(self, PeerBase base, object auth):
        cdef Peer peer = <Peer> base
        cdef Namespace ns = self.namespace
        cdef ClientState state = None
        cdef Session session = peer.session
        cdef object pid, offset
        if isinstance(auth, dict) and isinstance(auth.get("pid"), str):
            auth = dict(auth)
            pid, offset = auth.pop("pid"), auth.pop("offset", None)
            state = self._restorable(session, pid, offset)
            self._engine().counters[
                "recoveries_failed" if state is None else "recoveries"
            ] += 1
        if state is None:
            state = ClientState.__new__(ClientState)
            state.backlog = self
            state.sid = ns.hub.engine.new_id()
            state.pid = generate_id()
            state.since = self.position
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
                # Meanwhile it is the sid of another one, who may have come back too.
                del state.joined[room]
            else:
                (<object> ns.rooms).enter(peer.sid, room)
        return auth

    cdef ClientState _restorable(self, Session back, object pid, object offset):
        """The state of that client, with what it has missed; None if there is none."""
        cdef ClientState state = self.present.get(pid)
        cdef Session session
        cdef Peer peer
        cdef int64_t after
        if state is not None:
            peer = state.peer
            if peer.reason is not None:
                # It was disconnected, and its disconnect handler still runs.
                return None
            # Its connection is not known to be dead yet (Rule 3).
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
        """The last packet that the client has; -1 for nobody knows."""
        cdef object number
        cdef int64_t after = 0
        if isinstance(offset, str):
            token, _, number = offset.partition(".")
            if len(token) != TOKEN_SIZE or not number.isascii():
                return -1
            if not number.isdecimal() or len(number) > 18:
                return -1
            # A client keeps an offset although it connects anew, to another backlog.
            if token == self.token:
                after = int(number)
        # Otherwise it has received no event yet: then it has none to tell.
        if after > self.position:
            return -1
        after = max(after, state.since)
        if after < self.lost and self._engine().now() < self.lost_until:
            return -1
        return after

    cdef Py_ssize_t _may_wait(self, Session back) except? -1:
        """The bytes that a client may be sent at once when it comes back.

        Half of what may wait: the other half is for what comes while it reads this. If
        it were cut for that, it would be sent the same again.
        """
        cdef Py_ssize_t size = back.waiting()
        cdef Connection connection = back.handler
        cdef Peer peer
        cdef Outgoing m
        # What it has missed in other namespaces may wait for handlers there.
        for peer in connection.all_peers():
            if peer.recovery is not None:
                for m in peer.recovery.missed or ():
                    size += _sent_size(m, back)
        return self._engine().max_buffer_bytes // 2 - size

    cdef list _missed(
        self, ClientState state, Session back, int64_t after, Py_ssize_t limit
    ):
        """The packets behind `after`; None if they are more than `limit` bytes."""
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
        """Clients that come back in one pass of the loop share what is rendered."""
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
        if state.peer is not peer or peer.reason is not None:
            return 0
        if peer.state != CONNECTED and not state.recovered:
            # It was not accepted, and does not know its pid.
            return 0
        del self.present[state.pid]
        state.peer = None
        state.missed = None
        # The disconnect handler may still change it.
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
        """It is not away any more."""
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

    def away_in(self, room):
        """The sids of the clients that are away, and in this room, as a list."""
        cdef ClientState state
        return [
            state.sid for state in self.away.values()
            if room is None or room == state.sid or room in state.joined
        ]

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
    """How many rooms these are."""
    return len(several) if isinstance(several, SEVERAL) else 1


cdef Py_ssize_t _sent_size(Outgoing m, Session session) except -1:
    """Bytes of a message as it waits in a transport, at most."""
    cdef Py_ssize_t size = m.size() + FRAME_HEAD * m.count()
    cdef bytes data
    if session.transport is not None and session.transport.name == "polling":
        for data in m.attachments or ():
            size += (len(data) + 2) // 3  # base64
    return size


cdef object fixed(object rooms):
    """A room, or several as they are now. Raises TypeError for what is no room.

    Several in a list or set become a set; a tuple or frozenset, which may be one room,
    stays what it is.
    """
    if isinstance(rooms, (list, set)):
        return set(rooms)
    hash(rooms)
    return rooms
