# The transport of a socket that this package reads and writes itself.
from socketio_fast._core.http.epoll cimport Sockets, Watched
from socketio_fast._core.protocol.wire cimport sf_address

cdef enum:
    # Flags of a transport.
    PAUSED = 1          # the protocol wants nothing to be read
    ENDED = 2           # the peer sends nothing more
    CLOSING = 4
    FULL = 8            # the protocol's pause_writing() was called
    ENDING = 16         # write_eof() was called
    OVER = 32           # connection_lost() follows
    BUFFERED = 64       # the protocol is a BufferedProtocol
    WEBSOCKET = 128     # the protocol is a WebSocket
    HTTP = 2048         # the protocol is an Http1Connection
    # Flags of one with TLS.
    HANDSHAKING = 256
    LINGERING = 512     # the end of TLS was written; what comes is read to nowhere
    LEFT = 1024         # what was received is not read to its end, for PAUSED


cdef class SocketTransport(Watched):
    cdef:
        object protocol
        object chunks               # deque of what the kernel has not taken; or None
        object socket               # asyncio's TransportSocket, if somebody has asked
        tuple name                  # the server's address; None: not known yet
        Py_ssize_t held             # bytes in `chunks`
        Py_ssize_t sent             # bytes of the first of them that have left
        Py_ssize_t high, low
        unsigned short flags
        bint lent                   # `socket` owns the descriptor
        sf_address address          # of the client

    cdef int take(
        self, Sockets group, int fd, const sf_address *address, tuple name
    ) except -1
    cdef int begin(self, object protocol) except -1
    cdef int send(self, object data) except -1
    cdef bint wants_to_read(self)
    cdef int receive(self) except -1
    cdef int received(self, char *p, Py_ssize_t n) except -1
    cdef int receive_into(self) except -1
    cdef int _nothing_received(self, Py_ssize_t n) except -1
    cdef int end_of_stream(self) except -1
    cdef int track(self) except -1
    cdef int _send_held(self) except -1
    cdef int all_sent(self) except -1
    cdef int _hold(self, object data, Py_ssize_t sent) except -1
    cdef int rewatch(self) except -1
    cdef int end(self, object error) except -1
    cdef int call_failed(self, object exc, str message) except -1
    cdef int _release(self) except -1
