"""Limits of what clients and addresses ask for: token buckets and counts.

A bucket holds tokens up to its burst; they come back with time. What costs more than a
full bucket is let through when it is full, and leaves it in debt: large messages are
slow then, and not impossible.
"""
import ipaddress

import cython

# TCP connections of an address that are known before those that are closed are
# forgotten.
cdef Py_ssize_t FIRST_PRUNE = 8

# Addresses that are known at least before those without a connection are forgotten.
cdef Py_ssize_t FIRST_SWEEP = 1024

# Addresses without a connection that are known at most, though they have not got back
# yet what they used: who has a network of IPv6 addresses has them without end.
MAX_ABSENT = 50_000


@cython.final
@cython.no_gc
cdef class Bucket:
    """Tokens that come back with time."""

    @staticmethod
    cdef Bucket new(object rate, double now):
        """A full one; None without a rate."""
        cdef Bucket self
        if rate is None:
            return None
        self = Bucket.__new__(Bucket)
        self.rate = rate[0]
        self.burst = self.tokens = rate[1]
        self.at = now
        return self

    cdef int refill(self, double now) except -1:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        return 0

    cdef double lacks(self, double n, double now) except -1:
        """Seconds until there is enough for `n` tokens; 0: there is."""
        self.refill(now)
        n = min(n, self.burst)
        return 0 if self.tokens >= n else (n - self.tokens) / self.rate


@cython.final
cdef class Visitor:
    """An address, and what it has left."""

    cdef int forget_closed(self) except -1:
        """Forget its TCP connections that are closed."""
        if self.transports is not None:
            self.transports = {each for each in self.transports if each}
            self.prune_at = max(FIRST_PRUNE, 2 * len(self.transports))
        return 0


@cython.final
cdef class Limiter:
    """What a connection has left."""

    cdef double take(self, double now) except -1:
        """Take what an event of `size` bytes costs, and return 0; or the seconds until
        there is enough, with nothing taken."""
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


@cython.final
cdef class Limits:
    """The limits of a server, and who has used what of them.

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
        """Who an address is; None if nothing is counted for it."""
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
        """Forget addresses that have no connection, and nothing to be counted; of too
        many others without a connection those that came first."""
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
        """Why there is to be no further connection, `(status, message, seconds until
        another attempt, the counter of it)`; None: there may be."""
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
        """Whether an address may have this TCP connection too, which counts as its own
        until it is closed: until `transport`, which can be hashed, is false."""
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
            return True  # it is back from another application
        if len(visitor.transports) >= min(visitor.prune_at, self.transports):
            visitor.forget_closed()
        if len(visitor.transports) >= self.transports:
            return False
        visitor.transports.add(transport)
        return True

    cdef object crowded(self, Visitor visitor):
        """The same, as far as there are too many already."""
        if (
            self.config.pending_handshakes is not None
            and self.pending >= self.config.pending_handshakes
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
        """A connection is there."""
        visitor.connections += 1
        return 0

    cdef int left(self, Visitor visitor) except -1:
        """It has gone."""
        visitor.connections -= 1
        return 0

    cdef Limiter limiter(self, Visitor visitor, double now):
        """What a connection may send; None if that has no limit."""
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
