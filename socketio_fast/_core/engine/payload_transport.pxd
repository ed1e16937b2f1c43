# Transports whose packets come in payloads: HTTP long-polling, of a server or a client.
from socketio_fast._core.engine.message_transport cimport MessageTransport


cdef class PayloadTransport(MessageTransport):
    cdef:
        bint in_message     # what is read now is a message, and no other packet

    cdef Py_ssize_t read(self, bytes body, Py_ssize_t at, bint whole) except -1
    cdef Py_ssize_t read_3(
        self, bytes body, Py_ssize_t at, bint binary, bint whole
    ) except -1
    cdef int check_count(self, Py_ssize_t count) except -1
    cdef bytes payload(self, list messages)
    cdef bint wants_binary(self, list messages) except -1


cdef Py_ssize_t count_of(list messages) except -1
