# The abstract classes between sessions, transports, handlers and the engine.
from socketio_fast._core.engine.deadlines cimport Deadline, Timed
from socketio_fast._core.engine.observer cimport ConnectionListener, Observer
from socketio_fast._core.engine.rate_limits cimport Limits, Visitor
from socketio_fast._core.engine.request_hooks cimport RequestHooks
from socketio_fast._core.engine.runner cimport Runner
from socketio_fast._core.engine.writer cimport Flusher
from socketio_fast._core.protocol.deflate cimport Extension
from socketio_fast._core.protocol.outgoing cimport Outgoing

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()


# Reasons of a disconnect, as python-socketio has them.
cdef str SERVER_DISCONNECT
cdef str CLIENT_DISCONNECT
cdef str PING_TIMEOUT
cdef str TRANSPORT_CLOSE
cdef str TRANSPORT_ERROR


cdef enum:
    # The WebSocket close code of a server that drains (RFC 6455, section 7.4.1).
    GOING_AWAY = 1001


cdef enum SessionState:
    OPENING     # the handler has not accepted the client yet
    OPEN
    CLOSING     # closed for the handler; what was sent before is still delivered
    CLOSED


# How a client deviates from revision 4 of Engine.IO: bit flags of a transport. For most
# clients they are 0, so that one comparison tells the common case.
cdef enum Dialect:
    REVISION_3 = 1      # the client speaks revision 3
    BASE64 = 2          # the client reads no binary; in revision 4, by WebSocket only
    JSONP = 4           # long-polling by scripts and forms


cdef class Transport(Timed):
    cdef:
        public SessionBase session  # None: it carries no session any more
        bint lasting                # it can never be upgraded to another transport
        int dialect                 # flags of Dialect

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
    cdef bint track(self, bint tracked) except -1


cdef class SessionHandler(Timed):
    cdef:
        readonly SessionBase session

    cdef int on_open(self) except -1
    cdef int on_text(self, const char *p, Py_ssize_t n) except -1
    cdef int on_binary(self, bytes data) except -1
    cdef int on_close(self, str reason) except -1
    cdef bint awaits(self) except -1
    cdef int on_slow(self, Py_ssize_t size) except -1
    cdef Py_ssize_t awaited(self) except -1
    cdef int track(self, bint tracked) except -1


cdef class HandlerFactory:
    cdef SessionHandler new_handler(self, SessionBase session)
    cdef int observed(self, Observer observer) except -1


cdef class SessionBase(Timed):
    cdef:
        object __weakref__
        readonly str id
        readonly EngineBase engine
        readonly unsigned char state        # a SessionState
        unsigned char dialect               # flags of Dialect, for its transports
        bint pings      # this side pings: a server, or in revision 3 a client
        unsigned char in_handshake          # it is counted in Limits.handshakes
        bint untracked                      # see Transport.track()
        readonly bint upgraded              # from polling to WebSocket
        readonly str reason                 # why it ended; None before that
        readonly SessionHandler handler     # None when the session is over
        Transport transport                 # None when the session is over
        Transport probe                     # the WebSocket of an upgrade under way
        # Context variables of the handshake. None: they are those of the server.
        readonly object context
        public dict data                    # the application's session; made on demand
        Visitor visitor                     # whose connection it counts as; or None
        readonly ConnectionListener conn    # None: nobody listens to it

    # Called by transports, and by what accepts them.
    cdef int open(self, Transport transport, object request) except -1
    cdef int begin_upgrade(self, Transport probe) except -1
    cdef int on_packet(self, int type, const char *p, Py_ssize_t n) except -1
    cdef int on_binary(self, bytes data) except -1
    cdef int on_probe_packet(
        self, Transport probe, int type, const char *p, Py_ssize_t n
    ) except -1
    cdef int on_error(self, object error) except -1
    cdef int on_bad_message(self, object error) except -1
    cdef int on_transport_close(self, Transport transport, str reason) except -1
    cdef int finished(self) except -1
    cdef int flushed(self) except -1
    cdef bint is_paused(self) except -1
    cdef int too_slow(self) except -1

    # Called by handlers.
    cdef int accept(self) except -1
    cdef int refuse(self) except -1
    cdef int send(self, Outgoing m) except -1
    cdef int pass_on(self, Outgoing m) except -1
    cdef int part(self) except -1
    cdef int close(self, str reason, bint going=*) except -1
    cdef int drop(self, str reason, object code=*) except -1
    cdef int reserve(self, Py_ssize_t size) except -1
    cdef Py_ssize_t unread_bytes(self) except -1
    cdef bint above(self) except -1
    cdef int dropped(self, Outgoing m) except -1
    cdef int begin_event(self, Py_ssize_t size) except -1
    cdef int end_event(self, Py_ssize_t size) except -1
    cdef int expect(self) except -1

    # Called by the engine, and by what a session consists of.
    cdef Py_ssize_t buffered(self) except -1
    cdef int forget(self) except -1
    cdef int complete_upgrade(self) except -1
    cdef int end_upgrade(self) except -1
    cdef int closing_failed(self, object error) except -1
    cdef bint watch(self) except -1
    cdef int check(self) except -1
    cdef int track(self, bint tracked) except -1
    cpdef object below(self, Py_ssize_t limit)


