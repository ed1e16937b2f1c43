"""Socket.IO clients, revision 5: connect, events, acknowledgements, dispatch.

A `ConnectionHandler` is one Engine.IO connection, a `Peer` that client in one
namespace:

    CONNECTING ──accepted──► CONNECTED ──► DISCONNECTING ──ended──► DISCONNECTED
        └──refused────────────────────────────────────────────────────┘

Rule 1: a peer's disconnect handler runs once if its connect handler accepted.
Rule 2: what is sent to a CONNECTING peer follows its CONNECT packet, or is dropped.
    With always_connect that packet is sent at once; the peer is *announced*.
Rule 3: handlers of one client start in the order its packets came.
Rule 4: of a client that is recovered there may be two peers with one sid: the tables
    have the new one, the disconnect handler of the old one still runs.
Rule 5: a client that breaks the protocol is closed; errors of handlers stay here.
"""
import asyncio
import builtins
from collections import OrderedDict, deque
from urllib.parse import parse_qsl

import cython
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError, PyDict_Size
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from socketio_fast._core.protocol cimport outgoing, sio
from socketio_fast._core.protocol.encoding cimport Encoding
from socketio_fast._core.engine.contexts cimport copied
from socketio_fast._core.engine.deadlines cimport Timed
from socketio_fast._core.engine.failures cimport contain, log_failure
from socketio_fast._core.engine.rate_limits cimport Limiter, Limits
from socketio_fast._core.engine.listeners cimport Group, Listeners
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.engine.session cimport (
    OPEN,
    REVISION_3,
    Engine,
    HandlerFactory,
    Session,
    SessionHandler,
)
from socketio_fast._core.protocol.sio cimport (
    SIO_ACK,
    SIO_CONNECT,
    SIO_CONNECT_ERROR,
    SIO_DISCONNECT,
    SIO_EVENT,
    Packet,
)
from socketio_fast._core.engine.runner cimport Outcome, Runner, handles_in

from socketio_fast.exceptions import (
    CallDisconnectedError,
    ConnectionRefusedError,
    InvalidPayloadError,
    LimitError,
    PacketError,
    ProtocolError,
    TimeoutError,
)
from socketio_fast.options.logs import escaped

cdef extern from "Python.h":
    PyObject **PySequence_Fast_ITEMS(object o)

cdef enum:  # deadlines of a ConnectionHandler
    CONNECT
    PROGRESS

cdef enum:
    # Bytes of an incomplete packet up to which it is not counted: any connection may
    # take as much.
    UNCOUNTED = 65536
    # Namespaces of families that stay without clients.
    MAX_EMPTY = 1000

# Characters of a name by which a namespace is made for a client, at most.
MAX_NAME = 1024

# Also those of asyncio without C, which nest_asyncio has loops make.
cdef object _Future = (asyncio.Future, asyncio.futures._PyFuture)


cdef class Membership:
    """The rooms of a namespace. Abstract."""

    cdef int added(self, Peer peer) except -1:
        """A peer has been accepted: it is in its own room."""
        raise NotImplementedError

    cdef int remove(self, Peer peer, bint was_connected) except -1:
        """A peer has gone: take it out of every room it is in."""
        raise NotImplementedError


cdef class ConnectionState(Timed):
    """What outlives the connection of a client in a namespace. Abstract."""


cdef class Recovery(Timed):
    """Connection state recovery of a namespace. Abstract."""

    cdef object restore_session(self, Peer peer, object auth):
        """A client connects: give it its sid and state, a former one if it has the
        right to that, and a place in the tables. Returns what it sent without what
        was for us."""
        raise NotImplementedError

    cdef int persist_session(self, Peer peer) except -1:
        """The connection of a client has gone; it may come back."""
        raise NotImplementedError

    cdef int forget_session(self, Peer peer) except -1:
        """A client has gone; it comes back only if it was persisted."""
        raise NotImplementedError

    cdef int forget_all(self) except -1:
        """Nobody comes back."""
        raise NotImplementedError

    cdef bint awaits(self):
        """Whether somebody may come back."""
        raise NotImplementedError

    def away_in(self, room):
        """The sids of the clients that may come back, of those in a room."""
        raise NotImplementedError


@cython.final
cdef class Namespace:
    """Handlers and peers of one namespace."""

    def __cinit__(self, Hub hub not None, str name not None):
        self.hub = hub
        self.name = name
        self.handlers = {}
        self.peers = {}

    def set_handler(self, event, handler):
        """Set the handler of an event, `"*"` for all without one; None removes it.

        `connect` and `disconnect` take exactly the arguments that fit:
        `(sid, environ, auth)` and `(sid, reason)`, after the namespace for `"*"`.
        """
        if event == "connect":
            self.connect_handler = handler
        elif event == "disconnect":
            self.disconnect_handler = handler
        elif event == "*":
            self.any_handler = handler
        elif handler is None:
            self.handlers.pop(event, None)
        else:
            self.handlers[event] = handler

    def set_trigger(self, trigger):
        """Set what takes every event that no handler takes; None removes it.

        It gets the event before what a handler of the event would get.
        """
        self.trigger = trigger

    cdef object _find(self, object event, list data):
        """What takes an event, None if nothing does; completes its arguments."""
        if self.hub.trigger is not None:
            data.insert(0, self.name)
            data.insert(0, event)
            return self.hub.trigger
        return self._find_handler(event, data)

    cdef object _find_handler(self, object event, list data):
        """The handler of an event, None if there is none; completes its arguments.

        `data` is `[sid, *arguments]` already: what a handler of this event and this
        namespace takes. The catch-all handlers take the event or namespace before it.
        """
        cdef PyObject *found = PyDict_GetItemWithError(self.handlers, event)
        cdef Namespace wildcard = self.hub.wildcard
        cdef object own, other
        if found is not NULL:
            return <object> found
        if event == "connect" or event == "disconnect":
            # No catch-all handler takes these.
            if event == "connect":
                own, other = self.connect_handler, wildcard.connect_handler
            else:
                own, other = self.disconnect_handler, wildcard.disconnect_handler
            if own is not None:
                return own
            if other is not None:
                data.insert(0, self.name)
                return other
            return self._find_trigger(event, data)
        if self.any_handler is not None:
            data.insert(0, event)
            return self.any_handler
        found = PyDict_GetItemWithError(wildcard.handlers, event)
        if found is not NULL:
            data.insert(0, self.name)
            return <object> found
        if wildcard.any_handler is not None:
            data.insert(0, self.name)
            data.insert(0, event)
            return wildcard.any_handler
        return self._find_trigger(event, data)

    cdef object _find_trigger(self, object event, list data):
        cdef Namespace wildcard = self.hub.wildcard
        if self.trigger is not None:
            data.insert(0, event)
            return self.trigger
        if wildcard.trigger is not None:
            data.insert(0, self.name)
            data.insert(0, event)
        return wildcard.trigger

    def find(self, event, *args):
        """The handler of an event from a client, None if there is none, and what it is
        to be called with; `args` are the sid and the arguments."""
        cdef list data = list(args)
        return self._find_handler(event, data), data


