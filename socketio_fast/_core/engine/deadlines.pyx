"""The deadlines of all connections: ping, pong, upgrade, connect, close.

There are few different delays, and of two deadlines with the same delay the one that
starts later ends later. So a first-in-first-out list for each delay keeps all deadlines
sorted. Starting, moving and cancelling are O(1); finding the next one is O(delays). The
clock is an argument: nothing here knows an event loop.

A deadline may be handled late, together with others, so that the event loop wakes
rarely for the deadlines of many clients. It is late by SHARE of its delay, and by LATE
at most: a constant would be a large part of a short timeout.
"""
import cython

cdef double NEVER = float("inf")

# With ping_interval=0.3 and ping_timeout=0.2 a session ends 1 ms late at most. Delays
# of 10 s and more reach LATE (seconds).
cdef double SHARE = 0.002
cdef double LATE = 0.02
# A deadline that is as near as this is due (seconds). uvloop rounds its timers to
# milliseconds, and would wake again for the rest.
cdef double EARLY = 0.0005


cdef class Timed:
    """An owner of deadlines. Abstract."""

    cdef int on_deadline(self, int kind, double now) except -1:
        """A deadline of this kind is due. It may be started again here."""
        raise NotImplementedError


@cython.final
cdef class Deadline:
    """At `when`, owner.on_deadline(kind) is called, unless it is cancelled before."""

    cdef int cancel(self) except -1:
        """Do not call the owner, and forget it. Does nothing if it was called."""
        if self.queue is not None:
            self.queue.remove(self)
        self.owner = None
        return 0


@cython.final
cdef class Queue:
    """The deadlines of one delay: a linked list through the deadlines themselves."""

    cdef int append(self, Deadline d) except -1:
        d.queue = self
        d.previous = self.last
        if self.last is None:
            self.first = d
        else:
            self.last.next = d
        self.last = d
        return 0

    cdef int remove(self, Deadline d) except -1:
        if d.previous is None:
            self.first = d.next
        else:
            d.previous.next = d.next
        if d.next is None:
            self.last = d.previous
        else:
            d.next.previous = d.previous
        d.queue = d.previous = d.next = None
        return 0


@cython.final
cdef class Timeline:
    """All deadlines of one engine."""

    def __cinit__(self):
        self.queues = {}

    cdef Deadline start(self, double now, double delay, int kind, Timed owner):
        """Start a deadline that is due `delay` seconds after `now`."""
        cdef Deadline d = Deadline.__new__(Deadline)
        d.owner = owner
        self.restart(d, now, delay, kind)
        return d

    cdef int restart(self, Deadline d, double now, double delay, int kind) except -1:
        """Move a deadline of this timeline to `delay` seconds after `now`.

        It may be pending or not. It is handled after those of the same delay that were
        started before.
        """
        cdef Queue queue = d.queue
        if queue is None or queue.delay != delay:
            queue = self.queues.get(delay)
        if queue is None:
            queue = Queue.__new__(Queue)
            queue.delay = delay
            queue.late = min(SHARE * delay, LATE)
            queue.early = min(queue.late, EARLY)
            self.queues[delay] = queue
        if d.queue is not None:
            d.queue.remove(d)
        d.kind = kind
        d.when = now + delay
        queue.append(d)
        return 0

    cdef double next(self):
        """Return when the earliest deadline is due; infinity if there is none."""
        cdef double earliest = NEVER
        cdef Queue queue
        for queue in self.queues.values():
            if queue.first is not None and queue.first.when < earliest:
                earliest = queue.first.when
        return earliest

    cdef double wake(self, double now):
        """Return when to handle deadlines again, after that was done at `now`; infinity
        if there is none."""
        cdef double earliest = NEVER, when
        cdef Queue queue
        for queue in self.queues.values():
            if queue.first is not None:
                when = queue.first.when
                when = max(when, min(now + LATE, when + queue.late))
                if when < earliest:
                    earliest = when
        return earliest

    cdef Deadline pop(self, double now):
        """Remove and return a deadline that is due; None if there is none."""
        cdef Queue queue
        cdef Deadline d
        for queue in self.queues.values():
            d = queue.first
            if d is not None and d.when <= now + queue.early:
                queue.remove(d)
                return d
        return None

    # For tests.

    def add(self, double now, double delay, int kind=0, Timed owner=None):
        """Start a deadline and return it."""
        return self.start(now, delay, kind, owner)

    def move(self, Deadline d not None, double now, double delay, int kind=0):
        """See restart()."""
        self.restart(d, now, delay, kind)

    def cancel(self, Deadline d not None):
        """See Deadline.cancel()."""
        d.cancel()

    def earliest(self):
        """See next()."""
        return self.next()

    def next_wake(self, double now):
        """See wake()."""
        return self.wake(now)

    def due(self, double now):
        """Remove all deadlines that are due, and return them as a list."""
        cdef list taken = []
        cdef Deadline d = self.pop(now)
        while d is not None:
            taken.append(d)
            d = self.pop(now)
        return taken

    def __len__(self):
        cdef Py_ssize_t n = 0
        cdef Queue queue
        cdef Deadline d
        for queue in self.queues.values():
            d = queue.first
            while d is not None:
                n += 1
                d = d.next
        return n
