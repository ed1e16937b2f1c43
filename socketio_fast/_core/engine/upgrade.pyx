"""The upgrade of a session from polling to WebSocket, while it is under way.

    PING "probe" ──► PONG "probe", a noop to each waiting poll ──► UPGRADE

Any other packet by the WebSocket, or none for `upgrade_timeout` seconds, ends the
attempt, and the session goes on by polling.
"""
import cython

from socketio_fast._core.engine.contracts cimport SessionBase, Transport
from socketio_fast._core.engine.observer cimport ConnectionListener
from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.protocol.eio cimport EIO_PING, EIO_UPGRADE
from socketio_fast._core.protocol.outgoing cimport Outgoing

# How often a poll is answered until the client sends UPGRADE, as in the reference
# implementation (seconds). A client waits for the end of its poll before it does.
cdef double NOOP_INTERVAL = 0.1

cdef enum:
    D_TIMEOUT
    D_NOOP

cdef Outgoing PONG_PROBE = outgoing.control(b"3probe")


@cython.final
cdef class Upgrade(Timed):
    """One attempt. The session has it, and ends it, as `Session.upgrade`."""

    @staticmethod
    cdef Upgrade begin(SessionBase session, Transport probe):
        """Wait for the packets of this WebSocket."""
        cdef Upgrade self = Upgrade.__new__(Upgrade)
        self.session = session
        self.probe = probe
        self.timeout = session.engine.start(
            session.engine.upgrade_timeout, D_TIMEOUT, self
        )
        return self

    cdef int on_packet(self, int type, const char *p, Py_ssize_t n) except -1:
        """A packet has come by the WebSocket."""
        cdef SessionBase session = self.session
        cdef Transport probe = self.probe, polling = session.transport
        cdef ConnectionListener conn = session.conn
        if type == EIO_PING and p[:n] == b"probe":
            if conn is not None:
                conn.upgrading(probe.name)
                if probe is not session.probe:
                    return 0  # the listener has closed the session
            probe.send(PONG_PROBE)
            polling.release()
            if self.session is not None and self.noop_tick is None:
                self.noop_tick = session.engine.start(NOOP_INTERVAL, D_NOOP, self)
        elif type == EIO_UPGRADE:
            session.complete_upgrade()
        else:
            session.end_upgrade()
            probe.abort(None)
        return 0

    cdef int end(self) except -1:
        """The attempt is over, whether it succeeded or not."""
        self.session = None
        self.timeout.cancel()
        if self.noop_tick is not None:
            self.noop_tick.cancel()
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        cdef SessionBase session = self.session
        cdef Transport probe = self.probe, polling = session.transport
        if kind == D_TIMEOUT:
            session.end_upgrade()
            probe.close()
        else:
            polling.release()
            session.engine.restart(self.noop_tick, NOOP_INTERVAL, D_NOOP)
        return 0
