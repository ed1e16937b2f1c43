"""What Python code may ask of a session: the names of python-engineio's Socket, mostly.

Everything here is expressed by the methods and fields of `SessionBase`.
"""
from socketio_fast._core.engine.contexts cimport PyContext_Copy
from socketio_fast._core.engine.contracts cimport (
    CLOSING,
    OPEN,
    OPENING,
    REVISION_3,
    SERVER_DISCONNECT,
    SessionBase,
    Transport,
)
from socketio_fast._core.engine.observer cimport ConnectionListener
from socketio_fast._core.protocol cimport outgoing
from socketio_fast._core.protocol.outgoing cimport Outgoing

from socketio_fast.options.logs import escaped

# What python-engineio's Socket has besides, and what to use instead.
cdef dict _NOT_HERE = {
    "check_ping_timeout": "the handler of 'disconnect', which is told of it",
    "close": "disconnect() of the Engine.IO server",
    "poll": "the server's handle_request()",
    "queue": "buffered_bytes, or flushed() of the server",
    "receive": "a test client, see socketio_fast.testing",
    "schedule_ping": "ping_interval= of the server",
    "send": "send() or send_packet() of the Engine.IO server",
}


cdef class SessionApi(SessionBase):
    """A session as Python code sees it. Abstract."""

    @property
    def sid(self):
        """The Engine.IO id, a str."""
        return self.id

    @property
    def connected(self):
        """Whether messages can be sent and received, a bool."""
        return self.state == OPEN

    @property
    def closed(self):
        """Whether the session is over, a bool."""
        return self.state >= CLOSING

    @property
    def upgrading(self):
        """Whether an upgrade to WebSocket is under way, a bool."""
        return self.probe is not None

    @property
    def protocol(self):
        """The revision of Engine.IO that the client speaks, an int: 4 or 3."""
        return 3 if self.dialect & REVISION_3 else 4

    @property
    def transport_name(self):
        """``"polling"``, ``"websocket"`` or ``"webtransport"``, a str: the transport in
        use, which an upgrade changes."""
        return "websocket" if self.transport is None else self.transport.name

    @property
    def buffered_bytes(self):
        """How many bytes the client has not read yet, an int. While its connect handler
        runs they include what is sent when it is accepted."""
        return self.unread_bytes()

    def run(self, function, *args):
        """Call a function of the application in a copy of the client's context."""
        context = self.engine.context if self.context is None else self.context
        return PyContext_Copy(context).run(function, *args)

    cdef int log(self, int level, str message, tuple args) except -1:
        """Log a line about this session; `message` has a place for the id first."""
        cdef object logger = self.engine.logger
        if logger.isEnabledFor(level):
            # Whom it is about, for those who write lines as JSON.
            address = (self.environ or {}).get("REMOTE_ADDR")
            logger.log(
                level, message, escaped(self.id), *args,
                extra={"sid": self.id, "address": address},
            )
        return 0

    @property
    def environ(self):
        """The handshake request as a WSGI environment, a dict; always the same one."""
        cdef object source = self._environ_source
        if source is not None:
            environ = source.environ()
            # Another thread may have made one meanwhile: all get the first.
            if self._environ_dict is None:
                self._environ_dict = environ
                self._environ_source = None
        return self._environ_dict

    @environ.setter
    def environ(self, dict environ not None):
        # In this order, since another thread may ask for it meanwhile.
        self._environ_dict = environ
        self._environ_source = None

    @property
    def closing(self):
        """Whether the session ends, or has ended, a bool."""
        return self.state >= CLOSING

    @property
    def server(self):
        """The Engine.IO server; None if there is none any more."""
        server = self.engine.server
        return None if server is None else server()

    @property
    def session(self):
        """The application's data of the client, a dict."""
        if self.data is None:
            self.data = {}
        return self.data

    @session.setter
    def session(self, dict session not None):
        self.data = session

    def __getattr__(self, name):
        # Called for names only that are not defined.
        remedy = _NOT_HERE.get(name)
        raise AttributeError(
            f"a connection has no {name!r}" + (f": use {remedy}" if remedy else "")
        )

    @property
    def description(self):
        """Which rule the client broke, a str, while its disconnect handlers are called
        because of that; else None."""
        return self.engine.descriptions.get(self.id)

    @property
    def settled(self):
        """Whether nothing would be lost if it closed now, a bool."""
        cdef Transport transport = self.transport
        return self.under_way == (0, 0) and (transport is None or transport.settled())

    cdef int closing_failed(self, object error) except -1:
        return self.engine.failed(
            error, "closing session %s failed", (escaped(self.id),)
        )

    def hear(self, ConnectionListener conn):
        """Tell this listener what happens from now on; None: nobody is told."""
        self.engine.packet_listeners += (conn is not None) - (self.conn is not None)
        self.conn = conn

    def send_message(self, data):
        """Send one Engine.IO message: str, or bytes-like for binary."""
        self.send(outgoing.message(data))

    def send_encoded(self, Outgoing message not None):
        """Send a message that `message_packet()` has made."""
        self.send(message)

    def disconnect(self):
        """Close the session; what was sent before is delivered first. While the connect
        handler runs, the session is closed as soon as that has accepted it."""
        if self.state == OPENING:
            self.reason = SERVER_DISCONNECT
        else:
            self.close(SERVER_DISCONNECT)

    def send_away(self):
        """Close the session as a server that stops does: the client connects again, to
        another server."""
        self.close(SERVER_DISCONNECT, True)
