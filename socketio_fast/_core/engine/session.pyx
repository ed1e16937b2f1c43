"""Engine.IO sessions: states, heartbeat, upgrade.

    OPENING ──accept()──► OPEN ──close()──► CLOSING ──delivered──► CLOSED
       └─refuse()─► CLOSED  └─drop()─► CLOSED            └─timeout─► CLOSED

Rule 1: the handler hears on_close() exactly once, when the state leaves OPEN.
Rule 2: close() lets what was sent before it reach the client; drop() does not.
Rule 3: an upgrade moves what is undelivered from one transport to the other at one
instant, when the client sends UPGRADE; until then everything goes by polling.

Cython holds no reference to `self.x` while it runs a method of it. What may end such a
reference (a session that closes drops its transport and handler, a transport its
session) is therefore called through a local variable, here and in the transports.

Which transport it is, what the messages mean, and what time it is, are not known here:
transports are given, the clock is `Engine.bind()`'s.
"""
import logging
import os
import weakref
from collections import Counter
from time import time as wall_clock

import orjson

import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcpy, memset

from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.engine.contexts cimport PyContext_Copy, same
from socketio_fast._core.engine.deadlines cimport Deadline, Timed, Timeline
from socketio_fast._core.protocol.eio cimport (
    EIO_CLOSE,
    EIO_MESSAGE,
    EIO_PING,
    EIO_PONG,
    EIO_UPGRADE,
    PacketView,
    decode_base64,
    scan_packet,
)
from socketio_fast._core.protocol.eio3 cimport (
    decode_base64_message,
    decode_binary_message,
)
from socketio_fast._core.engine.failures cimport contain
from socketio_fast._core.engine.rate_limits cimport Limits, Visitor
from socketio_fast._core.protocol.deflate cimport Extension
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.engine.runner cimport Runner
from socketio_fast._core.engine.send_queue cimport SendQueue
from socketio_fast._core.protocol.wire cimport sf_base64_encode
from socketio_fast._core.engine.writer cimport Flusher, Writer

from socketio_fast.exceptions import LimitError, ProtocolError
from socketio_fast.options.logs import escaped

cdef extern from "Python.h":
    object PyContext_CopyCurrent()

# Disconnect reasons, python-socketio's strings.
SERVER_DISCONNECT = "server disconnect"
CLIENT_DISCONNECT = "client disconnect"
PING_TIMEOUT = "ping timeout"
TRANSPORT_CLOSE = "transport close"
TRANSPORT_ERROR = "transport error"

# The close code of a server that drains (RFC 6455, section 7.4.1).
GOING_AWAY = 1001

cdef double NEVER = float("inf")

# How often a poll is released while an upgrade is under way, and how long a closed
# session waits for a last poll: the reference implementation's figures (seconds).
cdef double NOOP_INTERVAL = 0.1
# A ping's lateness that is no part of its timeout: a share of that, and a limit
# (seconds).
cdef double LATE_SHARE = 0.05
cdef double LATE = 0.02
cdef double CLOSE_TIMEOUT = 30.0
# What is to be read apart is written so much later (seconds). An event loop's timers of
# one millisecond are due after half of one, on average.
cdef double APART = 0.001

cdef enum:
    # How many times max_pending_events and max_pending_bytes a client may send while
    # an acknowledgement of it is awaited.
    HARD = 4

cdef enum:
    RANDOM_SIZE = 3840  # bytes: 256 ids

cdef enum:
    D_PING
    D_PONG
    D_UPGRADE
    D_NOOP
    D_CLOSE

cdef Outgoing PING = outgoing.control(b"2")
cdef Outgoing NOOP = outgoing.control(b"6")
cdef Outgoing PONG_PROBE = outgoing.control(b"3probe")


# What python-engineio's Socket has besides, and what to use instead.
cdef dict _NOT_HERE = {
    "check_ping_timeout": "the handler of 'disconnect', which is told of it",
    "close": "disconnect() of the Engine.IO server",
    "poll": "the server's handle_request()",
    "queue": "buffered_bytes, or flushed() of the server",
    "receive": "a test client, see socketio_fast.testing",
    "schedule_ping": "ping_interval= of the server",
    "send": "send() or send_packet() of the Engine.IO server",
}


def generate_id():
    """A new id: 120 random bits of the operating system, 20 url-safe characters."""
    global random_left
    cdef char id[20]
    cdef bytes drawn
    cdef int i
    if random_left == 0:
        drawn = os.urandom(RANDOM_SIZE)
        memcpy(random, PyBytes_AS_STRING(drawn), RANDOM_SIZE)
        random_left = RANDOM_SIZE
    random_left -= 15
    sf_base64_encode(id, random + random_left, 15)
    memset(random + random_left, 0, 15)
    for i in range(20):
        if id[i] == c"+":
            id[i] = c"-"
        elif id[i] == c"/":
            id[i] = c"_"
    return PyUnicode_DecodeASCII(id, 20, NULL)


# Random bytes that no id has been made of yet: a system call costs more than an id.
cdef char random[RANDOM_SIZE]
cdef Py_ssize_t random_left = 0


def _forget_random():
    global random_left
    random_left = 0


if hasattr(os, "register_at_fork"):
    # Two processes must not make the same ids.
    os.register_at_fork(after_in_child=_forget_random)


