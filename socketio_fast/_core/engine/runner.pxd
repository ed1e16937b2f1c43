# Running handlers at once: a Task only for those that suspend.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t


cdef bint handles_in(object context) except -1


cdef class Outcome:
    # What becomes of a handler that suspended.
    cdef int returned(self, object value) except -1
    cdef int raised(self, object error) except -1


cdef class PreparedHandler:
    # A handler, with what is done before and after it.
    cdef object begin(self, PyObject **args, size_t n)
    cdef object finish(self, object value)


cdef enum ContinuationState:
    UNUSED      # the Task has not begun
    BEGINNING   # its first step gets what the handler waits for
    RUNNING     # every further step goes to the handler
    ENDED       # the handler has ended without it


cdef class Continuation:
    cdef:
        int state
        object handler
        object coro             # its coroutine
        object awaited          # what it waits for, while BEGINNING
        object result           # of a handler that ENDED
        bint touched            # a handler has left something on the Task
        object context          # the handler's; None: the Task's own
        Outcome outcome
        Runner runner
        readonly object task

    cdef object _step(self, object error)
    cdef int _end(self, object value, object error) except -1


cdef class Spare:
    cdef:
        object task
        object context
        object step             # runs the first step of the task
        Continuation driver
        Py_ssize_t references   # to the task, while only this object knows it


cdef class Runner:
    cdef:
        readonly object loop
        readonly set tasks      # of handlers that have suspended
        object _base            # the context of handlers that are given none
        int64_t threshold       # ns of one step from which on it is slow; 0: never
        object on_slow          # is told of it
        object _captured
        Spare _spare
        # When the last handler of this burst has ended, as handled() has found, if none
        # has run since; else 0.
        int64_t handled_at
        bint _in_burst
        Spare _current          # the spare, while its Task is current between handlers

    cdef object fork(self, object context)
    cdef object kept(self, object context, object before)
    cdef object call(self, object func, PyObject **args, size_t n, object context)
    cdef object call_then(
        self, object func, list args, object context, Outcome outcome
    )
    cdef int _tell_slow(
        self, int64_t began, object handler, object coro, tuple args
    ) except -1
    cdef Spare _new_spare(self)
    cdef int _begin(
        self, Spare spare, object handler, object coro, object awaited
    ) except -1
    cdef int _put_back(self, Spare spare, object result) except -1
    cdef bint begin_burst(self) except -1
    cdef int64_t handled(self) except -1
    cdef int end_burst(self) except -1
    cdef int _leave(self) except -1
