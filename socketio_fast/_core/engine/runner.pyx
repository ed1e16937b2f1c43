"""Handlers run at once, in the order they were called, and suspend as Tasks.

Most handlers never suspend; a Task for each would be half of their cost. So a coroutine
is stepped here, with a *spare* Task as the current one, in that Task's context. If it
ends, the Task was not needed and serves the next handler. If it suspends, the Task is
begun: its coroutine is a `Continuation` that first gives out what the handler waits
for, and passes on everything from then on. So `current_task()`, `timeout()`, `cancel()`
and context variables are right from the first line of a handler.

A handler runs in the Runner's context, or in one that it is given: that of a client
which has its own. A Task cannot change its context, so the Continuation enters the one
that was given for each step; the spare is shared by all contexts.

A spare is given up, ended as the handler did, when something of the handler could
stick to it: somebody holds it (or a weak reference), it was cancelled, named, given a
callback or an attribute, or context variables were set in the Runner's context.

While the messages of one segment are handled, in a *burst*, the spare Task stays the
current one between handlers: to make it current and take it back is 300 of the 7,900
instructions of an echo with 8 in flight, and more since Python 3.12.

A Task schedules its first step when it is made, by `loop.call_soon`: an attribute of
the loop takes that one call (an event loop without `__dict__` cannot serve).

Measured, CPython 3.11, a coroutine function that returns at once: the bare coroutine
0.14 us, this 0.26 us, `create_task` and a pass of the loop 2.96 us.
"""
import asyncio
import contextvars
import sys
from _asyncio import Task  # nest_asyncio puts another in the place of asyncio.Task
from asyncio import tasks as _tasks
from collections.abc import Coroutine

from cpython.dict cimport (
    PyDict_DelItem,
    PyDict_GetItemWithError,
    PyDict_SetItem,
    PyDict_Size,
)
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF

import cython

from socketio_fast._core.engine.contexts cimport PyContext_Copy, same
from socketio_fast._core.engine.failures cimport defer_exit
from socketio_fast._core.protocol.wire cimport sf_coarse_ns

cdef extern from *:
    """
    static inline int sf_is_awaitable(PyObject *o) {
        PyAsyncMethods *methods = Py_TYPE(o)->tp_as_async;
        return methods != NULL && methods->am_await != NULL;
    }
    /* weakref.getweakrefcount() is a Python call. */
    static inline int sf_has_weakrefs(PyObject *o) {
        Py_ssize_t offset = Py_TYPE(o)->tp_weaklistoffset;
        return offset != 0 && *(PyObject **)((char *)o + offset) != NULL;
    }
    """
    bint sf_is_awaitable(object o)
    bint sf_has_weakrefs(object o)

cdef extern from "Python.h":
    enum:
        PYGEN_NEXT
    # PYGEN_ERROR is -1.
    int PyIter_Send(object iter, object arg, PyObject **result) except -1
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    bint PyCoro_CheckExact(object o)
    Py_ssize_t Py_REFCNT(PyObject *o)
    PyObject **PySequence_Fast_ITEMS(object o)
    object PyObject_Vectorcall(
        object func, PyObject **args, size_t n, PyObject *kwnames
    )

cdef object _CancelledError = asyncio.CancelledError
cdef object _register_task = _tasks._register_task
cdef object _unregister_task = _tasks._unregister_task

# The current task: an entry of a dict until 3.13, the thread's since 3.14. (3.12 has
# the function too, where it raises KeyError for no task after no task.)
cdef object _swap_current_task = (
    _tasks._swap_current_task if sys.version_info >= (3, 14) else None
)
cdef dict _current_tasks = (
    _tasks._current_tasks if _swap_current_task is None else None
)


cdef object _swap(object loop, object task):
    """Make `task` (or None) the current one of the loop; return the one before."""
    cdef PyObject *found
    cdef object before = None
    if _swap_current_task is not None:
        return _swap_current_task(loop, task)
    # Where messages are received no task runs, so mostly there is nothing to find.
    if PyDict_Size(_current_tasks):
        found = PyDict_GetItemWithError(_current_tasks, loop)
        if found is not NULL:
            before = <object> found
            if task is None:
                PyDict_DelItem(_current_tasks, loop)
    if task is not None:
        PyDict_SetItem(_current_tasks, loop, task)
    return before


