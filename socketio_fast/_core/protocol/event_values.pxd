# The values of an event that have not been decoded.
from socketio_fast._core.protocol.wire cimport SF_MAX_VALUES, sf_span


cdef class EventValues:
    cdef:
        readonly str name
        bytes text                  # the JSON of the event, an array
        sf_span values[SF_MAX_VALUES]
        readonly Py_ssize_t count   # the name included

    cdef bytes value_text(self, Py_ssize_t i)
    cdef object read_value(self, Py_ssize_t i)
    cdef list read(self)


cdef class EncodedValue:
    cdef bytes json


cdef EncodedValue encoded_value(bytes json)
cdef EventValues split_event(const char *p, Py_ssize_t n, dict names)