cdef class Transport(Timed):
    """Delivers one session's messages. Abstract; Python subclasses are for tests."""

    cpdef int send(self, Outgoing m) except -1:
        """Take a message, in order; it may leave at the end of the loop's pass."""
        raise NotImplementedError

    cpdef int flush(self) except -1:
        """Hand over to the network what was taken."""
        raise NotImplementedError

    cdef int part(self) except -1:
        """What is sent from here on must not come in one read with what was sent
        before, as far as that costs nothing."""
        return 0

    cpdef int close(self) except -1:
        """End after all was delivered, then call session.finished()."""
        raise NotImplementedError

    cpdef int go_away(self) except -1:
        """As close(), of a server that goes: the client is to connect to another."""
        return self.close()

    cpdef int abort(self, object code) except -1:
        """End now; `code` is a WebSocket close code or None."""
        raise NotImplementedError

    cpdef int refuse(self) except -1:
        """End now: the handler did not accept the client."""
        raise NotImplementedError

    cpdef int release(self) except -1:
        """Answer a waiting poll, with a noop packet if there is nothing else."""
        raise NotImplementedError

    cpdef list handover(self):
        """Give back what is undelivered: another transport takes over."""
        raise NotImplementedError

    cpdef Py_ssize_t buffered(self) except -1:
        """Bytes that wait for the client to read."""
        raise NotImplementedError

    cdef bint settled(self) except -1:
        """Whether nothing is lost if the server goes: all can still be delivered."""
        return True

    cpdef int pause(self) except -1:
        """Read nothing more of the client, before resume()."""
        return 0

    cpdef int resume(self) except -1:
        """Read on; what was received meanwhile comes first."""
        return 0

    cpdef bint writable(self) except -1:
        """Whether what is sent now leaves at once."""
        return self.buffered() == 0

    # Of those that carry one packet in a message, WebSockets.

    cdef int on_text(self, const char *p, Py_ssize_t n) except -1:
        """A text message has come."""
        cdef PacketView view
        cdef Session session = self.session
        if n and p[0] == c"b":
            # Of clients that write no binary frames, whether or not they say so.
            return self._on_message(
                decode_base64_message(p, n) if self.dialect & REVISION_3
                else decode_base64(p + 1, n - 1)
            )
        scan_packet(p, n, &view)
        if session is None:
            return 0
        if session.probe is self:
            session.on_probe_packet(self, view.type, view.data, view.size)
        else:
            session.on_packet(view.type, view.data, view.size)
        return 0

    cdef int on_binary(self, bytes data) except -1:
        """A binary message has come."""
        if self.dialect & REVISION_3:
            data = decode_binary_message(data)
        return self._on_message(data)

    cdef int _on_message(self, bytes data) except -1:
        cdef Session session = self.session
        if session is None:
            return 0
        if session.probe is self:
            raise ProtocolError("binary message before the upgrade")
        return session.on_binary(data)

    cdef int on_deadline(self, int kind, double now) except -1:
        return 0


cdef class SessionHandler(Timed):
    """The layer above, for one session. Abstract."""

    cdef int on_open(self) except -1:
        """The client is there. Call session.accept() or refuse(), now or later."""
        raise NotImplementedError

    cdef int on_text(self, const char *p, Py_ssize_t n) except -1:
        """A text message; the memory is the receive buffer, gone after the call."""
        raise NotImplementedError

    cdef int on_binary(self, bytes data) except -1:
        """A binary message."""
        raise NotImplementedError

    cdef int on_close(self, str reason) except -1:
        """The session is over; nothing can be sent any more."""
        raise NotImplementedError

    cdef bint awaits(self) except -1:
        """Whether something waits for what this client has yet to send."""
        return False

    cdef int on_slow(self, Py_ssize_t size) except -1:
        """So many bytes wait for the client: more than the high-water mark."""
        return 0

    cdef Py_ssize_t awaited(self) except -1:
        """How many acknowledgements of this client have not come."""
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        return 0


cdef class HandlerFactory:
    """Makes the handler of each new session. Abstract."""

    cdef SessionHandler new_handler(self, Session session):
        raise NotImplementedError


@cython.final
@cython.no_gc  # numbers alone
@cython.freelist(16)
cdef class Flow:
    """What one client has under way."""


@cython.final
cdef class Outflow:
    """What one client has yet to read."""

    def __cinit__(self):
        self.waiters = {}

    def ended(self, future):
        """Nobody waits for this any more."""
        self.waiters.pop(future, None)


