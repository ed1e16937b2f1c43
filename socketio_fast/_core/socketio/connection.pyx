"""The Socket.IO side of one Engine.IO connection: packets in, and the namespaces that
it has joined.

A client that breaks the protocol is closed: what is raised here for a packet reaches
`Session.on_error()`. Errors of handlers stay with their `Peer`.
"""
from collections import deque
from urllib.parse import parse_qsl

import cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from socketio_fast._core.engine.collecting cimport set_tracked
from socketio_fast._core.engine.contexts cimport copied
from socketio_fast._core.engine.failures cimport log_failure
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.engine.rate_limits cimport Limiter, Limits
from socketio_fast._core.engine.runner cimport Outcome
from socketio_fast._core.engine.contracts cimport (
    OPEN,
    REVISION_3,
    EngineBase as Engine,
    SessionBase as Session,
    SessionHandler,
)
from socketio_fast._core.protocol.event_values cimport EventValues
from socketio_fast._core.protocol.sio cimport (
    SIO_ACK,
    SIO_CONNECT,
    SIO_CONNECT_ERROR,
    SIO_DISCONNECT,
    SIO_EVENT,
    Packet,
)
from socketio_fast._core.socketio.checked_handlers cimport CheckedHandler
from socketio_fast._core.socketio.contracts cimport PeerBase
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.packet_receiver cimport PROGRESS, PacketReceiver
from socketio_fast._core.socketio.peer_messaging cimport CONNECTED
from socketio_fast._core.socketio.peer_lifecycle cimport Peer

from socketio_fast.exceptions import LimitError, PacketError, ProtocolError
from socketio_fast.options.logs import escaped

cdef enum:  # a deadline of a ConnectionHandler, besides PROGRESS
    CONNECT = 1


@cython.final
cdef class ServerHub(Hub):
    """The hub of a server: it makes the handler of each connection."""

    cdef SessionHandler new_handler(self, Session session):
        cdef ConnectionHandler handler = ConnectionHandler.__new__(ConnectionHandler)
        handler.hub = self
        return handler


