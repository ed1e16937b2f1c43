# Token buckets, and counts for each address.


cdef class Bucket:
    cdef:
        double rate
        double burst
        double tokens
        double at               # when it was refilled

    @staticmethod
    cdef Bucket new(object rate, double now)
    cdef int refill(self, double now) except -1
    cdef double lacks(self, double n, double now) except -1


cdef class Visitor:
    cdef:
        readonly str address
        readonly Py_ssize_t connections
        set transports              # its TCP connections, and some that are closed
        Py_ssize_t prune_at         # how many `transports` to forget closed ones at
        Bucket connects
        Bucket events
        Bucket bytes

    cdef int forget_closed(self) except -1


cdef class Limiter:
    cdef:
        Bucket events
        Bucket bytes
        Visitor visitor         # None: its address is exempt
        Py_ssize_t size         # bytes of the message that is coming in
        double last_notice      # when the client was last told of a refusal
        readonly bint closes    # an excess ends the connection, not only the event

    cdef double take(self, double now) except -1


cdef class Limits:
    cdef:
        readonly object config  # limits.Limits
        readonly dict visitors  # address -> Visitor
        readonly Py_ssize_t handshakes  # connections in no namespace yet
        Py_ssize_t swept        # how many visitors to _sweep() at
        tuple exempt
        Py_ssize_t rooms        # of a client; -1: any number
        Py_ssize_t transports   # TCP connections of an address; -1: any number

    cdef Visitor visitor(self, object peer, double now)
    cdef object refusal(self, Visitor visitor, double now)
    cdef bint admits(self, object transport, object peer, double now) except -1
    cdef object crowded(self, Visitor visitor)
    cdef int entered(self, Visitor visitor) except -1
    cdef int left(self, Visitor visitor) except -1
    cdef Limiter limiter(self, Visitor visitor, double now)
    cdef int _sweep(self, double now) except -1
