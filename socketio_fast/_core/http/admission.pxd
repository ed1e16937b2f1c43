# Which HTTP requests Engine.IO admits.
from socketio_fast._core.engine.rate_limits cimport Visitor
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.protocol.deflate cimport Deflate


cdef class Admission:
    # The result of judging a request: an error, a file, or a session.
    cdef:
        int status                  # of the response; 0: the request is admitted
        bytes body
        bytes content_type          # of a file; None: it is none
        bytes headers               # lines for the response: CORS, cookie, of hooks
        Session session             # None: a new one
        # Of a new session.
        Visitor visitor             # None: clients are not counted by address
        int dialect                 # flags of Dialect
        str id                      # made by a hook; None: the engine makes one
        object environ_source       # what hooks were shown; None: there are no hooks
        # Of a WebSocket handshake, from begin_handshake() on.
        bytes websocket_key
        Deflate deflate             # None: no permessage-deflate
        # Of a refusal that is logged once the client's address is known.
        str cause
        str remedy                  # what was refused, and the option to change


cpdef bint hooked(Engine engine, Request request) except -1
cdef Admission admit(Engine engine, Request request, bint upgrade)
cdef int tell_refusal(Engine engine, Request request, Admission a) except -1
cdef Admission refused_handshake(Engine engine, Request request, object error)
cdef bytes cookie_line(Engine engine, Session session)