@cython.final
cdef class ConnectionHandler(PacketReceiver):
    """The Socket.IO side of one Engine.IO connection of a server."""

    cdef int on_open(self) except -1:
        cdef Session session = self.session
        cdef Engine engine = session.engine
        cdef Limits limits = engine.limits
        if limits is not None:
            limits.handshakes += 1
            session.in_handshake = True
            self.limiter = limits.limiter(session.visitor, engine.now())
        session.accept()
        if session.state != OPEN:
            return 0
        self.connect_deadline = engine.start(self.hub.connect_timeout, CONNECT, self)
        if session.dialect & REVISION_3:
            # Its clients join "/" without a CONNECT packet, and are open before that.
            session.part()
            return self._join("/", None, 0)
        return 0

    cdef int limited(self, Packet packet, Py_ssize_t n) except -1:
        """A packet, or a part of it with `n` bytes, of a client that has limits."""
        cdef Limiter limiter = self.limiter
        cdef double wait
        limiter.size += n
        if packet.missing:
            return self.await_attachments(packet)
        self.forget_incomplete(packet)
        wait = limiter.take(self.session.engine.now())
        if wait > 0 and (packet.type == SIO_EVENT or packet.type == SIO_CONNECT):
            return self._over_limit(packet, wait)
        return self.dispatch(packet)

    cdef int _over_limit(self, Packet packet, double wait) except -1:
        """An event or a CONNECT exceeds the limits of its client: tell the client that
        it may send the next in `wait` seconds."""
        cdef Limiter limiter = self.limiter
        cdef Engine engine = self.session.engine
        cdef double now = engine.now()
        cdef dict error = {"message": "Rate limit exceeded", "retry_after": wait}
        engine.counters["refused_events"] += 1
        if limiter.closes:
            raise LimitError("more events or bytes than its limits allow", code=1008)
        if packet.type == SIO_CONNECT:
            if self.session.dialect & REVISION_3:
                _read_query(packet)
            return self.send_connect_error(
                packet.namespace,
                {"message": error["message"], "data": {"retry_after": wait}},
            )
        elif self.peer_in(packet.namespace) is None:
            return self.dispatch(packet)  # which raises the right error
        elif packet.id >= 0:
            m = self.hub.encode(
                SIO_ACK, packet.namespace, [{"error": error}], packet.id
            )
        elif now < limiter.last_notice + 1:
            return 0
        else:
            limiter.last_notice = now
            engine.logger.info(
                "session %s: an event is beyond its limits", escaped(self.session.id)
            )
            error["event"] = (
                (<list> packet.data)[0] if packet.values is None
                else packet.values.name
            )
            m = self.hub.encode(SIO_EVENT, packet.namespace, ["error", error], -1)
        return self.session.send(m)

    cdef bint take_event(self, const char *p, Py_ssize_t n) except -1:
        cdef Peer peer = self.main
        return peer is not None and peer.take_event(p, n)

    cdef int dispatch(self, Packet packet) except -1:
        cdef Peer peer = <Peer> self.peer_in(packet.namespace)
        if packet.type == SIO_CONNECT:
            if self.session.dialect & REVISION_3:
                _read_query(packet)
                peer = <Peer> self.peer_in(packet.namespace)
            if peer is not None:
                if not peer.heard:
                    return 0  # the client may have sent it before our answer came
                raise ProtocolError(f"second CONNECT to {packet.namespace!r:.80}")
            return self._join(packet.namespace, packet.data, packet.size)
        if peer is None or peer.state != CONNECTED and not peer.was_announced():
            raise ProtocolError(
                f"packet for {packet.namespace!r:.80}, which is not connected"
            )
        peer.heard = True
        if packet.type == SIO_EVENT:
            if packet.values is not None:
                packet.data = self._arguments(peer, packet.values)
            if peer.busy:
                if peer.queued_events is None:
                    peer.queued_events = deque()
                peer.queued_events.append(packet)
                return self.session.begin_event(packet.size)
            return peer.on_event(<list> packet.data, packet.id, packet.size)
        if packet.type == SIO_ACK:
            return peer.on_ack(<list> packet.data, packet.id)
        if packet.type == SIO_DISCONNECT:
            return peer.close("client disconnect")
        raise ProtocolError("CONNECT_ERROR from a client")

    cdef list _arguments(self, Peer peer, EventValues values):
        """`[name, *arguments]` of an event that has not been decoded. If nobody but a
        `CheckedHandler` looks at its arguments, they are `values`."""
        cdef Hub hub = self.hub
        cdef PyObject *found
        if not peer.busy and peer.socket is None and hub.trigger is None and (
            not hub.asks_of_events
        ):
            found = PyDict_GetItemWithError(peer.namespace.handlers, values.name)
            if found is not NULL and type(<object> found) is CheckedHandler:
                return [values.name, values]
        return values.read()

    @property
    def peers(self):
        """The client in each namespace that it has joined, a list of `Peer`."""
        return self.all_peers()

    cdef list all_peers(self):
        cdef list peers = list(self.others.values()) if self.others else []
        if self.main is not None:
            peers.insert(0, self.main)
        return peers

    cdef int track(self, bint tracked) except -1:
        cdef PeerBase peer
        set_tracked(self, tracked)
        for peer in self.all_peers():
            peer.track(tracked)
        return 0

    cdef PeerBase peer_in(self, str namespace):
        cdef PyObject *found
        if namespace == "/":
            return self.main
        if self.others is None:
            return None
        found = PyDict_GetItemWithError(self.others, namespace)
        return None if found is NULL else <Peer> found

    cdef int _join(self, str name, object auth, Py_ssize_t size) except -1:
        """The client asks for a namespace, by a CONNECT packet of that size."""
        if self.hub.take_back is not None and self._is_taken_back(name, auth, size):
            return 0
        return self.join_here(name, auth, size)

    cdef bint _is_taken_back(self, str name, object auth, Py_ssize_t size) except -1:
        """Whether another worker takes the client, which has joined nothing here and
        may be recovered there."""
        return (
            isinstance(auth, dict) and isinstance(auth.get("pid"), str)
            and self.main is None and not self.others
            and not self.session.dialect & REVISION_3
            and (<object> self.session).under_way == (0, 0)
            and self.hub.take_back(self, name, auth, size)
        )

    cdef int join_here(self, str name, object auth, Py_ssize_t size) except -1:
        """The client asks this worker for a namespace."""
        if self.hub.session_store is not None and isinstance(auth, dict) and (
            isinstance(auth.get("pid"), str) and not self.session.dialect & REVISION_3
        ):
            return self._restore(name, auth, size)
        return self._find_namespace(name, auth, size)

    cdef int _restore(self, str name, object auth, Py_ssize_t size) except -1:
        """Have the state of the client fetched, which any server may have kept."""
        cdef _Restored restored = _Restored.__new__(_Restored)
        restored.handler = self
        restored.name = name
        restored.auth = auth
        restored.size = size
        if self.hub.runner.call_then(
            self.hub.session_store.fetch_session, [name, auth],
            copied(self.session.context), restored,
        ) is not None:
            # It is in no namespace yet, whose number may be limited, so it counts as an
            # event.
            restored.suspended = True
            return self.session.begin_event(size)
        return 0

    cdef int _find_namespace(self, str name, object auth, Py_ssize_t size) except -1:
        if self.hub.resolve is not None and name != "/":
            return self._resolve(name, auth, size)
        return self.enter_namespace(self.hub.admitted(name), name, auth, size)

    cdef int _resolve(self, str name, object auth, Py_ssize_t size) except -1:
        """Ask of(pattern) for a namespace, which it may make now."""
        cdef Hub hub = self.hub
        cdef Namespace ns = hub.namespaces.get(name)
        cdef _Resolved resolved
        if ns is not None and ns.listener is not None:
            return self.enter_namespace(ns, name, auth, size)
        resolved = _Resolved.__new__(_Resolved)
        resolved.handler = self
        resolved.name = name
        resolved.auth = auth
        resolved.size = size
        if hub.runner.call_then(
            hub.resolve, [name, auth], copied(self.session.context), resolved
        ) is not None:
            # It is in no namespace yet, whose number may be limited, so it counts as an
            # event.
            resolved.suspended = True
            return self.session.begin_event(size)
        return 0

    cdef int enter_namespace(
        self, Namespace ns, str name, object auth, Py_ssize_t size
    ) except -1:
        """The client joins a namespace; None: there is none of that name for it."""
        cdef Engine engine = self.session.engine
        cdef Observer observer = engine.observer
        cdef Peer peer
        if ns is None:
            if observer is not None:
                observer.request_refused("unknown_namespace")
            engine.tell_refusal(
                "namespace", self.session.environ.get("REMOTE_ADDR"),
                f"there is no namespace {name!r:.80}: register a handler for it, or "
                "name it in namespaces=",
            )
            return self.send_connect_error(name, {"message": "Invalid namespace"})
        if 0 <= engine.max_namespaces <= (
            (self.main is not None) + len(self.others or ())
        ):
            engine.counters["refused_namespaces"] += 1
            engine.tell_refusal(
                "namespaces", self.session.environ.get("REMOTE_ADDR"),
                f"a connection asks for more than {engine.max_namespaces} namespaces: "
                "limits=Limits(namespaces_per_connection=…)",
            )
            self.hub.end_if_empty(ns)  # it may have been made for this client
            return self.send_connect_error(name, {"message": "Too many namespaces"})
        peer = Peer.__new__(Peer)
        peer.client = self
        peer.session = self.session
        peer.namespace = ns
        if self.hub.registry is None:
            auth = peer.assign_sid(auth)
        if ns.name == "/":
            self.main = peer
        else:
            if self.others is None:
                self.others = {}
            self.others[ns.name] = peer
        if self.hub.registry is not None:
            return peer.register_client(auth, size)
        return peer.start(auth, size)

    cdef int send_connect_error(self, str namespace, dict error) except -1:
        # Revision 3 has the packet ERROR, which carries the data or the message alone.
        cdef object data = error
        if self.session.dialect & REVISION_3:
            data = error.get("data") or error["message"]
        self.session.send(self.hub.encode(SIO_CONNECT_ERROR, namespace, data, -1))
        return 0

    cdef int forget(self, PeerBase peer) except -1:
        cdef str namespace = (<Peer> peer).namespace.name
        if self.main is peer:
            self.main = None
        elif self.others is not None and self.others.get(namespace) is peer:
            del self.others[namespace]
        return 0

    cdef int on_close(self, str reason) except -1:
        cdef Peer peer
        self.end_connect_deadline()
        self.end_packet()
        for peer in self.all_peers():
            try:
                if peer.recovery is not None:
                    peer.namespace.recovery.persist_session(peer)
                peer.close(reason)
            except BaseException as exc:
                self.hub.failed(exc, "closing %s failed", (peer.sid,))
        return 0

    cdef bint awaits(self) except -1:
        return self.outstanding > 0

    cdef int on_slow(self, Py_ssize_t size) except -1:
        cdef Peer peer
        for peer in self.all_peers():
            if peer.socket is not None and peer.state == CONNECTED:
                peer.fire("slow", size)
        return 0

    cdef Py_ssize_t awaited(self) except -1:
        return self.outstanding

    cdef int end_connect_deadline(self) except -1:
        cdef Limits limits
        if self.connect_deadline is not None:
            self.connect_deadline.cancel()
            self.connect_deadline = None
        if self.session.in_handshake:
            self.session.in_handshake = False
            limits = self.session.engine.limits
            # The application may have unset the limits, and set others.
            if limits is not None and limits.handshakes:
                limits.handshakes -= 1
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        if kind == PROGRESS:
            return self.check_progress()
        self.connect_deadline = None
        self.session.engine.logger.info(
            "session %s joined no namespace in %g s (connect_timeout)",
            escaped(self.session.id), self.hub.connect_timeout,
        )
        return self.session.close("server disconnect")

