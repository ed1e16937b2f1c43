"""A connection whose messages another worker handles: the one that recovers its client.
"""
import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8

from socketio_fast._core.engine.contracts cimport (
    OPEN,
    TRANSPORT_ERROR,
    SessionBase as Session,
    SessionHandler,
)
from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.protocol.sio cimport SIO_CONNECT
from socketio_fast._core.socketio.connection cimport ConnectionHandler
from socketio_fast._core.socketio.contracts cimport Connection, PeerBase

from socketio_fast.exceptions import PacketError


@cython.final
cdef class Forwarder(Connection):
    """Passes the messages of a session on, in the place of its `ConnectionHandler`. The
    session does not count as a connection of its address: the other worker has one.

    Args:
        handler: The handler, which has begun no packet and joined no namespace.
        receive: Called with each message of the client, a str or bytes, as a WebSocket
            carries it.
        closed: Called with the reason when the session is over.
    """

    def __init__(self, ConnectionHandler handler not None, receive, closed):
        cdef Session session = handler.session
        handler.end_connect_deadline()
        handler.end_packet()
        self.session = session
        self.handler = handler
        self.receive = receive
        self.closed = closed
        session.handler = self
        if session.visitor is not None and session.engine.limits is not None:
            self.visitor, session.visitor = session.visitor, None
            session.engine.limits.left(self.visitor)

    def connect_packet(self, str namespace not None, auth):
        """The messages that ask for a namespace, a list; empty when the session is
        over."""
        cdef ConnectionHandler handler = self.handler
        if handler is None:
            return []
        return handler.hub.encode(SIO_CONNECT, namespace, auth, -1).messages()

    def give_back(
        self, str namespace not None, auth, Py_ssize_t size, list messages not None
    ):
        """Let the handler go on, with the CONNECT packet and the messages that have
        come since."""
        cdef ConnectionHandler handler = self.handler
        cdef Session session = self.session
        cdef SessionHandler current
        cdef bytes text
        if handler is None or session.state != OPEN:
            return
        session.handler = handler
        if self.visitor is not None and session.engine.limits is not None:
            session.visitor = self.visitor
            session.engine.limits.entered(self.visitor)
        self.handler = self.receive = self.closed = None
        try:
            handler.join_here(namespace, auth, size)
            for message in messages:
                current = session.handler
                if session.state != OPEN or current is None:
                    break
                if isinstance(message, str):
                    text = message[1:].encode()
                    current.on_text(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
                else:
                    current.on_binary(message)
        except BaseException as exc:
            session.on_error(exc)

    def send(self, message):
        """Send the client a message: the text of a str, or bytes."""
        self.session.send(outgoing.message(message))

    def hold(self, Py_ssize_t size):
        """A message of this size waits: many make the client wait."""
        self.session.begin_event(size)

    def let_go(self, Py_ssize_t size):
        """It waits no more."""
        self.session.end_event(size)

    def drop(self, code):
        """End the session now, with a WebSocket close code."""
        self.session.drop(TRANSPORT_ERROR, code)

    cdef int on_text(self, const char *p, Py_ssize_t n) except -1:
        cdef str text
        try:
            text = PyUnicode_DecodeUTF8(p, n, NULL)
        except UnicodeDecodeError:
            raise PacketError("text is not UTF-8", code=1007) from None
        self.receive("4" + text)
        return 0

    cdef int on_binary(self, bytes data) except -1:
        self.receive(data)
        return 0

    cdef PeerBase peer_in(self, str namespace):
        return None

    cdef list all_peers(self):
        return []

    cdef int end_connect_deadline(self) except -1:
        return 0

    cdef int on_close(self, str reason) except -1:
        closed = self.closed
        self.handler = self.receive = self.closed = None
        closed(reason)
        return 0
