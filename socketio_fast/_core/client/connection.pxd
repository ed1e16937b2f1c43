# The Socket.IO side of a client's connection.
from socketio_fast._core.socketio.hub cimport Hub
from socketio_fast._core.socketio.packet_receiver cimport PacketReceiver


cdef class ClientHub(Hub):
    cdef readonly ClientConnection connection


cdef class ClientConnection(PacketReceiver):
    cdef readonly dict peers        # namespace -> ClientPeer
