# The abstract classes that modules of this package call above themselves.
from libc.stdint cimport int64_t

from socketio_fast._core.engine.deadlines cimport Timed
from socketio_fast._core.engine.listeners cimport Listeners
from socketio_fast._core.engine.runner cimport Outcome
from socketio_fast._core.engine.contracts cimport SessionBase as Session, SessionHandler
from socketio_fast._core.protocol.outgoing cimport Outgoing


cdef class PeerBase:
    # A client in a namespace, as those see it who are below `Peer`.
    cdef:
        readonly str sid            # None: a registry has not named it yet
        readonly Session session    # its connection
        public set rooms            # None: in no room but its own
        object context              # its context variables; None: the server's

    cdef int step_returned(self, Outcome step, object value) except -1
    cdef int step_raised(self, Outcome step, object error) except -1
    cdef int start_next_event(self) except -1
    cdef int keep_context(self) except -1
    cdef int handler_failed(self, object event, object error) except -1
    cdef int event_failed(self, object event, object error, int64_t id) except -1
    cdef int send_ack(self, object value, int64_t id) except -1
    cdef int send_error_ack(self, str message, int64_t id) except -1
    cdef int disconnect_handled(self) except -1
    cdef int track(self, bint tracked) except -1


cdef class Connection(SessionHandler):
    # The connection that carries the clients in all its namespaces.
    cdef:
        Py_ssize_t outstanding      # acknowledgements that it owes, in all namespaces

    cdef PeerBase peer_in(self, str namespace)
    cdef list all_peers(self)
    cdef int forget(self, PeerBase peer) except -1
    cdef int send_connect_error(self, str namespace, dict error) except -1
    cdef int end_connect_deadline(self) except -1


cdef class Membership:
    cdef int added(self, PeerBase peer) except -1
    cdef int remove(self, PeerBase peer, bint was_connected) except -1


cdef class Relay:
    cdef:
        # Events that programs emit go to send(); else to the client manager's emit().
        bint sends

    cdef int namespace_began(self, str name) except -1
    cdef int namespace_ended(self, str name) except -1
    cdef int check_room(self, object room) except -1
    cdef int room_created(self, str namespace, object room) except -1
    cdef int room_deleted(self, str namespace, object room) except -1
    cdef int client_added(self, str namespace, str sid) except -1
    cdef int client_removed(self, str namespace, str sid) except -1
    cdef Membership rooms_of_others(self, str namespace)
    cdef object send(
        self, Membership rooms, Outgoing m, list data, object to, object skip
    )


cdef class ConnectionState(Timed):
    cdef:
        readonly str sid
        str pid                     # the secret that proves who comes back
        readonly bint recovered     # the client has come back
        list missed                 # messages to send before CONNECT; or None


cdef class Recovery(Timed):
    cdef:
        readonly bint skip_middlewares  # clients that come back do not pass them

    cdef object restore_session(self, PeerBase peer, object auth)
    cdef int persist_session(self, PeerBase peer) except -1
    cdef int forget_session(self, PeerBase peer) except -1
    cdef int forget_all(self) except -1
    cdef bint awaits(self)


cdef class NamespaceListener:
    cdef:
        readonly Listeners events   # of the namespace: `connection`
        public object middlewares   # called with the socket of each new client; or None


cdef class RoomListener:
    pass


cdef class ClientRegistry:
    pass
