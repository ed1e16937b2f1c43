# Engine.IO without Socket.IO: messages go to the functions of an application.
from socketio_fast._core.engine.rate_limits cimport Limiter
from socketio_fast._core.engine.contracts cimport HandlerFactory, SessionHandler
from socketio_fast._core.engine.runner cimport Continuation, Outcome, Runner


cdef class Callbacks(HandlerFactory):
    cdef:
        public object connect       # (sid, environ), or None
        public object message       # (sid, data), or None
        public object disconnect    # (sid, reason), or None
        # (event, Task) of a handler that has suspended, but for messages; or None
        public object begun
        readonly Runner runner
        readonly object logger
        object read_text            # str -> what the handler gets; None: the str
        readonly bint ordered       # a client's next handler waits for its last one


cdef class CallbackHandler(SessionHandler):
    cdef:
        Callbacks callbacks
        object queued               # a deque of (message, size), while `ordered`
        bint closed                 # on_close() was called
        bint busy                   # a handler has not ended, while `ordered`
        Limiter limiter             # of what the client sends; None: no limits

    cdef int _limited(self, Py_ssize_t n) except -1
    cdef int _message(self, object data, Py_ssize_t size) except -1
    cdef int _call(
        self, str event, object callback, object argument, Py_ssize_t size=*
    ) except -1
    cdef int _connected(self, object value) except -1
    cdef int _ended(self, Py_ssize_t size) except -1
    cdef int _begun(self, Continuation handler, str event, Py_ssize_t size) except -1
    cdef int _failed(self, str event, object error) except -1
