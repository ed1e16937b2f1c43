# One client in one namespace; the namespaces; the hub that dispatches between them.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from socketio_fast._core.protocol.encoding cimport Encoding
from socketio_fast._core.engine.deadlines cimport Deadline, Timed
from socketio_fast._core.engine.rate_limits cimport Limiter
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.engine.listeners cimport Listeners
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.engine.session cimport (
    Engine,
    HandlerFactory,
    Session,
    SessionHandler,
)
from socketio_fast._core.protocol.sio cimport Packet
from socketio_fast._core.engine.runner cimport Outcome, Runner

cdef enum PeerState:
    CONNECTING      # the connect handler runs; what is sent is held back
    CONNECTED
    DISCONNECTING   # the disconnect handler runs; nothing is sent
    DISCONNECTED


cdef class Membership:
    # What a namespace asks of rooms.
    cdef int added(self, Peer peer) except -1
    cdef int remove(self, Peer peer, bint was_connected) except -1


cdef class ConnectionState(Timed):
    # What outlives the connection of a client in a namespace.
    cdef:
        readonly str sid
        str pid                     # its secret: who knows it is this client
        readonly bint recovered     # it has come back
        list missed                 # what it is to be sent first; or None


cdef class Recovery(Timed):
    # What a namespace asks of connection state recovery.
    cdef:
        readonly bint skip_middlewares  # of those who come back

    cdef object restore_session(self, Peer peer, object auth)
    cdef int persist_session(self, Peer peer) except -1
    cdef int forget_session(self, Peer peer) except -1
    cdef int forget_all(self) except -1
    cdef bint awaits(self)


cdef class Namespace:
    cdef:
        readonly str name
        readonly Hub hub
        readonly dict handlers      # event -> handler, of this namespace
        readonly object any_handler  # of events without one; None: there is none
        bint transient              # a client asked for it; it goes with its last one
        public bint defer_connect         # always_connect does not hold here
        readonly dict peers         # sid -> Peer, from CONNECTING on
        readonly object connect_handler
        readonly object disconnect_handler
        readonly object trigger     # of events that no handler takes; or None
        public Membership rooms
        public object sockets       # makes Sockets of its peers; or None
        readonly dict watched       # Peer -> None: whose Socket hears what is sent
        public bint temporary       # it goes with its last client, and came with one
        public bint member          # a family made it, and it has nothing of its own
        readonly Recovery recovery  # None: it is off
        Py_ssize_t joining          # peers that the registry has not named yet
        readonly dict leaving       # sid -> Peer that is unregistered; or None

    cdef object _find(self, object event, list data)
    cdef object _find_handler(self, object event, list data)
    cdef object _find_trigger(self, object event, list data)


cdef class Hub(HandlerFactory):
    cdef:
        readonly dict namespaces    # name -> Namespace
        readonly Namespace wildcard  # the handlers of namespace "*"
        readonly Engine engine
        readonly Observer observer  # None: nobody looks on
        readonly Runner runner
        readonly object logger
        readonly bint ordered       # a client's next handler waits for its last
        public bint holds_events    # before listeners of `connection` have ended
        object _admit               # names, or None: all
        object _new_rooms
        object _new_recovery        # None: it is off
        double connect_timeout
        Py_ssize_t max_attachments
        Py_ssize_t max_incomplete_bytes
        object empty                # an OrderedDict of Namespace, see _keep_empty()
        # An OrderedDict: ConnectionHandler -> bytes of its incomplete packet, in the
        # order of those; and their sum.
        object incomplete
        Py_ssize_t incomplete_bytes
        Py_ssize_t max_pending_acks  # of one client in one namespace
        bint always_connect         # CONNECT is sent before the connect handler runs
        bint verbose
        public object resolve       # finds namespaces that are not there yet; or None
        bint error_acks             # an event that fails is acknowledged as that
        public object trigger       # takes every event instead of the handlers; or None
        public object registry      # registers and unregisters clients; or None
        Py_ssize_t packet_size      # bytes of the packet that is dispatched
        bint warned_of_number       # of a room that may be meant as an argument
        readonly object not_handled  # what a handler returns to send no acknowledgement
        readonly Encoding encoding        # of packets; None: the built-in one

    cdef int count_incomplete(self, ConnectionHandler client, Py_ssize_t size) except -1
    cdef int forget_incomplete(self, ConnectionHandler client) except -1
    cdef int failed(self, object error, str message, tuple args) except -1
    cdef Outgoing encode(self, int type, str namespace, object data, int64_t id)
    cdef int _end(self, Namespace ns) except -1
    cdef int _keep_empty(self, Namespace ns) except -1
    cdef Namespace _namespace(self, str name)


