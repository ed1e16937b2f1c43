"""All sessions of one server: options, deadlines, and what is to be written.

Sending only gathers. What was marked in a pass of the event loop is written at the end
of that pass, once for each connection. So a fan-out over a room runs to its end before
any client is closed, and membership does not change under it.
"""
import weakref
from collections import Counter

import cython
import orjson

from socketio_fast._core.engine.contracts cimport (
    REVISION_3,
    SERVER_DISCONNECT,
    EngineBase,
    HandlerFactory,
    SessionBase,
    Transport,
)
from socketio_fast._core.engine.deadlines cimport Deadline, Timed, Timeline
from socketio_fast._core.engine.failures cimport contain
from socketio_fast._core.engine.ids cimport generate_id
from socketio_fast._core.engine.observer cimport Observer, joined, without
from socketio_fast._core.engine.rate_limits cimport Limits, Visitor
from socketio_fast._core.engine.runner cimport Runner
from socketio_fast._core.engine.send_batch cimport SendBatch
from socketio_fast._core.engine.session cimport Session
from socketio_fast._core.engine.writer cimport Writer
from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.protocol.deflate cimport Extension
from socketio_fast._core.protocol.outgoing cimport Outgoing

cdef extern from "Python.h":
    object PyContext_CopyCurrent()
    unsigned long PyThread_get_thread_ident()

cdef double NEVER = float("inf")

# What is to be read apart is written so much later (seconds). An event loop's timers of
# one millisecond are due after half of one, on average.
cdef double APART = 0.001


@cython.final
cdef class Alarm:
    """What the event loop calls when a deadline is due.

    It refers to the engine weakly: the timer in an event loop would keep an engine that
    nobody uses any more, and with it the loop, until its last deadline.
    """

    def __cinit__(self, found):
        self.found = found

    def __call__(self):
        engine = self.found()
        if engine is not None:
            (<Engine> engine).on_timer()