@cython.final
cdef class Hub(HandlerFactory):
    """Namespaces and settings that all clients of one server share.

    Args:
        admit: Names of namespaces that accept clients besides those with handlers;
            None for all. Looked at each time.
        new_rooms: Makes the `Membership` of a `Namespace`.
        logger: A `logging.Logger`.
        connect_timeout: Seconds for a client to join a namespace.
        max_attachments: Binary attachments of one packet, at most.
        max_incomplete_bytes: Bytes of the packets of all clients whose attachments are
            not all there, at most; one packet may always be as large as a packet may.
        max_pending_acks: Acknowledgements of one client in one namespace that are
            waited for, at most.
        ordered: Whether a client's next handler waits until its last has ended.
        error_acks: Whether an event that fails is acknowledged by ``{"error": …}``.
        always_connect: Whether a client is told that it is connected before its connect
            handler runs; if that refuses, it is disconnected.
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
        self._admit = admit
        self._new_rooms = new_rooms
        self.logger = logger
        self.connect_timeout = connect_timeout
        self.max_attachments = max_attachments
        self.max_incomplete_bytes = max_incomplete_bytes
        self.incomplete = OrderedDict()
        self.empty = OrderedDict()
        self.max_pending_acks = max_pending_acks
        self.ordered = ordered
        self.always_connect = always_connect
        self.verbose = verbose
        self.error_acks = error_acks
        self.not_handled = object()
        self.encoding = encoding
        self._new_recovery = new_recovery

    def bind(self, Engine engine not None):
        """Run on the engine's event loop."""
        self.engine = engine
        if self.observer is not None:
            self.observe(self.observer)
        if self.runner is not engine.runner:
            self.runner = engine.runner
            # Their deadlines were the other loop's.
            for ns in self.namespaces.values():
                if (<Namespace> ns).recovery is not None:
                    (<Namespace> ns).recovery.forget_all()

    def observe(self, Observer observer):
        """Tell this one from now on what happens; None for nobody."""
        self.observer = observer
        if self.engine is not None:
            self.engine.observer = observer

    def namespace(self, str name not None):
        """The namespace of that name, made if it is new; `"*"` is the catch-all."""
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
        ns.transient = ns.temporary = ns.member = False
        return ns

    def peer_of(self, Session session not None, str namespace not None):
        """The `Peer` of a session in a namespace; None if it has not joined that."""
        cdef ConnectionHandler client = session.handler
        return None if client is None else client._peer(namespace)

    def absence_of(self, sid, str namespace not None):
        """What an error says of a client that is not there, and where it is."""
        cdef Namespace ns
        text = f"no client {sid!r:.80} in namespace {namespace!r:.80}"
        for ns in self.namespaces.values():
            if sid in ns.peers:
                text += f", but in {ns.name!r:.80}: that is the namespace= to give"
        return text

    def release(self, str name not None):
        """The namespace has no handlers any more: it goes, with its last client."""
        cdef Namespace ns = self.namespaces.get(name)
        if ns is not None:
            ns.transient = True
            self._end(ns)

    cdef int _end(self, Namespace ns) except -1:
        """Forget a namespace that only its clients kept, if there are none."""
        if not (ns.transient or ns.temporary or ns.member) or ns.peers or (
            ns.joining or ns.leaving is not None
        ) or (
            ns.recovery is not None and ns.recovery.awaits()
        ):
            return 0
        if not (ns.transient or ns.temporary):
            return self._keep_empty(ns)
        self.namespaces.pop(ns.name, None)
        if ns.member:
            self.empty.pop(ns, None)
        if ns.recovery is not None:
            ns.recovery.forget_all()
            ns.recovery = None
        ns.rooms = None  # which knows it; nobody asks for it any more
        if ns.sockets is not None:
            sockets, ns.sockets = ns.sockets, None
            sockets._on_end()
        return 0

    cdef int _keep_empty(self, Namespace ns) except -1:
        """A namespace of a family has lost its last client. It stays, as in the
        reference implementation; of too many that which was left first goes, since
        clients choose their names."""
        self.empty[ns] = None
        self.empty.move_to_end(ns)
        if len(self.empty) > MAX_EMPTY:
            ns = self.empty.popitem(last=False)[0]
            if ns.member and not ns.peers and self.namespaces.get(ns.name) is ns:
                ns.temporary = True
                return self._end(ns)
        return 0

    cdef Namespace _namespace(self, str name):
        """The namespace that a client asks for; None if there is none for it."""
        cdef PyObject *found = PyDict_GetItemWithError(self.namespaces, name)
        cdef Namespace ns
        if found is not NULL and not (<Namespace> found).transient:
            return <Namespace> found
        if self._admit is not None and name not in self._admit:
            return None
        if found is not NULL:
            return <Namespace> found
        if len(name) > MAX_NAME:
            return None
        ns = self.namespace(name)
        ns.transient = True
        return ns

    cdef int count_incomplete(
        self, ConnectionHandler client, Py_ssize_t size
    ) except -1:
        """A client has sent so much of a packet that is incomplete. Where that is too
        much of all clients, those go that began first."""
        cdef Engine engine = self.engine
        cdef ConnectionHandler oldest
        cdef Py_ssize_t most = max(
            self.max_incomplete_bytes, engine.max_pending_bytes, engine.max_payload
        )
        self.incomplete_bytes += size - <Py_ssize_t> self.incomplete.get(client, 0)
        self.incomplete[client] = size
        while self.incomplete_bytes > most:
            oldest = next(iter(self.incomplete))
            self.forget_incomplete(oldest)
            engine.counters["incomplete_packets"] += 1
            error = LimitError(
                "packets whose attachments have not all come have more than "
                f"max_incomplete_bytes={most} bytes, of all clients; it began first",
                code=1008,
            )
            if oldest is client:
                raise error
            oldest.session.on_error(error)
        return 0

    cdef int forget_incomplete(self, ConnectionHandler client) except -1:
        """A client has no incomplete packet any more."""
        cdef object size = self.incomplete.pop(client, None)
        if size is not None:
            self.incomplete_bytes -= <Py_ssize_t> size
        return 0

    cdef int failed(self, object error, str message, tuple args) except -1:
        """Log what was raised by something that is not a handler."""
        return contain(self.runner.loop, self.logger, error, message, args)

    cdef Outgoing encode(self, int type, str namespace, object data, int64_t id):
        """A packet, in the encoding of this server."""
        if self.encoding is None:
            return outgoing.packet(type, namespace, data, id)
        return self.encoding.encode(type, namespace, data, id)

    cdef SessionHandler new_handler(self, Session session):
        cdef ConnectionHandler client = ConnectionHandler.__new__(ConnectionHandler)
        client.hub = self
        return client


