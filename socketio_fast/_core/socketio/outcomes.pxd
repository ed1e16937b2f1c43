# What becomes of the application's code that a client's packets make run.
from libc.stdint cimport int64_t

from socketio_fast._core.engine.listeners cimport Group
from socketio_fast._core.engine.observer cimport EventWatch
from socketio_fast._core.engine.runner cimport Outcome
from socketio_fast._core.engine.contracts cimport SessionBase as Session
from socketio_fast._core.socketio.contracts cimport PeerBase


cdef enum StepKind:
    STEP_REGISTER           # ClientRegistry.register()
    STEP_MIDDLEWARES        # of the namespace
    STEP_CONNECT            # the connect handler
    STEP_COMPLETE           # ClientRegistry.complete()
    STEP_EVENT_MIDDLEWARES  # of the socket
    STEP_EVENT              # the handler of an event
    STEP_ACK                # the callback of an acknowledgement
    STEP_DISCONNECT         # the disconnect handler
    STEP_UNREGISTER         # ClientRegistry.unregister()


cdef enum:
    UNCOUNTED = -1          # a size: it does not count as an event of the client


cdef class Step(Outcome):
    cdef:
        PeerBase peer
        int kind            # a StepKind
        Py_ssize_t size     # bytes of the packet that it handles; or UNCOUNTED
        Session session     # counts it among its pending events; None: none does
        object event        # STEP_EVENT…: its name
        int64_t id          # STEP_EVENT…: of its acknowledgement; -1: none is wanted
        list args           # STEP_EVENT_MIDDLEWARES: [sid, *arguments]
        EventWatch watch    # STEP_EVENT…: None: nobody watches
        int64_t began       # STEP_EVENT: by sf_exact_ns(), with `watch`

    cdef int begin(self) except -1
    cdef int end(self) except -1


cdef Step new_step(PeerBase peer, int kind, Py_ssize_t size)


cdef class PeerGroup(Group):
    cdef:
        PeerBase peer
        object event
        Py_ssize_t size     # bytes of the packet, once it counts; or UNCOUNTED
        Session session     # counts it; a client in a namespace may get another one
        bint holds          # the client's next event waits until all have ended

    cdef int count(self, Py_ssize_t size) except -1
    cdef int release(self) except -1


cdef class Told(PeerGroup):
    pass


cdef class EventAnswers(PeerGroup):
    cdef:
        int64_t id
        bint errors
        object not_handled
        EventWatch watch    # None: nobody watches
        int64_t began       # by sf_exact_ns(), with `watch`
        object error        # of the first function that has failed; with `watch`


cdef class DisconnectListeners(PeerGroup):
    pass


cdef Told new_told(PeerBase peer, object event)
cdef EventAnswers new_answers(
    PeerBase peer, object event, int64_t id, object not_handled
)
cdef DisconnectListeners new_disconnect_listeners(PeerBase peer)
