"""The Socket.IO side of a client's connection: packets in, and its namespaces.

One object lasts as long as the client. It is the handler of one session after the
other, so that what a namespace knows outlives a lost connection.
"""
import cython

from socketio_fast._core.client.peer cimport ClientPeer
from socketio_fast._core.client.session cimport ClientSession
from socketio_fast._core.engine.contracts cimport (
    PING_TIMEOUT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    SessionBase as Session,
    SessionHandler,
)
from socketio_fast._core.protocol.sio cimport Packet
from socketio_fast._core.socketio.contracts cimport PeerBase
from socketio_fast._core.socketio.hub cimport Hub


@cython.final
cdef class ClientHub(Hub):
    """The hub of a client: all its sessions have the same handler."""

    def attach(self, ClientSession idle not None):
        """Make the connection. `idle` is its session while there is none."""
        self.without_sid = True
        self.connection = ClientConnection.__new__(ClientConnection)
        self.connection.hub = self
        self.connection.session = idle
        self.connection.peers = {}

    cdef SessionHandler new_handler(self, Session session):
        return self.connection


@cython.final
cdef class ClientConnection(PacketReceiver):
    """The Socket.IO side of a client's connection."""

    cdef int on_open(self) except -1:
        return 0  # the owner of the session asks for namespaces

    cdef int dispatch(self, Packet packet) except -1:
        cdef ClientPeer peer = self.peers.get(packet.namespace)
        # As in the reference implementation, what is for another namespace is ignored.
        return 0 if peer is None else peer.on_packet(packet)

    cdef int on_close(self, str reason) except -1:
        cdef ClientPeer peer
        self.end_packet()
        if reason == TRANSPORT_CLOSE or reason == PING_TIMEOUT:
            # Handlers of clients get one of three reasons, as in python-socketio.
            reason = TRANSPORT_ERROR
        for peer in list(self.peers.values()):
            try:
                peer.lost(reason)
            except BaseException as exc:
                self.hub.failed(exc, "leaving %s failed", (peer.namespace.name,))
        return 0

    def abandon(self, ClientSession idle not None):
        """The session belongs to another process, or to an event loop that is closed.
        `idle` is the session while there is none."""
        cdef ClientPeer peer
        self.end_packet()
        self.session = idle
        self.outstanding = 0
        for peer in self.peers.values():
            peer.forget()

    cdef bint awaits(self) except -1:
        return self.outstanding > 0

    cdef Py_ssize_t awaited(self) except -1:
        return self.outstanding

    cdef PeerBase peer_in(self, str namespace):
        return <ClientPeer> self.peers.get(namespace)

    cdef list all_peers(self):
        return list(self.peers.values())
