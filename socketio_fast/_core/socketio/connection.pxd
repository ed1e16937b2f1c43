# The Socket.IO side of one Engine.IO connection.
from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.protocol.event_values cimport EventValues
from socketio_fast._core.protocol.sio cimport Packet
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.packet_receiver cimport PacketReceiver
from socketio_fast._core.socketio.peer_lifecycle cimport Peer


cdef class ServerHub(Hub):
    pass


cdef class ConnectionHandler(PacketReceiver):
    cdef:
        Peer main                   # in namespace "/"; None: it has not joined it
        dict others                 # namespace -> Peer, in all others; or None
        Deadline connect_deadline   # None: it has joined a namespace

    cdef int track(self, bint tracked) except -1
    cdef list _arguments(self, Peer peer, EventValues values)
    cdef int _join(self, str name, object auth, Py_ssize_t size) except -1
    cdef bint _is_taken_back(self, str name, object auth, Py_ssize_t size) except -1
    cdef int join_here(self, str name, object auth, Py_ssize_t size) except -1
    cdef int _restore(self, str name, object auth, Py_ssize_t size) except -1
    cdef int _find_namespace(self, str name, object auth, Py_ssize_t size) except -1
    cdef int _over_limit(self, Packet packet, double wait) except -1
    cdef int _resolve(self, str name, object auth, Py_ssize_t size) except -1
    cdef int enter_namespace(
        self, Namespace ns, str name, object auth, Py_ssize_t size
    ) except -1
