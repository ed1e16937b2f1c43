# Several functions for an event, and what becomes of them when it happens.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from socketio_fast._core.engine.runner cimport Outcome, Runner


cdef class Listeners:
    cdef:
        object __weakref__
        dict table              # event -> tuple of functions and Once
        tuple any_in            # for every event that comes; None: none
        tuple any_out           # for every event that is sent
        object event_middlewares    # called before anybody hears of an event; or None
        bint ended              # nothing happens any more: nothing is kept

    cdef tuple take(self, object event)
    cdef int end(self) except -1


cdef class Once:
    cdef readonly object function


cdef class Group:
    # Functions that are called for one event. All start at once, in order.
    cdef:
        Py_ssize_t left         # have not ended; and one while they are being called
        Py_ssize_t called
        Py_ssize_t place        # whose value it is
        object value            # the first that is not None
        object context          # that they run in copies of; None: the Runner's
        bint shares             # they run in `context` itself

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
