# Token buckets, and what is counted by address.


cdef class Bucket:
    cdef:
        double rate
        double burst
        double tokens
        double at               # when tokens was right

    @staticmethod
    cdef Bucket new(object rate, double now)
    cdef int refill(self, double now) except -1
    cdef double lacks(self, double n, double now) except -1


cdef class Visitor:
    # What an address does.
    cdef:
        readonly str address
        readonly Py_ssize_t connections
        set transports              # its TCP connections, and some that are closed
        Py_ssize_t prune_at         # so many, and those that are closed are forgotten
        Bucket connects
        Bucket events
        Bucket bytes

    cdef int forget_closed(self) except -1


cdef class Limiter:
    # What one connection may send.
    cdef:
        Bucket events
        Bucket bytes
        Visitor visitor         # None: its address is exempt
        Py_ssize_t size         # of the message that is coming in
        double last_notice      # when its client was told last
        readonly bint closes    # the connection ends, rather than an event

    cdef double take(self, double now) except -1


cdef class Limits:
    cdef:
        readonly object config  # limits.Limits
        readonly dict visitors  # address -> Visitor
        readonly Py_ssize_t pending  # connections in no namespace yet
        Py_ssize_t swept        # visitors, when those of the past were forgotten
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
