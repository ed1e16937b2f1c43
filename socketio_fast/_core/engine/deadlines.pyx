"""Deadlines: ping, pong, upgrade, connect, close, all of all connections.

There are few different delays, and whatever starts later with the same delay ends
later: so one first-in-first-out list for each delay keeps all deadlines sorted.
Starting, moving and cancelling are O(1), the next deadline is O(delays). The clock is
an argument; nothing here knows an event loop.

A deadline may be handled later than asked, together with others, so that the deadlines
of many clients take few wake-ups: by SHARE of its delay, and LATE at most. A constant
would be much of a short timeout.
"""
import cython

cdef double NEVER = float("inf")

# A ping and a timeout of 300 and 200 ms together are 1 ms late at most; delays from
# 10 s on are LATE (seconds).
cdef double SHARE = 0.002
cdef double LATE = 0.02
# uvloop rounds its timers to milliseconds: a deadline that is this near is due, or the
# event loop would be woken for it again (seconds).
cdef double EARLY = 0.0005


cdef class Timed:
    """Something that has deadlines. Abstract."""

    cdef int on_deadline(self, int kind, double now) except -1:
        raise NotImplementedError


@cython.final
cdef class Deadline:
    """What happens (`kind`) to whom (`owner`) at `when`, unless cancelled."""

    cdef int cancel(self) except -1:
        if self.queue is not None:
            self.queue.remove(self)
        self.owner = None
        return 0


@cython.final
cdef class Queue:
    """A doubly linked list through the deadlines themselves."""

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
        cdef Deadline d = Deadline.__new__(Deadline)
        d.owner = owner
        self.restart(d, now, delay, kind)
        return d

    cdef int restart(self, Deadline d, double now, double delay, int kind) except -1:
        cdef Queue queue = self.queues.get(delay)
        if queue is None:
            queue = Queue.__new__(Queue)
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
        """When the earliest deadline is; infinity if there is none."""
        cdef double earliest = NEVER
        cdef Queue queue
        for queue in self.queues.values():
            if queue.first is not None and queue.first.when < earliest:
                earliest = queue.first.when
        return earliest

    cdef double wake(self, double now):
        """When to handle what is due next, after it was done now; infinity: never."""
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
        """Take a deadline that is due; None when there is none (left)."""
        cdef Queue queue
        cdef Deadline d
        for queue in self.queues.values():
            d = queue.first
            if d is not None and d.when <= now + queue.early:
                queue.remove(d)
                return d
        return None

    # For Python callers (tests).
    def add(self, double now, double delay, int kind=0, Timed owner=None):
        """Start a deadline and return it."""
        return self.start(now, delay, kind, owner)

    def move(self, Deadline d not None, double now, double delay, int kind=0):
        """Start a deadline anew, whether or not it is pending."""
        self.restart(d, now, delay, kind)

    def cancel(self, Deadline d not None):
        """Take a deadline back; nothing happens if it is not pending."""
        d.cancel()

    def earliest(self):
        """When the earliest deadline is, in the clock's seconds; inf for none."""
        return self.next()

    def next_wake(self, double now):
        """When to handle what is due next, after it was done now; inf for never."""
        return self.wake(now)

    def due(self, double now):
        """Take every deadline that is due, as a list."""
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