@cython.final
cdef class ConnectionHandler(SessionHandler):
    """The Socket.IO side of one Engine.IO connection."""

    cdef int on_open(self) except -1:
        cdef Session session = self.session
        cdef Engine engine = session.engine
        cdef Limits limits = engine.limits
        if limits is not None:
            limits.pending += 1
            session.pending = True
            self.limiter = limits.limiter(session.visitor, engine.now())
        session.accept()
        if session.state != OPEN:
            return 0
        self.connect_deadline = engine.start(self.hub.connect_timeout, CONNECT, self)
        if session.dialect & REVISION_3:
            # Its clients are in "/" without asking, and open before that.
            session.part()
            return self._join("/", None)
        return 0

    cdef int on_text(self, const char *p, Py_ssize_t n) except -1:
        cdef Packet packet
        if self.incomplete is not None:
            raise ProtocolError("text while binary attachments are awaited")
        if self.hub.encoding is None:
            packet = sio.decode(p, n, self.hub.max_attachments)
        else:
            packet = self.hub.encoding.decode_text(p, n, self.hub.max_attachments)
        packet.size = n
        if self.limiter is not None:
            return self._limited(packet, n)
        if packet.missing:
            return self._await_rest(packet)
        return self._dispatch(packet)

    cdef int on_binary(self, bytes data) except -1:
        cdef Packet packet = self.incomplete
        cdef Encoding encoding = self.hub.encoding
        if packet is None:
            if encoding is None:
                raise ProtocolError("binary message without a packet that awaits it")
            packet = encoding.decode_binary(data, self.hub.max_attachments)
        elif encoding is None:
            packet.attach(data)
        else:
            encoding.attach(packet, data)
        packet.size += PyBytes_GET_SIZE(data)
        if self.limiter is not None:
            return self._limited(packet, PyBytes_GET_SIZE(data))
        if packet.missing:
            return self._await_rest(packet)
        self._whole(packet)
        return self._dispatch(packet)

    cdef int _whole(self, Packet packet) except -1:
        """The attachments of a packet are all there."""
        self.incomplete = None
        if packet.size > UNCOUNTED:
            self.hub.forget_incomplete(self)
        return 0

    cdef int _await_rest(self, Packet packet) except -1:
        """Keep a packet until its attachments are there; that is bounded."""
        cdef Engine engine = self.session.engine
        self.incomplete = packet
        if packet.size > engine.max_pending_bytes and (
            packet.size > engine.config.max_http_buffer_size
        ):
            raise LimitError(
                f"a packet and its attachments have more than max_pending_bytes="
                f"{engine.max_pending_bytes} bytes", code=1009,
            )
        if packet.size > UNCOUNTED:
            self.hub.count_incomplete(self, packet.size)
        if self.progress_deadline is None:
            # It is left to end: most packets are whole before, and need no other.
            self.stalled = packet
            self.stalled_at = packet.missing
            self.progress_deadline = engine.start(self._progress_time(), PROGRESS, self)
        return 0

    cdef double _progress_time(self) except -1:
        """Seconds in which there has to be an attachment: as long as without a pong."""
        cdef Engine engine = self.session.engine
        return engine.ping_interval + engine.ping_timeout

    cdef int _limited(self, Packet packet, Py_ssize_t n) except -1:
        """A packet, or a part of it, of a client that has limits."""
        cdef Limiter limiter = self.limiter
        cdef double wait
        limiter.size += n
        if packet.missing:
            return self._await_rest(packet)
        self._whole(packet)
        wait = limiter.take(self.session.engine.now())
        if wait > 0 and (packet.type == SIO_EVENT or packet.type == SIO_CONNECT):
            return self._over(packet, wait)
        return self._dispatch(packet)

    cdef int _over(self, Packet packet, double wait) except -1:
        """An event, or a CONNECT, is beyond its rate: its client is told."""
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
            return self._send_error(
                packet.namespace,
                {"message": error["message"], "data": {"retry_after": wait}},
            )
        elif self._peer(packet.namespace) is None:
            return self._dispatch(packet)  # which knows what is wrong with it
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
            error["event"] = (<list> packet.data)[0]
            m = self.hub.encode(SIO_EVENT, packet.namespace, ["error", error], -1)
        return self.session.send(m)

    cdef int _dispatch(self, Packet packet) except -1:
        cdef Peer peer = self._peer(packet.namespace)
        if packet.type == SIO_CONNECT:
            if self.session.dialect & REVISION_3:
                _read_query(packet)
                peer = self._peer(packet.namespace)
            if peer is not None:
                if not peer.heard:
                    return 0  # it may have crossed the answer to the first
                raise ProtocolError(f"second CONNECT to {packet.namespace!r:.80}")
            self.hub.packet_size = packet.size
            return self._join(packet.namespace, packet.data)
        if peer is None or peer.state != CONNECTED and not peer.announced:
            raise ProtocolError(
                f"packet for {packet.namespace!r:.80}, which is not connected"
            )
        peer.heard = True
        if packet.type == SIO_EVENT:
            if peer.busy:
                if peer.waiting is None:
                    peer.waiting = deque()
                peer.waiting.append(packet)
                return self.session.enter(packet.size)
            self.hub.packet_size = packet.size
            return peer._on_event(<list> packet.data, packet.id)
        if packet.type == SIO_ACK:
            return peer._on_ack(<list> packet.data, packet.id)
        if packet.type == SIO_DISCONNECT:
            return peer.close("client disconnect")
        raise ProtocolError("CONNECT_ERROR from a client")

    @property
    def peers(self):
        """The client in each namespace that it is in, a list of `Peer`."""
        cdef list peers = list(self.others.values()) if self.others else []
        if self.main is not None:
            peers.insert(0, self.main)
        return peers

    cdef Peer _peer(self, str namespace):
        cdef PyObject *found
        if namespace == "/":
            return self.main
        if self.others is None:
            return None
        found = PyDict_GetItemWithError(self.others, namespace)
        return None if found is NULL else <Peer> found

    cdef int _join(self, str name, object auth) except -1:
        if self.hub.resolve is not None and name != "/":
            return self._resolve(name, auth)
        return self._enter(self.hub._namespace(name), name, auth)

    cdef int _resolve(self, str name, object auth) except -1:
        """Somebody wants to be asked for namespaces that are not there."""
        cdef Hub hub = self.hub
        cdef Namespace ns = hub.namespaces.get(name)
        cdef list args = [name, auth]
        if ns is not None and ns.sockets is not None:
            return self._enter(ns, name, auth)
        try:
            if not hub.runner.call(
                hub.resolve, PySequence_Fast_ITEMS(args), 2,
                copied(self.session.context),
            ):
                hub.runner.suspended.outcome = _Resolved.new(self, name, auth)
                hub.runner.suspended = None
                return 0
        except BaseException as exc:
            log_failure(hub.logger, exc, "namespace %.80r was not found", (name,))
            return self._enter(None, name, auth)
        ns, hub.runner.value = hub.runner.value, None
        return self._enter(hub._namespace(name) if ns is None else ns, name, auth)

    cdef int _enter(self, Namespace ns, str name, object auth) except -1:
        cdef Engine engine = self.session.engine
        cdef Peer peer
        if ns is None:
            engine.tell_refusal(
                "namespace", self.session.environ.get("REMOTE_ADDR"),
                f"there is no namespace {name!r:.80}: register a handler for it, or "
                "name it in namespaces=",
            )
            return self._send_error(name, {"message": "Invalid namespace"})
        if 0 <= engine.max_namespaces <= (
            (self.main is not None) + len(self.others or ())
        ):
            engine.counters["refused_namespaces"] += 1
            engine.tell_refusal(
                "namespaces", self.session.environ.get("REMOTE_ADDR"),
                f"a connection asks for more than {engine.max_namespaces} namespaces: "
                "limits=Limits(namespaces_per_connection=…)",
            )
            self.hub._end(ns)  # it may have been made for this
            return self._send_error(name, {"message": "Too many namespaces"})
        peer = Peer.__new__(Peer)
        peer.client = self
        peer.namespace = ns
        if self.hub.registry is None:
            auth = peer._name(auth)
        if ns.name == "/":
            self.main = peer
        else:
            if self.others is None:
                self.others = {}
            self.others[ns.name] = peer
        if self.hub.registry is not None:
            return peer._register(auth)
        return peer._start(auth)

    cdef int _send_error(self, str namespace, dict error) except -1:
        """CONNECT_ERROR, in revision 3 ERROR, which has only data, or a message."""
        cdef object data = error
        if self.session.dialect & REVISION_3:
            data = error.get("data") or error["message"]
        self.session.send(self.hub.encode(SIO_CONNECT_ERROR, namespace, data, -1))
        return 0

    cdef int _forget(self, Peer peer) except -1:
        if self.main is peer:
            self.main = None
        elif self.others is not None and self.others.get(peer.namespace.name) is peer:
            del self.others[peer.namespace.name]
        return 0

    cdef int on_close(self, str reason) except -1:
        cdef Peer peer
        self._end_connect_deadline()
        if self.incomplete is not None:
            self._whole(self.incomplete)
        self.stalled = None
        if self.progress_deadline is not None:
            self.progress_deadline.cancel()
            self.progress_deadline = None
        for peer in self.peers:
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
        for peer in self.peers:
            if peer.socket is not None and peer.state == CONNECTED:
                peer.fire("slow", size)
        return 0

    cdef Py_ssize_t awaited(self) except -1:
        return self.outstanding

    cdef int _end_connect_deadline(self) except -1:
        if self.connect_deadline is not None:
            self.connect_deadline.cancel()
            self.connect_deadline = None
        if self.session.pending:
            self.session.pending = False
            self.session.engine.limits.pending -= 1
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        if kind == PROGRESS:
            return self._look_for_progress()
        self.connect_deadline = None
        self.session.engine.logger.info(
            "session %s joined no namespace in %g s (connect_timeout)",
            escaped(self.session.id), self.hub.connect_timeout,
        )
        return self.session.close("server disconnect")

    cdef int _look_for_progress(self) except -1:
        """A client that began a packet, and sends no more of it, is closed."""
        cdef Packet packet = self.incomplete
        cdef Session session = self.session
        cdef Engine engine = session.engine
        self.progress_deadline = None
        if packet is None:
            self.stalled = None
            return 0
        if packet is not self.stalled or packet.missing != self.stalled_at:
            return self._await_rest(packet)
        engine.counters["incomplete_packets"] += 1
        return session.on_error(LimitError(
            f"{packet.missing} of the attachments of a packet have not come in "
            f"{self._progress_time():g} s", code=1008,
        ))


cdef int _read_query(Packet packet) except -1:
    """CONNECT of revision 3: a query behind the namespace is what later is `auth`."""
    name, _, query = packet.namespace.partition("?")
    packet.namespace = name
    try:
        packet.data = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=100))
    except ValueError as exc:
        raise PacketError(f"query of CONNECT: {exc}") from None
    return 0


