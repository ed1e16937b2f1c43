"""Several functions for one event: the table of them, and their calls.

The table holds tuples. A call goes over the tuple that it began with, so that a
listener may add or remove others meanwhile.
"""
import types

import cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from socketio_fast._core.engine.contexts cimport copied
from socketio_fast._core.engine.runner cimport Continuation, Outcome, Runner

cdef extern from "Python.h":
    PyObject **PySequence_Fast_ITEMS(object o)

cdef object _Function = types.FunctionType


@cython.final
cdef class Once:
    """A listener that is removed when it is called for the first time."""

    def __cinit__(self, function):
        self.function = function


cdef class Listeners:
    """An object with events, and the functions that listen to them.

    It is the base class of `Socket` and others. What modules of Python do with one are
    the functions below, not methods: programs see only what subclasses add.
    """

    def __cinit__(self, *args, **kwargs):
        self.table = {}

    cdef tuple take(self, object event):
        """Return the functions of an event that happens now; None if there are none.
        Those that listen once are removed."""
        cdef PyObject *found = PyDict_GetItemWithError(self.table, event)
        cdef tuple functions
        cdef bint once = False
        if found is NULL:
            return None
        functions = <tuple> found
        for function in functions:
            if type(function) is Once:
                once = True
                break
        if not once:
            return functions
        self.store(event, [f for f in functions if type(f) is not Once])
        return tuple([
            (<Once> f).function if type(f) is Once else f for f in functions
        ])

    cdef int end(self) except -1:
        """Nothing happens any more: drop the functions, which may refer to this object
        and would keep it in a cycle."""
        self.ended = True
        self.table = {}
        self.any_in = self.any_out = self.event_middlewares = None
        return 0

    cdef int store(self, object event, list functions) except -1:
        if functions:
            self.table[event] = tuple(functions)
        else:
            self.table.pop(event, None)
        return 0


def add(Listeners to not None, event, function, bint once=False, bint first=False):
    """Add a function for an event: for the next one only, or before all others."""
    cdef tuple before
    if to.ended:
        return
    added = Once(function) if once else function
    before = to.table.get(event, ())
    to.table[event] = (added, *before) if first else (*before, added)


def remove(Listeners of not None, event, wanted):
    """Remove a function of an event, the one that was added last; None: all."""
    cdef list functions
    cdef Py_ssize_t i
    if wanted is None:
        of.table.pop(event, None)
        return
    functions = list(of.table.get(event, ()))
    for i in range(len(functions) - 1, -1, -1):
        if _is(functions[i], wanted):
            del functions[i]
            of.store(event, functions)
            return


def remove_all(Listeners of not None):
    """Remove the functions of all events."""
    of.table = {}


def copy(Listeners of not None, Listeners to not None):
    """Give an object the functions that another has, for the same events."""
    to.table = of.table.copy()


def functions_of(Listeners of not None, event):
    """The functions of an event, a list, as they were registered."""
    return [
        _plain((<Once> f).function if type(f) is Once else f)
        for f in of.table.get(event, ())
    ]


def take(Listeners of not None, event):
    """The functions of an event that happens now, a tuple. Those that listen once are
    removed."""
    return of.take(event) or ()


def fire(Listeners of not None, Runner runner not None, failed, event, *args):
    """Call the functions of an event. Returns whether there are any.

    `failed(error)` is called for each function that raises.
    """
    cdef tuple functions = of.take(event)
    cdef _Fired group
    cdef list arguments = list(args)
    if functions is None:
        return False
    group = _Fired.__new__(_Fired)
    group.on_failed = failed
    group.call_all(
        runner, functions, PySequence_Fast_ITEMS(arguments), len(arguments)
    )
    return True


def any_in(Listeners of not None):
    """The functions for every event that comes, a list."""
    return [_plain(f) for f in of.any_in or ()]


def set_any_in(Listeners of not None, functions):
    if not of.ended:
        of.any_in = tuple(functions) or None


def any_out(Listeners of not None):
    """The functions for every event that is sent, a list."""
    return [_plain(f) for f in of.any_out or ()]


def set_any_out(Listeners of not None, functions):
    if not of.ended:
        of.any_out = tuple(functions) or None


def event_middlewares(Listeners of not None):
    """What is called before all listeners, or None."""
    return of.event_middlewares


def set_event_middlewares(Listeners of not None, middlewares):
    if not of.ended:
        of.event_middlewares = middlewares


cdef bint _is(object added, object wanted):
    cdef object function = (<Once> added).function if type(added) is Once else added
    # A bound method is another object at each look-up, so `is` would not do.
    return function == wanted or _plain(function) == wanted


cdef object _plain(object function):
    """Return the function that was registered, if a server has wrapped it."""
    if type(function) is _Function:  # other callables may have any attributes
        return getattr(function, "_listener", function)
    return function


cdef class Group:
    """One call of several functions for one event. Abstract.

    All are called, whether one raises or not.
    """

    cdef int failed(self, object error) except -1:
        """A function has raised this."""
        raise NotImplementedError

    cdef int ended(self) except -1:
        """All functions have ended."""
        return 0

    cdef int call(
        self, Runner runner, object function, PyObject **args, size_t n
    ) except -1:
        cdef Py_ssize_t place = self.called
        if place == 0:
            self.left = 1
        self.called += 1
        self.left += 1
        try:
            value = runner.call(
                function, args, n, self.context if self.shares else copied(self.context)
            )
        except BaseException as exc:
            self.left -= 1
            return self.failed(exc)
        if type(value) is Continuation:
            (<Continuation> value).outcome = _Member.new(self, place)
            return 0
        self.left -= 1
        return self.returned(place, value)

    cdef int call_all(
        self, Runner runner, tuple functions, PyObject **args, size_t n
    ) except -1:
        """Call the functions of the event, in order."""
        for function in functions:
            self.call(runner, function, args, n)
        return self.all_called()

    cdef int all_called(self) except -1:
        """No further function is called."""
        if self.called == 0:
            return self.ended()
        return self.one_ended()

    cdef int one_ended(self) except -1:
        self.left -= 1
        return self.ended() if self.left == 0 else 0

    cdef int returned(self, Py_ssize_t place, object value) except -1:
        """Keep the value of the first function, in their order, that returns one."""
        if value is not None and (self.value is None or place < self.place):
            self.value = value
            self.place = place
        return 0


@cython.final
cdef class _Member(Outcome):
    """What becomes of a function of a group that has suspended."""
    cdef Group group
    cdef Py_ssize_t place

    @staticmethod
    cdef _Member new(Group group, Py_ssize_t place):
        cdef _Member self = _Member.__new__(_Member)
        self.group = group
        self.place = place
        return self

    cdef int returned(self, object value) except -1:
        self.group.returned(self.place, value)
        return self.group.one_ended()

    cdef int raised(self, object error) except -1:
        self.group.failed(error)
        return self.group.one_ended()


@cython.final
cdef class _Fired(Group):
    """A call of functions whose values nobody wants."""
    cdef object on_failed

    cdef int failed(self, object error) except -1:
        self.on_failed(error)
        return 0
