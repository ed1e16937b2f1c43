# What a client in a namespace sends, and what it is sent: events, acknowledgements.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from socketio_fast._core.engine.listeners cimport Listeners
from socketio_fast._core.engine.observer cimport EventWatch
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport ConnectionState, PeerBase
from socketio_fast._core.socketio.outcomes cimport Step
from socketio_fast._core.socketio.peer_acks cimport AskedPeer


cdef enum PeerState:
    # In this order: up to CONNECTED the client is reachable, after that it is sent
    # nothing. `_may_follow()` of peer_lifecycle has the transitions.
    CONNECTING      # its middlewares or connect handler run; messages are queued
    ANNOUNCED       # as CONNECTING, but CONNECT has been sent; messages are sent
    CONNECTED
    ABORTED         # was CONNECTING, and is to go when what runs for it has ended
    ABORTED_ANNOUNCED   # the same, was ANNOUNCED
    DISCONNECTING   # the disconnect handler runs
    DISCONNECTED


cdef class MessagingPeer(AskedPeer):
    cdef:
        readonly unsigned char state    # a PeerState
        unsigned char busy          # its next event waits for a handler
        unsigned char heard         # the client has sent a packet since its CONNECT
        unsigned char accepted      # by its connect handler; with a registry
        unsigned char completing    # the registry may accept it now
        readonly bint leaving       # the registry unregisters it, or has
        list queued                 # messages while CONNECTING; None: none
        object queued_events        # a deque of packets that wait for a handler
        readonly Listeners socket   # what listens to this client; None: nothing does
        ConnectionState recovery    # None: recovery is off

    # Sending.
    cdef int send(self, Outgoing m) except -1
    cdef bint _writable(self) except -1
    cdef list take_queued(self)
    cdef int tell_outgoing(self, list data) except -1
    cdef bint fire(self, object event, object arg) except -1
    # Events.
    cdef bint take_event(self, const char *p, Py_ssize_t n) except -1
    cdef bint _take_strings(self, const char *p, Py_ssize_t n) except -1
    cdef bint _take_values(self, const char *p, Py_ssize_t n) except -1
    cdef int on_event(self, list data, int64_t id, Py_ssize_t size) except -1
    cdef int trace_connect(self) except -1
    cdef int trace_connected(self, object error) except -1
    cdef int tell_connected(self) except -1
    cdef int tell_refused(self, object error) except -1
    cdef int _unhandled(self, int64_t id, EventWatch watch) except -1
    cdef EventWatch _watch_event(self, list data, Py_ssize_t size)
    cdef int _run(
        self, object handler, PyObject **args, size_t n, object event, int64_t id,
        Py_ssize_t size, EventWatch watch
    ) except -1
    cdef int _on_socket_event(
        self, object event, list data, int64_t id, Py_ssize_t size, EventWatch watch
    ) except -1
    cdef int middlewares_ended(self, Step step, object error) except -1
    cdef int _run_handlers(
        self, object event, list data, int64_t id, Py_ssize_t size, EventWatch watch
    ) except -1
    cdef int _event_refused(self, object event, object error) except -1


cdef int drop_sid(list args, Py_ssize_t own) except -1