@cython.final
cdef class Peer:
    """One client in one namespace."""

    cdef int send(self, Outgoing m) except -1:
        cdef Session session = self.client.session
        if m.volatile and not self._writable():
            return session.dropped(m)
        if self.state == CONNECTED or self.announced:
            session.pass_on(m)
        elif self.state == CONNECTING:
            if self.queued is None:
                self.queued = []
            self.queued.append(m)
            session.reserve(m.size())
        return 0

    cdef bint _writable(self) except -1:
        """Whether what is sent now leaves at once."""
        cdef Session session = self.client.session
        return (
            self.state == CONNECTED
            and session.state == OPEN
            and session.transport.writable()
            and not (session.engine.drops_volatile and session.above())
        )

    cdef list _take_queued(self):
        """What was sent while CONNECTING, to be sent or dropped now."""
        cdef list queued = self.queued
        cdef Outgoing m
        self.queued = None
        for m in queued or ():
            self.client.session.reserve(-m.size())
        return queued

    # Connect.

    cdef object _name(self, object auth):
        """Give it its sid and its place in the table; returns what the client sent,
        without what was for recovery."""
        cdef Namespace ns = self.namespace
        cdef Session session = self.client.session
        if session.dialect & REVISION_3:
            # The client makes the same one; it is not recovered.
            self.sid = session.id
            if ns.name != "/":
                self.sid = ns.name + "#" + self.sid
        elif ns.recovery is None:
            self.sid = session.engine.new_id()
        else:
            return ns.recovery.restore_session(self, auth)
        ns.peers[self.sid] = self
        return auth

    # With a registry (Hub.registry): it is asked to register a client, to complete that
    # when the connect handler has accepted, and to unregister it. It calls name(),
    # accept() and Rooms.leave() to have that done here.

    cdef int _register(self, object auth) except -1:
        cdef Hub hub = self.namespace.hub
        cdef list args = [self]
        self.auth = auth
        self.namespace.joining += 1
        try:
            if not hub.runner.call(
                hub.registry.register, PySequence_Fast_ITEMS(args), 1,
                copied(self.client.session.context),
            ):
                hub.runner.suspended.outcome = _Registered.new(self)
                hub.runner.suspended = None
                return 0
        except BaseException as exc:
            return self._not_registered(exc)
        value, hub.runner.value = hub.runner.value, None
        return self._registered(value)

    def name(self, sid=None):
        """Register this client by a sid, by default by one that is made for it, and
        return that. For a registry."""
        cdef Namespace ns = self.namespace
        if self.sid is not None:
            if sid is None or sid == self.sid:
                return self.sid
            raise ValueError(f"this client is {self.sid!r} already, not {sid!r:.80}")
        if self.state != CONNECTING:
            raise ValueError("this client has gone")
        if sid is None:
            self.auth = self._name(self.auth)
            return self.sid
        if not isinstance(sid, str) or not sid:
            raise TypeError(f"sid {sid!r:.80}: a str that is not empty expected")
        if sid in ns.peers:
            raise ValueError(f"sid {sid!r:.80} is that of another client")
        self.sid = sid
        ns.peers[sid] = self
        return sid

    cdef int _registered(self, object value) except -1:
        """The registry has ended: `value` is the sid; None refuses the client."""
        self.namespace.joining -= 1
        if self.reason is not None:
            return self._closed()  # it has gone meanwhile
        if value is None:
            self.client._send_error(
                self.namespace.name, {"message": "Unable to connect"}
            )
            return self._closed()
        if value != self.sid:
            self.namespace.joining += 1
            return self._not_registered(RuntimeError(
                f"sid {value!r:.80} was returned, but {self.sid!r} has been registered"
            ))
        return self._start(self.auth)

    cdef int _not_registered(self, object error) except -1:
        self.namespace.joining -= 1
        self.namespace.hub.failed(
            error, "the client manager's pre_connect() failed in %s",
            (escaped(self.namespace.name),),
        )
        if self.reason is None:
            self._refuse(ConnectionRefusedError().error_args)
        return self._closed()

    cdef int _complete(self) except -1:
        cdef Hub hub = self.namespace.hub
        cdef list args = [self]
        self.completing = True
        try:
            if not hub.runner.call(
                hub.registry.complete, PySequence_Fast_ITEMS(args), 1,
                copied(self.client.session.context),
            ):
                hub.runner.suspended.outcome = _Completed.new(self)
                hub.runner.suspended = None
                return 0
            hub.runner.value = None
        except BaseException as exc:
            return self._completed(exc)
        return self._completed(None)

    def accept(self):
        """The client is connected from now on, and told. For a registry, while it
        completes the connection; else nothing happens."""
        cdef Hub hub = self.namespace.hub
        if not self.completing:
            return
        self.completing = False
        if hub.always_connect and not (
            self.namespace.defer_connect or self.accepted
        ):
            # Its events wait until the handler has ended.
            self.announced = self.busy = True
            self._welcome()
        else:
            self._accept()

    cdef int _completed(self, object error) except -1:
        cdef Hub hub = self.namespace.hub
        cdef bint skipped = self.completing
        self.completing = False
        if error is None and skipped and self.reason is None:
            error = RuntimeError(
                "it has not called that of its base class, which connects the client"
            )
        if error is not None:
            hub.failed(
                error, "the client manager's connect() failed for %s in %s",
                (escaped(self.sid), escaped(self.namespace.name)),
            )
        if not skipped:
            # It has been accepted, or with always_connect its handler is next.
            return self._start_handler() if self.announced else 0
        if not self.accepted:
            return self._refused(ConnectionRefusedError())
        # The connect handler has accepted: the disconnect handler is to run.
        if self.reason is None:
            self.reason = "server disconnect"
        return self._accept()

    cdef int _start(self, object auth) except -1:
        cdef Runner runner = self.namespace.hub.runner
        cdef object sockets = self.namespace.sockets
        cdef list args
        self.auth = auth or None
        self.context = self.client.session.context
        if sockets is None:
            return self._start_handler()
        sockets._new_socket(self)
        if not sockets._middlewares or (
            self.recovered and self.namespace.recovery.skip_middlewares
        ):
            return self._start_handler()
        args = [self.socket]
        try:
            if not runner.call(
                sockets._run_middlewares, PySequence_Fast_ITEMS(args), 1,
                self._own_context(),
            ):
                runner.suspended.outcome = _Admitted.new(self)
                runner.suspended = None
                return 0
            runner.value = None
        except BaseException as exc:
            return self._refused(exc)
        return self._start_handler()

    cdef object _own_context(self):
        """What runs while it connects runs in this, not in copies."""
        cdef object handshake = self.client.session.context
        if self.context is handshake:
            self.context = self.namespace.hub.runner.fork(handshake)
        return self.context

    cdef int _keep_context(self) except -1:
        """What was set while it connected stays set, if anything was."""
        cdef object handshake = self.client.session.context
        if self.context is not handshake:
            self.context = self.namespace.hub.runner.kept(self.context, handshake)
        return 0

    def attach(self, Listeners socket not None):
        """Tell this one what happens, from now on."""
        self.socket = socket

    def watch(self, bint watched):
        """Whether its socket is told what is sent to it."""
        if watched and self.state != DISCONNECTED:
            if self.namespace.watched is None:
                self.namespace.watched = {}
            self.namespace.watched[self] = None
        elif self.namespace.watched is not None:
            self.namespace.watched.pop(self, None)
            if not self.namespace.watched:
                self.namespace.watched = None

    cdef int _start_handler(self) except -1:
        cdef Hub hub = self.namespace.hub
        cdef Runner runner = hub.runner
        cdef list args = [self.sid, None, self.auth]
        cdef object handler = self.namespace._find("connect", args)
        if self.reason is not None:
            # It went, or was disconnected, while middlewares ran.
            return self._refused(ConnectionRefusedError())
        if handler is None:
            return self._started(None)
        args[len(args) - 2] = self.client.session.environ
        if hub.always_connect and not (
            self.namespace.defer_connect or self.announced
        ):
            if hub.registry is not None:
                return self._complete()
            # Its events wait until the handler has ended.
            self.announced = self.busy = True
            self._welcome()
        try:
            if not runner.call(
                handler, PySequence_Fast_ITEMS(args), len(args), self._own_context()
            ):
                runner.suspended.outcome = _Connect.new(self)
                runner.suspended = None
                return 0
        except BaseException as exc:
            return self._refused(exc)
        value, runner.value = runner.value, None
        return self._started(value)

    cdef int _started(self, object value) except -1:
        """The connect handler has ended: accept unless it returned False."""
        if value is False:
            return self._refused(ConnectionRefusedError())
        self._keep_context()
        if self.namespace.hub.registry is not None and not self.announced and (
            self.reason is None
        ):
            self.accepted = True
            return self._complete()
        return self._accept()

    cdef int _accept(self) except -1:
        cdef Session session = self.client.session
        cdef Observer observer = self.namespace.hub.observer
        cdef list queued = self._take_queued()
        self.state = CONNECTED
        if self.reason is not None:
            # It went, or was disconnected, meanwhile. It was accepted, so the handlers
            # pair up; the client, if there, is refused unless it knows already.
            if not self.announced:
                self._refuse(ConnectionRefusedError().error_args)
            self.announced = False
            return self.close(self.reason)
        self.namespace.rooms.added(self)
        if not self.announced:
            self._welcome()
        for m in queued or ():
            session.pass_on(m)
        if observer is not None:
            observer.peer_connected(self)
        if self.socket is not None and self.namespace.sockets is not None:
            self._tell_connected()
            if self.namespace.hub.holds_events:
                self.announced = False
        if self.announced:
            self.announced = False
            return self._next()
        return 0

    cdef int _tell_connected(self) except -1:
        """Run what listens to new clients of the namespace."""
        cdef list args = [self.socket]
        cdef _Told told = _Told.new(self, "connection")
        told.context = self._own_context()
        told.shares = True
        if self.namespace.hub.holds_events:
            self.busy = told.holds = True
        # The namespace may end with this client, while they run.
        cdef Listeners sockets = self.namespace.sockets
        for event in ("connect", "connection"):
            functions = sockets.take(event)
            for function in functions or ():
                told.call(
                    self.namespace.hub.runner, function, PySequence_Fast_ITEMS(args), 1
                )
        return told.all_called()

    cdef int _welcome(self) except -1:
        cdef Session session = self.client.session
        cdef ConnectionState recovery = self.recovery
        cdef dict data = {"sid": self.sid}
        self.client._end_connect_deadline()
        if recovery is not None:
            data["pid"] = recovery.pid
            # Before CONNECT, as the reference implementation does: the client has had
            # all when its own `connect` comes.
            for m in recovery.missed or ():
                session.send(m)
            recovery.missed = None
        session.send(self.namespace.hub.encode(
            SIO_CONNECT, self.namespace.name,
            None if session.dialect & REVISION_3 else data, -1,
        ))
        # A client may listen for events only once it is connected.
        return session.part()

    cdef int _refused(self, object error) except -1:
        cdef dict answer
        if isinstance(error, ConnectionRefusedError):
            answer = error.error_args
        elif isinstance(error, builtins.ConnectionRefusedError):
            answer = {"message": "Connection refused by server"}
        else:
            _log_failure(self, "connect", error)
            answer = ConnectionRefusedError().error_args
        self._refuse(answer)
        return self._closed()

    cdef int _refuse(self, dict answer) except -1:
        if self.announced:
            if self.namespace.hub.registry is not None:
                self._tell_leaving()
            # It is connected, and there is no reason in a DISCONNECT (clients of the
            # reference implementation take one for an error).
            if self.reason is None:
                self._dismiss()
            self.announced = False
            return 0
        try:
            self.client._send_error(self.namespace.name, answer)
        except BaseException as exc:
            self.namespace.hub.failed(exc, "data of a refusal cannot be encoded", ())
            self.client._send_error(
                self.namespace.name, {"message": answer["message"]}
            )
        return 0

    # Events.

    cdef int _on_event(self, list data, int64_t id) except -1:
        cdef Hub hub = self.namespace.hub
        cdef object event = data[0], handler
        cdef Observer observer
        if hub.verbose:
            hub.logger.info(
                'received event "%s" from %s [%s]',
                escaped(event), escaped(self.sid), escaped(self.namespace.name),
            )
        if hub.observer is not None and hub.observer.events:
            observer = hub.observer
            observer.event_received(self, data)
        data[0] = self.sid
        if self.socket is not None:
            return self._on_socket_event(event, data, id)
        handler = self.namespace._find(event, data)
        if handler is None:
            return self._not_handled(id)
        return self._run(
            handler, PySequence_Fast_ITEMS(data), PyList_GET_SIZE(data), event, id
        )

    cdef int _run(
        self, object handler, PyObject **args, size_t n, object event, int64_t id
    ) except -1:
        """Run the one function that handles an event."""
        cdef Hub hub = self.namespace.hub
        cdef Runner runner = hub.runner
        try:
            if not runner.call(handler, args, n, copied(self.context)):
                runner.suspended.outcome = _Event.new(self, event, id, hub.ordered)
                runner.suspended = None
                self.busy = hub.ordered
                return 0
        except BaseException as exc:
            return self._failed(event, exc, id)
        value, runner.value = runner.value, None
        if id >= 0:
            self._send_ack(value, id)
        return 0

    cdef int _on_socket_event(self, object event, list data, int64_t id) except -1:
        """An event of a client that has a socket: who listens to all of them hears it
        first; event_middlewares may keep it from handlers and listeners."""
        cdef Runner runner = self.namespace.hub.runner
        cdef Listeners socket = self.socket
        cdef PyObject **args = PySequence_Fast_ITEMS(data)
        cdef size_t n = PyList_GET_SIZE(data)
        cdef _Told told
        if socket.any_in is not None:
            data[0] = event
            told = _Told.new(self, event)
            told.call_all(runner, socket.any_in, args, n)
            if told.left:
                told.pending = Pending.new(self)
            data[0] = self.sid
        if socket.event_middlewares is not None:
            data[0] = event
            try:
                if not runner.call(
                    (<object> socket)._run_event_middlewares, args, n,
                    copied(self.context),
                ):
                    runner.suspended.outcome = _EventMiddlewares.new(
                        self, event, data, id
                    )
                    runner.suspended = None
                    self.busy = self.namespace.hub.ordered
                    return 0
                runner.value = None
            except BaseException as exc:
                return self._stopped(event, exc)
            data[0] = self.sid
        return self._listen(event, data, id)

    cdef int _listen(self, object event, list data, int64_t id) except -1:
        """Run the handler of an event, and what listens to it."""
        cdef Runner runner = self.namespace.hub.runner
        cdef tuple functions = None
        cdef Py_ssize_t own = PyList_GET_SIZE(data) - 1  # what the client sent
        cdef object handler
        cdef PyObject **args
        cdef Py_ssize_t n
        cdef _Answers answers
        if self.state != CONNECTED and not self.announced:
            return 0  # it went while event_middlewares ran
        if self.socket is not None:
            functions = self.socket.take(event)
        handler = self.namespace._find(event, data)
        args = PySequence_Fast_ITEMS(data)
        n = PyList_GET_SIZE(data)
        if functions is None:
            if handler is None:
                return self._not_handled(id)
            return self._run(handler, args, n, event, id)
        if handler is None and len(functions) == 1:
            return self._run(functions[0], args + (n - own), own, event, id)
        answers = _Answers.new(self, event, id)
        if handler is not None:
            answers.call(runner, handler, args, n)
        answers.call_all(runner, functions, args + (n - own), own)
        if answers.left:
            self.busy = answers.next = self.namespace.hub.ordered
            answers.pending = Pending.new(self)
        return 0

    cdef int _stopped(self, object event, object error) except -1:
        """A guard has kept an event from those who listen to it."""
        cdef Hub hub = self.namespace.hub
        if not isinstance(error, Exception):
            return _log_failure(self, event, error)
        self.client.session.engine.counters["refused_events"] += 1
        if not self.fire("error", error):
            hub.logger.warning(
                "event %.80r of %s in %s was refused: %r",
                event, escaped(self.sid), escaped(self.namespace.name), error,
            )
        return 0

    cdef int tell_outgoing(self, list data) except -1:
        """Call what listens to all that is sent to this client."""
        if self.socket is None or self.socket.any_out is None:
            return 0
        if self.state > CONNECTED:
            return 0  # nothing is sent any more
        return _Told.new(self, data[0]).call_all(
            self.namespace.hub.runner, self.socket.any_out,
            PySequence_Fast_ITEMS(data), PyList_GET_SIZE(data),
        )

    cdef bint fire(self, object event, object arg) except -1:
        """Call what listens to an event of the socket's own, if anything does."""
        cdef tuple functions = self.socket.take(event)
        cdef list args = [arg]
        if functions is None:
            return False
        _Told.new(self, event).call_all(
            self.namespace.hub.runner, functions, PySequence_Fast_ITEMS(args), 1
        )
        return True

    cdef int _failed(self, object event, object error, int64_t id) except -1:
        """The handler of an event has raised this."""
        cdef Hub hub = self.namespace.hub
        cdef dict answer
        if not isinstance(error, InvalidPayloadError):
            _log_failure(self, event, error)
            return self._send_error("The handler of this event failed", id)
        hub.engine.counters["invalid_payloads"] += 1
        hub.logger.info(
            "event %.80r of %s in %s: %s", event, escaped(self.sid),
            escaped(self.namespace.name), escaped(error),
        )
        if self.socket is not None and event != "error":
            self.fire("error", error)
        answer = {"message": error.message, "details": error.details}
        if id >= 0:
            return self._send_ack({"error": answer}, id)
        if self.state != CONNECTED:
            return 0
        try:
            self.client.session.send(hub.encode(
                SIO_EVENT, self.namespace.name, ["error", {"event": event, **answer}],
                -1,
            ))
        except BaseException as exc:
            hub.failed(exc, "details for %s cannot be encoded", (escaped(self.sid),))
        return 0

    cdef int _next(self) except -1:
        """The next handler may start (`ordered`)."""
        cdef Packet packet
        self.busy = False
        while self.waiting and not self.busy and self.state == CONNECTED:
            packet = self.waiting.popleft()
            self.client.session.leave(packet.size)
            self.client.hub.packet_size = packet.size
            try:
                self._on_event(<list> packet.data, packet.id)
            except BaseException as exc:
                # As when it is read: the client is closed.
                self.client.session.on_error(exc)
        return 0

    cdef int _not_handled(self, int64_t id) except -1:
        return self._send_error("No handler for this event", id)

    cdef int _send_error(self, str message, int64_t id) except -1:
        """An acknowledgement that nobody returned; the reason is not for the client."""
        if id >= 0 and self.namespace.hub.error_acks:
            self._send_ack({"error": message}, id)
        return 0

    cdef int _send_ack(self, object value, int64_t id) except -1:
        """What a handler returns: None is nothing, a tuple several arguments."""
        if value is self.namespace.hub.not_handled:
            return 0
        if value is None:
            value = []
        elif isinstance(value, tuple):
            value = list(<tuple> value)
        else:
            value = [value]
        if self.state != CONNECTED:
            return 0
        try:
            self.client.session.send(
                self.namespace.hub.encode(SIO_ACK, self.namespace.name, value, id)
            )
        except BaseException as exc:
            self.namespace.hub.failed(
                exc, "acknowledgement %d for %s could not be sent",
                (id, escaped(self.sid)),
            )
        return 0

    # Acknowledgements that the server asked for.

    cdef int64_t new_ack(self, object callback) except -1:
        cdef int64_t id = self.next_ack
        self.next_ack += 1
        if self.acks is None:
            self.acks = {}
        self.acks[id] = callback
        self.client.outstanding += 1
        if isinstance(callback, Reply):
            (<Reply> callback).id = id
        if PyDict_Size(self.acks) > self.namespace.hub.max_pending_acks:
            self._give_up_ack()
        self.client.session.expect()
        return id

    cdef object _take_ack(self, int64_t id):
        """What waits for an acknowledgement, which it does no longer; or None."""
        cdef object callback = None
        if self.acks is not None:
            callback = self.acks.pop(id, None)
            if callback is not None:
                self.client.outstanding -= 1
        return callback

    cdef int _give_up_ack(self) except -1:
        """The oldest acknowledgement is not waited for any more: there are too many."""
        cdef Hub hub = self.namespace.hub
        cdef object callback = None
        while callback is None:
            callback = self._take_ack(self.first_ack)
            self.first_ack += 1
        hub.engine.counters["abandoned_acks"] += 1
        if not self.gave_up:
            self.gave_up = True
            hub.logger.warning(
                "%s in %s does not acknowledge what it is sent: more than "
                "max_pending_acks=%d are waited for, the oldest are given up",
                self.sid, self.namespace.name, hub.max_pending_acks,
            )
        if isinstance(callback, AckCollector):
            (<AckCollector> callback).collector.gone(self.sid)
        elif isinstance(callback, Reply):
            (<Reply> callback).fail(TimeoutError(
                f"{self.sid} has not acknowledged, and the server waits for more than "
                f"max_pending_acks={hub.max_pending_acks} acknowledgements of it"
            ))
        return 0

    def check_ask(self):
        """Raise RuntimeError if what would wait for an acknowledgement of this client
        is its own connect handler, or a middleware: the client answers nothing before
        it is told that it is connected, which that holds back."""
        if self.state == CONNECTING and not self.announced and (
            handles_in(self.context)
        ):
            raise RuntimeError(
                f"{self.sid} cannot acknowledge anything before its connect handler, "
                "which waits for that here, has ended: make the server with "
                "always_connect=True, or ask in a background task"
            )

    def ask(self, collector):
        """The number of an acknowledgement for a collector, see `Rooms.ask()`."""
        cdef AckCollector asked = AckCollector.__new__(AckCollector)
        asked.collector = collector
        return self.new_ack(asked)

    def forget_ack(self, int64_t id):
        """The acknowledgement with this number is not wanted any more."""
        self._take_ack(id)

    def cancel_ack(self, Reply reply not None):
        """The acknowledgement that this waits for is not wanted any more."""
        if self.acks is not None and self.acks.get(reply.id) is reply:
            self._take_ack(reply.id)

    cdef int _on_ack(self, list data, int64_t id) except -1:
        cdef Hub hub = self.namespace.hub
        cdef Runner runner = hub.runner
        cdef object callback
        if hub.verbose:
            hub.logger.info(
                "received ack from %s [%s]",
                escaped(self.sid), escaped(self.namespace.name),
            )
        callback = self._take_ack(id)
        if callback is None:
            hub.logger.debug(
                "unknown acknowledgement %d from %s", id, escaped(self.sid)
            )
            return 0
        if isinstance(callback, AckCollector):
            (<AckCollector> callback).collector.answered(self.sid, data)
            return 0
        if isinstance(callback, Reply):
            (<Reply> callback).answer(data)
            return 0
        try:
            if not runner.call(
                callback, PySequence_Fast_ITEMS(data), PyList_GET_SIZE(data),
                copied(self.context),
            ):
                runner.suspended.outcome = _Event.new(
                    self, "acknowledgement", -1, False
                )
                runner.suspended = None
            runner.value = None
        except BaseException as exc:
            _log_failure(self, "acknowledgement", exc)
        return 0

    # Disconnect.

    def disconnect(self):
        """The server ends it: tell the client, then run the disconnect handler.

        A client whose connect handler still runs is told when that has ended. Returns
        the Task of the disconnect handler if that has suspended.
        """
        if self.state == CONNECTED or self.announced and self.reason is None:
            self._dismiss()
        self.close("server disconnect")
        return self.ending

    cdef int _dismiss(self) except -1:
        self.client.session.send(self.namespace.hub.encode(
            SIO_DISCONNECT, self.namespace.name, None, -1
        ))
        return 0

    cdef int close(self, str reason) except -1:
        cdef Hub hub = self.namespace.hub
        cdef Runner runner = hub.runner
        cdef object handler
        cdef list args = [self.sid, reason]
        cdef Observer observer = hub.observer
        cdef bint told = self.reason is None  # of peer_connected()
        if told:
            self.reason = reason
        if self.state != CONNECTED:
            # While CONNECTING: _started() or _refused() will find the reason.
            return 0
        self.state = DISCONNECTING
        self.client._forget(self)
        if hub.registry is not None:
            self._tell_leaving()
        if told and observer is not None:
            observer.peer_disconnected(self, reason)
        if self.socket is not None:
            return self._close_socket(args)
        handler = self.namespace._find("disconnect", args)
        if handler is not None:
            try:
                if not runner.call(
                    handler, PySequence_Fast_ITEMS(args), len(args),
                    copied(self.context),
                ):
                    runner.suspended.outcome = _Disconnect.new(self)
                    self.ending = runner.suspended.task
                    runner.suspended = None
                    return 0
                runner.value = None
            except BaseException as exc:
                _log_failure(self, "disconnect", exc)
        return self._closed()

    cdef int _close_socket(self, list args) except -1:
        """Run what listens to the end while it is in its rooms, and the handler."""
        cdef Runner runner = self.namespace.hub.runner
        cdef tuple functions = self.socket.take("disconnecting")
        cdef _Leaving leaving = _Leaving.new(self)
        cdef object handler
        for function in functions or ():
            leaving.call(runner, function, PySequence_Fast_ITEMS(args) + 1, 1)
        handler = self.namespace._find("disconnect", args)
        if handler is not None:
            leaving.call(runner, handler, PySequence_Fast_ITEMS(args), len(args))
        if leaving.left > 1:
            self.ending = runner.loop.create_future()
        return leaving.all_called()

    cdef int _tell_leaving(self) except -1:
        cdef Hub hub = self.namespace.hub
        try:
            hub.registry.begin_to_leave(self)
        except BaseException as exc:
            hub.failed(
                exc, "the client manager's pre_disconnect() failed for %s in %s",
                (escaped(self.sid), escaped(self.namespace.name)),
            )
        return 0

    cdef int _unregister(self) except -1:
        """Ask the registry; _closed() follows, whatever comes of that."""
        cdef Hub hub = self.namespace.hub
        cdef Namespace ns = self.namespace
        cdef list args = [self]
        self.leaving = True
        self.client._forget(self)
        if ns.leaving is None:
            ns.leaving = {}
        ns.leaving[self.sid] = self
        try:
            if not hub.runner.call(
                hub.registry.unregister, PySequence_Fast_ITEMS(args), 1,
                copied(self.client.session.context),
            ):
                hub.runner.suspended.outcome = _Unregistered.new(self)
                hub.runner.suspended = None
                if self.ending is None:
                    self.ending = hub.runner.loop.create_future()
                return 0
            hub.runner.value = None
        except BaseException as exc:
            return self._unregistered(exc)
        return self._unregistered(None)

    cdef int _unregistered(self, object error) except -1:
        cdef Namespace ns = self.namespace
        cdef object ending = self.ending
        if error is not None:
            ns.hub.failed(
                error, "the client manager's disconnect() failed for %s in %s",
                (escaped(self.sid), escaped(ns.name)),
            )
        if ns.leaving is not None and ns.leaving.get(self.sid) is self:
            del ns.leaving[self.sid]
            if not ns.leaving:
                ns.leaving = None
        self._closed()
        if isinstance(ending, _Future) and not isinstance(ending, asyncio.Task) and (
            not ending.done()
        ):
            ending.set_result(None)
        return 0

    cdef int _closed(self) except -1:
        """Out of every table; what waits for this client learns it."""
        cdef dict acks
        cdef Namespace ns = self.namespace
        if ns.hub.registry is not None and not self.leaving and self.sid is not None:
            return self._unregister()
        cdef bint was_connected = self.state == DISCONNECTING
        cdef Listeners socket = self.socket
        cdef object ending = self.ending
        self.state = DISCONNECTED
        self.client._forget(self)
        if ns.peers.get(self.sid) is self:
            # A client that has come back already, or one of revision 3, may have it.
            del ns.peers[self.sid]
        if self.recovery is not None:
            ns.recovery.forget_session(self)
            self.recovery = None
        if ns.rooms is not None:
            ns.rooms.remove(self, was_connected)
        self._take_queued()
        waiting, self.waiting = self.waiting, None
        for packet in waiting or ():
            self.client.session.leave((<Packet> packet).size)
        self.ending = None
        acks, self.acks = self.acks, None
        self.client.outstanding -= len(acks or ())
        for callback in (acks or {}).values():
            if isinstance(callback, AckCollector):
                (<AckCollector> callback).collector.gone(self.sid)
            elif isinstance(callback, Reply):
                (<Reply> callback).fail(CallDisconnectedError(
                    f"{self.sid} disconnected before it acknowledged: {self.reason}"
                ))
        if socket is not None:
            if was_connected:
                self.fire("disconnect", self.reason)
            if socket.any_out is not None:
                self.watch(False)
            # Each knows the other, and listeners may know both.
            self.socket = None
            socket.end()
            if isinstance(ending, _Future) and not ending.done():
                ending.set_result(None)
        self.context = None  # whose variables may know it
        ns.hub._end(ns)
        return 0

    @property
    def connected(self):
        """Whether the client is connected to the namespace, a bool."""
        return self.state == CONNECTED or self.announced and self.reason is None

    @property
    def reachable(self):
        """Whether what is sent reaches it, now or once it is accepted, a bool."""
        return self.state <= CONNECTED and self.reason is None

    @property
    def recovered(self):
        """Whether it goes on where an earlier connection was cut off, a bool."""
        return self.recovery is not None and self.recovery.recovered

    @property
    def session(self):
        """The Engine.IO session, a `Session`."""
        return self.client.session


