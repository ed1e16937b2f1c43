# The open connections of a server, HTTP and WebSocket.


cdef class Connections:
    cdef:
        readonly set open
        object waiter               # a Future of wait_closed(); None: nobody waits
        dict when_ended             # what is called for connections; None: nothing is

    cdef int add(self, object connection) except -1
    cdef int discard(self, object connection) except -1
    cdef int call_at_end(self, object connection, object callback) except -1
