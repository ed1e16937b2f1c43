# Requests of HTTP/1.1 as a parser finds them, piece by piece.
from socketio_fast._core.engine.deadlines cimport Timed
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.protocol.wire cimport sf_request

cdef enum:
    MAX_HEAD = 16384        # bytes of a request's head: the limit of Node.js


cdef class RequestReceiver(Timed):
    # Is told what a parser finds. Implemented by http1.
    cdef:
        bint closing                # no further request is read

    cdef int on_request(
        self, Request request, bint keep_alive, bint websocket
    ) except -1
    cdef int on_body_piece(self, bytes piece) except -1
    cdef int on_request_end(self) except -1
    cdef Py_ssize_t on_upgrade(self, bytes data, Py_ssize_t at) except -1
    cdef int refuse_request(self, int status, bytes message) except -1


cdef class RequestParser:
    cdef:
        RequestReceiver receiver
        str scheme
        object parser               # httptools'; None: a new one is made when needed
        # The request that is being received.
        bytes target
        bytearray lines
        # Bytes received of its head. 0: no request has begun; -1: the head is complete.
        Py_ssize_t head_size
        bytes rewritten             # its head without the upgrade, which is ignored

    cdef Py_ssize_t feed(self, bytes data, Py_ssize_t at) except -1
    cdef Py_ssize_t _on_upgrade(self, bytes data, Py_ssize_t at) except -1
    cdef int _take_host(self) except -1


cdef Request scanned_request(const sf_request *r, const char *p, str scheme)