cdef int _log_failure(Peer peer, object event, object error) except -1:
    log_failure(
        peer.namespace.hub.logger, error, "handler of %.80r {} for %s in %s",
        (event, escaped(peer.sid), escaped(peer.namespace.name)),
    )
    if (
        peer.socket is not None and event != "error"
        and not isinstance(error, asyncio.CancelledError)
    ):
        peer.fire("error", error)
    return 0


@cython.final
@cython.freelist(16)
cdef class Pending:
    """An event that is dispatched, while its handler is suspended: it counts."""
    cdef Session session
    cdef Py_ssize_t size

    @staticmethod
    cdef Pending new(Peer peer):
        cdef Pending self = Pending.__new__(Pending)
        self.session = peer.client.session
        self.size = peer.client.hub.packet_size
        self.session.enter(self.size)
        return self

    cdef int end(self) except -1:
        return self.session.leave(self.size)


@cython.final
cdef class Reply:
    """The acknowledgement of one client, as a callback that resolves a Future.

    Args:
        future: Gets the arguments of the acknowledgement, a list or tuple; or a
            `CallDisconnectedError`, if the client goes, or a `TimeoutError`, if it
            is not waited for any more.
    """

    def __cinit__(self, future not None):
        self.future = future
        self.id = -1

    def __call__(self, *args):
        self.answer(args)

    cdef int answer(self, object args) except -1:
        if not self.future.done():
            self.future.set_result(args)
        return 0

    cdef int fail(self, object error) except -1:
        if not self.future.done():
            self.future.set_exception(error)
        return 0

    def give_up(self, error):
        """It is not waited for any more, for this reason."""
        self.fail(error)


