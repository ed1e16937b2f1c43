# Which origins may send requests, and the header lines of CORS for responses.
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.http.request cimport Request


cdef bytes cors_lines(Engine engine, Request request)
cdef bint is_preflight(Request request) except -1
cdef str origin_of(Request request)
