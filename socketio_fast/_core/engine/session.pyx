"""One Engine.IO session: its states, what it sends and receives, its upgrade.

    OPENING ──accept()──► OPEN ──close()──► CLOSING ──delivered──► CLOSED
       └─refuse()─► CLOSED  └─drop()─► CLOSED            └─timeout─► CLOSED

Rule 1: on_close() of the handler is called exactly once, when the state leaves OPEN.
Rule 2: close() lets what was sent before reach the client; drop() does not.
Rule 3: an upgrade moves all undelivered messages from one transport to the other at one
instant, when the client sends UPGRADE. Until then everything goes by polling.

Ownership: the engine's table owns a session, which owns its transport and its handler;
both refer back to it. finished() breaks these cycles, so that a session which is over
needs no garbage collection.

Cython holds no reference to `self.x` while a method of it runs. A session that closes
drops its transport and its handler, and a transport its session. So what may end such a
reference is called through a local variable, here and in the transports.

A session does not know which transport it has, what its messages mean, or what time it
is: transports and handlers are given to it, and the clock is that of `Engine.bind()`.
"""
import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.engine.collecting cimport set_tracked
from socketio_fast._core.engine.contexts cimport same
from socketio_fast._core.engine.contracts cimport (
    CLIENT_DISCONNECT,
    CLOSED,
    CLOSING,
    OPEN,
    OPENING,
    REVISION_3,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    EngineBase,
    SessionHandler,
    Transport,
)
from socketio_fast._core.engine.heartbeat cimport (
    CLOSE_DUE,
    PING_DUE,
    SILENCE,
    heard,
    ping,
    pinged_at,
    read_again,
    silent,
    start_heartbeat,
)
from socketio_fast._core.engine.inflow cimport Flow
from socketio_fast._core.engine.observer cimport ConnectionListener, Observer
from socketio_fast._core.engine.request_hooks cimport RequestHooks
from socketio_fast._core.engine.outflow cimport Outflow, count_dropped
from socketio_fast._core.engine.session_api cimport SessionApi
from socketio_fast._core.engine.upgrade cimport Upgrade
from socketio_fast._core.protocol.eio cimport EIO_CLOSE, EIO_MESSAGE, EIO_PING, EIO_PONG
from socketio_fast._core.protocol.outgoing cimport Outgoing

from socketio_fast.exceptions import LimitError, ProtocolError
from socketio_fast.options.logs import escaped

cdef extern from "Python.h":
    object PyContext_CopyCurrent()

# How long a closed session waits for a last poll, as in the reference implementation
# (seconds).
cdef double CLOSE_TIMEOUT = 30.0