cdef int _restore(object loop, object before, bint replaced) except -1:
    """Make the current task the one before, after a _swap(); `replaced`: it is not
    None now."""
    if _swap_current_task is not None:
        _swap_current_task(loop, before)
    elif before is not None:
        PyDict_SetItem(_current_tasks, loop, before)
    elif replaced:
        PyDict_DelItem(_current_tasks, loop)
    return 0


# Task of a coroutine for which a handler waits in its thread -> the handler's Task.
cdef dict _acting = {}
acting = _acting


cdef bint handles_in(object context) except -1:
    """Whether the current task is that of the handler which was called with this
    context, or a thread's where that handler waits."""
    cdef object task = asyncio.current_task(), driver
    task = _acting.get(task, task)
    if not isinstance(task, HandlerTask):
        return False
    driver = task.get_coro()
    return isinstance(driver, Continuation) and (
        (<Continuation> driver).context is context
    )


cdef class Outcome:
    """Told how a suspended handler ended. Abstract."""

    cdef int returned(self, object value) except -1:
        raise NotImplementedError

    cdef int raised(self, object error) except -1:
        raise NotImplementedError


@cython.final
cdef class Continuation:
    """The coroutine of a handler's Task: the handler, from where it suspended."""

    cdef object _step(self, object error):
        cdef PyObject *result = NULL
        cdef Runner runner = self.runner
        cdef object value
        cdef int status
        cdef int64_t began = 0
        if self.state == ENDED:
            raise StopIteration(self.result)
        if self.state == BEGINNING:
            self.state = RUNNING
            value, self.awaited = self.awaited, None
            if error is None:
                return value
            # Cancelled before it began. The future takes it, as it would have if the
            # Task had begun at once; it comes back with the next step.
            if value is not None and value.cancel():
                return value
        # Left before the outcome is told, which may run other handlers.
        if self.context is not None:
            PyContext_Enter(self.context)
        if runner.threshold:
            began = sf_coarse_ns()
        try:
            try:
                if error is not None:
                    return self.coro.throw(error)
                status = PyIter_Send(self.coro, None, &result)
                value = <object> result
                Py_DECREF(value)
                if status == PYGEN_NEXT:
                    return value
            finally:
                if self.context is not None:
                    PyContext_Exit(self.context)
                if runner.threshold and sf_coarse_ns() - began >= runner.threshold:
                    runner._tell_slow(began, self.handler, self.coro, ())
        except StopIteration as stop:
            value = stop.value
        except BaseException as exc:
            defer_exit(self.runner.loop, exc)
            self._end(None, exc)
            if isinstance(exc, _CancelledError):
                raise  # so the Task is cancelled, too
            raise StopIteration  # the outcome has it
        self._end(value, None)
        raise StopIteration(value)

    cdef int _end(self, object value, object error) except -1:
        cdef Outcome outcome = self.outcome
        self.outcome = None
        self.runner.tasks.discard(self.task)
        self.task = None
        if outcome is None:
            return 0
        if error is None:
            outcome.returned(value)
        else:
            outcome.raised(error)
        return 0

    def __iter__(self):
        return self

    def __await__(self):
        return self

    def __next__(self):
        return self._step(None)

    def send(self, value):
        return self._step(None)

    def throw(self, error, value=None, traceback=None):
        if value is None:
            value = error() if isinstance(error, type) else error
        return self._step(value)

    def close(self):
        if self.coro is not None:
            self.coro.close()

    def __getattr__(self, name):
        # cr_frame, cr_code, __qualname__, …: what a Task shows of its coroutine.
        return getattr(self.coro, name)


Coroutine.register(Continuation)


@cython.final
cdef class Spare:
    """A Task that has not begun, ready to become a handler's."""


