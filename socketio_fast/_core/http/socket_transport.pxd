# The transport of a socket that this package reads and writes itself.
from socketio_fast._core.http.epoll cimport Sockets, Watched
from socketio_fast._core.protocol.wire cimport sf_address


cdef class SocketTransport(Watched):
    cdef:
        object protocol
        object chunks               # deque of what the kernel has not taken; or None
        object socket               # asyncio's TransportSocket, if somebody has asked
        tuple name                  # the server's address; None: not known yet
        Py_ssize_t held             # bytes in `chunks`
        Py_ssize_t sent             # bytes of the first of them that have left
        Py_ssize_t high, low
        unsigned char flags
        bint lent                   # `socket` owns the descriptor
        sf_address address          # of the client

    @staticmethod
    cdef SocketTransport new(
        Sockets group, int fd, const sf_address *address, tuple name
    )
    cdef int begin(self, object protocol) except -1
    cdef int _release(self) except -1
    cdef int _receive(self) except -1
    cdef int _received(self, char *p, Py_ssize_t n) except -1
    cdef int _nothing_received(self, Py_ssize_t n) except -1
    cdef int _receive_into(self) except -1
    cdef int _end_of_stream(self) except -1
    cdef int _send_held(self) except -1
    cdef int _hold(self, object data, Py_ssize_t sent) except -1
    cdef int _rewatch(self) except -1
    cdef int _end(self, object error) except -1
    cdef int call_failed(self, object exc, str message) except -1