cdef class ConnectionHandler(SessionHandler):
    cdef:
        Hub hub
        Peer main                   # in namespace "/"
        dict others                 # namespace -> Peer, in all others
        Packet incomplete           # waits for its attachments
        Deadline progress_deadline  # of that; it may end later
        Packet stalled              # `incomplete` when that was last looked at
        int64_t stalled_at          # what was missing then
        Py_ssize_t outstanding      # acknowledgements, in all namespaces
        Deadline connect_deadline
        Limiter limiter             # of what it sends; None: it may send anything

    cdef int _await_rest(self, Packet packet) except -1
    cdef int _whole(self, Packet packet) except -1
    cdef Peer _peer(self, str namespace)
    cdef int _dispatch(self, Packet packet) except -1
    cdef int _join(self, str name, object auth) except -1
    cdef int _send_error(self, str namespace, dict error) except -1
    cdef int _limited(self, Packet packet, Py_ssize_t n) except -1
    cdef int _over(self, Packet packet, double wait) except -1
    cdef int _resolve(self, str name, object auth) except -1
    cdef int _enter(self, Namespace ns, str name, object auth) except -1
    cdef int _forget(self, Peer peer) except -1
    cdef int _end_connect_deadline(self) except -1
    cdef double _progress_time(self) except -1
    cdef int _look_for_progress(self) except -1


cdef class Peer:
    cdef:
        readonly str sid
        readonly unsigned char state
        unsigned char busy
        unsigned char announced     # CONNECTING, but its CONNECT packet has been sent
        unsigned char heard         # the client has sent something since its CONNECT
        unsigned char gave_up       # acknowledgements of it; it is in the log
        unsigned char accepted      # by its connect handler; with a registry
        unsigned char completing    # the registry may accept it now
        readonly bint leaving       # the registry unregisters it, or has
        readonly ConnectionHandler client
        readonly Namespace namespace
        public set rooms            # None: in no room but its own
        dict acks                   # id -> callback, Reply or AckCollector
        int64_t next_ack
        int64_t first_ack           # none in `acks` comes before it
        list queued                   # messages while CONNECTING
        object waiting              # a deque of packets behind a suspended handler
        object ending               # the Task of a suspended disconnect handler
        str reason                  # why it ends; None while it does not
        readonly object auth        # of its CONNECT packet
        object context              # its context variables; None: the server's
        readonly Listeners socket   # what listens to this client; None: nothing does
        ConnectionState recovery    # None: it is off

    cdef int send(self, Outgoing m) except -1
    cdef bint _writable(self) except -1
    cdef list _take_queued(self)
    cdef int64_t new_ack(self, object callback) except -1
    cdef object _take_ack(self, int64_t id)
    cdef int _give_up_ack(self) except -1
    cdef int _on_event(self, list data, int64_t id) except -1
    cdef int _run(
        self, object handler, PyObject **args, size_t n, object event, int64_t id
    ) except -1
    cdef int _on_socket_event(self, object event, list data, int64_t id) except -1
    cdef int _listen(self, object event, list data, int64_t id) except -1
    cdef int tell_outgoing(self, list data) except -1
    cdef bint fire(self, object event, object arg) except -1
    cdef int _not_handled(self, int64_t id) except -1
    cdef int _send_error(self, str message, int64_t id) except -1
    cdef int _on_ack(self, list data, int64_t id) except -1
    cdef int _send_ack(self, object value, int64_t id) except -1
    cdef object _name(self, object auth)
    cdef int _register(self, object auth) except -1
    cdef int _registered(self, object value) except -1
    cdef int _not_registered(self, object error) except -1
    cdef int _complete(self) except -1
    cdef int _completed(self, object error) except -1
    cdef int _accept(self) except -1
    cdef int _tell_leaving(self) except -1
    cdef int _unregister(self) except -1
    cdef int _unregistered(self, object error) except -1
    cdef int _start(self, object auth) except -1
    cdef object _own_context(self)
    cdef int _keep_context(self) except -1
    cdef int _start_handler(self) except -1
    cdef int _started(self, object value) except -1
    cdef int _refused(self, object error) except -1
    cdef int _refuse(self, dict answer) except -1
    cdef int _tell_connected(self) except -1
    cdef int _stopped(self, object event, object error) except -1
    cdef int _close_socket(self, list args) except -1
    cdef int _welcome(self) except -1
    cdef int _dismiss(self) except -1
    cdef int close(self, str reason) except -1
    cdef int _closed(self) except -1
    cdef int _next(self) except -1
    cdef int _failed(self, object event, object error, int64_t id) except -1


cdef class Reply:
    # What waits for the acknowledgement of one client.
    cdef:
        readonly object future      # of the arguments
        int64_t id                  # -1: it is not asked for yet, or by another process
        public object number        # in a manager's table; None: in none

    cdef int answer(self, object args) except -1
    cdef int fail(self, object error) except -1


cdef class AckCollector:
    # What waits for the acknowledgement of a client, and learns if it goes instead.
    cdef object collector       # has answered(sid, arguments) and gone(sid)