@cython.final
cdef class Engine(EngineBase):
    """All sessions of one server.

    Args:
        config: An ``EngineConfig``.
        factory: Makes the handler of each session, a ``HandlerFactory``.
        logger: A ``logging.Logger``.
    """

    def __cinit__(self, object config, HandlerFactory factory, object logger):
        self.sessions = {}
        self.timeline = Timeline()
        self.batch = SendBatch()
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
        """Use these options for new sessions and requests from now on."""
        cdef Limits before
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
        # No request asks for WebTransport by its name.
        self.transports = tuple(
            name for name in config.transports if name != "webtransport"
        )
        self.can_upgrade = config.allow_upgrades and (
            "websocket" in config.transports or "webtransport" in config.transports
        )
        self.open_with_upgrade = self.open_without_upgrade = None
        self.allow_eio3 = config.allow_eio3
        self.allow_jsonp = config.jsonp
        self.allowed_origins = config.cors_allowed_origins
        self.origin_pattern = config.origin_pattern
        self.proxies = config.trusted_proxies
        self.cors_credentials = config.cors_credentials
        self.initial_packet = config.initial_packet
        before = self.limits
        if before is None or before.config is not config.limits:
            self.limits = None if config.limits is None else Limits(config.limits)
            if before is not None and self.limits is not None:
                self.limits.handshakes = before.handshakes
        self.deflate = (
            None if config.per_message_deflate is None
            else Extension(config.per_message_deflate)
        )
        self.compress_from = (
            config.compression_threshold if config.http_compression else -1
        )

    def bind(self, object loop):
        """Run on this event loop. Does nothing if it does already.

        Sessions of an event loop that is closed have ended with it: call forget_lost()
        afterwards.

        Raises:
            RuntimeError: Sessions of another event loop are open.
        """
        # Not the first time: a host may bind it after drain(), when a request comes.
        if self.loop is not None:
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
        self.flushing = self.in_pass = self.due = False
        self.lost, self.sessions = list(self.sessions.values()), {}
        self.dirty, self.slow, self.writers, self.apart = [], [], [], []
        self.batch = SendBatch()

    def observe(self, Observer observer not None):
        """Tell an observer too what happens from now on."""
        self._observe(joined(self.observer, observer))

    def unobserve(self, Observer observer not None):
        """Tell an observer no longer. Nothing happens if it is not told."""
        self._observe(without(self.observer, observer))

    cdef int _observe(self, Observer observer) except -1:
        self.observer = observer
        return self.factory.observed(observer)

    def forget_lost(self):
        """End the sessions whose event loop was closed under them."""
        cdef SessionBase session
        lost, self.lost = self.lost, None
        for session in lost or ():
            try:
                session.forget()
            except BaseException as exc:
                session.closing_failed(exc)

    def tag_ids(self, str tag):
        """End the ids that are made from now on with this; None: with nothing."""
        self.tag = tag

    def generate_by(self, function):
        """Make ids by this function without arguments; None: at random."""
        self._generate_id = function

    cdef str new_id(self):
        cdef str id
        id = generate_id() if self._generate_id is None else self._generate_id()
        return id if self.tag is None else id + self.tag

    cdef SessionBase new_session(self, Visitor visitor, int dialect, str id):
        cdef Session session = Session.__new__(Session)
        session.visitor = visitor
        session.engine = self
        session.id = self.new_id() if id is None else id
        session.dialect = dialect
        session.pings = not dialect & REVISION_3
        return session

    def open_session(self, Transport transport not None, object request=None):
        """Open a session over a transport (for tests)."""
        cdef SessionBase session = self.new_session(None, 0, None)
        session.open(transport, request)
        return session

    cdef Outgoing open_packet(self, SessionBase session):
        cdef Transport transport = session.transport
        cdef bint upgrade = (
            self.can_upgrade
            and transport.name == "polling" and not transport.lasting
        )
        if self.open_with_upgrade is None:
            self.open_with_upgrade = _open_packet(self.config, True)
            self.open_without_upgrade = _open_packet(self.config, False)
        if session.dialect & REVISION_3:
            rest = _open_packet(self.config, upgrade, REVISION_3)
        elif upgrade:
            rest = self.open_with_upgrade
        else:
            rest = self.open_without_upgrade
        return outgoing.with_sid(b"0", session.id, rest)

    def close_all(self, bint stopping=False):
        """Close all sessions; what was sent before is delivered first.

        Args:
            stopping: The server stops. Polling clients get an HTTP error instead of a
                close packet, after which python-engineio's clients would not connect
                again. Otherwise clients may connect again at once.
        """
        cdef SessionBase session
        if not stopping:
            self.reopen()
        for session in list(self.sessions.values()):
            try:
                session.close(SERVER_DISCONNECT, stopping)
            except BaseException as exc:
                session.closing_failed(exc)
        # At once: the loop may stop before its next pass, and close frames with it.
        self.flush()
        self._flush_apart()

    def drain(self):
        """Refuse new sessions until reopen(). The caller sends the open ones away."""
        self.draining = True

    def reopen(self):
        """Accept new sessions again, after drain()."""
        self.draining = False

    def drop_all(self):
        """End all sessions now: what was sent before is not delivered."""
        cdef SessionBase session
        for session in list(self.sessions.values()):
            try:
                session.drop(SERVER_DISCONNECT)
            except BaseException as exc:
                session.closing_failed(exc)

    cdef int tell_refusal(self, str cause, object address, str message) except -1:
        if self.refusals is not None:
            self.refusals(cause, address, message)
        return 0

    cdef int failed(self, object error, str message, tuple args) except -1:
        return contain(self.loop, self.logger, error, message, args)

    # Time.

    cdef double now(self):
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

    def rearm(self):
        """Wake for the next deadline, and not for those that were cancelled. The event
        loop would keep the timer of the last one until then."""
        self._arm()

    def set_clock(self, time, call_at):
        """Use these instead of the loop's methods of the same names (for tests).

        Call it on the loop's thread, while both clocks show the same time.
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
            # This pass began long ago, and flush() has not come yet. A deadline that is
            # started by that time may be due at once, and the loop below never end.
            self.pass_time = now
        self._timer = None
        self._timer_at = now  # start() and restart() set no timer while this runs
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

    # Writing: once for each connection in a pass of the loop.

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

    cdef int overflow(self, SessionBase session) except -1:
        # The session is not closed here: a fan-out may run over the rooms it is in.
        if self.over_high_water is not None:
            self.over_high_water[session] = None
        if session.watch():
            self.slow.append(session)
            if not self.flushing:
                self._schedule()
        return 0

    @property
    def blocks(self):
        """Whether emit() waits for slow clients, a bool."""
        return self.over_high_water is not None

    cdef list blocked(self):
        cdef SessionBase session
        cdef list waits = []
        for session in list(self.over_high_water):
            wait = session.below(self.high_water_mark)
            if wait is not None:
                waits.append(wait)
        self.over_high_water.clear()
        return waits

    cpdef int soon(self, object callback) except -1:
        self._call_soon(callback)
        return 0

    cdef int _schedule(self) except -1:
        self.pass_time = self._clock()
        if self.is_elsewhere():
            # This wakes the loop, which may sleep until its next timer.
            self.loop.call_soon_threadsafe(self.flush)
        elif self.in_pass:
            self.due = True
        else:
            self._call_soon(self.flush)
        self.flushing = True
        return 0

    cdef int begin_pass(self) except -1:
        self.in_pass = True
        return 0

    cdef int end_pass(self) except -1:
        self.in_pass = False
        if self.due:
            self.due = False
            self.flush()
        return 0

    cdef bint runs(self) except -1:
        return self.thread != 0 and self.loop.is_running()

    @property
    def elsewhere(self):
        """Whether the caller is in another thread than the event loop, a bool."""
        return self.is_elsewhere()

    def flush(self):
        """Write what was marked in this pass. The order matters: a session may give its
        transport more, and a transport its writer."""
        cdef list dirty = self.dirty, slow = self.slow, writers
        cdef Transport transport
        cdef SessionBase session
        if slow:
            self.slow = []
            for session in slow:
                try:
                    session.check()
                except BaseException as exc:
                    self.failed(exc, "writing to a client failed", ())
        if dirty:
            self.dirty = []
            for transport in dirty:
                try:
                    transport.flush()
                except BaseException as exc:
                    self.failed(exc, "writing to a client failed", ())
        # Transports have marked their writers, which are flushed now. What is marked
        # from here on needs another pass.
        self.flushing = False
        writers = self.writers
        self.writers = []
        self._flush_writers(writers)
        if self.slow and not self.flushing:
            # A handler was told that a client is slow, and has sent it more.
            self._schedule()

    cdef int _flush_writers(self, list writers) except -1:
        cdef Writer writer
        try:
            writers = self.batch.send(writers)
        except BaseException as exc:
            self.failed(exc, "writing to clients failed", ())
        for writer in writers:
            try:
                writer.flush()
            except BaseException as exc:
                self.failed(exc, "writing to a client failed", ())
        return 0


def _open_packet(config, upgrade, dialect=0):
    """Render the open packet behind the sid, of revision 4 or 3."""
    options = {
        "upgrades": [
            name for name in ("websocket", "webtransport")
            if upgrade and name in config.transports
            # Clients of revision 3 know no other transport.
            and (not dialect or name == "websocket")
        ],
        "pingInterval": _milliseconds(config.ping_interval + config.ping_grace),
        "pingTimeout": _milliseconds(config.ping_timeout),
        "maxPayload": config.max_http_buffer_size,
    }
    return b"," + orjson.dumps(options)[1:]


def _milliseconds(double seconds):
    # A whole number as an int: the reference implementation writes 25000.
    cdef object ms = seconds * 1000
    return int(ms) if ms == int(ms) else ms
