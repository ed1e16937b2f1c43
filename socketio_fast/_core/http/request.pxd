# The head of an HTTP request, and what is read from its header.
from libc.stdint cimport uint64_t


cdef enum Method:
    OTHER_METHOD
    GET
    HEAD
    POST
    OPTIONS


cdef class Request:
    cdef:
        readonly str method
        unsigned char known_method  # the same, a Method
        unsigned char upgrades      # the scanner found that it asks for a WebSocket
        readonly bytes target       # as it was sent: path and query
        readonly bytes lines        # of the header, each with its CRLF
        public object client_address  # as getpeername() gives it
        public object server        # the server's address, as getsockname() gives it
        readonly str scheme
        readonly str host           # as a trusted proxy says; None: the Host header's
        readonly str http_version
        readonly bint webtransport  # it stands for the open packet of such a session
        # The headers of trusted proxies were evaluated; they contradict each other.
        unsigned char proxies_evaluated
        unsigned char disputed
        unsigned char escaped       # the query has percent-encoding or "+"
        uint64_t names              # see sf_name_bit()
        Py_ssize_t length           # of the body, as sent; below 0: not read yet
        Py_ssize_t query_at         # where the query begins; -1: there is none
        dict _parameters            # of a query with escapes

    @staticmethod
    cdef Request new(
        str method, bytes target, bytes lines, str scheme, str http_version
    )
    cdef bint may_have(self, bytes name)
    cpdef bytes header(self, bytes name)
    cpdef Py_ssize_t count(self, bytes name) except -1
    cpdef bint has_token(self, bytes name, bytes token) except -1
    cdef Py_ssize_t body_size(self) except? -2
    cdef str parameter(self, bytes name)
    cdef str transport(self)
    cdef int evaluate_proxies(self, object proxies) except -1


cdef tuple split_target(bytes target)
