# A socket with TLS that this package reads and writes itself.
from socketio_fast._core.http.socket_transport cimport SocketTransport


cdef class TlsTransport(SocketTransport):
    cdef:
        object context              # ssl.SSLContext
        object tls                  # ssl.SSLObject
        object records              # what reads and writes in its place
        object incoming, outgoing   # ssl.MemoryBIO: records received, records to send
        object later                # the protocol, until the handshake is done
        object timer                # of the handshake, or behind close()
        Py_ssize_t left             # bytes that the peer had not taken at its start
        Py_ssize_t answered         # bytes that OpenSSL has sent by itself meanwhile

    @staticmethod
    cdef TlsTransport new(object context)
    cdef int _shake_hands(self) except -1
    cdef int _read(self, char *p, bint more) except -1
    cdef Py_ssize_t _read_record(self, char *p, Py_ssize_t size) except -3
    cdef int _deliver(self, char *p, Py_ssize_t n) except -1
    cdef int _answer(self) except -1
    cdef bint _discard(self) except -1
    cdef int _wait_for_peer(self) except -1
    cdef int _send_records(self) except -1
    cdef int _fail(self, object error) except -1
    cdef int _cancel_timer(self) except -1
