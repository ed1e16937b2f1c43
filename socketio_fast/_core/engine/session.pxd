# One Engine.IO connection, whatever its transport; and the engine that holds them all.
from socketio_fast._core.engine.deadlines cimport Deadline, Timed, Timeline
from socketio_fast._core.engine.rate_limits cimport Limits, Visitor
from socketio_fast._core.protocol.deflate cimport Extension
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.engine.runner cimport Runner
from socketio_fast._core.engine.send_queue cimport SendQueue
from socketio_fast._core.engine.writer cimport Flusher, Writer

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()


cdef enum SessionState:
    OPENING     # the handler has not accepted yet
    OPEN
    CLOSING     # closed for the handler; what was sent before is still delivered
    CLOSED

# What is unlike revision 4 with XMLHttpRequest or WebSocket, flags; usually none.
cdef enum Dialect:
    REVISION_3 = 1      # of the protocol
    BASE64 = 2          # the client can read no binary; of revision 4, by WebSocket
    JSONP = 4           # long-polling by scripts and forms


cdef enum Pause:
    # Why a client is not read: bits of Flow.paused.
    PENDING = 1     # its handlers have too much to do


cdef class Flow:
    # What one client has under way; made when something first waits.
    cdef:
        readonly Py_ssize_t events       # whose handlers wait, or have suspended
        readonly Py_ssize_t bytes   # of those events
        readonly int paused         # Pause bits: it is not read
        bint progressed                  # one has ended since the last ping
        Py_ssize_t unread           # bytes that waited then to be read; -1: no ping yet


cdef class Outflow:
    # What a client has not read; made when that is much, or is waited for.
    cdef:
        dict waiters            # Future -> bytes that may be left when it is done
        Py_ssize_t reserved       # bytes that the handler keeps for the client
        bint slow               # it has crossed the mark, and is not below half of it
        bint listed             # in Engine.slow
        bint progressed              # some has left since the last ping
        SendQueue send_queue    # what the transport is not given yet; None: nothing
        list early              # what follows the open packet; None: nothing


cdef class Transport(Timed):
    # What session asks of websocket and polling.
    cdef:
        public Session session
        bint lasting            # it can never be upgraded to another one
        int dialect             # flags of Dialect

    cpdef int send(self, Outgoing m) except -1
    cpdef int flush(self) except -1
    cdef int part(self) except -1
    cpdef int close(self) except -1
    cpdef int go_away(self) except -1
    cpdef int abort(self, object code) except -1
    cpdef int refuse(self) except -1
    cpdef int release(self) except -1
    cpdef list handover(self)
    cpdef Py_ssize_t buffered(self) except -1
    cdef bint settled(self) except -1
    cpdef int pause(self) except -1
    cpdef int resume(self) except -1
    cpdef bint writable(self) except -1
    cdef int on_text(self, const char *p, Py_ssize_t n) except -1
    cdef int on_binary(self, bytes data) except -1
    cdef int _on_message(self, bytes data) except -1


cdef class SessionHandler(Timed):
    # What session tells the layer above; one for each session.
    cdef:
        readonly Session session

    cdef int on_open(self) except -1
    cdef int on_text(self, const char *p, Py_ssize_t n) except -1
    cdef int on_binary(self, bytes data) except -1
    cdef int on_close(self, str reason) except -1
    cdef bint awaits(self) except -1
    cdef int on_slow(self, Py_ssize_t size) except -1
    cdef Py_ssize_t awaited(self) except -1


cdef class HandlerFactory:
    cdef SessionHandler new_handler(self, Session session)


cdef class Session(Timed):
    cdef:
        object __weakref__
        readonly str id
        readonly Engine engine
        readonly unsigned char state
        unsigned char dialect       # flags of Dialect, of the next transport
        unsigned char pending       # it is counted in Limits.pending
        readonly bint upgraded
        readonly str reason         # why it ended; None before
        readonly SessionHandler handler
        Transport transport
        object _environ_source      # has environ(); or, once asked for, that dict
        # Context variables of its handshake; None: they are the server's.
        readonly object context
        public dict data            # the application's session, made on demand
        readonly Flow flow          # None: nothing has waited yet
        Outflow outflow             # None: it has read what it was sent
        Deadline heartbeat          # of the ping, the pong, and when CLOSING the end
        # The WebSocket of an upgrade that is under way.
        Transport probe
        Deadline probe_timeout
        Deadline noop_tick
        Visitor visitor             # whose connection it is counted as; or None
        readonly object conn        # who listens to it, a Connection; None: nobody

    cdef int open(self, Transport transport, object request) except -1
    cdef int accept(self) except -1
    cdef int refuse(self) except -1
    cdef int send(self, Outgoing m) except -1
    cdef int pass_on(self, Outgoing m) except -1
    cdef int _send_later(self, Outgoing m) except -1
    cdef int _send_early(self) except -1
    cdef int part(self) except -1
    cdef int close(self, str reason, bint going=*) except -1
    cdef int drop(self, str reason, object code=*) except -1
    cdef int forget(self) except -1
    cdef int too_slow(self) except -1
    cdef Py_ssize_t buffered(self) except -1
    cdef int reserve(self, Py_ssize_t size) except -1
    cdef Py_ssize_t waiting(self) except -1
    cdef bint above(self) except -1
    cdef int lags(self, Py_ssize_t size) except -1
    cdef int flushed(self) except -1
    cdef int start_queueing(self) except -1
    cdef int _enqueue(self, Outgoing m) except -1
    cdef int pump(self) except -1
    cdef int shed(self, Py_ssize_t size) except -1
    cdef int _send_unsent(self) except -1
    cdef int _count_dropped(self, Outgoing m) except -1
    cdef int dropped(self, Outgoing m) except -1
    cdef int _end_waiting(self) except -1
    cdef int enter(self, Py_ssize_t size) except -1
    cdef int leave(self, Py_ssize_t size) except -1
    cdef int expect(self) except -1
    cdef bint _awaited(self) except -1
    cdef int pause(self, int why) except -1
    cdef int resume(self, int why) except -1
    cdef bint _has_room(self) except -1
    cdef bint _overcrowded(self) except -1
    cdef int _await_pong(self, double now) except -1
    cdef int _no_pong(self) except -1
    cdef int finished(self) except -1
    cdef int on_packet(self, int type, const char *p, Py_ssize_t n) except -1
    cdef int on_binary(self, bytes data) except -1
    cdef int on_error(self, object error) except -1
    cdef int on_bad_message(self, object error) except -1
    cdef int _describe(self, object error) except -1
    cdef object _log_error(self, object error)
    cdef int on_transport_close(self, Transport transport, str reason) except -1
    cdef int begin_upgrade(self, Transport probe) except -1
    cdef int on_probe_packet(
        self, Transport probe, int type, const char *p, Py_ssize_t n
    ) except -1
    cdef int _leave(self) except -1
    cdef double _silence(self) except -1
    cdef int _end_probe(self) except -1
    cdef int _upgrade(self) except -1
    cdef int _closed(self, str reason) except -1
    cdef int _not_closed(self, object error) except -1


