"""Runs handlers at once, in the order of the calls; those that suspend become Tasks.

Most handlers never suspend, and a Task for each would be half of their cost. Therefore
the Runner itself runs the handler's coroutine up to its first suspension, in the
context of a *spare* Task that it has made the current one. If the coroutine ends, the
spare serves the next handler. If it suspends, the spare becomes the handler's Task. The
Task's coroutine is a `Continuation`: its first step returns the future that the handler
awaits, and every further step goes to the handler. In this way `current_task()`,
`timeout()`, `cancel()` and context variables work from the first line of a handler.

A handler runs in the Runner's context or in one that the caller gives, which is that of
a client with a context of its own. A Task cannot change its context. Therefore the
Continuation enters the given context for each step, and one spare serves all contexts.

A spare is not used again if the handler may have left something on it: there is another
reference (or a weak one) to the Task; it was cancelled, or given a name, a callback or
an attribute; or context variables were set in the Runner's context. Such a Task is
ended with the handler's result.

In a *burst*, while the messages of one segment are handled, the spare Task stays the
current one between handlers. Making it current and restoring the previous one takes 300
of the 7,900 instructions of an echo with 8 in flight, and more since Python 3.12.

When a Task is made, it schedules its first step by `loop.call_soon()`. To intercept
that call, the Runner sets an attribute of the loop, so that it cannot use an event loop
without `__dict__`.

Measured with CPython 3.11 and a coroutine function that returns at once: the bare
coroutine 0.14 us, this 0.26 us, `create_task()` and a pass of the loop 2.96 us.
"""
import asyncio
import contextvars
import sys
from _asyncio import Task  # nest_asyncio replaces asyncio.Task
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
from socketio_fast._core.protocol.wire cimport sf_coarse_ns, sf_exact_ns

cdef extern from *:
    """
    static inline int sf_is_awaitable(PyObject *o) {
        PyAsyncMethods *methods = Py_TYPE(o)->tp_as_async;
        return methods != NULL && methods->am_await != NULL;
    }
    /* weakref.getweakrefcount() would cost a Python call. */
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

# asyncio keeps the current task in a dict up to Python 3.13, in the thread's state
# since 3.14. _swap_current_task() exists since 3.12, but before 3.14 it raises KeyError
# if None replaces None.
cdef object _swap_current_task = (
    _tasks._swap_current_task if sys.version_info >= (3, 14) else None
)
cdef dict _current_tasks = (
    _tasks._current_tasks if _swap_current_task is None else None
)


cdef object _swap(object loop, object task):
    """Make `task` (or None) the current one of the loop; return the previous one."""
    cdef PyObject *found
    cdef object before = None
    if _swap_current_task is not None:
        return _swap_current_task(loop, task)
    # Messages are received in callbacks, where no task is current: the dict is mostly
    # empty.
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
    """Undo a _swap() that returned `before`; `replaced`: a task is the current one."""
    if _swap_current_task is not None:
        _swap_current_task(loop, before)
    elif before is not None:
        PyDict_SetItem(_current_tasks, loop, before)
    elif replaced:
        PyDict_DelItem(_current_tasks, loop)
    return 0


# A handler in a thread may wait for a coroutine on the loop. This maps the Task of that
# coroutine to the Task of the handler.
cdef dict _acting = {}
acting = _acting


cdef bint handles_in(object context) except -1:
    """Whether the current task is that of the handler called with this context, or of a
    coroutine that the handler waits for in its thread."""
    cdef object task = asyncio.current_task(), driver
    task = _acting.get(task, task)
    if not isinstance(task, HandlerTask):
        return False
    driver = task.get_coro()
    return isinstance(driver, Continuation) and (
        (<Continuation> driver).context is context
    )


cdef class Outcome:
    """Called with the result of a suspended handler. Abstract."""

    cdef int returned(self, object value) except -1:
        raise NotImplementedError

    cdef int raised(self, object error) except -1:
        raise NotImplementedError


cdef class PreparedHandler:
    """A handler, with what is done before and after it, in its context. Abstract."""

    cdef object begin(self, PyObject **args, size_t n):
        """Call the handler; returns what it returns, or its coroutine."""
        raise NotImplementedError

    cdef object finish(self, object value):
        """Returns what is made of what the handler, or its coroutine, has returned."""
        raise NotImplementedError


@cython.final
cdef class Continuation:
    """The coroutine of a handler's Task; it continues the handler's own coroutine."""

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
            # The Task was cancelled before its first step. Cancel the future, as the
            # Task would if it had begun at once: the next step raises CancelledError.
            if value is not None and value.cancel():
                return value
        # Exit the context before _end(), because the outcome may run other handlers.
        if self.context is not None:
            PyContext_Enter(self.context)
        if runner.threshold:
            began = sf_coarse_ns()
        try:
            try:
                if error is not None:
                    try:
                        return self.coro.throw(error)
                    except StopIteration as stop:
                        value = stop.value
                else:
                    status = PyIter_Send(self.coro, None, &result)
                    value = <object> result
                    Py_DECREF(value)
                    if status == PYGEN_NEXT:
                        return value
                if isinstance(self.handler, PreparedHandler):
                    value = (<PreparedHandler> self.handler).finish(value)
            finally:
                if self.context is not None:
                    PyContext_Exit(self.context)
                if runner.threshold and sf_coarse_ns() - began >= runner.threshold:
                    runner._tell_slow(began, self.handler, self.coro, ())
        except BaseException as exc:
            defer_exit(self.runner.loop, exc)
            self._end(None, exc)
            if isinstance(exc, _CancelledError):
                raise  # the Task then ends as cancelled
            raise StopIteration  # _end() has given the exception to the outcome
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
        # A Task's repr() and stack read cr_frame, cr_code, __qualname__ and more.
        return getattr(self.coro, name)


Coroutine.register(Continuation)


@cython.final
cdef class Spare:
    """A Task whose first step has not run, ready to become a handler's Task."""


