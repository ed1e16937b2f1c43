# Handlers whose arguments are checked, which decode them themselves.
from cpython.object cimport PyObject

from socketio_fast._core.engine.runner cimport PreparedHandler
from socketio_fast._core.protocol.event_values cimport EventValues


cdef class CheckedHandler(PreparedHandler):
    cdef:
        object _function        # the Python function that checks, calls and makes plain
        object _handler         # the handler alone
        object _arguments       # makes its arguments of those that were received
        list _decoders          # of each argument; None for one: it has any type
        Py_ssize_t _least       # how many arguments the handler takes
        object _plain           # makes dicts and lists of models
        object _last            # the last type that was looked at
        tuple _fields           # of it, if it is a struct; else None

    cdef object _decoded(self, object sid, EventValues values)
    cdef object _checked(self, object sid, EventValues values)
    cdef bint _is_json(self, object value, int depth) except -1
    cdef tuple _fields_of(self, object kind)
