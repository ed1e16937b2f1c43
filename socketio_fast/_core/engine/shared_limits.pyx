"""Limits that several processes hold together: what each has of an address counts for
all.

Each process tells the others how many connections of an address it has, and how many
tokens it has taken. Here is what was taken since, and what the others have told is
added, so that the limits themselves are those of one process.
"""
import cython

from socketio_fast._core.engine.contracts cimport EngineBase
from socketio_fast._core.engine.rate_limits cimport Bucket, Limits, Visitor


@cython.final
cdef class SharedBucket(Bucket):
    """A bucket that knows how many tokens were taken from it here."""

    @staticmethod
    cdef SharedBucket of(Bucket bucket, SharedLimits limits, str address):
        """Make one with the tokens of a bucket; None if that is None."""
        cdef SharedBucket self
        if bucket is None:
            return None
        self = SharedBucket.__new__(SharedBucket)
        self.limits = limits
        self.address = address
        self.rate = bucket.rate
        self.burst = bucket.burst
        self.tokens = self.seen = bucket.tokens
        self.at = bucket.at
        return self

    cdef int refill(self, double now) except -1:
        """Add the tokens of the time since the last call. Some may be taken next."""
        self.taken += self.seen - self.tokens
        Bucket.refill(self, now)
        self.seen = self.tokens
        return self.limits.note(self.address, False)

    cdef double tell(self) except -1:
        """Return how many tokens were taken since the last call."""
        cdef double taken = self.taken + self.seen - self.tokens
        self.taken = 0
        self.seen = self.tokens
        return taken

    cdef int lose(self, double n, double now) except -1:
        """Another process has taken tokens."""
        self.taken += self.seen - self.tokens
        Bucket.refill(self, now)
        self.tokens -= n
        self.seen = self.tokens
        return 0


