# permessage-deflate (RFC 7692): what is negotiated, and the messages.
from socketio_fast._core.protocol.outgoing cimport Outgoing


cdef class Deflate:
    # Parameters that a connection negotiated; without context takeover, of many.
    cdef:
        readonly bytes header       # the line of a server's response
        # Of what this side sends: an int, which is the key of what is rendered.
        readonly object out_bits
        readonly int in_bits        # of what the peer sends
        readonly bint out_takeover
        readonly bint in_takeover
        Py_ssize_t threshold        # bytes of a message
        object compressobj
        int level
        int mem_level
        # With context takeover, from the first message on.
        object compressor
        object decompressor

    cdef bytes frames(self, Outgoing m)
    cdef bytes inflate(self, const char *p, Py_ssize_t n, Py_ssize_t limit)
    cdef bytes compressed(self, bytes head, bytes body)
    cdef bytes _frame(self, int opcode, bytes head, bytes body)


cdef class Extension:
    # What a server accepts, or a client offers.
    cdef:
        readonly object options     # config.DeflateOptions
        dict shared                 # Deflate without context takeover, by header

    cpdef Deflate negotiate(self, list values)
    cdef Deflate _accept(self, list parameters)
    cpdef str offer(self)
    cpdef Deflate answered(self, str header)
