"""The values of an event, as JSON: for a handler that has them decoded into its types.

`sf_values.h` has validated the whole text, and declines what JSON parsers read in
different ways. Therefore whoever decodes a value later finds no fault in it, and gets
what all others would get.
"""
import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Contains

from socketio_fast._core.protocol.json_text cimport read_json, read_name
from socketio_fast._core.protocol.wire cimport sf_plain_run, sf_split_array


@cython.final
@cython.no_gc  # it holds bytes and a str alone
@cython.freelist(8)
cdef class EventValues:
    """The values of an event that has not been decoded, the name first."""

    def __init__(self):
        raise TypeError("made of the text of a packet")

    cdef bytes value_text(self, Py_ssize_t i):
        """The JSON of a value."""
        return (
            PyBytes_AS_STRING(self.text) + self.values[i].start
        )[:self.values[i].size]

    cdef object read_value(self, Py_ssize_t i):
        """Decode one value."""
        return read_json(
            PyBytes_AS_STRING(self.text) + self.values[i].start, self.values[i].size,
            False, False,
        )

    cdef list read(self):
        """Decode all values."""
        return <list?> read_json(
            PyBytes_AS_STRING(self.text), PyBytes_GET_SIZE(self.text), True, False
        )


@cython.final
@cython.no_gc  # it holds bytes alone
@cython.freelist(8)
cdef class EncodedValue:
    """What a handler has returned, as JSON."""


cdef EncodedValue encoded_value(bytes json):
    cdef EncodedValue value = EncodedValue.__new__(EncodedValue)
    value.json = json
    return value


cdef EventValues split_event(const char *p, Py_ssize_t n, dict names):
    """Split the JSON of an event whose name is in `names`, and which has arguments.

    None: it is to be decoded as others are.
    """
    cdef EventValues event
    cdef str name
    cdef size_t size
    if n < 6 or p[0] != c"[" or p[1] != c'"':
        return None
    size = sf_plain_run(p + 2, n - 2)
    if size == 0 or <Py_ssize_t> size + 4 > n or p[size + 2] != c'"' or (
        p[size + 3] != c","
    ):
        return None
    name = read_name(p + 2, size)
    if not PyDict_Contains(names, name):
        return None
    event = EventValues.__new__(EventValues)
    event.count = sf_split_array(p, n, event.values)
    if event.count == 0:
        return None
    event.name = name
    event.text = p[:n]
    return event
