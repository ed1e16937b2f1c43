"""A client's side of an Engine.IO session.

    OPENING ──open packet──► OPEN ──► CLOSING ──► CLOSED

It is the server's `Session` but for five things: it opens with the open packet;
the peer that pings is the other one; it asks for the upgrade; while it is CLOSING, the
server must go on taking what was sent; and who made it, a `SessionOwner`, hears what
happens.

The upgrade: PING "probe" by the WebSocket ──► PONG "probe" ──► the owner lets the poll
and the POST that are under way end ──► UPGRADE, and what was not posted follows. What
is sent meanwhile waits in the polling transport, so that nothing is lost or overtaken.
"""
import cython
import orjson

from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.engine.contracts cimport (
    CLIENT_DISCONNECT,
    CLOSED,
    CLOSING,
    OPEN,
    OPENING,
    PING_TIMEOUT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    EngineBase,
    SessionHandler,
    Transport,
)
from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.engine.heartbeat cimport (
    CLOSE_DUE,
    PING_DUE,
    heard,
    start_heartbeat,
)
from socketio_fast._core.protocol.eio cimport EIO_CLOSE, EIO_OPEN, EIO_PING, EIO_PONG
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.protocol.wire cimport sf_awake_or_not

from socketio_fast.exceptions import ProtocolError
from socketio_fast.options.logs import escaped

cdef Outgoing PONG = outgoing.control(b"3")
cdef Outgoing PROBE = outgoing.control(b"2probe")
cdef Outgoing UPGRADE = outgoing.control(b"5")

# What is upgraded to.
cdef dict NAMES = {"websocket": "WebSocket", "webtransport": "WebTransport session"}

# The most milliseconds that a server may name for its heartbeat: about 24 days, what a
# timer of JavaScript can wait.
cdef enum:
    MAX_MS = 2147483647


cdef class SessionOwner:
    """Who made a session, and hears what happens to it. Subclasses implement what they
    want to hear. The methods may close the session, and must not block."""

    def opened(self, session):
        """The open packet has come."""

    def pinged(self, session):
        """The server has pinged."""

    def probe_answered(self, session):
        """The WebSocket of the upgrade works: let polling come to rest, then call
        `session.finish_upgrade()`."""

    def probe_failed(self, session, error):
        """The upgrade has failed, and the session goes on by polling."""

    def closed(self, session, reason, description):
        """The session is over. `description`: which rule the server broke; or None."""

    def finished(self, session):
        """Its transport carries nothing any more."""


cdef SessionOwner nobody = SessionOwner()


