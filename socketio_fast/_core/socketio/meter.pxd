# What a server or a client is measured by.
from libc.stdint cimport int64_t

from socketio_fast._core.engine.listeners cimport Listeners
from socketio_fast._core.engine.observer cimport EventWatch, Observer
from socketio_fast._core.socketio.handlers cimport Handlers

cdef enum:
    BUCKETS = 16    # with the last, which has no upper bound


cdef class EventFigures(EventWatch):
    cdef:
        readonly str namespace
        readonly str event
        # Events that were received; or sent, one for each client.
        readonly int64_t events
        readonly int64_t bytes      # of them, without framing
        readonly int64_t calls      # of emit()
        readonly int64_t failed     # handlers; or acknowledgements that did not come
        int64_t counts[BUCKETS]     # by the time that it took
        int64_t total               # nanoseconds

    cdef int time(self, int64_t nanoseconds) except -1


cdef class Meter(Observer):
    cdef:
        readonly list received      # of EventFigures
        readonly list sent
        Handlers wildcard
        frozenset named
        Py_ssize_t most
        dict tables_in              # label of a namespace -> event -> EventFigures
        dict tables_out
        readonly dict opened        # transport -> connections that it has begun
        readonly dict upgrades      # transport -> upgrades to it
        readonly dict closed        # reason -> connections that ended so
        readonly dict refused       # reason -> requests and clients that were refused
        dict others                 # id of a session -> transport but WebSocket
        Py_ssize_t web_sockets

    cdef EventFigures event_in(
        self, Handlers namespace, Listeners socket, object event, Py_ssize_t size
    )
    cdef EventFigures _find_in(
        self, Handlers namespace, Listeners socket, object event
    )
    cdef int event_out(
        self, Handlers namespace, object event, Py_ssize_t recipients, Py_ssize_t size
    ) except -1
    cdef EventFigures figures_out(self, Handlers namespace, object event)
    cdef bint knows(
        self, Handlers namespace, Listeners socket, object event
    ) except -1
    cdef EventFigures _new(
        self, dict tables, list all, Handlers namespace, object event, bint known
    )
