# Several functions for one event: the table of them, and their calls.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from socketio_fast._core.engine.runner cimport Outcome, Runner


cdef class Listeners:
    cdef:
        object __weakref__
        dict table              # event -> tuple of functions and Once
        tuple any_in            # functions for every event that comes; None: none
        tuple any_out           # functions for every event that is sent; None: none
        object event_middlewares    # called before all others; or None
        bint ended              # nothing happens any more, and nothing is stored

    cdef tuple take(self, object event)
    cdef int store(self, object event, list functions) except -1
    cdef int end(self) except -1


cdef class Once:
    cdef readonly object function


cdef class Group:
    # All functions start in one pass, in order.
    cdef:
        # Functions that have not ended, and 1 until all have been called.
        Py_ssize_t left
        Py_ssize_t called
        Py_ssize_t place        # of the function that `value` is of
        object value            # the first that is not None
        object context          # each runs in a copy of it; None: of the Runner's
        bint shares             # all run in `context` itself

    cdef int failed(self, object error) except -1
    cdef int ended(self) except -1
    cdef int call(
        self, Runner runner, object function, PyObject **args, size_t n
    ) except -1
    cdef int call_all(
        self, Runner runner, tuple functions, PyObject **args, size_t n
    ) except -1
    cdef int all_called(self) except -1
    cdef int returned(self, Py_ssize_t place, object value) except -1
    cdef int one_ended(self) except -1
