"""The namespaces of a server, and the settings that all its clients share."""
from collections import OrderedDict

import cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from socketio_fast._core.engine.failures cimport contain
from socketio_fast._core.engine.observer cimport Observer, Tracer
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    HandlerFactory,
    SessionBase as Session,
    SessionHandler,
)
from socketio_fast._core.protocol cimport outgoing, sio
from socketio_fast._core.protocol.encoding cimport Encoding
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.socketio.contracts cimport Connection
from socketio_fast._core.socketio.handlers cimport (
    LEADING_EVENT,
    LEADING_NAMESPACE,
    Handlers,
)
from socketio_fast._core.socketio.meter cimport Meter

from socketio_fast.exceptions import LimitError, ProtocolError
from socketio_fast.options.logs import escaped

cdef enum:
    # Namespaces made by of(pattern) that stay when they have lost their last client.
    MAX_EMPTY = 1000

# The most characters in the name of a namespace that is made because a client asks.
MAX_NAME = 1024


@cython.final
cdef class Namespace(Handlers):
    """The handlers and clients of one namespace."""

    def __cinit__(self, Hub hub not None, str name not None):
        self.hub = hub
        self.name = name
        self.handlers = {}
        self.peers = {}

    cdef str label(self):
        if self.lifetime == PERMANENT or self.name == "/" or (
            self.hub.admit is not None and self.name in self.hub.admit
        ):
            return self.name
        return "*"  # `OTHER` of meter

    def end_with_clients(self):
        """From now on it ends with its last client."""
        self.lifetime = WITH_CLIENTS

    def bound(self):
        """A client has chosen its name: without clients it is kept only as one of
        MAX_EMPTY."""
        if self.lifetime == PERMANENT:
            self.lifetime = KEPT_EMPTY

    def keep(self):
        """It has listeners of its own, without which it would be made anew: undo
        bound()."""
        if self.lifetime == KEPT_EMPTY:
            self.lifetime = PERMANENT

    cdef object find(self, object event, list args):
        """The handler of an event, or None. Puts what it takes first before `args`,
        which are `[sid, *arguments]`."""
        if self.hub.trigger is None:
            return self._find_handler(event, args)
        self.lead(args, event, LEADING_EVENT | LEADING_NAMESPACE)
        return self.hub.trigger

    cdef object _find_handler(self, object event, list args):
        cdef PyObject *found = PyDict_GetItemWithError(self.handlers, event)
        cdef object handler
        cdef int leading
        if found is not NULL:
            return <object> found
        handler = self.find_other(event, self.hub.wildcard, &leading)
        if handler is not None:
            self.lead(args, event, leading)
        return handler

    def handler_of(self, event, *args):
        """The handler of an event that a client sends, or None, and its arguments;
        `args` are the sid and the arguments of the event."""
        cdef list arguments = list(args)
        return self._find_handler(event, arguments), arguments


