"""Limits of what clients and addresses may do: token buckets, and counts.

A bucket holds tokens up to its burst, and is refilled at its rate. A message that costs
more than a full bucket is let through when the bucket is full, and leaves it in debt.
So a large message is slow, but not impossible.
"""
import ipaddress

import cython

# Closed TCP connections of an address are forgotten when it has at least this many.
cdef Py_ssize_t FIRST_PRUNE = 8

# Addresses without a connection are forgotten when at least this many are known.
cdef Py_ssize_t FIRST_SWEEP = 1024

# How many addresses without a connection are remembered because their buckets are not
# full. An attacker with a network of IPv6 addresses has any number of them.
MAX_ABSENT = 50_000


@cython.no_gc
cdef class Bucket:
    """Tokens that are refilled as time passes."""

    @staticmethod
    cdef Bucket new(object rate, double now):
        """Make a full bucket of a `Rate`; None if that is None."""
        cdef Bucket self
        if rate is None:
            return None
        self = Bucket.__new__(Bucket)
        self.rate = rate[0]
        self.burst = self.tokens = rate[1]
        self.at = now
        return self

    cdef int refill(self, double now) except -1:
        """Add the tokens of the time since the last call."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        return 0

    cdef double lacks(self, double n, double now) except -1:
        """Return the seconds until `n` tokens can be taken; 0 if they can now."""
        self.refill(now)
        n = min(n, self.burst)
        return 0 if self.tokens >= n else (n - self.tokens) / self.rate


@cython.final
cdef class Visitor:
    """An address, its connections, and its buckets."""

    cdef int forget_closed(self) except -1:
        """Forget the TCP connections of the address that are closed."""
        if self.transports is not None:
            self.transports = {each for each in self.transports if each}
            self.prune_at = max(FIRST_PRUNE, 2 * len(self.transports))
        return 0


@cython.final
cdef class Limiter:
    """The buckets that the messages of one connection are taken from."""

    cdef double take(self, double now) except -1:
        """Take the tokens for an event of `size` bytes, and return 0. If a bucket has
        too few, take nothing, and return the seconds until it has enough."""
        cdef double wait = 0
        cdef double size = self.size
        cdef Visitor visitor = self.visitor
        cdef tuple buckets
        cdef Bucket bucket
        cdef bint by_bytes = False
        self.size = 0
        if visitor is None:
            buckets = self.events, self.bytes
        else:
            buckets = self.events, self.bytes, visitor.events, visitor.bytes
        for bucket in buckets:
            if bucket is not None:
                wait = max(wait, bucket.lacks(size if by_bytes else 1, now))
            by_bytes = not by_bytes
        if wait > 0:
            return wait
        by_bytes = False
        for bucket in buckets:
            if bucket is not None:
                bucket.tokens -= size if by_bytes else 1
            by_bytes = not by_bytes
        return 0


cdef class Limits:
    """The limits of a server, and what each address has used of them.

    Args:
        config: A `socketio_fast.options.limits.Limits`.
    """

    def __cinit__(self, config not None):
        self.config = config
        self.visitors = {}
        self.swept = FIRST_SWEEP
        self.exempt = tuple(map(ipaddress.ip_network, config.exempt))
        self.rooms = -1
        self.transports = -1
        if config.rooms_per_socket is not None:
            self.rooms = config.rooms_per_socket
        if config.tcp_connections_per_address is not None:
            self.transports = config.tcp_connections_per_address

    cdef Visitor visitor(self, object peer, double now):
        """Return the visitor of an address; None if it is exempt. An IPv6 network of 64
        bits is one visitor: one client usually has all of it."""
        cdef Visitor visitor
        cdef str address
        if not isinstance(peer, tuple):
            return None  # a Unix socket
        address = peer[0]
        if ":" in address or self.exempt:
            try:
                ip = ipaddress.ip_address(address.partition("%")[0])
            except ValueError:
                return None
            ip = getattr(ip, "ipv4_mapped", None) or ip
            if any(ip in network for network in self.exempt):
                return None
            address = str(ip)
            if ip.version == 6:
                address = str(ipaddress.ip_network((ip, 64), strict=False))
        visitor = self.visitors.get(address)
        if visitor is None:
            if len(self.visitors) >= self.swept:
                self._sweep(now)
            visitor = Visitor.__new__(Visitor)
            visitor.address = address
            visitor.connects = Bucket.new(self.config.connections, now)
            visitor.events = Bucket.new(self.config.address_events, now)
            visitor.bytes = Bucket.new(self.config.address_bytes, now)
            self.visitors[address] = visitor
        return visitor

    cdef int _sweep(self, double now) except -1:
        """Forget addresses without a connection whose buckets are full. Of those whose
        buckets are not, keep the last MAX_ABSENT."""
        cdef Visitor visitor
        cdef Bucket bucket
        cdef list absent = []
        for visitor in list(self.visitors.values()):
            visitor.forget_closed()
            if visitor.connections or visitor.transports:
                continue
            for bucket in (visitor.connects, visitor.events, visitor.bytes):
                if bucket is not None:
                    bucket.refill(now)
                    if bucket.tokens < bucket.burst:
                        absent.append(visitor.address)
                        break
            else:
                del self.visitors[visitor.address]
        for address in absent[:max(0, len(absent) - MAX_ABSENT)]:
            del self.visitors[address]
        self.swept = max(FIRST_SWEEP, 2 * len(self.visitors))
        return 0

    cdef object refusal(self, Visitor visitor, double now):
        """Count a new connection of a visitor. Returns None, or why it is refused:
        `(status, message, seconds until the next attempt, name of the counter)`."""
        cdef double wait
        crowded = self.crowded(visitor)
        if crowded is not None or visitor is None:
            return crowded
        if visitor.connects is not None:
            wait = visitor.connects.lacks(1, now)
            if wait > 0:
                return (
                    429, b"Too many new connections of this address", wait,
                    "refused_connection_rate",
                )
            visitor.connects.tokens -= 1
        return None

    cdef bint admits(self, object transport, object peer, double now) except -1:
        """Whether an address may open this TCP connection. It counts until it is
        closed, that is until `transport` is false. `transport` must be hashable."""
        cdef Visitor visitor
        if self.transports < 0:
            return True
        visitor = self.visitor(peer, now)
        if visitor is None:
            return True
        if visitor.transports is None:
            visitor.transports = set()
            visitor.prune_at = FIRST_PRUNE
        if transport in visitor.transports:
            return True  # another application has given it back
        if len(visitor.transports) >= min(visitor.prune_at, self.transports):
            visitor.forget_closed()
        if len(visitor.transports) >= self.transports:
            return False
        visitor.transports.add(transport)
        return True

    cdef object crowded(self, Visitor visitor):
        """Like refusal(), but checks only the counts, and takes no token."""
        if (
            self.config.pending_handshakes is not None
            and self.handshakes >= self.config.pending_handshakes
        ):
            return 503, b"Too many handshakes", 1.0, "refused_pending_handshakes"
        if visitor is None:
            return None
        if (
            self.config.connections_per_address is not None
            and visitor.connections >= self.config.connections_per_address
        ):
            return (
                429, b"Too many connections of this address", 1.0,
                "refused_connections_per_address",
            )
        return None

    cdef int entered(self, Visitor visitor) except -1:
        """A session of this visitor has begun."""
        visitor.connections += 1
        return 0

    cdef int left(self, Visitor visitor) except -1:
        """A session of this visitor has ended."""
        visitor.connections -= 1
        return 0

    cdef Limiter limiter(self, Visitor visitor, double now):
        """Make the limiter of a connection; None if it has no limits."""
        cdef Limiter limiter
        cdef object config = self.config
        if config.events is None and config.bytes is None and (
            visitor is None or (visitor.events is None and visitor.bytes is None)
        ):
            return None
        limiter = Limiter.__new__(Limiter)
        limiter.events = Bucket.new(config.events, now)
        limiter.bytes = Bucket.new(config.bytes, now)
        limiter.visitor = visitor
        limiter.last_notice = now - 1
        limiter.closes = config.excess == "close"
        return limiter