@cython.final
cdef class AckCollector:
    """One of several clients that were asked together."""


@cython.final
cdef class _Event(Outcome):
    """A suspended event handler."""
    cdef Peer peer
    cdef object event
    cdef int64_t id
    cdef bint next              # whether the client's next handler waits for it
    cdef Pending pending

    @staticmethod
    cdef _Event new(Peer peer, object event, int64_t id, bint next):
        cdef _Event self = _Event.__new__(_Event)
        self.peer = peer
        self.event = event
        self.id = id
        self.next = next
        self.pending = Pending.new(peer)
        return self

    cdef int returned(self, object value) except -1:
        if self.id >= 0:
            self.peer._send_ack(value, self.id)
        return self._ended()

    cdef int raised(self, object error) except -1:
        self.peer._failed(self.event, error, self.id)
        return self._ended()

    cdef int _ended(self) except -1:
        self.pending.end()
        return self.peer._next() if self.next else 0


@cython.final
cdef class _Connect(Outcome):
    """A suspended connect handler."""
    cdef Peer peer
    cdef Pending pending

    @staticmethod
    cdef _Connect new(Peer peer):
        cdef _Connect self = _Connect.__new__(_Connect)
        self.peer = peer
        self.pending = Pending.new(peer)
        return self

    cdef int returned(self, object value) except -1:
        self.pending.end()
        return self.peer._started(value)

    cdef int raised(self, object error) except -1:
        self.pending.end()
        return self.peer._refused(error)


