# HTTP requests to an Engine.IO path: what they are, whether they are admitted.
from socketio_fast._core.engine.rate_limits cimport Visitor
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)


cdef class Request:
    cdef:
        readonly str method
        readonly bytes target       # as sent: path and query
        readonly bytes lines        # of the header, each with its CRLF
        public object client_address  # what getpeername() gives
        public object server        # what getsockname() gives
        readonly str scheme
        readonly str host           # as a trusted proxy says; None: the header's
        readonly str http_version
        unsigned char believed      # proxies were asked who the client is
        unsigned char disputed      # their headers contradict each other
        unsigned char escaped       # the query has escapes
        readonly bint webtransport  # it stands for the open packet of such a session
        Py_ssize_t query_at         # where the query begins; -1: there is none
        dict _parameters            # of a query with escapes

    @staticmethod
    cdef Request new(
        str method, bytes target, bytes lines, str scheme, str http_version
    )
    cpdef bytes header(self, bytes name)
    cpdef Py_ssize_t count(self, bytes name) except -1
    cpdef bint has_token(self, bytes name, bytes token) except -1
    cdef str parameter(self, bytes name)


cdef class Admission:
    # What becomes of a request: an error, or a session (None: a new one).
    cdef:
        int status                  # 0: admitted
        bytes body
        bytes content_type          # of a file; None: it is an error, or admitted
        Session session
        bytes headers               # CORS and cookie lines for the response
        Visitor visitor             # of a new session, if addresses are counted
        int dialect                 # of a new session; flags of Dialect
        str id                      # of a new session, if a hook has made it
        object environ_source  # of a new session, if hooks were asked
        str cause                   # of a refusal that is to be told
        str remedy                  # what was refused, and the option to change


cdef int believe(Engine engine, Request request) except -1
cpdef bint hooked(Engine engine, Request request) except -1
cdef Admission admit(Engine engine, Request request, bint upgrade)
cdef int tell_refusal(Engine engine, Request request, Admission a) except -1
cdef Admission no_websocket(Engine engine, Request request, object error)
cdef bytes cookie_header(Engine engine, Session session)