@cython.final
cdef class Runner:
    """Runs handlers on one event loop, in a copy of the context that it was made in, or
    in a context that the caller gives."""

    def __cinit__(self, object loop):
        self.loop = loop
        self.tasks = set()
        self._base = contextvars.copy_context()

    cdef object fork(self, object context):
        """Copy a context (for None, the Runner's), so that code may set variables."""
        return PyContext_Copy(self._base if context is None else context)

    cdef object kept(self, object context, object before):
        """Return `context`, a fork of `before`; `before` if nothing was set in it."""
        base = self._base if before is None else before
        return before if same(context, base) else context

    cdef object call(self, object func, PyObject **args, size_t n, object context):
        """Call a handler in a context; run the awaitable that it returns, if it does.

        `context` must not be entered by anyone; `fork()` makes such a context. None is
        the Runner's context, where variables that a handler sets are lost when it has
        ended.

        Returns what the handler returned. If it has suspended, that is a
        `Continuation`, which continues it as a Task; set its `outcome`. What it raises
        before that is raised. Catch every exception, BaseException included:
        `defer_exit()` has arranged for those that must end the event loop.
        """
        cdef Spare spare = self._spare
        cdef PyObject *result = NULL
        cdef bint ended = True, prepared = isinstance(func, PreparedHandler)
        cdef object before, value, entered
        cdef int64_t began = 0
        # The handler may run the event loop itself (nest_asyncio). What is received
        # then is another burst.
        cdef bint in_burst = self._in_burst
        if spare is None:
            spare = self._new_spare()
        self._spare = None
        self._in_burst = False
        self.handled_at = 0
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
            if prepared:
                value = (<PreparedHandler> func).begin(args, n)
            else:
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
            if prepared and ended:
                value = (<PreparedHandler> func).finish(value)
        except BaseException as exc:
            self._in_burst = in_burst
            PyContext_Exit(entered)
            # Not _restore(): the exception may have come after _swap(self.loop, None).
            _swap(self.loop, before)
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
        """call() a handler, and give its result to `outcome`, at once or when it ends.

        Returns:
            The handler's Task if it has suspended, else None.
        """
        cdef object value
        try:
            value = self.call(func, PySequence_Fast_ITEMS(args), len(args), context)
        except BaseException as exc:
            # Called within this block, so that sys.exc_info() returns the exception.
            outcome.raised(exc)
            return None
        if type(value) is Continuation:
            (<Continuation> value).outcome = outcome
            return (<Continuation> value).task
        outcome.returned(value)
        return None

    def watch(self, threshold, on_slow):
        """Report handlers that block the event loop.

        Args:
            threshold: Seconds from which on a step of a handler is slow: from the call
                or a resumption to the return or the next suspension. ``None`` for no
                reports. The clock may be up to 16 ms behind.
            on_slow: Called with the handler; the arguments of the call; None, or for a
                later step, the coroutine and no arguments; and the seconds of the step.
                It must not raise.
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
        """Begin a burst: the Task of a handler that ends stays current for the next.

        True: the caller must call `end_burst()`. False: a burst was under way already.
        """
        if self._in_burst:
            return False
        self._in_burst = True
        return True

    cdef int64_t handled(self) except -1:
        """The time, by `sf_exact_ns()`, at which a handler that was called has ended.

        In a burst the next begins then, if it does before another function is called:
        that saves one of two readings of the clock, of 32 ns each.
        """
        cdef int64_t now = sf_exact_ns()
        if self._in_burst:
            self.handled_at = now
        return now

    cdef int end_burst(self) except -1:
        self._in_burst = False
        self.handled_at = 0
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
        # End the Task with the handler's result, for whoever holds a reference to it.
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
            # A Task copies the context that is current when it is made.
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
        """Call a handler from Python; return its result, or its Task if it suspends.

        `on_end(value, error)` is called when a handler that has suspended ends. The
        handler runs in `context`, which must not be entered by anyone; None, the
        default, is the Runner's context.
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
    """A handler's Task; it sets `touched` on its Continuation if anyone changes it."""

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
    if driver is not None:  # it is None while the constructor runs
        (<Continuation?> driver).touched = True
    return 0


cdef object _new_task(object driver, object loop):
    cdef object task = HandlerTask(driver, loop=loop)
    (<Continuation> driver).touched = False  # the constructor has set the name
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