@cython.final
cdef class _Disconnect(Outcome):
    """A suspended disconnect handler."""
    cdef Peer peer

    @staticmethod
    cdef _Disconnect new(Peer peer):
        cdef _Disconnect self = _Disconnect.__new__(_Disconnect)
        self.peer = peer
        return self

    cdef int returned(self, object value) except -1:
        return self.peer._closed()

    cdef int raised(self, object error) except -1:
        _log_failure(self.peer, "disconnect", error)
        return self.peer._closed()


@cython.final
cdef class _Registered(Outcome):
    """The registry has suspended, which registers a client."""
    cdef Peer peer
    cdef Pending pending

    @staticmethod
    cdef _Registered new(Peer peer):
        cdef _Registered self = _Registered.__new__(_Registered)
        self.peer = peer
        self.pending = Pending.new(peer)
        return self

    cdef int returned(self, object value) except -1:
        self.pending.end()
        self.peer.client.hub.packet_size = self.pending.size
        return self.peer._registered(value)

    cdef int raised(self, object error) except -1:
        self.pending.end()
        return self.peer._not_registered(error)


@cython.final
cdef class _Completed(Outcome):
    """The registry has suspended, which completes a connection."""
    cdef Peer peer
    cdef Pending pending

    @staticmethod
    cdef _Completed new(Peer peer):
        cdef _Completed self = _Completed.__new__(_Completed)
        self.peer = peer
        self.pending = Pending.new(peer)
        return self

    cdef int returned(self, object value) except -1:
        self.pending.end()
        self.peer.client.hub.packet_size = self.pending.size
        return self.peer._completed(None)

    cdef int raised(self, object error) except -1:
        self.pending.end()
        self.peer.client.hub.packet_size = self.pending.size
        return self.peer._completed(error)