@cython.final
cdef class SharedLimits(Limits):
    """The limits of a server that is one of several processes.

    Args:
        config: A `socketio_fast.options.limits.Limits`.
    """

    def __cinit__(self, config):
        self.counted = set()
        self.spent = set()
        self.elsewhere = {}
        self.told = {}

    def begin(self, EngineBase engine not None, noted not None):
        """Be the limits of an engine.

        Args:
            engine: What it has counted by the same configuration stays.
            noted: Called with whether the others are to be told at once: when numbers
                of connections have changed. Otherwise tokens were taken, which may
                wait.
        """
        cdef Limits before = engine.limits
        self.engine = engine
        self.noted = noted
        if before is not None and before.config is self.config:
            self.visitors = before.visitors
            self.handshakes = before.handshakes
        engine.limits = self

    cdef int note(self, str address, bint at_once) except -1:
        """The others are to be told of an address."""
        cdef set addresses = self.counted if at_once else self.spent
        if self.noted is not None:
            if not addresses:
                self.noted(at_once)
            addresses.add(address)
        return 0

    # As of one process.

    cdef Visitor visitor(self, object peer, double now):
        cdef Visitor visitor = Limits.visitor(self, peer, now)
        if visitor is not None:
            visitor.connects = self._shared(visitor.connects, visitor)
            visitor.events = self._shared(visitor.events, visitor)
            visitor.bytes = self._shared(visitor.bytes, visitor)
        return visitor

    cdef Bucket _shared(self, Bucket bucket, Visitor visitor):
        if bucket is None or (
            type(bucket) is SharedBucket and (<SharedBucket> bucket).limits is self
        ):
            return bucket
        return SharedBucket.of(bucket, self, visitor.address)

    cdef int entered(self, Visitor visitor) except -1:
        Limits.entered(self, visitor)
        return self.note(visitor.address, True)

    cdef int left(self, Visitor visitor) except -1:
        Limits.left(self, visitor)
        return self.note(visitor.address, True)

    cdef bint admits(self, object transport, object peer, double now) except -1:
        if not Limits.admits(self, transport, peer, now):
            return False
        self.hold(transport, peer)
        return True

    def hold(self, transport not None, peer):
        """Count a TCP connection, however many there are: another process has admitted
        it."""
        cdef Visitor visitor
        if self.transports < 0:
            return
        visitor = self.visitor(peer, self.engine.now())
        if visitor is not None:
            _transports(visitor).add(transport)
            self.note(visitor.address, True)

    # What the others are told.

    def changes(self):
        """What has changed since the last call: a list of (address, its sessions here,
        its TCP connections here, tokens taken of new connections, events, bytes)."""
        cdef str address
        cdef Visitor visitor
        cdef list found = []
        cdef set addresses = self.counted | self.spent
        self.counted.clear()
        self.spent.clear()
        for address in addresses:
            visitor = self.visitors.get(address)
            sessions, transports = self._here(address, visitor)
            taken = (0.0, 0.0, 0.0) if visitor is None else (
                _taken(visitor.connects), _taken(visitor.events), _taken(visitor.bytes)
            )
            found.append((address, sessions, transports, *taken))
        return found

    def counts(self, addresses not None):
        """Those of these addresses that have connections here: a list as of changes()
        without tokens."""
        cdef list found = []
        for address in addresses:
            sessions, transports = self._here(address, self.visitors.get(address))
            if sessions or transports:
                found.append((address, sessions, transports, 0.0, 0.0, 0.0))
        return found

    cdef tuple _here(self, str address, Visitor visitor):
        if visitor is None:
            self.told.pop(address, None)
            return 0, 0
        sessions, transports = self.elsewhere.get(address, (0, 0))
        visitor.forget_closed()
        sessions = visitor.connections - sessions
        transports = (
            0 if visitor.transports is None else len(visitor.transports) - transports
        )
        if transports:
            self.told[address] = transports
        else:
            self.told.pop(address, None)
        return sessions, transports

    def find_closed(self):
        """Note the addresses of which TCP connections were closed."""
        for address, before in list(self.told.items()):
            if self._here(address, self.visitors.get(address))[1] != before:
                self.note(address, True)

    # What they tell.

    def add(self, str address not None, Py_ssize_t sessions, Py_ssize_t transports):
        """So many more connections of an address are elsewhere; negative: fewer."""
        cdef Visitor visitor
        cdef Py_ssize_t n
        cdef set connections
        visitor = self._named(address)
        if visitor is None:
            return
        sessions_before, before = self.elsewhere.pop(address, (0, 0))
        visitor.connections += sessions
        if transports:
            # A number stands for each, in the place of a transport that is open.
            connections = _transports(visitor)
            for n in range(before + 1, before + transports + 1):
                connections.add(n)
            for n in range(before + transports + 1, before + 1):
                connections.discard(n)
        sessions += sessions_before
        transports += before
        if sessions or transports:
            self.elsewhere[address] = sessions, transports

    def take(
        self, str address not None, double connects, double events, double bytes,
    ):
        """So many tokens of an address were taken elsewhere."""
        cdef double now = self.engine.now()
        cdef Visitor visitor = self._named(address)
        if visitor is not None:
            _lose(visitor.connects, connects, now)
            _lose(visitor.events, events, now)
            _lose(visitor.bytes, bytes, now)

    def close(self):
        """Note nothing any more: there are no others."""
        self.noted = None
        self.counted.clear()
        self.spent.clear()

    cdef Visitor _named(self, str address):
        """The visitor of an address that another process has told; None: it is exempt
        here."""
        return self.visitor((address.partition("/")[0],), self.engine.now())


cdef set _transports(Visitor visitor):
    if visitor.transports is None:
        visitor.transports = set()
    return visitor.transports


cdef double _taken(Bucket bucket) except -1:
    return 0 if type(bucket) is not SharedBucket else (<SharedBucket> bucket).tell()


cdef int _lose(Bucket bucket, double n, double now) except -1:
    if n > 0 and bucket is not None:
        (<SharedBucket> bucket).lose(n, now)
    return 0
