"""What a client has been sent and has not read.

A session has an `Outflow` while its unread bytes exceed high_water_mark, while somebody
waits for them to become fewer, and while its connect handler runs. Most clients have
none. An Outflow does not refer to its session, so that it is in no reference cycle; its
methods are given the session.

The policies for slow clients, the option slow_consumer:

    "close"          `Session.check()`: above max_buffer_bytes the client is closed
    "drop_volatile"  `MessagingPeer.send()`: volatile messages are not sent
    "drop_oldest"    `SendQueue`, here
    "block"          `Rooms.deliver()`: emit() waits, by `Engine.blocked()`

With "drop_oldest" the transport of a slow client gets no more bytes than the mark. The
messages that follow wait in a `SendQueue`. Only a message there can still be dropped:
once written, or compressed with others, it is part of a stream of bytes.
"""
from collections import deque

import cython

from socketio_fast._core.engine.contracts cimport (
    OPEN,
    EngineBase,
    SessionBase,
    Transport,
)
from socketio_fast._core.protocol.outgoing cimport Outgoing


@cython.final
cdef class SendQueue:
    """A queue of messages that can lose its oldest droppable ones."""

    def __cinit__(self):
        self.first = deque()
        self.rest = deque()

    cdef int put(self, Outgoing m) except -1:
        self.rest.append(m)
        self.size += m.size()
        return 0

    cdef Outgoing take(self):
        """Remove and return the next message; None if there is none."""
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
        """Remove the oldest droppable messages until at most `size` bytes are left, or
        nothing droppable. Returns what was removed."""
        cdef list lost = []
        cdef Outgoing m
        while self.size > size and self.rest:
            m = self.rest.popleft()
            if m.droppable:
                self.size -= m.size()
                lost.append(m)
            else:
                # It is not looked at again: each message is examined once.
                self.first.append(m)
        return lost


@cython.final
cdef class Outflow:
    """What one client has yet to read, and who waits for that."""

    def __cinit__(self):
        self.waiters = {}

    cdef bint is_idle(self) except -1:
        """Whether a session can do without it."""
        return self.reserved == 0 and not (
            self.slow or self.listed or self.waiters
            or self.send_queue is not None or self.early is not None
        )

    cdef int keep(self, Outgoing m) except -1:
        """The client is not accepted yet: the message follows the open packet."""
        if self.early is None:
            self.early = []
        self.early.append(m)
        return 0

    cdef bint watch(self, SessionBase session) except -1:
        """See SessionBase.watch()."""
        if session.engine.drops_oldest:
            if self.send_queue is None and session.state == OPEN:
                self.send_queue = SendQueue()
        if self.listed:
            return False
        self.listed = True
        return True

    cdef int write(self, SessionBase session) except -1:
        """Write as much as the client takes, and leave out what it is too slow for."""
        cdef Transport transport = session.transport
        cdef EngineBase engine = session.engine
        self.listed = False
        # A client that reads a large message fast is not slow.
        transport.flush()
        if self.send_queue is not None:
            self._send_while_below(session)
            if self.slow:
                self._shed(engine, engine.high_water_mark)
            elif self.send_queue is not None:
                # Nothing is left out before the transport has had a pass to write.
                engine.overflow(session)
        return 0

    cdef int flushed(self, SessionBase session) except -1:
        """See SessionBase.flushed()."""
        cdef Py_ssize_t size
        self.progressed = True
        if self.send_queue is not None:
            self._send_while_below(session)
        size = session.buffered()
        if size < session.engine.high_water_mark // 2:
            self.slow = False
        for future, limit in list(self.waiters.items()):
            if size <= limit and not future.done():
                future.set_result(True)
        return 0

    # Waiting for the client to read.

    cdef object wait(self, SessionBase session, Py_ssize_t limit):
        """Return a Future: of True when at most `limit` bytes wait, or of False if the
        session ends before."""
        future = session.engine.loop.create_future()
        self.waiters[future] = limit
        future.add_done_callback(self._forget)
        return future

    def _forget(self, future):
        self.waiters.pop(future, None)

    cdef int end_waits(self) except -1:
        """The session is over."""
        for future in list(self.waiters):
            if not future.done():
                future.set_result(False)
        return 0

    # The queue of slow_consumer="drop_oldest".

    cdef int enqueue(self, SessionBase session, Outgoing m) except -1:
        """Let a message wait; there is a queue already."""
        cdef Transport transport = session.transport
        cdef EngineBase engine = session.engine
        self.send_queue.put(m)
        # A client that reads fast gets all of it soon: the limit of memory holds first.
        self._shed(engine, engine.max_buffer_bytes - transport.buffered())
        return engine.overflow(session)

    cdef int send_queued(self, Transport transport) except -1:
        """Give the transport all that waits: it is to close behind that."""
        cdef SendQueue send_queue = self.send_queue
        cdef Outgoing m
        self.send_queue = None
        while send_queue is not None and (m := send_queue.take()) is not None:
            transport.send(m)
        return 0

    cdef int _send_while_below(self, SessionBase session) except -1:
        """Give the transport messages until it is above the mark."""
        cdef Transport transport = session.transport
        cdef Py_ssize_t mark = session.engine.high_water_mark
        cdef Outgoing m
        while self.send_queue is not None and session.state == OPEN:
            if transport.buffered() > mark:
                transport.flush()  # which may call this method again
                if transport.buffered() > mark:
                    break
            elif (m := self.send_queue.take()) is not None:
                transport.send(m)
            else:
                self.send_queue = None
        return 0

    cdef int _shed(self, EngineBase engine, Py_ssize_t size) except -1:
        """Leave out the oldest droppable messages beyond `size` bytes."""
        cdef Outgoing m
        if self.send_queue is not None:
            for m in self.send_queue.shed(size):
                count_dropped(engine, m)
        return 0


cdef int count_dropped(EngineBase engine, Outgoing m) except -1:
    """Count a message that a slow client is not sent."""
    engine.counters["dropped_messages"] += 1
    engine.counters["dropped_bytes"] += m.size()
    return 0