@cython.final
cdef class Session(Timed):
    """One Engine.IO connection. Owned by its engine's table while it lives."""

    cdef int open(self, Transport transport, object request) except -1:
        cdef object context = PyContext_CopyCurrent()
        self._environ_source = request
        if not same(context, self.engine.context):
            self.context = context
        self.transport = transport
        transport.session = self
        transport.dialect = self.dialect
        cdef SessionHandler handler = self.engine.factory.new_handler(self)
        self.engine.sessions[self.id] = self
        self.handler = handler
        handler.session = self
        if self.visitor is not None:
            self.engine.limits.entered(self.visitor)
        try:
            handler.on_open()
        except BaseException:
            self.drop(TRANSPORT_ERROR)
            raise
        return 0

    cdef int accept(self) except -1:
        cdef Engine engine = self.engine
        cdef Observer observer = engine.observer
        cdef Transport transport = self.transport
        if self.state != OPENING:
            return 0
        self.state = OPEN
        if observer is not None:
            observer.session_opened(self)
        upgrade = (
            engine.can_upgrade
            and transport.name == "polling" and not transport.lasting
        )
        if self.dialect & REVISION_3:
            rest = _open_packet(engine.config, upgrade, REVISION_3)
        elif upgrade:
            rest = engine.open_with_upgrade
        else:
            rest = engine.open_without_upgrade
        self.send(outgoing.control(b'0{"sid":' + orjson.dumps(self.id) + rest))
        if (
            engine.initial_packet is not None or engine.hooks is not None
            or self.outflow is not None
        ):
            # More may follow. By a WebSocket it comes apart, for clients that listen
            # for messages only once they are open.
            if transport.name != "polling":
                transport.part()
        if engine.initial_packet is not None:
            self.send(outgoing.message(engine.initial_packet))
        if self.outflow is not None:
            self._send_early()
        if self.dialect & REVISION_3:
            self.heartbeat = engine.start(self._silence(), D_PONG, self)
        else:
            self.heartbeat = engine.start(engine.ping_interval, D_PING, self)
        if engine.hooks is not None:
            engine.hooks.opened(self)  # who may close it
        if self.reason is not None:
            return self.close(self.reason)  # its handler has asked for that
        return 0

    cdef double _silence(self) except -1:
        """How long a client of revision 3, which pings, may not do so (seconds)."""
        cdef Engine engine = self.engine
        return engine.ping_interval + engine.config.ping_grace + engine.ping_timeout

    cdef int refuse(self) except -1:
        cdef Transport transport = self.transport
        if self.state == OPENING:
            self.state = CLOSED
            try:
                transport.refuse()
            except BaseException as exc:
                self._not_closed(exc)
            self.finished()
            self.handler = None
            self.hear(None)
        return 0

    cdef int send(self, Outgoing m) except -1:
        cdef Observer observer = self.engine.observer
        if observer is not None and self.state == OPEN:
            observer.count_out(m.count(), m.size())
        return self.pass_on(m)

    cdef int pass_on(self, Outgoing m) except -1:
        """send(), of a message that the observer is told of by whoever made it."""
        cdef Transport transport = self.transport
        if self.state == OPEN:
            if self.conn is not None:
                self.conn.sending(m)
                if self.state != OPEN:
                    return 0
            if self.outflow is not None and self.outflow.send_queue is not None:
                return self._enqueue(m)
            transport.send(m)
        elif self.state == OPENING:
            self._send_later(m)
        return 0

    cdef int _send_later(self, Outgoing m) except -1:
        """It follows the open packet, if the client is accepted."""
        if self.reason is not None:
            return 0  # it has been disconnected
        if self.outflow is None:
            self.outflow = Outflow.__new__(Outflow)
        if self.outflow.early is None:
            self.outflow.early = []
        self.outflow.early.append(m)
        return self.reserve(m.size())

    cdef int _send_early(self) except -1:
        """Send what was sent before the client was accepted."""
        cdef list early = self.outflow.early
        cdef Outgoing m
        self.outflow.early = None
        for m in early or ():
            self.reserve(-m.size())
            self.send(m)
        return 0

    cdef int part(self) except -1:
        """What is sent from here on is read apart from what was sent before."""
        cdef Transport transport = self.transport
        return 0 if transport is None else transport.part()

    cdef int close(self, str reason, bint going=False) except -1:
        """The server ends it: Rule 2. `going`: because it goes itself."""
        cdef Transport transport = self.transport
        if self.state == OPENING:
            return self.refuse()
        if self.state != OPEN:
            return 0
        self.state = CLOSING
        self.reason = reason
        self.engine.restart(self.heartbeat, CLOSE_TIMEOUT, D_CLOSE)
        try:
            if self.outflow is not None:
                self._send_unsent()
            if going:
                transport.go_away()
            else:
                transport.close()
        except BaseException as exc:
            self._not_closed(exc)
        return self._closed(reason)

    cdef int drop(self, str reason, object code=None) except -1:
        """It ends now: an error, or nobody there."""
        cdef Transport transport = self.transport
        cdef int before = self.state
        if before == CLOSED:
            return 0
        self.state = CLOSED
        self.reason = reason
        try:
            transport.abort(code)
        except BaseException as exc:
            self._not_closed(exc)
        self.finished()
        if before == OPEN:
            self._closed(reason)
        self.handler = None
        self.hear(None)
        return 0

    cdef int forget(self) except -1:
        """Its event loop is gone, and every connection with it."""
        cdef int before = self.state
        self.state = CLOSED
        self.reason = TRANSPORT_CLOSE
        for transport in (self.transport, self.probe):
            if transport is not None:
                (<Transport> transport).session = None
        self.transport = self.probe = None
        self.heartbeat = self.probe_timeout = self.noop_tick = None
        if self.outflow is not None:
            self.outflow.waiters.clear()  # on a loop that is closed
        self._leave()
        if before == OPEN:
            self._closed(TRANSPORT_CLOSE)
        self.handler = None
        self.hear(None)
        return 0

    cdef int _closed(self, str reason) except -1:
        if self.engine.logger.isEnabledFor(logging.INFO):
            self.engine.logger.info(
                "session %s closed: %s", escaped(self.id), escaped(reason)
            )
        if self.flow is not None:
            self.flow.paused = 0
        if self.outflow is not None:
            self._end_waiting()
        cdef SessionHandler handler = self.handler
        cdef Observer observer = self.engine.observer
        if observer is not None:
            observer.session_closed(self, reason)
        if handler is not None:
            try:
                handler.on_close(reason)
            except BaseException as exc:
                self._not_closed(exc)
            self.handler = None
        if self.conn is not None:
            self.conn.closed(reason)
            self.hear(None)
        self.context = None  # whose variables may know it
        return 0

    cdef int _not_closed(self, object error) except -1:
        """A part of closing has failed; the session ends all the same."""
        return self.engine.failed(
            error, "closing session %s failed", (escaped(self.id),)
        )

    def hear(self, conn):
        """Tell this `Connection`'s listeners what happens from now on; None: nobody."""
        self.engine.packet_listeners += (conn is not None) - (self.conn is not None)
        self.conn = conn

    cdef int too_slow(self) except -1:
        """The client does not read what it is sent."""
        self.engine.logger.warning(
            "session %s: more than max_buffer_bytes=%d wait to be read, closed",
            escaped(self.id), self.engine.max_buffer_bytes,
        )
        return self.drop(TRANSPORT_ERROR)

    # Writing: what the client has yet to read.

    cdef Py_ssize_t buffered(self) except -1:
        """Bytes that wait for the client to read."""
        cdef Transport transport = self.transport
        cdef Py_ssize_t size = 0 if transport is None else transport.buffered()
        if self.outflow is not None and self.outflow.send_queue is not None:
            size += self.outflow.send_queue.size
        return size

    cdef int reserve(self, Py_ssize_t size) except -1:
        """The handler holds so many bytes more, or less, back for the client."""
        cdef Outflow outflow = self.outflow
        if outflow is None:
            outflow = self.outflow = Outflow.__new__(Outflow)
        outflow.reserved += size
        if size > 0 and outflow.reserved > self.engine.max_buffer_bytes:
            self.engine.overflow(self)
        elif outflow.reserved == 0 and not (
            outflow.slow or outflow.listed or outflow.waiters
            or outflow.send_queue is not None or outflow.early is not None
        ):
            # Most clients are sent something by their connect handler, and never slow.
            self.outflow = None
        return 0

    cdef Py_ssize_t waiting(self) except -1:
        """Bytes that wait for the client: to be read by it, or to be sent."""
        return self.buffered() + (0 if self.outflow is None else self.outflow.reserved)

    cdef bint above(self) except -1:
        """Whether more than the high-water mark waits for the client."""
        return self.buffered() > self.engine.high_water_mark

    cdef int lags(self, Py_ssize_t size) except -1:
        """The client is above the high-water mark; it is told once."""
        cdef SessionHandler handler = self.handler
        cdef Outflow outflow = self.outflow
        if outflow.slow or self.state != OPEN:
            return 0
        outflow.slow = True
        self.engine.counters["slow_consumers"] += 1
        self.engine.logger.info(
            "session %s: %d bytes wait to be read, more than high_water_mark",
            escaped(self.id), size,
        )
        if self.engine.hooks is not None:
            self.run(self.engine.hooks.slow, self.id, size)
        return 0 if handler is None else handler.on_slow(size)

    cdef int flushed(self) except -1:
        """Some of what waited has left; only called with an outflow."""
        cdef Outflow outflow = self.outflow
        cdef Py_ssize_t size
        if self.transport is None:
            return 0
        outflow.progressed = True
        if outflow.send_queue is not None:
            self.pump()
        size = self.buffered()
        if size < self.engine.high_water_mark // 2:
            outflow.slow = False
        for future, limit in list(outflow.waiters.items()):
            if size <= limit and not future.done():
                future.set_result(True)
        return 0

    # With slow_consumer="drop_oldest": what the transport is not given yet.

    cdef int start_queueing(self) except -1:
        """More than the mark waits in the transport: it is given no more."""
        if self.outflow.send_queue is None and self.state == OPEN:
            self.outflow.send_queue = SendQueue()
        return 0

    cdef int _enqueue(self, Outgoing m) except -1:
        cdef SendQueue send_queue = self.outflow.send_queue
        cdef Transport transport = self.transport
        send_queue.put(m)
        # Who reads fast gets all of it soon; until then, the limit is that of memory.
        self.shed(self.engine.max_buffer_bytes - transport.buffered())
        return self.engine.overflow(self)

    cdef int pump(self) except -1:
        """Give the transport what it is below the mark for."""
        cdef Outflow outflow = self.outflow
        cdef Transport transport = self.transport
        cdef Py_ssize_t mark = self.engine.high_water_mark
        cdef Outgoing m
        while outflow.send_queue is not None and self.state == OPEN:
            if transport.buffered() > mark:
                transport.flush()  # which may come back here
                if transport.buffered() > mark:
                    break
            elif (m := outflow.send_queue.take()) is not None:
                transport.send(m)
            else:
                outflow.send_queue = None
        return 0

    cdef int shed(self, Py_ssize_t size) except -1:
        """Leave out the oldest beyond so many bytes, of what may be lost."""
        cdef Outgoing m
        if self.outflow.send_queue is not None:
            for m in self.outflow.send_queue.shed(size):
                self._count_dropped(m)
        return 0

    cdef int _send_unsent(self) except -1:
        """Give the transport everything: it closes behind that."""
        cdef Outflow outflow = self.outflow
        cdef Transport transport = self.transport
        cdef SendQueue send_queue = outflow.send_queue
        cdef Outgoing m
        outflow.send_queue = None
        while send_queue is not None and (m := send_queue.take()) is not None:
            transport.send(m)
        return 0

    cdef int _end_waiting(self) except -1:
        for future in list(self.outflow.waiters):
            if not future.done():
                future.set_result(False)
        return 0

    cdef int dropped(self, Outgoing m) except -1:
        """A volatile message is not sent."""
        self.engine.counters["dropped_volatile"] += 1
        return self._count_dropped(m) if self.above() else 0

    cdef int _count_dropped(self, Outgoing m) except -1:
        cdef object counters = self.engine.counters
        counters["dropped_messages"] += 1
        counters["dropped_bytes"] += m.size()
        return 0

    def below(self, Py_ssize_t limit):
        """Wait until no more than `limit` bytes wait for the client to read them.

        Returns:
            None if that is so now; or a Future, of True then, and of False when the
            session ends before.
        """
        cdef Transport transport = self.transport
        cdef object future
        if self.state == OPEN:
            transport.flush()
        if self.state != OPEN:
            future = self.engine.loop.create_future()
            future.set_result(False)
            return future
        # Who holds a single byte back is not paused, and tells of no end of it.
        limit = max(limit, 1)
        if self.buffered() <= limit:
            return None
        future = self.engine.loop.create_future()
        if self.outflow is None:
            self.outflow = Outflow.__new__(Outflow)
        self.outflow.waiters[future] = limit
        future.add_done_callback(self.outflow.ended)
        return future

    # Reading: no more than handlers can take.

    cdef int enter(self, Py_ssize_t size) except -1:
        """An event of so many bytes waits for its handler, or that has suspended."""
        cdef Flow flow = self.flow
        if flow is None:
            flow = self.flow = Flow.__new__(Flow)
        flow.events += 1
        flow.bytes += size
        if (
            flow.events > self.engine.max_pending_events
            or flow.bytes > self.engine.max_pending_bytes
        ):
            if not self._awaited():
                self.pause(PENDING)
        return 0

    cdef int leave(self, Py_ssize_t size) except -1:
        """It waits no more, or has ended."""
        cdef Flow flow = self.flow
        flow.events -= 1
        flow.bytes -= size
        flow.progressed = True
        if flow.paused & PENDING and self._has_room():
            # Not at once: what is read then may be this client's next event.
            self.engine.soon(self._read_on)
        return 0

    cdef bint _has_room(self) except -1:
        """Whether a client that is paused may be read on."""
        if self._awaited():
            return True
        return (
            self.flow.events <= self.engine.max_pending_events // 2
            and self.flow.bytes <= self.engine.max_pending_bytes // 2
        )

    def _read_on(self):
        if self.flow.paused & PENDING and self._has_room():
            self.resume(PENDING)

    cdef bint _awaited(self) except -1:
        """Whether an acknowledgement, which may come next, is let pass the limits.

        A handler may wait for it, and hold up the events before it. So there are other
        limits while the server waits for one, HARD times as high.
        """
        cdef SessionHandler handler = self.handler
        return handler is not None and handler.awaits() and not self._overcrowded()

    cdef int expect(self) except -1:
        """The server waits for an acknowledgement from now on."""
        if self.flow is not None and self.flow.paused & PENDING:
            self.engine.soon(self._read_on)
        return 0

    cdef bint _overcrowded(self) except -1:
        return (
            self.flow.events > HARD * self.engine.max_pending_events
            or self.flow.bytes > HARD * self.engine.max_pending_bytes
        )

    cdef int pause(self, int why) except -1:
        """Read nothing more of this client, for this reason besides others."""
        cdef Transport transport = self.transport
        cdef Flow flow = self.flow
        cdef int before
        if self.state != OPEN:
            return 0
        if flow is None:
            flow = self.flow = Flow.__new__(Flow)
        before = flow.paused
        flow.paused = before | why
        if not before:
            flow.progressed = True
            flow.unread = -1
            self.engine.counters["paused_clients"] += 1
            transport.pause()
        return 0

    cdef int resume(self, int why) except -1:
        """This reason has gone; read on if there is no other."""
        cdef Transport transport = self.transport
        cdef Flow flow = self.flow
        if flow is None or not flow.paused:
            return 0
        flow.paused &= ~why
        if not flow.paused and self.state == OPEN:
            if self.heartbeat.kind == D_PONG:
                # Its answer, or in revision 3 its ping, has not been read.
                self.engine.restart(
                    self.heartbeat,
                    self._silence() if self.dialect & REVISION_3
                    else self.engine.ping_timeout,
                    D_PONG,
                )
            transport.resume()
        return 0

    cdef int _await_pong(self, double now) except -1:
        """A ping has been sent. Its timeout began when it was due, if it is only a
        little late: the session ends ping_interval + ping_timeout after the last sign
        of the client, which a client may rely on."""
        cdef Engine engine = self.engine
        cdef double timeout = engine.ping_timeout
        engine.restart_since(
            self.heartbeat,
            max(self.heartbeat.when, now - min(LATE_SHARE * timeout, LATE)),
            timeout, D_PONG,
        )
        return 0

    cdef int _no_pong(self) except -1:
        """The client has not answered a ping in time, as far as was read."""
        cdef Transport transport = self.transport
        cdef Flow flow = self.flow
        cdef SessionHandler handler = self.handler
        cdef Py_ssize_t size
        if flow is None or not flow.paused:
            return self.drop(PING_TIMEOUT)
        if (
            flow.paused == PENDING and not flow.progressed
            and self._overcrowded() and handler.awaits()
        ):
            # Handlers may wait for what is not read because they wait.
            self.engine.logger.warning(
                "session %s: %d events wait behind handlers that wait for "
                "acknowledgements, closed", escaped(self.id), flow.events,
            )
            self.engine.counters["deadlocked_clients"] += 1
            return self.drop(TRANSPORT_ERROR)
        size = transport.buffered()
        if self.outflow is not None and self.outflow.progressed:
            self.outflow.progressed = False
        elif 0 < size and 0 <= flow.unread <= size:
            # Nothing has left from one ping to the next: it does not read either.
            return self.drop(PING_TIMEOUT)
        # To the client, a server that does not ping has gone.
        flow.unread = size
        flow.progressed = False
        transport.send(NOOP if self.dialect & REVISION_3 else PING)
        self.engine.restart(self.heartbeat, self.engine.ping_timeout, D_PONG)
        return 0

    cdef int finished(self) except -1:
        """Nothing is left to deliver: out of the table, and of every cycle."""
        cdef Transport probe = self.probe
        self.state = CLOSED
        self._end_probe()
        if probe is not None:
            probe.abort(None)
        if self.heartbeat is not None:
            self.heartbeat.cancel()
            self.heartbeat = None
        self.transport = None
        if self.outflow is not None:
            self.outflow.send_queue = self.outflow.early = None
        self.engine.sessions.pop(self.id, None)
        return self._leave()

    cdef int _leave(self) except -1:
        if self.visitor is not None:
            self.engine.limits.left(self.visitor)
            self.visitor = None
        return 0

    # From the transport.

    cdef int on_packet(self, int type, const char *p, Py_ssize_t n) except -1:
        cdef SessionHandler handler = self.handler
        cdef Observer observer
        cdef Transport transport = self.transport
        cdef bytes packet
        if self.state != OPEN:
            return 0
        if self.conn is not None:
            # A listener may have other clients read, and what is read is unmasked into
            # one buffer for all.
            packet = p[:n]
            self.conn.received(type, packet)
            p = PyBytes_AS_STRING(packet)
            handler = self.handler
            if self.state != OPEN:
                return 0
        if type == EIO_MESSAGE:
            observer = self.engine.observer
            if observer is not None:
                observer.count_in(n + 1)
            return handler.on_text(p, n)
        if type == EIO_PONG:
            if self.dialect & REVISION_3:
                raise ProtocolError("PONG from a client: in revision 3 it pings")
            # As in the reference implementation, the next ping is due an interval
            # after the last pong.
            self.engine.restart(self.heartbeat, self.engine.ping_interval, D_PING)
            return 0
        if type == EIO_CLOSE:
            transport.release()
            return self.drop(CLIENT_DISCONNECT)
        if type == EIO_PING:
            if self.dialect & REVISION_3:
                self.engine.restart(self.heartbeat, self._silence(), D_PONG)
                return self.send(outgoing.control(b"3" + p[:n]))
            raise ProtocolError("PING from a client: in revision 4 the server pings")
        # OPEN, UPGRADE and NOOP mean nothing here, and are let pass.
        return 0

    cdef int on_binary(self, bytes data) except -1:
        cdef SessionHandler handler = self.handler
        cdef Observer observer
        if self.state == OPEN:
            if self.conn is not None:
                self.conn.received(EIO_MESSAGE, data, True)
                handler = self.handler
                if handler is None:
                    return 0
            observer = self.engine.observer
            if observer is not None:
                observer.count_in(PyBytes_GET_SIZE(data))
            handler.on_binary(data)
        return 0

    cdef int on_error(self, object error) except -1:
        """The client broke a rule: say why in the log, and close."""
        if self.state == CLOSED:
            return 0
        code = self._log_error(error)
        self._describe(error)
        try:
            return self.drop(TRANSPORT_ERROR, code)
        finally:
            self._describe(None)

    cdef int on_bad_message(self, object error) except -1:
        """The same where what was sent to it before can still be delivered."""
        if self.state == OPEN:
            self._log_error(error)
        self._describe(error)
        try:
            return self.close(TRANSPORT_ERROR)
        finally:
            self._describe(None)

    cdef int _describe(self, object error) except -1:
        """What disconnect handlers may know of an error, while they are called."""
        if isinstance(error, ProtocolError):
            self.engine.descriptions[self.id] = str(error)
        else:
            self.engine.descriptions.pop(self.id, None)
        return 0

    @property
    def description(self):
        """Which rule the client broke, while its disconnect handlers are called for
        that; else None."""
        return self.engine.descriptions.get(self.id)

    cdef object _log_error(self, object error):
        """Log why the session ends; returns the close code."""
        cdef Engine engine = self.engine
        if isinstance(error, ProtocolError):
            engine.logger.info("session %s: %s", escaped(self.id), escaped(error))
            if isinstance(error, LimitError):
                engine.tell_refusal(
                    f"limit {error.code}", self.environ.get("REMOTE_ADDR"),
                    f"session {self.id} is closed: {error}",
                )
            return error.code
        self.engine.failed(error, "session %s: internal error", (escaped(self.id),))
        return 1011

    cdef int on_transport_close(self, Transport transport, str reason) except -1:
        if transport is self.transport:
            if self.state == CLOSING:
                return self.finished()
            return self.drop(reason)
        if transport is self.probe:
            self._end_probe()
        return 0

    # Upgrade.

    cdef int begin_upgrade(self, Transport probe) except -1:
        """A WebSocket for this session; False if it may not have one (more)."""
        if (
            self.state != OPEN
            or self.probe is not None
            or self.transport.name != "polling"
        ):
            return False
        probe.session = self
        probe.dialect = self.dialect
        self.probe = probe
        self.probe_timeout = self.engine.start(
            self.engine.upgrade_timeout, D_UPGRADE, self
        )
        return True

    cdef int on_probe_packet(
        self, Transport probe, int type, const char *p, Py_ssize_t n
    ) except -1:
        cdef Transport transport = self.transport
        if probe is not self.probe:
            return 0
        if type == EIO_PING and p[:n] == b"probe":
            if self.conn is not None:
                self.conn.upgrading(probe.name)
                if probe is not self.probe:
                    return 0
            probe.send(PONG_PROBE)
            transport.release()
            if self.noop_tick is None:
                self.noop_tick = self.engine.start(NOOP_INTERVAL, D_NOOP, self)
        elif type == EIO_UPGRADE:
            self._upgrade()
        else:
            self._end_probe()
            probe.abort(None)
        return 0

    cdef int _upgrade(self) except -1:
        cdef Transport polling = self.transport, websocket = self.probe
        cdef Observer observer = self.engine.observer
        cdef list undelivered
        self._end_probe()
        self.upgraded = True
        self.transport = websocket
        if self.flow is not None and self.flow.paused:
            websocket.pause()
        undelivered = polling.handover()
        for m in undelivered:
            websocket.send(m)
        if self.outflow is not None:
            # If all of it leaves now, nobody will tell.
            websocket.flush()
            self.flushed()
        if self.state == CLOSING:
            websocket.close()
        else:
            if observer is not None:
                observer.session_upgraded(self)
            if self.conn is not None:
                self.conn.upgraded(websocket.name)
        return 0

    cdef int _end_probe(self) except -1:
        self.probe = None
        if self.probe_timeout is not None:
            self.probe_timeout.cancel()
            self.probe_timeout = None
        if self.noop_tick is not None:
            self.noop_tick.cancel()
            self.noop_tick = None
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        cdef Transport transport = self.transport, probe = self.probe
        if kind == D_PING:
            transport.send(PING)
            self._await_pong(now)
        elif kind == D_PONG:
            self._no_pong()
        elif kind == D_UPGRADE:
            self._end_probe()
            probe.close()
        elif kind == D_NOOP:
            transport.release()
            self.engine.restart(self.noop_tick, NOOP_INTERVAL, D_NOOP)
        elif kind == D_CLOSE:
            self.drop(TRANSPORT_CLOSE)
        return 0

    # For Python: python-engineio's Socket has these names.

    @property
    def sid(self):
        """The Engine.IO id, a str."""
        return self.id

    @property
    def connected(self):
        """Whether messages can be sent and received, a bool."""
        return self.state == OPEN

    @property
    def closed(self):
        """Whether the session is over, a bool."""
        return self.state >= CLOSING

    @property
    def upgrading(self):
        """Whether an upgrade to WebSocket is under way, a bool."""
        return self.probe is not None

    @property
    def protocol(self):
        """The revision of Engine.IO that the client speaks, an int: 4 or 3."""
        return 3 if self.dialect & REVISION_3 else 4

    @property
    def transport_name(self):
        """``"polling"``, ``"websocket"`` or ``"webtransport"``; after an upgrade not
        the first."""
        return "websocket" if self.transport is None else self.transport.name

    @property
    def buffered_bytes(self):
        """Bytes that wait for the client, an int: to be read by it, and, while a
        connect handler runs, to be sent."""
        return self.waiting()

    def run(self, function, *args):
        """Call a function of the application's in a copy of its context variables."""
        context = self.engine.context if self.context is None else self.context
        return PyContext_Copy(context).run(function, *args)

    @property
    def environ(self):
        """The handshake request as a WSGI environment, a dict; always the same one."""
        cdef object environ_source = self._environ_source
        if not isinstance(environ_source, dict):
            environ = environ_source.environ()
            # Another thread may have been faster.
            if self._environ_source is environ_source:
                self._environ_source = environ
        return self._environ_source

    @environ.setter
    def environ(self, dict environ not None):
        self._environ_source = environ

    @property
    def closing(self):
        """Whether the session ends, or has, a bool."""
        return self.state >= CLOSING

    @property
    def last_ping(self):
        """When the ping was sent that the client has not answered yet, a `time.time()`;
        None: it has answered, or pings itself (revision 3)."""
        cdef Deadline d = self.heartbeat
        if d is None or d.kind != D_PONG or self.dialect & REVISION_3:
            return None
        return wall_clock() - (self.engine.now() - (d.when - self.engine.ping_timeout))

    @property
    def server(self):
        """The Engine.IO server."""
        server = self.engine.server
        return None if server is None else server()

    @property
    def session(self):
        """The application's data of the client, a dict."""
        if self.data is None:
            self.data = {}
        return self.data

    @session.setter
    def session(self, dict session not None):
        self.data = session

    def __getattr__(self, name):
        # Only for what is not there.
        remedy = _NOT_HERE.get(name)
        raise AttributeError(
            f"a connection has no {name!r}" + (f": use {remedy}" if remedy else "")
        )

    def send_message(self, data):
        """Send one Engine.IO message: str, or bytes-like for binary."""
        self.send(outgoing.message(data))

    def send_encoded(self, Outgoing message not None):
        """Send a message of `message_packet()`."""
        self.send(message)

    def disconnect(self):
        """Close; what was sent before is delivered first. While its connect handler
        runs, it is closed as soon as that has accepted it."""
        if self.state == OPENING:
            self.reason = SERVER_DISCONNECT
        else:
            self.close(SERVER_DISCONNECT)

    def send_away(self):
        """Close as a server that stops does, so that the client connects to another."""
        self.close(SERVER_DISCONNECT, True)

    @property
    def settled(self):
        """Whether nothing would be lost if it closed now, a bool."""
        cdef Transport transport = self.transport
        return self.under_way == (0, 0) and (transport is None or transport.settled())

    @property
    def under_way(self):
        """How many handlers, and acknowledgements of this client, have not ended."""
        cdef SessionHandler handler = self.handler
        cdef Py_ssize_t handlers = self.state == OPENING
        if self.flow is not None:
            handlers += self.flow.events
        return handlers, 0 if handler is None else handler.awaited()