cdef class Alarm:
    cdef object found           # a weak reference


cdef class Engine(Flusher):
    cdef:
        object __weakref__
        readonly dict sessions      # id -> Session
        list lost                   # sessions of an event loop that was closed
        unsigned long thread        # where the event loop runs; 0: not known
        readonly object config      # config.EngineConfig
        readonly object logger
        readonly object counters    # of what is rare: a collections.Counter
        public object refusals      # is told what is refused; None: nobody
        dict descriptions           # by id: why sessions that are closed now are
        public Observer observer    # None: nobody looks on
        readonly Limits limits      # None: there are none
        public object server        # a weak reference to who has it; None: nobody
        public object hooks         # the application's, of requests; None: none
        public object client_files  # the JavaScript client, served; None: it is not
        object initial_packet       # sent behind the open packet, or None
        HandlerFactory factory
        Timeline timeline
        # Of the configuration, as C values.
        double ping_interval
        double ping_timeout
        double upgrade_timeout
        Py_ssize_t max_payload
        Py_ssize_t max_buffer_bytes
        Py_ssize_t high_water_mark  # no more than max_buffer_bytes
        bint drops_volatile         # slow_consumer: what is volatile, above the mark
        bint drops_oldest           # slow_consumer: what has waited longest
        # slow_consumer="block": Session -> None, of those who went over the mark since
        # it was cleared.
        dict over_high_water
        Py_ssize_t max_pending_events
        Py_ssize_t max_pending_bytes
        Py_ssize_t max_namespaces   # of a connection; -1: as many as it likes
        public Py_ssize_t max_packets   # of a POST; 0: as many as its size allows
        bint allow_upgrades
        tuple transports
        bint can_upgrade            # from polling to WebSocket
        bytes open_with_upgrade     # the open packet behind the sid
        bytes open_without_upgrade
        readonly bint allow_eio3
        bint allow_jsonp
        object allowed_origins      # a tuple, a callable, or None: its own
        object origin_pattern       # of those in it that have a *; None: there are none
        object proxies              # a TrustedProxies; None: no proxy is trusted
        bint cors_credentials
        readonly Extension deflate  # permessage-deflate; None: it is not accepted
        Py_ssize_t compress_from    # bytes of a poll's response; -1: never
        # How many sessions somebody listens to: `Session.conn`.
        readonly Py_ssize_t packet_listeners
        readonly bint draining      # its clients go one by one, and no more come
        object context              # the server's context variables
        # The event loop, by three of its methods; None before bind().
        readonly object loop
        readonly Runner runner      # of all handlers
        object _clock
        object _call_at
        object _call_soon
        object _call_later
        object _generate_id         # the application's; None: generate_id()
        # At the end of this pass of the loop: sessions above the high-water mark,
        # transports and connections with something to write.
        list slow
        list dirty
        list writers
        list apart                  # connections to write to a moment later
        bint flushing
        double pass_time            # the clock, while flushing
        object _alarm
        object _timer
        double _timer_at

    cdef str new_id(self)
    cdef double now(self)
    cdef Deadline start(self, double delay, int kind, Timed owner)
    cdef int restart(self, Deadline d, double delay, int kind) except -1
    cdef int restart_since(
        self, Deadline d, double started, double delay, int kind
    ) except -1
    cdef int mark(self, Transport transport) except -1
    cdef int overflow(self, Session session) except -1
    cdef list blocked(self)
    cdef inline bint is_elsewhere(self) except -1:
        # Whether this is another thread than that of the event loop, which runs.
        return self.thread != PyThread_get_thread_ident() and self._runs()

    cdef bint _runs(self) except -1
    cdef int tell_refusal(self, str cause, object address, str message) except -1
    cdef int failed(self, object error, str message, tuple args) except -1
    cdef int _flush_slow(self, Session session) except -1
    cdef int _schedule(self) except -1
    cdef int _flush_writers(self, list writers) except -1
    cdef int _arm(self) except -1
