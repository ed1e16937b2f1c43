# A socket with TLS that this package reads and writes itself.
from socketio_fast._core.http.socket_transport cimport SocketTransport


cdef class TlsTransport(SocketTransport):
    cdef:
        object context              # ssl.SSLContext
        object tls                  # ssl.SSLObject
        object records              # what it calls itself, without the calls in between
        object incoming, outgoing   # ssl.MemoryBIO: records received, records to send
        object later                # the protocol, until the handshake is done
        object timer                # of the handshake, or of waiting for the peer's end

    @staticmethod
    cdef TlsTransport new(object context)
    cdef int _shake_hands(self) except -1
    cdef int _read(self, char *p, bint more) except -1
    cdef Py_ssize_t _read_record(self, char *p, Py_ssize_t size) except -3
    cdef int _deliver(self, char *p, Py_ssize_t n) except -1
    cdef int _send_records(self) except -1
    cdef int _fail(self, object error) except -1
    cdef int _cancel_timer(self) except -1
