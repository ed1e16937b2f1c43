"""The heartbeat of a session: who pings when, and when a client has gone.

One side pings (`session.pings`): in revision 4 the server, in revision 3 the client. It
pings ping_interval after the last pong; the pong is due ping_timeout after the ping.
The other side takes its peer for gone when no ping has come for the sum of both.

A session has one deadline, whose kind is a `Beat`. These functions are given it.
"""
from time import time as wall_clock

from socketio_fast._core.engine.contracts cimport (
    PING_TIMEOUT,
    REVISION_3,
    TRANSPORT_ERROR,
    EngineBase,
    SessionBase,
    Transport,
)
from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.engine.inflow cimport Flow
from socketio_fast._core.engine.outflow cimport Outflow
from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.protocol.outgoing cimport Outgoing

from socketio_fast.options.logs import escaped

# How late a ping may leave without shortening its timeout: a share of the timeout, and
# a limit (seconds).
cdef double LATE_SHARE = 0.05
cdef double LATE = 0.02

cdef Outgoing PING = outgoing.control(b"2")
cdef Outgoing PONG = outgoing.control(b"3")
cdef Outgoing NOOP = outgoing.control(b"6")


cdef double _patience(SessionBase session) except -1:
    """How long the peer may send no pong, or no ping if it pings (seconds)."""
    cdef EngineBase engine = session.engine
    if session.pings:
        return engine.ping_timeout
    return engine.ping_interval + engine.config.ping_grace + engine.ping_timeout


cdef Deadline start_heartbeat(SessionBase session):
    """The session is open: return its deadline."""
    cdef EngineBase engine = session.engine
    if session.pings:
        return engine.start(engine.ping_interval, PING_DUE, session)
    return engine.start(_patience(session), SILENCE, session)


cdef int heard(SessionBase session, Deadline heartbeat) except -1:
    """A pong has come, or a ping of a peer that pings."""
    cdef EngineBase engine = session.engine
    if session.pings:
        # As in the reference implementation, the interval begins with the pong.
        return engine.restart(heartbeat, engine.ping_interval, PING_DUE)
    return engine.restart(heartbeat, _patience(session), SILENCE)


cdef int ping(SessionBase session, Deadline heartbeat, double now) except -1:
    """A ping is due: send it, and expect the pong.

    The timeout counts from when the ping was due, unless the ping is very late. So the
    session ends ping_interval + ping_timeout after the last sign of the client, as
    clients compute it.
    """
    cdef EngineBase engine = session.engine
    cdef Transport transport = session.transport
    cdef double timeout = engine.ping_timeout
    transport.send(PING)
    return engine.restart_since(
        heartbeat,
        max(heartbeat.when, now - min(LATE_SHARE * timeout, LATE)),
        timeout, SILENCE,
    )


cdef int silent(
    SessionBase session, Deadline heartbeat, Flow flow, Outflow outflow
) except -1:
    """Nothing has been read of the client in time: end its session, unless the server
    has not read the client."""
    cdef EngineBase engine = session.engine
    cdef Transport transport = session.transport
    cdef Py_ssize_t size
    if flow is None or not flow.paused:
        return session.drop(PING_TIMEOUT)
    if flow.is_deadlocked(session):
        engine.logger.warning(
            "session %s: %d events wait behind handlers that wait for "
            "acknowledgements, closed", escaped(session.id), flow.events,
        )
        engine.counters["deadlocked_clients"] += 1
        return session.drop(TRANSPORT_ERROR)
    size = transport.buffered()
    if outflow is not None and outflow.progressed:
        outflow.progressed = False
    elif 0 < size and 0 <= flow.unread <= size:
        # Nothing has left from one ping to the next: the client reads nothing.
        return session.drop(PING_TIMEOUT)
    # The peer would take this side for gone.
    flow.unread = size
    flow.progressed = False
    if session.pings:
        transport.send(PING)
    else:
        transport.send(NOOP if session.dialect & REVISION_3 else PONG)
    return engine.restart(heartbeat, engine.ping_timeout, SILENCE)


cdef int read_again(SessionBase session, Deadline heartbeat) except -1:
    """The client was paused, and is read again: its pong, or its ping, may be in what
    was not read."""
    if heartbeat.kind == SILENCE:
        session.engine.restart(heartbeat, _patience(session), SILENCE)
    return 0


cdef object pinged_at(SessionBase session, Deadline heartbeat):
    """When the ping was sent that has no answer yet, a time.time(); None: there is
    none."""
    if (
        heartbeat is None or heartbeat.kind != SILENCE
        or not session.pings
    ):
        return None
    ago = session.engine.now() - (heartbeat.when - session.engine.ping_timeout)
    return wall_clock() - ago
