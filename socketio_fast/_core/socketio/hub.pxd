# The namespaces of a server, and the settings that all its clients share.
from libc.stdint cimport int64_t

from socketio_fast._core.engine.observer cimport Observer, Tracer
from socketio_fast._core.engine.runner cimport Runner
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    HandlerFactory,
    SessionHandler,
)
from socketio_fast._core.protocol.encoding cimport Encoding
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport (
    ClientRegistry,
    Membership,
    NamespaceListener,
    Recovery,
    Relay,
)
from socketio_fast._core.socketio.handlers cimport Handlers
from socketio_fast._core.socketio.meter cimport Meter


cdef enum Lifetime:
    PERMANENT       # the application named it, by handlers or of()
    WITH_CLIENTS    # it ends with its last client
    KEPT_EMPTY      # a client chose its name: when empty it is one of MAX_EMPTY


cdef class Namespace(Handlers):
    cdef:
        readonly Hub hub
        Lifetime lifetime
        public bint defer_connect   # always_connect does not hold here
        readonly dict peers         # sid -> Peer, from CONNECTING on
        public Membership rooms     # None: the namespace has ended
        public NamespaceListener listener   # None: nothing listens
        readonly dict watched       # Peer -> None: whose Socket hears what is sent
        readonly Recovery recovery  # None: recovery is off
        Py_ssize_t joining          # peers that the registry has not named yet
        readonly dict leaving       # sid -> Peer that it unregisters; or None

    cdef object find(self, object event, list args)
    cdef object _find_handler(self, object event, list args)


cdef class Hub(HandlerFactory):
    cdef:
        readonly dict namespaces    # name -> Namespace
        Namespace main              # namespaces["/"], without a look-up; or None
        readonly Namespace wildcard  # the handlers of namespace "*"
        readonly Engine engine
        readonly Observer observer  # None: nobody observes
        readonly Meter meter        # None: events are not measured
        readonly Tracer tracer      # None: there are no spans
        bint watches_events         # by an observer of events, a meter or a tracer
        bint asks_of_events         # an observer of events or a tracer is asked
        bint watches_sent           # by an observer or a meter
        readonly Runner runner
        readonly object logger
        readonly bint ordered       # a client's next handler waits for its last
        public bint holds_events    # until the listeners of `connection` have ended
        object admit                # names of namespaces; None: all
        object _new_rooms
        object _new_recovery        # None: recovery is off
        double connect_timeout      # seconds
        Py_ssize_t max_attachments
        Py_ssize_t max_incomplete_bytes
        # An OrderedDict of Namespace, see _keep_empty(); or None.
        object empty
        # SessionHandler -> bytes of its incomplete packet, an OrderedDict in the order
        # in which these began, or None; and the sum of the bytes.
        object incomplete
        Py_ssize_t incomplete_bytes
        Py_ssize_t max_pending_acks  # of one client in one namespace
        bint always_connect         # CONNECT is sent before the connect handler runs
        bint without_sid            # of a client, whose handlers take no sid
        bint verbose                # events and acknowledgements are logged
        public object resolve       # makes namespaces for of(pattern); or None
        bint error_acks             # an event that fails is acknowledged as failed
        # Names of events whose handlers decode the arguments, the keys; None: there are
        # no such handlers.
        public dict undecoded
        public object trigger       # takes every event instead of the handlers; or None
        public ClientRegistry registry  # None: clients are registered here
        public Relay relay          # to other workers; None: there are none
        # Takes a client that comes back to the worker which awaits it, if that is
        # another one; None: there are none.
        public object take_back
        # Keeps the states of clients for all servers of a cluster; None: each keeps its
        # own.
        public object session_store
        bint warned_of_number       # of a room that may be meant as an argument
        readonly object not_handled  # what a handler returns to send no acknowledgement
        readonly Encoding encoding  # of packets; None: the built-in one

    cdef int log_emit(self, object event, str namespace) except -1
    cdef int count_sent(
        self, Namespace namespace, object event, Py_ssize_t size
    ) except -1
    cdef int _watch_events(self) except -1
    cdef int count_incomplete(self, SessionHandler handler, Py_ssize_t size) except -1
    cdef int forget_incomplete(self, SessionHandler handler) except -1
    cdef int failed(self, object error, str message, tuple args) except -1
    cdef Outgoing encode(self, int type, str namespace, object data, int64_t id)
    cdef Outgoing connect_packet(self, str namespace, str sid, str pid)
    cdef int end_if_empty(self, Namespace ns) except -1
    cdef int _keep_empty(self, Namespace ns) except -1
    cdef Namespace admitted(self, str name)
