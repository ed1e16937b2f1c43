# emit(), compiled: what every message that is sent goes through.
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.hub cimport Hub
from socketio_fast._core.socketio.rooms cimport Rooms


cdef class EmitCall:
    # An emit() that is to be awaited.
    cdef:
        Hub hub                     # None: done
        object event
        object data
        object to
        object skip_sid
        object namespace
        object callback
        object awaited              # iterator of a Future; None: it is not suspended
        bint relayed                # clients of other workers are to get it as well

    cdef bint _is_unseen(self, Hub hub, Rooms rooms) except -1
    cdef object _wait(self)
    cdef int _run(self) except -1
    cdef Rooms _rooms(self, Hub hub)
    cdef list _list(self)


cdef class _Encoded:
    cdef:
        Rooms rooms
        list event
        Outgoing message
        object to
        object skip_sid
        object callback
        bint relayed

    cdef object _send(self)


cdef class Emitter:
    cdef:
        readonly Hub _hub
        object _manager             # whose emit() is called; None: the compiled one

    cdef object _ask_manager(
        self, object event, object data, object to, object skip_sid, object namespace,
        object callback, object ignore_queue,
    )


cdef class NamespaceEmitter:
    pass
