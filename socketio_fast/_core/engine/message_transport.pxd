# Transports that carry one packet in a message.
from socketio_fast._core.engine.contracts cimport Transport


cdef class MessageTransport(Transport):
    cdef int on_text(self, const char *p, Py_ssize_t n) except -1
    cdef int on_text_message(self, const char *p, Py_ssize_t n) except -1
    cdef int on_binary(self, bytes data) except -1
    cdef int _on_message(self, bytes data) except -1
