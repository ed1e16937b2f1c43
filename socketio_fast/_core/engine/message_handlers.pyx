"""Engine.IO without Socket.IO: messages go to the functions of an application.

This is for `socketio_fast.engineio`. The handlers of one client start in the order in
which its messages came. If one raises, that is logged, and the client stays.
"""
from collections import deque

import cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8

from socketio_fast._core.engine.collecting cimport set_tracked
from socketio_fast._core.engine.contexts cimport copied
from socketio_fast._core.engine.failures cimport log_failure
from socketio_fast._core.engine.contracts cimport (
    CLOSED,
    EngineBase,
    HandlerFactory,
    SessionBase,
    SessionHandler,
)
from socketio_fast._core.engine.runner cimport Continuation, Outcome, Runner

from socketio_fast.exceptions import LimitError, PacketError
from socketio_fast.options.logs import escaped

cdef extern from "Python.h":
    PyObject **PySequence_Fast_ITEMS(object o)


@cython.final
cdef class Callbacks(HandlerFactory):
    """The functions that all sessions of one engine call.

    Args:
        logger: A ``logging.Logger``.
        ordered: Whether the next handler of a client starts only when its last one has
            ended.
        read_text: Called with a text message, a str; returns what the handler gets.
            None: the handler gets the text.
    """

    def __cinit__(self, *, object logger, bint ordered=False, object read_text=None):
        self.logger = logger
        self.ordered = ordered
        self.read_text = read_text

    def bind(self, EngineBase engine not None):
        """Run on the engine's event loop."""
        self.runner = engine.runner

    cdef SessionHandler new_handler(self, SessionBase session):
        cdef CallbackHandler handler = CallbackHandler.__new__(CallbackHandler)
        handler.callbacks = self
        return handler


@cython.final
cdef class CallbackHandler(SessionHandler):
    """Calls the functions for one session."""

    cdef int on_open(self) except -1:
        cdef Runner runner = self.callbacks.runner
        cdef EngineBase engine = self.session.engine
        cdef list args
        if engine.limits is not None:
            self.limiter = engine.limits.limiter(self.session.visitor, engine.now())
        if self.callbacks.connect is None:
            return self._connected(None)
        self.session.context = runner.fork(self.session.context)
        args = [self.session.id, self.session.environ]
        try:
            value = runner.call(
                self.callbacks.connect, PySequence_Fast_ITEMS(args), 2,
                self.session.context,
            )
        except BaseException as exc:
            return self._failed("connect", exc)
        if type(value) is Continuation:
            return self._begun(value, "connect", 0)
        return self._connected(value)

    cdef int track(self, bint tracked) except -1:
        set_tracked(self, tracked)
        return 0

    cdef int _connected(self, object value) except -1:
        cdef SessionBase session = self.session
        if session.context is not None:
            session.context = self.callbacks.runner.kept(session.context, None)
        if value is None or value is True:
            if session.state == CLOSED and session.reason is not None:
                # The client has gone meanwhile. Its connect handler has accepted it,
                # so its disconnect handler is called too.
                return self.on_close(session.reason)
            session.accept()
        else:
            session.refuse()
        return 0

    cdef int _begun(self, Continuation handler, str event, Py_ssize_t size) except -1:
        """A handler has suspended."""
        handler.outcome = _Outcome.new(self, event, size)
        if self.callbacks.begun is not None and event != "message":
            self.callbacks.begun(event, handler.task)
        return 0

    cdef int _failed(self, str event, object error) except -1:
        cdef SessionBase session = self.session
        log_failure(
            self.callbacks.logger, error, "handler of %r {} for %s",
            (event, escaped(session.id)),
        )
        if event == "connect":
            session.refuse()
        return 0

    cdef int on_text(self, const char *p, Py_ssize_t n) except -1:
        cdef str text
        if self.limiter is not None:
            self._limited(n)
        try:
            text = PyUnicode_DecodeUTF8(p, n, NULL)
        except UnicodeDecodeError:
            raise PacketError("text is not UTF-8", code=1007) from None
        if self.callbacks.read_text is not None:
            return self._message(self.callbacks.read_text(text), n)
        return self._message(text, n)

    cdef int on_binary(self, bytes data) except -1:
        if self.limiter is not None:
            self._limited(PyBytes_GET_SIZE(data))
        return self._message(data, PyBytes_GET_SIZE(data))

    cdef int _limited(self, Py_ssize_t n) except -1:
        """Take a message of `n` bytes from the client's limits. Raises LimitError if
        they do not allow it: Engine.IO has no packet that refuses a message."""
        cdef EngineBase engine = self.session.engine
        self.limiter.size += n
        if self.limiter.take(engine.now()) > 0:
            engine.counters["refused_events"] += 1
            raise LimitError("more messages or bytes than its limits allow", code=1008)
        return 0

    cdef int _message(self, object data, Py_ssize_t size) except -1:
        if self.busy:
            if self.queued is None:
                self.queued = deque()
            self.queued.append((data, size))
            return self.session.begin_event(size)
        return self._call("message", self.callbacks.message, data, size)

    cdef int _ended(self, Py_ssize_t size) except -1:
        """A handler of a message that had suspended has ended: call the next."""
        self.session.end_event(size)
        if not self.busy:
            return 0
        self.busy = False
        while self.queued and not self.busy:
            data, size = self.queued.popleft()
            self.session.end_event(size)
            self._message(data, size)
        return 0

    cdef int on_close(self, str reason) except -1:
        if self.closed:
            return 0  # a client's connect handler may have closed its session itself
        self.closed = True
        return self._call("disconnect", self.callbacks.disconnect, reason)

    cdef int _call(
        self, str event, object callback, object argument, Py_ssize_t size=0
    ) except -1:
        cdef Runner runner = self.callbacks.runner
        cdef list args = [self.session.id, argument]
        if callback is None:
            return 0
        try:
            value = runner.call(
                callback, PySequence_Fast_ITEMS(args), 2, copied(self.session.context)
            )
        except BaseException as exc:
            return self._failed(event, exc)
        if type(value) is Continuation:
            self._begun(value, event, size)
            if event == "message":
                self.busy = self.callbacks.ordered
                self.session.begin_event(size)
        return 0


@cython.final
cdef class _Outcome(Outcome):
    """What becomes of a handler that has suspended."""
    cdef CallbackHandler handler
    cdef str event
    cdef Py_ssize_t size

    @staticmethod
    cdef _Outcome new(CallbackHandler handler, str event, Py_ssize_t size):
        cdef _Outcome self = _Outcome.__new__(_Outcome)
        self.handler = handler
        self.event = event
        self.size = size
        return self

    cdef int returned(self, object value) except -1:
        if self.event == "connect":
            self.handler._connected(value)
        return self.handler._ended(self.size) if self.event == "message" else 0

    cdef int raised(self, object error) except -1:
        self.handler._failed(self.event, error)
        return self.handler._ended(self.size) if self.event == "message" else 0