cdef int _read_query(Packet packet) except -1:
    """Make `auth` of the query behind the namespace of a CONNECT of revision 3."""
    name, _, query = packet.namespace.partition("?")
    packet.namespace = name
    try:
        packet.data = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100))
    except ValueError as exc:
        raise PacketError(f"query of CONNECT: {exc}") from None
    return 0


@cython.final
cdef class _Restored(Outcome):
    """The state of a client that comes back has been looked for."""
    cdef ConnectionHandler handler
    cdef str name
    cdef object auth
    cdef Py_ssize_t size
    cdef bint suspended

    cdef int returned(self, object value) except -1:
        cdef ConnectionHandler handler = self.handler
        if self.suspended:
            handler.session.end_event(self.size)
            if handler.session.handler is None or (
                handler.peer_in(self.name) is not None
            ):
                # The connection has gone meanwhile, or the client asked twice.
                return 0
        return handler._find_namespace(self.name, self.auth, self.size)

    cdef int raised(self, object error) except -1:
        log_failure(
            self.handler.hub.logger, error, "the state of a client was not fetched",
        )
        return self.returned(None)


@cython.final
cdef class _Resolved(Outcome):
    """The namespace that a client asks for, once of(pattern) knows it."""
    cdef ConnectionHandler handler
    cdef str name
    cdef object auth
    cdef Py_ssize_t size
    cdef bint suspended

    cdef int returned(self, object value) except -1:
        cdef ConnectionHandler handler = self.handler
        cdef Namespace ns = value
        if self.suspended:
            handler.session.end_event(self.size)
            if handler.session.handler is None:
                # The connection has gone meanwhile.
                return 0 if ns is None else handler.hub.end_if_empty(ns)
            if handler.peer_in(self.name) is not None:
                return 0  # the client asked twice, and has joined already
        if ns is None:
            ns = handler.hub.admitted(self.name)
        return handler.enter_namespace(ns, self.name, self.auth, self.size)

    cdef int raised(self, object error) except -1:
        cdef ConnectionHandler handler = self.handler
        log_failure(
            handler.hub.logger, error, "namespace %.80r was not found", (self.name,)
        )
        if self.suspended:
            handler.session.end_event(self.size)
            if handler.session.handler is None or (
                handler.peer_in(self.name) is not None
            ):
                return 0  # it has gone meanwhile, or asked twice and has joined
        return handler.enter_namespace(None, self.name, self.auth, self.size)
