# Listening sockets whose connections this package accepts itself.
from socketio_fast._core.http.epoll cimport Watched


cdef class ListeningSocket(Watched):
    cdef:
        readonly object socket
        object factory
        object context              # ssl.SSLContext; None: without TLS
        tuple name                  # the server's address; None: each connection's own
        object timer                # while accepting is suspended

    cdef int _suspend(self) except -1
    cdef int _release(self) except -1
    cdef int _accept(self) except -1
    cdef int _turn_away(self) except -1
