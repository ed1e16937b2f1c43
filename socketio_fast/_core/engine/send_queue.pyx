"""What a slow client has not been sent yet, with `slow_consumer="drop_oldest"`.

Messages as they were made, in order: what is not in a stream of bytes yet, nor
compressed with what came before, can still be left out.
"""
from collections import deque

import cython

from socketio_fast._core.protocol.outgoing cimport Outgoing


@cython.final
cdef class SendQueue:
    """A queue of messages that loses the oldest of those that may be lost."""

    def __cinit__(self):
        self.first = deque()
        self.rest = deque()

    cdef int put(self, Outgoing m) except -1:
        self.rest.append(m)
        self.size += m.size()
        return 0

    cdef Outgoing take(self):
        """The next one; None if there is none."""
        cdef Outgoing m
        if self.first:
            m = self.first.popleft()
        elif self.rest:
            m = self.rest.popleft()
        else:
            return None
        self.size -= m.size()
        return m

    cdef list shed(self, Py_ssize_t size):
        """Leave out the oldest, until no more than so many bytes are left, or nothing
        that may be lost; returns those."""
        cdef list lost = []
        cdef Outgoing m
        while self.size > size and self.rest:
            m = self.rest.popleft()
            if m.droppable:
                self.size -= m.size()
                lost.append(m)
            else:
                # Not looked at again: many of them would cost the more each time.
                self.first.append(m)
        return lost