def _open_packet(config, upgrade, dialect=0):
    """The open packet behind the sid, of revision 4 or 3."""
    options = {
        "upgrades": [
            name for name in ("websocket", "webtransport")
            if upgrade and name in config.transports
            # Revision 3 knows no other.
            and (not dialect or name == "websocket")
        ],
        "pingInterval": _milliseconds(config.ping_interval + config.ping_grace),
        "pingTimeout": _milliseconds(config.ping_timeout),
        "maxPayload": config.max_http_buffer_size,
    }
    return b"," + orjson.dumps(options)[1:]


def _milliseconds(double seconds):
    # Whole milliseconds as an int: the reference writes 25000, never 25000.0.
    cdef object ms = seconds * 1000
    return int(ms) if ms == int(ms) else ms


@cython.final
cdef class Alarm:
    """What the event loop calls when a deadline is due. It does not hold the engine:
    one that nobody has any more would wait for its last deadline, and its loop too."""

    def __cinit__(self, found):
        self.found = found

    def __call__(self):
        engine = self.found()
        if engine is not None:
            (<Engine> engine).on_timer()


@cython.final
cdef class Engine(Flusher):
    """All sessions of one server, their deadlines, and what they have to write.

    Args:
        config: An ``EngineConfig``.
        factory: The ``HandlerFactory`` of the layer above.
        logger: A ``logging.Logger``.
    """

    def __cinit__(self, object config, HandlerFactory factory, object logger):
        self.sessions = {}
        self.timeline = Timeline()
        self.dirty = []
        self.writers = []
        self.apart = []
        self.slow = []
        self.counters = Counter()
        self.descriptions = {}
        self.factory = factory
        self.logger = logger
        self.configure(config)
        self._timer_at = NEVER
        self._alarm = Alarm(weakref.ref(self))

    def configure(self, object config):
        """Go on with these options; what is under way ends as it began."""
        self.config = config
        self.ping_interval = config.ping_interval
        self.ping_timeout = config.ping_timeout
        self.upgrade_timeout = config.upgrade_timeout
        self.max_payload = config.max_http_buffer_size
        self.max_buffer_bytes = config.max_buffer_bytes
        self.high_water_mark = min(config.high_water_mark, config.max_buffer_bytes)
        self.drops_volatile = config.slow_consumer == "drop_volatile"
        self.drops_oldest = config.slow_consumer == "drop_oldest"
        self.over_high_water = {} if config.slow_consumer == "block" else None
        self.max_pending_events = config.max_pending_events
        self.max_pending_bytes = config.max_pending_bytes
        self.max_namespaces = config.max_namespaces
        self.allow_upgrades = config.allow_upgrades
        # WebTransport is not asked for by a request as these are.
        self.transports = tuple(
            name for name in config.transports if name != "webtransport"
        )
        self.can_upgrade = config.allow_upgrades and (
            "websocket" in config.transports or "webtransport" in config.transports
        )
        self.open_with_upgrade = _open_packet(config, True)
        self.open_without_upgrade = _open_packet(config, False)
        self.allow_eio3 = config.allow_eio3
        self.allow_jsonp = config.jsonp
        self.allowed_origins = config.cors_allowed_origins
        self.origin_pattern = config.origin_pattern
        self.proxies = config.trusted_proxies
        self.cors_credentials = config.cors_credentials
        self.initial_packet = config.initial_packet
        if self.limits is None or self.limits.config is not config.limits:
            self.limits = None if config.limits is None else Limits(config.limits)
        self.deflate = (
            None if config.per_message_deflate is None
            else Extension(config.per_message_deflate)
        )
        self.compress_from = (
            config.compression_threshold if config.http_compression else -1
        )

    def bind(self, object loop):
        """Run on this event loop: its `time`, `call_at` and `call_soon` are used.

        Raises RuntimeError while sessions of another loop are open. Those of a loop
        that is closed have ended with it; forget_lost() is to follow.
        """
        if self.loop is not None:  # hosts may bind it when the first request comes
            self.reopen()
        if self.loop is loop:
            return
        if self.sessions and not self.loop.is_closed():
            raise RuntimeError("the server already runs on another event loop")
        if self._timer is not None:
            self._timer.cancel()
        self.loop = loop
        self.thread = PyThread_get_thread_ident() if loop.is_running() else 0
        self.context = PyContext_CopyCurrent()
        self.runner = Runner(loop)
        self._clock = loop.time
        self._call_at = loop.call_at
        self._call_soon = loop.call_soon
        self._call_later = loop.call_later
        self._timer = None
        self._timer_at = NEVER
        self.timeline = Timeline()
        self.flushing = False
        self.lost, self.sessions = list(self.sessions.values()), {}
        self.dirty, self.slow, self.writers, self.apart = [], [], [], []

    def forget_lost(self):
        """End the sessions whose event loop was closed under them."""
        cdef Session session
        lost, self.lost = self.lost, None
        for session in lost or ():
            try:
                session.forget()
            except BaseException as exc:
                session._not_closed(exc)

    def generate_by(self, generate_id):
        """Make ids by this function, which takes no arguments; None: at random."""
        self._generate_id = generate_id

    cdef str new_id(self):
        """An id of a session, or of a client in a namespace."""
        return generate_id() if self._generate_id is None else self._generate_id()

    def new_session(self, Visitor visitor=None, int dialect=0, str id=None):
        """A session with a fresh id, or this one, not open yet.

        It is counted as `visitor`'s; its client speaks with these flags of `Dialect`.
        """
        cdef Session session = Session.__new__(Session)
        session.visitor = visitor
        session.engine = self
        session.id = self.new_id() if id is None else id
        session.dialect = dialect
        return session

    def open_session(self, Transport transport not None, object request=None):
        """Open a session over a transport (for tests)."""
        cdef Session session = self.new_session()
        session.open(transport, request)
        return session

    def close_all(self, bint stopping=False):
        """Close every session; what was sent before is delivered first.

        `stopping`: the server goes. Clients that poll are told by an HTTP error, not by
        a close packet, which python-engineio's clients take for the end. Else clients
        may connect again.
        """
        cdef Session session
        if not stopping:
            self.reopen()
        for session in list(self.sessions.values()):
            try:
                session.close(SERVER_DISCONNECT, stopping)
            except BaseException as exc:
                session._not_closed(exc)
        # So that close frames and last polls leave although the loop may stop.
        self.flush()
        self._flush_apart()

    def drain(self):
        """Refuse new sessions, before reopen(); each open one is to be sent away."""
        self.draining = True

    def reopen(self):
        """Serve as before drain()."""
        self.draining = False

    def drop_all(self):
        """Drop every session: nothing is delivered any more."""
        cdef Session session
        for session in list(self.sessions.values()):
            try:
                session.drop(SERVER_DISCONNECT)
            except BaseException as exc:
                session._not_closed(exc)

    cdef int tell_refusal(self, str cause, object address, str message) except -1:
        """Say in the log what was refused, once in a while."""
        if self.refusals is not None:
            self.refusals(cause, address, message)
        return 0

    cdef int failed(self, object error, str message, tuple args) except -1:
        """What serves all clients goes on although this was raised for one of them."""
        return contain(self.loop, self.logger, error, message, args)

    # Time.

    cdef double now(self):
        # An event loop's time stands still in a pass.
        return self.pass_time if self.flushing else self._clock()

    cdef Deadline start(self, double delay, int kind, Timed owner):
        cdef Deadline d = self.timeline.start(self.now(), delay, kind, owner)
        if d.when < self._timer_at:
            self._arm()
        return d

    cdef int restart(self, Deadline d, double delay, int kind) except -1:
        return self.restart_since(d, self.now(), delay, kind)

    cdef int restart_since(
        self, Deadline d, double started, double delay, int kind
    ) except -1:
        """restart(), with a delay that began at another time than now."""
        self.timeline.restart(d, started, delay, kind)
        if d.when < self._timer_at:
            self._arm()
        return 0

    cdef int _arm(self) except -1:
        cdef double when = self.timeline.next()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = NEVER
        if when != NEVER:
            self._timer = self._call_at(when, self._alarm)
            self._timer_at = when
        return 0

    def set_clock(self, time, call_at):
        """Tell time by these instead of the loop's methods of the same names.

        For tests; the clocks must agree when this is called, on the loop's thread.
        """
        self._clock = time
        self._call_at = call_at
        self._arm()

    def on_timer(self):
        """Handle every deadline that is due, and wake for the next."""
        cdef double now = self._clock()
        cdef Deadline d
        cdef Timed owner
        cdef double when
        if self.flushing:
            # What was to be flushed before waits behind a slow pass. By its time, what
            # is started anew here might be due already, without an end.
            self.pass_time = now
        self._timer = None
        self._timer_at = now  # nothing arms while this runs
        while True:
            d = self.timeline.pop(now)
            if d is None:
                break
            owner = d.owner
            try:
                owner.on_deadline(d.kind, now)
            except BaseException as exc:
                self.failed(exc, "a deadline was not handled", ())
        when = self.timeline.wake(now)
        self._timer_at = NEVER
        if when != NEVER:
            self._timer = self._call_at(when, self._alarm)
            self._timer_at = when

    # Writing: at most once per connection in a pass of the loop.

    cdef int mark(self, Transport transport) except -1:
        self.dirty.append(transport)
        if not self.flushing:
            self._schedule()
        return 0

    cdef int mark_writer(self, Writer writer) except -1:
        self.writers.append(writer)
        if not self.flushing:
            self._schedule()
        return 0

    cdef int mark_apart(self, Writer writer) except -1:
        self.apart.append(writer)
        if len(self.apart) == 1:
            self._call_later(APART, self._flush_apart)
        return 0

    def _flush_apart(self):
        writers, self.apart = self.apart, []
        self._flush_writers(writers)

    cdef int overflow(self, Session session) except -1:
        # Not closed here: a fan-out may be running over the room it is in.
        if session.outflow is None:
            session.outflow = Outflow.__new__(Outflow)
        if self.over_high_water is not None:
            self.over_high_water[session] = None
        if self.drops_oldest:
            session.start_queueing()
        if session.outflow.listed:
            return 0
        session.outflow.listed = True
        self.slow.append(session)
        if not self.flushing:
            self._schedule()
        return 0

    @property
    def blocks(self):
        """Whether who sends waits for slow clients, a bool."""
        return self.over_high_water is not None

    cdef list blocked(self):
        """A Future for each in `over_high_water` that is not below the mark by now."""
        cdef Session session
        cdef list waits = []
        for session in list(self.over_high_water):
            wait = session.below(self.high_water_mark)
            if wait is not None:
                waits.append(wait)
        self.over_high_water.clear()
        return waits

    def soon(self, callback):
        """Call back in the next pass of the loop."""
        self._call_soon(callback)

    cdef int _schedule(self) except -1:
        self.pass_time = self._clock()
        if self.is_elsewhere():
            # Also wakes the loop, which may sleep until its next timer.
            self.loop.call_soon_threadsafe(self.flush)
        else:
            self._call_soon(self.flush)
        self.flushing = True
        return 0

    cdef bint _runs(self) except -1:
        return self.thread != 0 and self.loop.is_running()

    @property
    def elsewhere(self):
        """Whether who asks is in another thread than the event loop, a bool."""
        return self.is_elsewhere()

    def flush(self):
        """Write what was marked in this pass."""
        cdef list dirty = self.dirty, slow = self.slow, writers
        cdef Transport transport
        cdef Session session
        if slow:
            self.slow = []
            for session in slow:
                try:
                    self._flush_slow(session)
                except BaseException as exc:
                    self.failed(exc, "writing to a client failed", ())
        if dirty:
            self.dirty = []
            for transport in dirty:
                try:
                    transport.flush()
                except BaseException as exc:
                    self.failed(exc, "writing to a client failed", ())
        # What was marked until here is written now, by transports too.
        self.flushing = False
        writers = self.writers
        self.writers = []
        self._flush_writers(writers)
        if self.slow and not self.flushing:
            # Who was told that a client is slow has sent it more.
            self._schedule()

    cdef int _flush_writers(self, list writers) except -1:
        cdef Writer writer
        for writer in writers:
            try:
                writer.flush()
            except BaseException as exc:
                self.failed(exc, "writing to a client failed", ())
        return 0

    cdef int _flush_slow(self, Session session) except -1:
        """Write to a client that may read too slowly, and see whether it does."""
        cdef Transport transport = session.transport
        cdef Outflow outflow = session.outflow
        cdef Py_ssize_t size
        if transport is None:
            return 0
        outflow.listed = False
        # A fast reader of a large message is not a slow one.
        transport.flush()
        if outflow.send_queue is not None:
            session.pump()
            if outflow.slow:
                session.shed(self.high_water_mark)
            elif outflow.send_queue is not None:
                # It loses nothing before what carries it has had a chance.
                self.overflow(session)
        size = session.buffered()
        if size + outflow.reserved > self.max_buffer_bytes:
            return session.too_slow()
        if size > self.high_water_mark:
            return session.lags(size)
        return 0