cdef class Hub(HandlerFactory):
    """The namespaces of a server, and the settings that all its clients share.

    Abstract: `ServerHub` makes the handlers of connections.

    Args:
        admit: The container of names of namespaces that accept clients, besides the
            namespaces with handlers; None for all. It is asked for each CONNECT.
        new_rooms: Makes the `Membership` of a `Namespace`.
        logger: A `logging.Logger`.
        connect_timeout: Seconds for a client to join a namespace.
        max_attachments: Binary attachments of one packet, at most.
        max_incomplete_bytes: The most bytes that the packets of all clients may have
            whose attachments have not all come. One packet may always be as large as
            `max_http_buffer_size` allows.
        max_pending_acks: The most acknowledgements that the server awaits of one
            client in one namespace.
        ordered: Whether a client's next handler waits until its last has ended.
        error_acks: Whether an event that fails is acknowledged by ``{"error": …}``.
        always_connect: Whether CONNECT is sent before the connect handler runs. A
            client that the handler refuses is then disconnected.
        verbose: Whether events and acknowledgements are logged.
        encoding: The encoding of packets; None for the built-in one.
        new_recovery: Makes the `Recovery` of a `Namespace`; None for no recovery.
    """

    def __cinit__(
        self, *, object admit, object new_rooms, object logger,
        double connect_timeout, Py_ssize_t max_attachments,
        Py_ssize_t max_incomplete_bytes=67108864,
        Py_ssize_t max_pending_acks=10_000, bint ordered=False,
        bint always_connect=False, bint verbose=False, Encoding encoding=None,
        object new_recovery=None,
        bint error_acks=False,
    ):
        self.namespaces = {}
        self.wildcard = Namespace(self, "*")
        self.admit = admit
        self._new_rooms = new_rooms
        self.logger = logger
        self.connect_timeout = connect_timeout
        self.max_attachments = max_attachments
        self.max_incomplete_bytes = max_incomplete_bytes
        self.max_pending_acks = max_pending_acks
        self.ordered = ordered
        self.always_connect = always_connect
        self.verbose = verbose
        self.error_acks = error_acks
        self.not_handled = object()
        self.encoding = encoding
        self._new_recovery = new_recovery

    def bind(self, Engine engine not None):
        """Use the event loop and the runner of an engine."""
        self.engine = engine
        if self.runner is not engine.runner:
            self.runner = engine.runner
            # The deadlines of states that are kept were the former loop's.
            for ns in self.namespaces.values():
                if (<Namespace> ns).recovery is not None:
                    (<Namespace> ns).recovery.forget_all()

    cdef int observed(self, Observer observer) except -1:
        self.observer = observer
        return self._watch_events()

    def measure(self, Meter meter):
        """Measure events from now on; None: no longer."""
        cdef Namespace namespace
        self.meter = meter
        for namespace in (self.wildcard, *self.namespaces.values()):
            namespace.forget_figures()
        self._watch_events()

    def trace(self, Tracer tracer):
        """Make spans from now on; None: no longer."""
        self.tracer = tracer
        self._watch_events()

    cdef int log_emit(self, object event, str namespace) except -1:
        self.logger.info(
            'Emitting event "%s" [%s]', escaped(event), escaped(namespace)
        )
        return 0

    cdef int count_sent(
        self, Namespace namespace, object event, Py_ssize_t size
    ) except -1:
        """A client of ours sends an event of so many bytes."""
        if self.meter is not None:
            self.meter.event_out(namespace, event, 1, size)
        return 0

    cdef int _watch_events(self) except -1:
        self.asks_of_events = self.tracer is not None or (
            self.observer is not None and self.observer.events
        )
        self.watches_events = self.meter is not None or self.asks_of_events
        self.watches_sent = self.observer is not None or self.meter is not None
        return 0

    def namespace(self, str name not None):
        """The namespace of that name, which is made if there is none. `"*"` is the one
        whose handlers take the events of all others."""
        cdef Namespace ns
        if name == "*":
            return self.wildcard
        ns = self.namespaces.get(name)
        if ns is None:
            try:
                sio.check_namespace(name)
            except ProtocolError as exc:
                raise ValueError(str(exc)) from None
            ns = Namespace(self, name)
            if self._new_recovery is not None:
                ns.recovery = self._new_recovery(ns)
            ns.rooms = self._new_rooms(ns)
            self.namespaces[name] = ns
            if name == "/":
                self.main = ns
            if self.relay is not None:
                self.relay.namespace_began(name)
        ns.lifetime = PERMANENT
        return ns

    def peer_of(self, Session session not None, str namespace not None):
        """The `Peer` of a session in a namespace; None if it has not joined it."""
        cdef Connection connection = session.handler
        return None if connection is None else connection.peer_in(namespace)

    def absence_of(self, sid, str namespace not None):
        """The text of an error: there is no client `sid` in the namespace. It names the
        namespaces that have one."""
        cdef Namespace ns
        text = f"no client {sid!r:.80} in namespace {namespace!r:.80}"
        for ns in self.namespaces.values():
            if sid in ns.peers:
                text += f", but in {ns.name!r:.80}: that is the namespace= to give"
        return text

    def release(self, str name not None):
        """A namespace has lost its handlers: forget it with its last client."""
        cdef Namespace ns = self.namespaces.get(name)
        if ns is not None:
            ns.lifetime = WITH_CLIENTS
            self.end_if_empty(ns)

    cdef int end_if_empty(self, Namespace ns) except -1:
        """Forget a namespace that only its clients kept, if it has none left."""
        if ns.lifetime == PERMANENT or ns.peers or (
            ns.joining or ns.leaving is not None
        ) or (
            ns.recovery is not None and ns.recovery.awaits()
        ):
            return 0
        if ns.lifetime == KEPT_EMPTY:
            return self._keep_empty(ns)
        if ns is self.main:
            self.main = None
        if self.namespaces.pop(ns.name, None) is not None and self.relay is not None:
            self.relay.namespace_ended(ns.name)
        if self.empty is not None:
            self.empty.pop(ns, None)
        if ns.recovery is not None:
            ns.recovery.forget_all()
            ns.recovery = None
        ns.rooms = None  # it has a reference back
        if ns.listener is not None:
            listener, ns.listener = ns.listener, None
            listener.ended()
        return 0

    cdef int _keep_empty(self, Namespace ns) except -1:
        """A namespace that of(pattern) made has lost its last client. It stays, as in
        the reference implementation. Clients choose the names, so there is a bound: of
        more than MAX_EMPTY the one goes that was left first."""
        if self.empty is None:
            self.empty = OrderedDict()
        self.empty[ns] = None
        self.empty.move_to_end(ns)
        if len(self.empty) > MAX_EMPTY:
            ns = self.empty.popitem(last=False)[0]
            if ns.lifetime == KEPT_EMPTY and not ns.peers and (
                self.namespaces.get(ns.name) is ns
            ):
                ns.lifetime = WITH_CLIENTS
                return self.end_if_empty(ns)
        return 0

    cdef Namespace admitted(self, str name):
        """The namespace that a client asks for; None if it is not admitted."""
        cdef PyObject *found = PyDict_GetItemWithError(self.namespaces, name)
        cdef Namespace ns
        if found is not NULL:
            ns = <Namespace> found
            if ns.lifetime != WITH_CLIENTS or ns.listener is not None:
                return ns
        if self.admit is not None and name not in self.admit:
            return None
        if found is not NULL:
            return <Namespace> found
        if len(name) > MAX_NAME:
            return None
        ns = self.namespace(name)
        ns.lifetime = WITH_CLIENTS
        return ns

    cdef int count_incomplete(self, SessionHandler handler, Py_ssize_t size) except -1:
        """A connection has sent `size` bytes of a packet whose attachments have not all
        come. If all connections together hold more than max_incomplete_bytes of such
        packets, those that began first are closed."""
        cdef Engine engine = self.engine
        cdef SessionHandler oldest
        cdef Py_ssize_t most = max(
            self.max_incomplete_bytes, engine.max_pending_bytes, engine.max_payload
        )
        if self.incomplete is None:
            self.incomplete = OrderedDict()
        self.incomplete_bytes += size - <Py_ssize_t> self.incomplete.get(handler, 0)
        self.incomplete[handler] = size
        while self.incomplete_bytes > most:
            oldest = next(iter(self.incomplete))
            self.forget_incomplete(oldest)
            engine.counters["incomplete_packets"] += 1
            error = LimitError(
                "packets whose attachments have not all come have more than "
                f"max_incomplete_bytes={most} bytes, of all clients; it began first",
                code=1008,
            )
            if oldest is handler:
                raise error
            oldest.session.on_error(error)
        return 0

    cdef int forget_incomplete(self, SessionHandler handler) except -1:
        """The connection has no incomplete packet any more."""
        cdef object size = None
        if self.incomplete is not None:
            size = self.incomplete.pop(handler, None)
        if size is not None:
            self.incomplete_bytes -= <Py_ssize_t> size
        return 0

    cdef int failed(self, object error, str message, tuple args) except -1:
        """Log an error that code other than a handler raised."""
        return contain(self.runner.loop, self.logger, error, message, args)

    cdef Outgoing encode(self, int type, str namespace, object data, int64_t id):
        """Encode a packet in the encoding of this server."""
        if self.encoding is None:
            return outgoing.packet(type, namespace, data, id)
        return self.encoding.encode(type, namespace, data, id)

    cdef Outgoing connect_packet(self, str namespace, str sid, str pid):
        """The CONNECT of a server. `pid`: the secret of a client that may be recovered;
        or None."""
        cdef dict data
        if pid is None and self.encoding is None:
            return outgoing.connect_packet(namespace, sid)
        data = {"sid": sid} if pid is None else {"sid": sid, "pid": pid}
        return self.encode(sio.SIO_CONNECT, namespace, data, -1)
