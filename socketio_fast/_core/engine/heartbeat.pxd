# The heartbeat of a session: who pings when, and when a client has gone.
from socketio_fast._core.engine.contracts cimport EngineBase, SessionBase
from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.engine.inflow cimport Flow
from socketio_fast._core.engine.outflow cimport Outflow


# What the deadline of a session is for.
cdef enum Beat:
    PING_DUE    # the server is to ping
    SILENCE     # nothing is heard of the client: a pong or, in revision 3, a ping
    CLOSE_DUE   # a closed session is given up


cdef Deadline start_heartbeat(SessionBase session)
cdef int heard(SessionBase session, Deadline heartbeat) except -1
cdef int ping(SessionBase session, Deadline heartbeat, double now) except -1
cdef int silent(
    SessionBase session, Deadline heartbeat, Flow flow, Outflow outflow
) except -1
cdef int read_again(SessionBase session, Deadline heartbeat) except -1
cdef object pinged_at(SessionBase session, Deadline heartbeat)