cdef class Session(SessionApi):
    """One Engine.IO connection, as a server has it. `ClientSession` is the client's."""

    # Beginning.

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
        if self.visitor is not None and self.engine.limits is not None:
            self.engine.limits.entered(self.visitor)
        try:
            handler.on_open()
        except BaseException:
            self.drop(TRANSPORT_ERROR)
            raise
        return 0

    cdef int accept(self) except -1:
        cdef EngineBase engine = self.engine
        cdef Observer observer = engine.observer
        cdef RequestHooks hooks = engine.hooks
        cdef Transport transport = self.transport
        if self.state != OPENING:
            return 0
        self.state = OPEN
        if observer is not None:
            observer.session_opened(self)
        self.send(engine.open_packet(self))
        if (
            engine.initial_packet is not None or hooks is not None
            or self.outflow is not None
        ):
            # More may follow. By a WebSocket it is written apart, for clients that
            # listen to messages only once they are open.
            if transport.name != "polling":
                transport.part()
        if engine.initial_packet is not None:
            self.send(outgoing.message(engine.initial_packet))
        if self.outflow is not None:
            self._send_kept()
        if self.state != OPEN:
            return 0  # what listens to its packets has closed it
        self.heartbeat = start_heartbeat(self)
        self.track(False)
        if hooks is not None:
            hooks.opened(self)  # which may close the session
        if self.reason is not None:
            return self.close(self.reason)  # the connect handler has asked for that
        return 0

    cdef int refuse(self) except -1:
        cdef Transport transport = self.transport
        if self.state == OPENING:
            self.state = CLOSED
            try:
                transport.refuse()
            except BaseException as exc:
                self.closing_failed(exc)
            self.finished()
            self.handler = None
            self.hear(None)
        return 0

    # Ending.

    cdef int close(self, str reason, bint going=False) except -1:
        cdef Transport transport = self.transport
        if self.state == OPENING:
            return self.refuse()
        if self.state != OPEN:
            return 0
        # The state comes first: the transport may call finished() at once.
        self.state = CLOSING
        self.reason = reason
        if self.heartbeat is None:  # what listens to its open packet closes it
            self.heartbeat = self.engine.start(CLOSE_TIMEOUT, CLOSE_DUE, self)
        else:
            self.engine.restart(self.heartbeat, CLOSE_TIMEOUT, CLOSE_DUE)
        try:
            if self.outflow is not None:
                self.outflow.send_queued(transport)
            if going:
                transport.go_away()
            else:
                transport.close()
        except BaseException as exc:
            self.closing_failed(exc)
        return self._end(reason)

    cdef int drop(self, str reason, object code=None) except -1:
        cdef Transport transport = self.transport
        cdef int before = self.state
        if before == CLOSED:
            return 0
        # The state comes first: the transport may report at once that it is closed.
        self.state = CLOSED
        self.reason = reason
        try:
            transport.abort(code)
        except BaseException as exc:
            self.closing_failed(exc)
        # Before anybody is told: disconnect handlers do not find the session any more.
        self.finished()
        if before == OPEN:
            self._end(reason)
        self.handler = None
        self.hear(None)
        return 0

    cdef int forget(self) except -1:
        cdef int before = self.state
        self.state = CLOSED
        self.reason = TRANSPORT_CLOSE
        for transport in (self.transport, self.probe):
            if transport is not None:
                (<Transport> transport).session = None
        self.transport = self.heartbeat = None
        self.end_upgrade()
        if self.outflow is not None:
            self.outflow.waiters.clear()  # Futures of an event loop that is closed
        self._leave()
        if before == OPEN:
            self._end(TRANSPORT_CLOSE)
        self.handler = None
        self.hear(None)
        return 0

    cdef int _end(self, str reason) except -1:
        """The state has left OPEN: tell everybody (rule 1)."""
        self.track(True)
        self.log(logging.INFO, "session %s closed: %s", (escaped(reason),))
        if self.flow is not None:
            self.flow.paused = False
        if self.outflow is not None:
            self.outflow.end_waits()
        cdef SessionHandler handler = self.handler
        cdef Observer observer = self.engine.observer
        cdef ConnectionListener conn
        if observer is not None:
            observer.session_closed(self, reason)
        if handler is not None:
            try:
                handler.on_close(reason)
            except BaseException as exc:
                self.closing_failed(exc)
            self.handler = None
        conn = self.conn
        if conn is not None:
            conn.closed(reason)
            self.hear(None)
        # Its variables may refer to the session.
        self.context = None
        return 0

    cdef int finished(self) except -1:
        # Nothing is left to deliver: leave the table, and every cycle.
        cdef Transport probe = self.probe
        self.state = CLOSED
        # Before the probe is closed: that is reported for a probe only.
        self.end_upgrade()
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
        """Stop counting as a connection of the visitor, unless limits were unset."""
        if self.visitor is not None and self.engine.limits is not None:
            self.engine.limits.left(self.visitor)
        self.visitor = None
        return 0

    cdef int too_slow(self) except -1:
        self.log(
            logging.WARNING,
            "session %s: more than max_buffer_bytes=%d wait to be read, closed",
            (self.engine.max_buffer_bytes,),
        )
        return self.drop(TRANSPORT_ERROR)

    cdef int track(self, bint tracked) except -1:
        cdef Transport transport = self.transport
        cdef SessionHandler handler = self.handler
        if self.untracked != tracked:
            return 0
        if not tracked and (transport is None or transport.track(False)):
            return 0
        self.untracked = not tracked
        set_tracked(self, tracked)
        if self.heartbeat is not None:
            set_tracked(self.heartbeat, tracked)
        return 0 if handler is None else handler.track(tracked)

    # Sending.

    cdef int send(self, Outgoing m) except -1:
        cdef Observer observer = self.engine.observer
        if observer is not None and self.state == OPEN:
            observer.count_out(m.count(), m.size())
        return self.pass_on(m)

    cdef int pass_on(self, Outgoing m) except -1:
        cdef Transport transport = self.transport
        cdef ConnectionListener conn
        if self.state == OPEN:
            if self.conn is not None:
                conn = self.conn
                conn.sending(m)
                if self.state != OPEN:
                    return 0
            if self.outflow is not None and self.outflow.send_queue is not None:
                return self.outflow.enqueue(self, m)
            transport.send(m)
        elif self.state == OPENING:
            self._keep(m)
        return 0

    cdef int _keep(self, Outgoing m) except -1:
        """The message follows the open packet, if the client is accepted."""
        if self.reason is not None:
            return 0  # disconnect() has been called
        self._new_outflow().keep(m)
        return self.reserve(m.size())

    cdef int _send_kept(self) except -1:
        """Send what was sent before the client was accepted."""
        cdef list early = self.outflow.early
        cdef Outgoing m
        self.outflow.early = None
        for m in early or ():
            self.reserve(-m.size())
            self.send(m)
        return 0

    cdef int part(self) except -1:
        cdef Transport transport = self.transport
        return 0 if transport is None else transport.part()

    # What the client has yet to read: see outflow.

    cdef Outflow _new_outflow(self):
        if self.outflow is None:
            self.outflow = Outflow.__new__(Outflow)
        return self.outflow

    cdef Py_ssize_t buffered(self) except -1:
        cdef Transport transport = self.transport
        cdef Py_ssize_t size = 0 if transport is None else transport.buffered()
        if self.outflow is not None and self.outflow.send_queue is not None:
            size += self.outflow.send_queue.size
        return size

    cdef Py_ssize_t unread_bytes(self) except -1:
        return self.buffered() + (0 if self.outflow is None else self.outflow.reserved)

    cdef bint above(self) except -1:
        return self.buffered() > self.engine.high_water_mark

    cdef int reserve(self, Py_ssize_t size) except -1:
        cdef Outflow outflow = self._new_outflow()
        outflow.reserved += size
        if size > 0 and outflow.reserved > self.engine.max_buffer_bytes:
            self.engine.overflow(self)
        elif outflow.is_idle():
            # Most clients are sent something by their connect handler, and are never
            # slow: an idle connection costs no Outflow.
            self.outflow = None
        return 0

    cdef bint watch(self) except -1:
        return self._new_outflow().watch(self)

    cdef int check(self) except -1:
        # A local variable: the session may do without it while it writes.
        cdef Outflow outflow = self.outflow
        cdef Py_ssize_t size
        if self.transport is None:
            return 0
        outflow.write(self)
        size = self.buffered()
        if size + outflow.reserved > self.engine.max_buffer_bytes:
            return self.too_slow()
        if size > self.engine.high_water_mark:
            if self.state == OPEN and not outflow.slow:
                outflow.slow = True
                return self._tell_slow(size)
        return 0

    cdef int _tell_slow(self, Py_ssize_t size) except -1:
        """The client is above the mark, for the first time since it was below half."""
        cdef EngineBase engine = self.engine
        cdef SessionHandler handler = self.handler
        engine.counters["slow_consumers"] += 1
        self.log(
            logging.INFO,
            "session %s: %d bytes wait to be read, more than high_water_mark",
            (size,),
        )
        if engine.hooks is not None:
            self.run((<object> engine.hooks).slow, self.id, size)
        return 0 if handler is None else handler.on_slow(size)

    cdef int flushed(self) except -1:
        cdef Outflow outflow = self.outflow
        if outflow is None or self.transport is None:
            return 0
        return outflow.flushed(self)

    cdef int dropped(self, Outgoing m) except -1:
        self.engine.counters["dropped_volatile"] += 1
        return count_dropped(self.engine, m) if self.above() else 0

    cpdef object below(self, Py_ssize_t limit):
        """Wait until at most `limit` bytes wait for the client to read them.

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
        # With one byte buffered a transport is not paused, and so never tells that the
        # byte has left: a limit of 0 would wait forever.
        limit = max(limit, 1)
        if self.buffered() <= limit:
            return None
        return self._new_outflow().wait(self, limit)

    # What its handlers have yet to finish: see inflow.

    cdef int begin_event(self, Py_ssize_t size) except -1:
        if self.flow is None:
            self.flow = Flow.__new__(Flow)
        return self.flow.begin_event(self, size)

    cdef int end_event(self, Py_ssize_t size) except -1:
        if self.flow.end_event(self, size):
            self.engine.soon(self._read_on)
        return 0

    cdef int expect(self) except -1:
        if self.flow is not None and self.flow.paused:
            self.engine.soon(self._read_on)
        return 0

    def _read_on(self):
        if self.flow.paused and self.flow.has_room(self):
            self._resume()

    cdef bint is_paused(self) except -1:
        return self.flow is not None and self.flow.paused

    cdef int _resume(self) except -1:
        """Read the client again."""
        cdef Transport transport = self.transport
        self.flow.paused = False
        if self.state == OPEN:
            read_again(self, self.heartbeat)
            transport.resume()
        return 0

    # From the transport.

    cdef int on_packet(self, int type, const char *p, Py_ssize_t n) except -1:
        cdef SessionHandler handler = self.handler
        cdef Observer observer
        cdef ConnectionListener conn
        cdef bytes packet
        if self.state != OPEN:
            return 0
        if self.conn is not None:
            # A listener may let the event loop read other clients, into the same
            # buffer: copy the packet before.
            conn = self.conn
            packet = p[:n]
            conn.received(type, packet, False)
            p = PyBytes_AS_STRING(packet)
            handler = self.handler
            if self.state != OPEN:
                return 0
        if type == EIO_MESSAGE:
            observer = self.engine.observer
            if observer is not None:
                observer.count_in(n + 1)
            return handler.on_text(p, n)
        return self.on_control(type, p, n)

    cdef int on_control(self, int type, const char *p, Py_ssize_t n) except -1:
        """A packet other than a message has come."""
        cdef Transport transport = self.transport
        if type == EIO_PONG:
            if self.dialect & REVISION_3:
                raise ProtocolError("PONG from a client: in revision 3 it pings")
            return heard(self, self.heartbeat)
        if type == EIO_CLOSE:
            transport.release()
            return self.drop(CLIENT_DISCONNECT)
        if type == EIO_PING:
            if self.dialect & REVISION_3:
                heard(self, self.heartbeat)
                return self.send(outgoing.control(b"3" + p[:n]))
            raise ProtocolError("PING from a client: in revision 4 the server pings")
        # OPEN, UPGRADE and NOOP from a client mean nothing, and are ignored.
        return 0

    cdef int on_binary(self, bytes data) except -1:
        cdef SessionHandler handler = self.handler
        cdef Observer observer
        cdef ConnectionListener conn
        if self.state == OPEN:
            if self.conn is not None:
                conn = self.conn
                conn.received(EIO_MESSAGE, data, True)
                handler = self.handler
                if handler is None:
                    return 0
            observer = self.engine.observer
            if observer is not None:
                observer.count_in(PyBytes_GET_SIZE(data))
            handler.on_binary(data)
        return 0

    cdef int on_error(self, object error) except -1:
        if self.state == CLOSED:
            return 0
        code = self._log_error(error)
        self._describe(error)
        try:
            return self.drop(TRANSPORT_ERROR, code)
        finally:
            self._describe(None)

    cdef int on_bad_message(self, object error) except -1:
        if self.state == OPEN:
            self._log_error(error)
        self._describe(error)
        try:
            return self.close(TRANSPORT_ERROR)
        finally:
            self._describe(None)

    cdef object _log_error(self, object error):
        """Log why the session ends. Returns the close code."""
        cdef EngineBase engine = self.engine
        if isinstance(error, ProtocolError):
            self.log(logging.INFO, "session %s: %s", (escaped(error),))
            if isinstance(error, LimitError):
                engine.tell_refusal(
                    f"limit {error.code}", self.environ.get("REMOTE_ADDR"),
                    f"session {self.id} is closed: {error}",
                )
            return error.code
        engine.failed(error, "session %s: internal error", (escaped(self.id),))
        return 1011

    cdef int _describe(self, object error) except -1:
        """Let `description` tell of an error, while disconnect handlers are called."""
        if isinstance(error, ProtocolError):
            self.engine.descriptions[self.id] = str(error)
        else:
            self.engine.descriptions.pop(self.id, None)
        return 0

    cdef int on_transport_close(self, Transport transport, str reason) except -1:
        if transport is self.transport:
            if self.state == CLOSING:
                return self.finished()
            return self.drop(reason)
        if transport is self.probe:
            self.end_upgrade()
        return 0

    # Upgrade.

    cdef int begin_upgrade(self, Transport probe) except -1:
        if (
            self.state != OPEN
            or self.probe is not None
            or self.transport.name != "polling"
        ):
            return False
        probe.session = self
        probe.dialect = self.dialect
        self.probe = probe
        self.upgrade = Upgrade.begin(self, probe)
        return True

    cdef int on_probe_packet(
        self, Transport probe, int type, const char *p, Py_ssize_t n
    ) except -1:
        cdef Upgrade upgrade = self.upgrade
        return 0 if probe is not self.probe else upgrade.on_packet(type, p, n)

    cdef int complete_upgrade(self) except -1:
        # Rule 3. The WebSocket must be the session's transport before it is given the
        # first message: what it reports of them is of the session then.
        cdef Transport polling = self.transport, websocket = self.probe
        cdef Observer observer = self.engine.observer
        cdef ConnectionListener conn
        cdef list undelivered
        self.end_upgrade()
        self.upgraded = True
        self.transport = websocket
        if self.is_paused():
            websocket.pause()
        undelivered = polling.handover()
        for m in undelivered:
            websocket.send(m)
        if self.outflow is not None:
            # If all of it leaves now, the transport will not call flushed().
            websocket.flush()
            self.flushed()
        if self.state == CLOSING:
            websocket.close()
        else:
            self.track(False)
            if observer is not None:
                observer.session_upgraded(self)
            conn = self.conn
            if conn is not None:
                conn.upgraded(websocket.name)
        return 0

    cdef int end_upgrade(self) except -1:
        self.probe = None
        if self.upgrade is not None:
            self.upgrade.end()
            self.upgrade = None
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        if kind == PING_DUE:
            ping(self, self.heartbeat, now)
        elif kind == SILENCE:
            silent(self, self.heartbeat, self.flow, self.outflow)
        else:
            self.drop(TRANSPORT_CLOSE)
        return 0

    # For Python; see also session_api.

    @property
    def last_ping(self):
        """When the ping was sent that the client has not answered yet, a `time.time()`;
        None: it has answered, or it sends the pings itself (revision 3)."""
        return pinged_at(self, self.heartbeat)

    @property
    def under_way(self):
        """How many handlers have not ended, and how many acknowledgements of this
        client have not come: a tuple of two ints."""
        cdef SessionHandler handler = self.handler
        cdef Py_ssize_t handlers = self.state == OPENING
        if self.flow is not None:
            handlers += self.flow.events
        return handlers, 0 if handler is None else handler.awaited()