cdef class EngineBase(Flusher):
    cdef:
        object __weakref__
        readonly dict sessions          # id -> Session
        readonly object config          # an EngineConfig
        readonly object logger
        readonly object counters        # of rare events: a collections.Counter
        # Called with each refusal: (cause, address, message). None: nobody is told.
        public object refusals
        readonly Observer observer      # None: nobody looks on
        readonly Limits limits          # None: there are none
        public object server            # a weak reference to the owner; or None
        public RequestHooks hooks       # the application's; None: there are none
        public object client_files      # the JavaScript client; None: it is not served
        # Path -> async function of a Request, whose result is as that of
        # OtherServer.handle(): what a server of its own answers. None: nothing.
        public dict pages
        dict descriptions               # id -> which rule a client broke; see Session
        HandlerFactory factory
        # Of the configuration, as C values.
        readonly double ping_interval   # seconds
        readonly double ping_timeout    # seconds
        double upgrade_timeout          # seconds
        Py_ssize_t max_payload          # bytes
        Py_ssize_t max_buffer_bytes
        Py_ssize_t high_water_mark      # bytes; no more than max_buffer_bytes
        bint drops_volatile     # slow_consumer="drop_volatile": above the mark
        bint drops_oldest       # slow_consumer="drop_oldest": what waits longest
        # slow_consumer="block": Session -> None, of those that went over the mark since
        # the table was cleared. None: another slow_consumer.
        dict over_high_water
        Py_ssize_t max_pending_events
        Py_ssize_t max_pending_bytes
        Py_ssize_t max_namespaces       # of a connection; -1: any number
        public Py_ssize_t max_packets   # of a POST; 0: as many as its size allows
        bint allow_upgrades
        tuple transports                # that a request can ask for
        object initial_packet           # sent behind the open packet, or None
        readonly bint allow_eio3
        bint allow_jsonp
        object allowed_origins          # a tuple, a callable, or None: the server's own
        object origin_pattern           # of allowed origins with a *; None: no such
        object proxies                  # a TrustedProxies; None: no proxy is trusted
        bint cors_credentials
        readonly Extension deflate      # permessage-deflate; None: it is not accepted
        Py_ssize_t compress_from        # bytes of a poll's response; -1: never
        # How many sessions have a listener: Session.conn.
        readonly Py_ssize_t packet_listeners
        readonly bint draining          # clients are sent away, and new ones refused
        object context                  # the server's context variables
        readonly object loop            # the event loop; None before bind()
        unsigned long thread            # of the event loop; 0: it is not known
        readonly Runner runner          # of all handlers

    cdef SessionBase new_session(self, Visitor visitor, int dialect, str id)
    cdef str new_id(self)
    cdef Outgoing open_packet(self, SessionBase session)
    cdef double now(self)
    cdef Deadline start(self, double delay, int kind, Timed owner)
    cdef int restart(self, Deadline d, double delay, int kind) except -1
    cdef int restart_since(
        self, Deadline d, double started, double delay, int kind
    ) except -1
    cdef int mark(self, Transport transport) except -1
    cdef int overflow(self, SessionBase session) except -1
    cdef list blocked(self)
    cpdef int soon(self, object callback) except -1
    cdef int tell_refusal(self, str cause, object address, str message) except -1
    cdef int failed(self, object error, str message, tuple args) except -1

    cdef inline bint is_elsewhere(self) except -1:
        # Whether the caller is in another thread than the event loop, which runs.
        return self.thread != PyThread_get_thread_ident() and self.runs()

    cdef bint runs(self) except -1