@cython.final
cdef class _Unregistered(Outcome):
    """The registry has suspended, which unregisters a client."""
    cdef Peer peer

    @staticmethod
    cdef _Unregistered new(Peer peer):
        cdef _Unregistered self = _Unregistered.__new__(_Unregistered)
        self.peer = peer
        return self

    cdef int returned(self, object value) except -1:
        return self.peer._unregistered(None)

    cdef int raised(self, object error) except -1:
        return self.peer._unregistered(error)


@cython.final
cdef class _Resolved(Outcome):
    """Who is asked for a namespace has suspended."""
    cdef ConnectionHandler client
    cdef str name
    cdef object auth
    cdef Py_ssize_t size

    @staticmethod
    cdef _Resolved new(ConnectionHandler client, str name, object auth):
        cdef _Resolved self = _Resolved.__new__(_Resolved)
        self.client = client
        self.name = name
        self.auth = auth
        # It is in no namespace yet, whose number may be limited: it counts as an event.
        self.size = client.hub.packet_size
        client.session.enter(self.size)
        return self

    cdef int returned(self, object value) except -1:
        cdef ConnectionHandler client = self.client
        cdef Namespace ns = value
        client.session.leave(self.size)
        client.hub.packet_size = self.size
        if client.session.handler is None:
            # It has gone meanwhile.
            return 0 if ns is None else client.hub._end(ns)
        if client._peer(self.name) is not None:
            return 0  # asked twice, it is in already
        if ns is None:
            ns = client.hub._namespace(self.name)
        return client._enter(ns, self.name, self.auth)

    cdef int raised(self, object error) except -1:
        log_failure(
            self.client.hub.logger, error, "namespace %.80r was not found", (self.name,)
        )
        self.client.session.leave(self.size)
        self.client.hub.packet_size = self.size
        if self.client.session.handler is None:
            return 0
        return self.client._enter(None, self.name, self.auth)


@cython.final
cdef class _Admitted(Outcome):
    """Suspended middlewares of a namespace."""
    cdef Peer peer
    cdef Pending pending

    @staticmethod
    cdef _Admitted new(Peer peer):
        cdef _Admitted self = _Admitted.__new__(_Admitted)
        self.peer = peer
        self.pending = Pending.new(peer)
        return self

    cdef int returned(self, object value) except -1:
        self.pending.end()
        self.peer.client.hub.packet_size = self.pending.size
        return self.peer._start_handler()

    cdef int raised(self, object error) except -1:
        self.pending.end()
        return self.peer._refused(error)


@cython.final
cdef class _EventMiddlewares(Outcome):
    """Suspended event_middlewares of a socket."""
    cdef Peer peer
    cdef object event
    cdef list data
    cdef int64_t id
    cdef Pending pending

    @staticmethod
    cdef _EventMiddlewares new(Peer peer, object event, list data, int64_t id):
        cdef _EventMiddlewares self = _EventMiddlewares.__new__(_EventMiddlewares)
        self.peer = peer
        self.event = event
        self.data = data
        self.id = id
        self.pending = Pending.new(peer)
        return self

    cdef int returned(self, object value) except -1:
        self.peer.busy = False
        self.pending.end()
        self.peer.client.hub.packet_size = self.pending.size
        self.data[0] = self.peer.sid
        self.peer._listen(self.event, self.data, self.id)
        return self._next()

    cdef int raised(self, object error) except -1:
        self.peer._stopped(self.event, error)
        self.pending.end()
        self.peer.busy = False
        return self._next()

    cdef int _next(self) except -1:
        if self.peer.namespace.hub.ordered and not self.peer.busy:
            return self.peer._next()
        return 0


@cython.final
cdef class _Told(Group):
    """Functions that are told of something, and not asked."""
    cdef Peer peer
    cdef object event
    cdef bint holds             # the client's events, until they have ended
    cdef Pending pending        # of an event of the client; None: nothing has suspended

    @staticmethod
    cdef _Told new(Peer peer, object event):
        cdef _Told self = _Told.__new__(_Told)
        self.peer = peer
        self.context = peer.context
        self.event = event
        return self

    cdef int ended(self) except -1:
        if self.shares:
            self.peer._keep_context()
        if self.pending is not None:
            self.pending.end()
        return self.peer._next() if self.holds else 0

    cdef int failed(self, object error) except -1:
        return _log_failure(self.peer, self.event, error)


@cython.final
cdef class _Answers(Group):
    """The handler of an event, and what listens to it."""
    cdef Peer peer
    cdef object event
    cdef int64_t id
    cdef bint next              # whether the client's next event waits for it
    cdef bint errors
    cdef Pending pending        # None: nothing has suspended

    @staticmethod
    cdef _Answers new(Peer peer, object event, int64_t id):
        cdef _Answers self = _Answers.__new__(_Answers)
        self.peer = peer
        self.context = peer.context
        self.event = event
        self.id = id
        return self

    cdef int returned(self, Py_ssize_t place, object value) except -1:
        if value is self.peer.namespace.hub.not_handled:
            return 0
        return Group.returned(self, place, value)

    cdef int failed(self, object error) except -1:
        self.errors = True
        if not isinstance(error, InvalidPayloadError):
            return self.peer._failed(self.event, error, -1)
        self.peer._failed(self.event, error, self.id)
        self.id = -1  # that was the acknowledgement
        return 0

    cdef int ended(self) except -1:
        # As for one handler: what has failed acknowledges nothing.
        if self.id >= 0 and not (self.errors and self.value is None):
            self.peer._send_ack(self.value, self.id)
        elif self.errors:
            self.peer._send_error("The handler of this event failed", self.id)
        if self.pending is not None:
            self.pending.end()
        return self.peer._next() if self.next else 0


@cython.final
cdef class _Leaving(Group):
    """The disconnect handler, and what listens while a client leaves."""
    cdef Peer peer

    @staticmethod
    cdef _Leaving new(Peer peer):
        cdef _Leaving self = _Leaving.__new__(_Leaving)
        self.peer = peer
        self.context = peer.context
        return self

    cdef int failed(self, object error) except -1:
        return _log_failure(self.peer, "disconnect", error)

    cdef int ended(self) except -1:
        return self.peer._closed()