@cython.final
cdef class ClientSession(Session):
    """One Engine.IO connection, as a client has it.

    Args:
        engine: Its options and its clock.
        owner: Hears what happens.
        dialect: Flags of `Dialect`.
    """

    def __init__(self, EngineBase engine not None, SessionOwner owner, int dialect=0):
        self.engine = engine
        self.owner = owner
        self.dialect = dialect
        self.pings = dialect & 1  # REVISION_3
        self.close_timeout = 3
        self.id = ""
        self._environ_dict = {}

    def never_open(self):
        """Be what a client has in the place of a session while it has none."""
        self.state = CLOSED

    cdef int accept(self) except -1:
        return 0  # the server has accepted

    cdef int refuse(self) except -1:
        return Session.refuse(self) if self.state == OPENING else (
            self.drop(CLIENT_DISCONNECT)
        )

    def begin(self, Transport transport not None):
        """Wait for the open packet by this transport."""
        self.open(transport, None)

    cdef int open(self, Transport transport, object request) except -1:
        cdef SessionHandler handler = self.engine.factory.new_handler(self)
        self.transport = transport
        transport.session = self
        transport.dialect = self.dialect
        self.handler = handler
        handler.session = self
        return 0

    cdef int on_packet(self, int type, const char *p, Py_ssize_t n) except -1:
        if self.state == OPENING:
            if type != EIO_OPEN:
                raise ProtocolError(
                    f"Engine.IO packet of type {type} where the open packet was "
                    "expected"
                )
            return self._opened(p[:n])
        return Session.on_packet(self, type, p, n)

    cdef int on_binary(self, bytes data) except -1:
        if self.state == OPENING:
            raise ProtocolError("binary message where the open packet was expected")
        return Session.on_binary(self, data)

    cdef int _opened(self, bytes data) except -1:
        """The open packet has come: the session is open."""
        cdef EngineBase engine = self.engine
        cdef SessionHandler handler = self.handler
        try:
            handshake = orjson.loads(data)
        except ValueError:
            raise ProtocolError(f"open packet is not JSON: {data[:80]!r}") from None
        if not isinstance(handshake, dict):
            raise ProtocolError(f"open packet is not a JSON object: {data[:80]!r}")
        sid = handshake.get("sid")
        if not isinstance(sid, str) or not sid:
            raise ProtocolError(f"open packet without a sid: {data[:80]!r}")
        upgrades = handshake.get("upgrades")
        self.upgrades = list(upgrades) if isinstance(upgrades, list) else []
        engine.ping_interval = _seconds(handshake, "pingInterval")
        engine.ping_timeout = _seconds(handshake, "pingTimeout")
        if engine.ping_interval + engine.ping_timeout == 0:
            raise ProtocolError("pingInterval and pingTimeout of the open packet are 0")
        largest = handshake.get("maxPayload")
        if isinstance(largest, int) and not isinstance(largest, bool) and largest > 0:
            self.max_payload = largest
        self.id = sid
        self.state = OPEN
        self.was_open = True
        engine.sessions[sid] = self
        if engine.observer is not None:
            engine.observer.session_opened(self)
        self.heartbeat = start_heartbeat(self)
        self.ahead = self._since_sleep() - engine.now()
        handler.on_open()
        if self.state == OPEN:
            try:
                self.owner.opened(self)
            except BaseException as exc:
                self._owner_failed(exc)
        return 0

    cdef int on_control(self, int type, const char *p, Py_ssize_t n) except -1:
        if type == EIO_PING:
            self._heard()
            self.send(PONG)
            try:
                self.owner.pinged(self)
            except BaseException as exc:
                self._owner_failed(exc)
        elif type == EIO_PONG:
            if self.pings:
                return self._heard()
        elif type == EIO_CLOSE:
            # As in the reference implementation: the client connects again.
            return self.drop(TRANSPORT_CLOSE)
        # OPEN, UPGRADE and NOOP mean nothing now, and are ignored.
        return 0

    # Sleep.

    cdef double _since_sleep(self) except -1:
        """The time by the clock that goes on while the machine sleeps (seconds)."""
        return sf_awake_or_not() if self.clock is None else self.clock()

    cdef int _heard(self) except -1:
        heard(self, self.heartbeat)
        self.ahead = self._since_sleep() - self.engine.now()
        return 0

    cdef bint _look_up_overdue(self) except -1:
        cdef EngineBase engine = self.engine
        cdef Deadline heartbeat = self.heartbeat
        cdef double until
        if self.state != OPEN or self.is_paused():
            return False
        until = heartbeat.when
        if heartbeat.kind == PING_DUE:
            until += engine.ping_timeout
        if self._since_sleep() - self.ahead <= until:
            return False
        self.overdue = True
        engine.logger.info(
            "session %s: the machine has slept, or the event loop was busy, for longer "
            "than the heartbeat allows",
            escaped(self.id),
        )
        engine.soon(self._end_overdue)
        return True

    def _end_overdue(self):
        if self.state == OPEN:
            self.drop(PING_TIMEOUT)

    def set_clock(self, time):
        """Use this in the place of the clock that goes on in sleep (for tests)."""
        self.clock = time
        self.ahead = time() - self.engine.now()

    def check_message(self, Outgoing message not None):
        """Raise ValueError for a message that is larger than the server takes."""
        self.check_size(message)

    cdef int check_parts(self, Outgoing m) except -1:
        """Raise ValueError for a packet above the server's maxPayload: the server would
        end the session, at each attempt to send it."""
        cdef bint polling = self.transport is not None and (
            self.transport.name == "polling"
        )
        cdef Outgoing part
        cdef Py_ssize_t size
        for part in m.apart():
            size = part.size()
            if polling and part.attachments is not None:
                size = 1 + 4 * ((size + 2) // 3)  # base64
            if size > self.max_payload:
                raise ValueError(
                    f"a packet of {size} bytes{' in base64' if polling else ''} is "
                    "more than the server takes at once, maxPayload="
                    f"{self.max_payload}: send it in parts, or let the server take "
                    "more (max_http_buffer_size)"
                )
        return 0

    cdef int _owner_failed(self, object error) except -1:
        return self.engine.failed(
            error, "the client of session %s failed", (escaped(self.id),)
        )

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
        probe.send(PROBE)
        return True

    def start_upgrade(self, Transport probe not None):
        """Try to upgrade to this transport. Returns False if that cannot be."""
        return bool(self.begin_upgrade(probe))

    cdef int on_probe_packet(
        self, Transport probe, int type, const char *p, Py_ssize_t n
    ) except -1:
        if probe is not self.probe:
            return 0
        if type == EIO_PONG and p[:n] == b"probe":
            self.owner.probe_answered(self)
            return 0
        return self._probe_failed(ProtocolError(
            f"Engine.IO packet of type {type} where the answer of the probe was "
            "expected"
        ))

    cdef int _probe_failed(self, object error) except -1:
        cdef Transport probe = self.probe
        self.end_upgrade()
        if probe is not None:
            probe.abort(None)
            self.owner.probe_failed(self, error)
        return 0

    def give_up_upgrade(self, error):
        """The upgrade takes too long, or its transport has failed."""
        self._probe_failed(error)

    def finish_upgrade(self):
        """Polling is at rest: the WebSocket carries the session from now on."""
        cdef Transport probe = self.probe
        if self.state == OPEN and probe is not None:
            probe.send(UPGRADE)
            self.complete_upgrade()

    cdef int on_transport_close(self, Transport transport, str reason) except -1:
        if transport is self.probe:
            return self._probe_failed(ConnectionResetError(
                f"the {NAMES[transport.name]} was closed before the upgrade"
            ))
        return Session.on_transport_close(self, transport, reason)

    # Ending.

    cdef int close(self, str reason, bint going=False) except -1:
        if self.state == OPEN:
            self.owed = max((<object> self.transport).untaken(), self.buffered())
        Session.close(self, reason, going)
        return self._expect_taking() if self.state == CLOSING else 0

    cdef int _expect_taking(self) except -1:
        """The server must take something of what was sent within `close_timeout`."""
        self.untaken = (<object> self.transport).untaken()
        return self.engine.restart(self.heartbeat, self.close_timeout, CLOSE_DUE)

    cdef int on_deadline(self, int kind, double now) except -1:
        if kind != CLOSE_DUE:
            return Session.on_deadline(self, kind, now)
        if (<object> self.transport).untaken() != self.untaken:
            return self._expect_taking()
        self.fail(TRANSPORT_CLOSE, TimeoutError(
            f"it has taken nothing for {self.close_timeout:g} s"
        ))
        return 0

    cdef int may_be_lost(
        self, Transport transport, Py_ssize_t size, object why
    ) except -1:
        """The server has not taken `size` bytes: log that if the session is closing,
        since nobody else would hear of it."""
        size = min(size, self.owed)
        if self.state == CLOSING and transport is self.transport and size > 0:
            self.owed = 0
            self.engine.logger.warning(
                "session %s: the server may not have got %d bytes that were sent "
                "before the disconnection: %s", escaped(self.id), size, escaped(why),
            )
        return 0

    cdef int finished(self) except -1:
        Session.finished(self)
        if not self.was_open:
            self._tell_closed()
        try:
            self.owner.finished(self)
        except BaseException as exc:
            self._owner_failed(exc)
        if self.told:
            self.owner = nobody  # which refers to the session
        return 0

    cdef int _end(self, str reason) except -1:
        Session._end(self, reason)
        self._tell_closed()
        if self.transport is None:
            self.owner = nobody  # finished() was called before
        return 0

    cdef int _tell_closed(self) except -1:
        self.told = True
        try:
            self.owner.closed(
                self, self.reason or TRANSPORT_ERROR,
                self.engine.descriptions.get(self.id),
            )
        except BaseException as exc:
            self._owner_failed(exc)
        return 0

    def end(self, str reason not None):
        """Close the session: what was sent before is delivered first."""
        if self.transport is not None:
            self.close(reason)

    def fail(self, str reason not None, error=None):
        """End the session now. `error`: what the transport has met; or None."""
        if self.transport is None:
            if self.state != CLOSED:
                self.finished()  # it has not begun
            return
        if self.state == CLOSING:
            self.may_be_lost(
                self.transport,
                max((<object> self.transport).untaken(), self.buffered()),
                "it was aborted" if error is None else error,
            )
        if error is None:
            self.drop(reason)
            return
        self.engine.logger.info("session %s: %s", escaped(self.id), escaped(error))
        self.engine.descriptions[self.id] = str(error)
        try:
            self.drop(reason)
        finally:
            self.engine.descriptions.pop(self.id, None)


cdef double _seconds(dict handshake, str name) except -1:
    """A duration of the open packet, which is in milliseconds. Servers that round down
    send 0."""
    value = handshake.get(name)
    if (
        isinstance(value, bool) or not isinstance(value, (int, float))
        or not 0 <= value <= MAX_MS
    ):
        raise ProtocolError(
            f"{name} of the open packet is {value!r:.80}: milliseconds expected"
        )
    return value / 1000