@cython.final
cdef class Runner:
    """Runs handlers on one event loop, in the context it was made in or another."""

    def __cinit__(self, object loop):
        self.loop = loop
        self.tasks = set()
        self._base = contextvars.copy_context()

    cdef object fork(self, object context):
        """A copy of a context, or for None of the Runner's, that code may write to."""
        return PyContext_Copy(self._base if context is None else context)

    cdef object kept(self, object context, object before):
        """What is left of a `fork()` of `before`: that, if nothing was set in it."""
        base = self._base if before is None else before
        return before if same(context, base) else context

    cdef object call(self, object func, PyObject **args, size_t n, object context):
        """Call a handler, in a context; if it gives an awaitable, step that.

        `context` must not be current: `copied()` and `fork()` make one. None is the
        Runner's, where what a handler sets is gone when it has ended.

        Returns what it returned. If it has suspended, that is a `Continuation`, which
        continues it as a Task and takes an outcome. What it raises before is raised,
        and is to be caught, of whatever class: what is to leave the event loop does so
        by itself.
        """
        cdef Spare spare = self._spare
        cdef PyObject *result = NULL
        cdef bint ended = True
        cdef object before, value, entered
        cdef int64_t began = 0
        # The handler may let the event loop pass (nest_asyncio): what that receives is
        # a burst of its own.
        cdef bint in_burst = self._in_burst
        if spare is None:
            spare = self._new_spare()
        self._spare = None
        self._in_burst = False
        entered = spare.context
        if context is not None:
            entered = spare.driver.context = context
        before = None
        if spare is self._current:
            self._current = None
        else:
            before = _swap(self.loop, spare.task)
        PyContext_Enter(entered)
        if self.threshold:
            began = sf_coarse_ns()
        try:
            value = PyObject_Vectorcall(func, args, n, NULL)
            if sf_is_awaitable(value):
                if not PyCoro_CheckExact(value):
                    value = value.__await__()
                ended = PyIter_Send(value, None, &result) != PYGEN_NEXT
                if ended:
                    value = <object> result
                else:
                    _swap(self.loop, None)
                    self._begin(spare, func, value, <object> result)
                Py_DECREF(<object> result)
                if not ended:
                    value = spare.driver
                elif type(value) is Continuation:
                    raise TypeError("a handler returned the coroutine of its Task")
        except BaseException as exc:
            self._in_burst = in_burst
            PyContext_Exit(entered)
            _swap(self.loop, before)  # wherever it was raised
            self._put_back(spare, None)
            defer_exit(self.loop, exc)
            if self.threshold and sf_coarse_ns() - began >= self.threshold:
                self._tell_slow(began, func, None, _tuple(args, n))
            raise
        self._in_burst = in_burst
        PyContext_Exit(entered)
        if ended and in_burst and before is None:
            self._current = spare
        else:
            _restore(self.loop, before, ended)
        if self.threshold and sf_coarse_ns() - began >= self.threshold:
            self._tell_slow(began, func, None, _tuple(args, n))
        if ended:
            self._put_back(spare, value)
        return value

    cdef object call_then(
        self, object func, list args, object context, Outcome outcome
    ):
        """call() a handler, and tell `outcome` how it ended: now, or when it ends.

        Returns:
            The handler's Task if it has suspended, else None.
        """
        cdef object value
        try:
            value = self.call(func, PySequence_Fast_ITEMS(args), len(args), context)
        except BaseException as exc:
            # Here, where it is the exception that is handled, as sys.exc_info() tells.
            outcome.raised(exc)
            return None
        if type(value) is Continuation:
            (<Continuation> value).outcome = outcome
            return (<Continuation> value).task
        outcome.returned(value)
        return None

    def watch(self, threshold, on_slow):
        """Tell of what holds up the event loop.

        Args:
            threshold: Seconds from call to return or suspension, or from one suspension
                to the next, from which on a handler is slow; ``None`` for no telling.
                The clock may be 16 ms behind.
            on_slow: Called with the handler, what it was called with, the coroutine
                that has gone on since (or None, before it has suspended), and the
                seconds. It raises nothing.
        """
        self.threshold = 0 if threshold is None else max(1, round(threshold * 1e9))
        self.on_slow = on_slow

    cdef int _tell_slow(
        self, int64_t began, object handler, object coro, tuple args
    ) except -1:
        self.on_slow(handler, args, coro, (sf_coarse_ns() - began) / 1e9)
        return 0

    cdef int _begin(
        self, Spare spare, object handler, object coro, object awaited
    ) except -1:
        cdef Continuation driver = spare.driver
        driver.state = BEGINNING
        driver.handler = handler
        driver.coro = coro
        driver.awaited = awaited
        driver.runner = self
        driver.task = spare.task
        spare.task._log_destroy_pending = True
        _register_task(spare.task)
        self.tasks.add(spare.task)
        spare.step()
        return 0

    cdef bint begin_burst(self) except -1:
        """Several handlers may follow each other: the Task of one that ends stays the
        current one for the next. True: whoever called this calls `end_burst()`."""
        if self._in_burst:
            return False
        self._in_burst = True
        return True

    cdef int end_burst(self) except -1:
        self._in_burst = False
        return 0 if self._current is None else self._leave()

    cdef int _leave(self) except -1:
        self._current = None
        return _restore(self.loop, None, True)

    cdef int _put_back(self, Spare spare, object result) except -1:
        cdef object before
        cdef bint current = spare is self._current, reusable
        spare.driver.context = None
        reusable = (
            Py_REFCNT(<PyObject *> spare.task) == spare.references + current
            and same(spare.context, self._base)
            and not spare.driver.touched
            and not sf_has_weakrefs(spare.task)
        )
        if reusable and self._spare is None:
            self._spare = spare
            return 0
        if current:
            self._leave()
        if reusable:
            return 0
        # To whoever looks at this Task, it has ended with the handler.
        spare.driver.state = ENDED
        spare.driver.result = result
        before = _swap(self.loop, None)
        try:
            spare.context.run(spare.step)
        finally:
            _swap(self.loop, before)
        return 0

    cdef Spare _new_spare(self):
        cdef Spare spare = Spare.__new__(Spare)
        cdef object loop = self.loop
        spare.driver = Continuation.__new__(Continuation)
        loop.call_soon = self._capture
        try:
            # The Task copies the context that is current when it is made.
            spare.task = self._base.copy().run(_new_task, spare.driver, loop)
        finally:
            del loop.call_soon
        spare.step, spare.context = self._captured
        self._captured = None
        spare.task._log_destroy_pending = False
        _unregister_task(spare.task)
        spare.references = Py_REFCNT(<PyObject *> spare.task)
        return spare

    def _capture(self, step, *, context=None):
        self._captured = (step, context)

    def run(self, func, *args, on_end=None, context=None):
        """Call a handler from Python: what it returned, or its Task.

        `on_end(value, error)` is called when one that suspended ends. It runs in
        `context`, which must not be current; in the Runner's for None.
        """
        cdef list arguments = list(args)
        value = self.call(
            func, PySequence_Fast_ITEMS(arguments), len(arguments), context
        )
        if type(value) is not Continuation:
            return value
        if on_end is not None:
            (<Continuation> value).outcome = _Callback(on_end)
        return (<Continuation> value).task


