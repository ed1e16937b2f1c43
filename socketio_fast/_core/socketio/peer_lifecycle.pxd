# One client in one namespace: how it connects and disconnects.
from socketio_fast._core.socketio.peer_messaging cimport MessagingPeer, PeerState


cdef class Peer(MessagingPeer):
    cdef:
        object ending               # the Task of a suspended disconnect handler
        readonly object auth        # of its CONNECT packet

    cdef int _become(self, PeerState state) except -1
    cdef bint was_announced(self) except -1
    # Connecting.
    cdef object assign_sid(self, object auth)
    cdef int register_client(self, object auth, Py_ssize_t size) except -1
    cdef int _registered(self, object sid, Py_ssize_t size) except -1
    cdef int _not_registered(self, object error) except -1
    cdef int start(self, object auth, Py_ssize_t size) except -1
    cdef object _own_context(self)
    cdef int _run_connect_handler(self, Py_ssize_t size) except -1
    cdef int _connect_returned(self, object value, Py_ssize_t size) except -1
    cdef int _complete(self, Py_ssize_t size) except -1
    cdef int _completed(self, object error, Py_ssize_t size) except -1
    cdef int _announce(self) except -1
    cdef int _accept(self) except -1
    cdef int _fire_connection(self) except -1
    cdef int _send_connect(self) except -1
    cdef int _refused(self, object error) except -1
    cdef int _refuse(self, dict answer) except -1
    # Disconnecting.
    cdef int close(self, str reason) except -1
    cdef int _abort(self) except -1
    cdef int _leave(self) except -1
    cdef int _send_disconnect(self) except -1
    cdef int _fire_disconnecting(self, list args) except -1
    cdef int _begin_to_leave(self) except -1
    cdef int _unregister(self) except -1
    cdef int _unregistered(self, object error) except -1
    cdef int _closed(self) except -1
    cdef int _end_socket(self, bint was_connected) except -1
