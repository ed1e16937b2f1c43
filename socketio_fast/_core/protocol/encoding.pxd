# Encodings of Socket.IO packets that an application has chosen.
from libc.stdint cimport int64_t

from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.protocol.sio cimport Packet


cdef class Encoding:
    cdef Packet decode_text(
        self, const char *p, Py_ssize_t n, Py_ssize_t max_attachments
    )
    cdef Packet decode_binary(self, bytes data, Py_ssize_t max_attachments)
    cdef int attach(self, Packet packet, bytes data) except -1
    cdef Outgoing encode(self, int type, str namespace, object data, int64_t id)
    cdef Outgoing numbered(self, Outgoing m, str namespace, list data, int64_t id)