class HandlerTask(Task):
    """A handler's Task; it tells its Continuation what a handler left on it."""

    if sys.version_info >= (3, 12):
        def get_context(self):
            driver = self.get_coro()
            if driver is not None and (<Continuation?> driver).context is not None:
                return (<Continuation?> driver).context
            return super().get_context()

    def add_done_callback(self, fn, *, context=None):
        _touch(self)
        return super().add_done_callback(fn, context=context)

    def cancel(self, msg=None):
        _touch(self)
        return super().cancel(msg)

    def set_name(self, value):
        _touch(self)
        return super().set_name(value)

    def __setattr__(self, name, value):
        if name != "_log_destroy_pending":
            _touch(self)
        super().__setattr__(name, value)


cdef tuple _tuple(PyObject **args, size_t n):
    cdef size_t i
    return tuple([<object> args[i] for i in range(n)])


cdef int _touch(object task) except -1:
    cdef object driver = task.get_coro()
    if driver is not None:  # else its constructor runs
        (<Continuation?> driver).touched = True
    return 0


cdef object _new_task(object driver, object loop):
    cdef object task = HandlerTask(driver, loop=loop)
    (<Continuation> driver).touched = False  # its constructor has set the name
    return task


@cython.final
cdef class _Callback(Outcome):
    cdef object function

    def __init__(self, function):
        self.function = function

    cdef int returned(self, object value) except -1:
        self.function(value, None)
        return 0

    cdef int raised(self, object error) except -1:
        self.function(None, error)
        return 0
