"""One client in one namespace: how it connects and disconnects.

    CONNECTING ──► ANNOUNCED ──► CONNECTED ──► DISCONNECTING ──► DISCONNECTED
        │              └──► ABORTED_ANNOUNCED ─────┴──────────────────┘
        └─────────────────► ABORTED ───────────────┴──────────────────┘

Only always_connect has the ANNOUNCED states. A client is ABORTED when it leaves, is
disconnected or refused before it is CONNECTED; what still runs for it then ends it.

Rule 1: a peer's disconnect handler runs once if its connect handler accepted.
Rule 2: what is sent to a CONNECTING peer follows its CONNECT packet, or is dropped.
    With always_connect that packet is sent before the connect handler runs.
Rule 3: handlers of one client start in the order its packets came.
Rule 4: after a recovery two peers may share a sid for a while. The tables have the new
    peer; the old one still runs its disconnect handler.

With a registry (`Hub.registry`: a client manager that overrides how clients are
registered, see managers/registry.py) there are four more steps. The registry registers
a client before its connect handler runs, completes the connection when the handler has
accepted, hears that the client is about to leave, and unregisters it. It calls
`Peer.name()`, `Peer.accept()` and `Rooms.leave()`, which do the work.
"""
import asyncio
import builtins

import cython
from cpython.object cimport PyObject

from socketio_fast._core.engine.contexts cimport copied
from socketio_fast._core.engine.listeners cimport Listeners
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.engine.runner cimport Outcome, Runner
from socketio_fast._core.engine.contracts cimport REVISION_3, SessionBase as Session
from socketio_fast._core.protocol.sio cimport SIO_CONNECT, SIO_DISCONNECT, Packet
from socketio_fast._core.socketio.contracts cimport ConnectionState, NamespaceListener
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.peer_messaging cimport (
    ABORTED,
    ABORTED_ANNOUNCED,
    ANNOUNCED,
    CONNECTED,
    CONNECTING,
    DISCONNECTED,
    DISCONNECTING,
    PeerState,
)
from socketio_fast._core.socketio.outcomes cimport (
    STEP_ACK,
    STEP_COMPLETE,
    STEP_CONNECT,
    STEP_DISCONNECT,
    STEP_EVENT,
    STEP_EVENT_MIDDLEWARES,
    STEP_MIDDLEWARES,
    STEP_REGISTER,
    STEP_UNREGISTER,
    UNCOUNTED,
    DisconnectListeners,
    Step,
    Told,
    new_disconnect_listeners,
    new_step,
    new_told,
)

from socketio_fast.exceptions import ConnectionRefusedError
from socketio_fast.options.logs import escaped

cdef extern from "Python.h":
    PyObject **PySequence_Fast_ITEMS(object o)

# Also those of asyncio without C, which nest_asyncio has loops make.
cdef object _Future = (asyncio.Future, asyncio.futures._PyFuture)

cdef bint _may_follow(int state, int after) except -1:
    """Whether the second state may follow the first: all transitions, and who may make
    them."""
    if state == CONNECTING:
        return (
            after == ANNOUNCED      # _announce()
            or after == CONNECTED   # _accept()
            or after == ABORTED     # _abort(), for close() and _refuse()
        )
    if state == ANNOUNCED:
        return (
            after == CONNECTED              # _accept()
            or after == ABORTED_ANNOUNCED   # _abort(), for close() and _refuse()
        )
    if state == CONNECTED:
        return after == DISCONNECTING   # _leave(), for close()
    if state == ABORTED or state == ABORTED_ANNOUNCED:
        return (
            after == DISCONNECTING      # _leave(), for _accept(): its handler accepted
            or after == DISCONNECTED    # _closed(): it did not
        )
    return state == DISCONNECTING and after == DISCONNECTED  # _closed()


@cython.final
cdef class Peer(MessagingPeer):
    """One client in one namespace."""

    @property
    def connected(self):
        """Whether the client is connected to the namespace, a bool."""
        return self.state == CONNECTED or self.state == ANNOUNCED

    @property
    def reachable(self):
        """Whether what is sent reaches it, now or once it is accepted, a bool."""
        return self.state <= CONNECTED

    @property
    def recovered(self):
        """Whether it goes on where an earlier connection was cut off, a bool."""
        return self.recovery is not None and self.recovery.recovered

    cdef int _become(self, PeerState state) except -1:
        """Change the state. Nothing else changes it."""
        if not _may_follow(self.state, state):
            raise SystemError(f"state {int(state)} cannot follow {self.state}")
        self.state = state
        return self.track(state != CONNECTED or not self.session.untracked)

    cdef bint was_announced(self) except -1:
        """Whether it is not CONNECTED, and CONNECT has been sent: the client may send
        packets, although it is ABORTED meanwhile."""
        return self.state == ANNOUNCED or self.state == ABORTED_ANNOUNCED

    # The application's code has ended.

    cdef int step_returned(self, Outcome outcome, object value) except -1:
        cdef Step step = <Step> outcome
        if step.kind == STEP_EVENT:
            if step.id >= 0:
                self.send_ack(value, step.id)
            step.end()
            return self.start_next_event() if self.namespace.hub.ordered else 0
        if step.kind == STEP_EVENT_MIDDLEWARES:
            return self.middlewares_ended(step, None)
        step.end()
        if step.kind == STEP_CONNECT:
            return self._connect_returned(value, step.size)
        if step.kind == STEP_MIDDLEWARES:
            return self._run_connect_handler(step.size)
        if step.kind == STEP_DISCONNECT:
            return self.disconnect_handled()
        if step.kind == STEP_REGISTER:
            return self._registered(value, step.size)
        if step.kind == STEP_COMPLETE:
            return self._completed(None, step.size)
        if step.kind == STEP_UNREGISTER:
            return self._unregistered(None)
        return 0  # STEP_ACK

    cdef int step_raised(self, Outcome outcome, object error) except -1:
        cdef Step step = <Step> outcome
        if step.kind == STEP_EVENT:
            self.event_failed(step.event, error, step.id)
            step.end()
            return self.start_next_event() if self.namespace.hub.ordered else 0
        if step.kind == STEP_EVENT_MIDDLEWARES:
            return self.middlewares_ended(step, error)
        if step.kind == STEP_ACK:
            self.handler_failed(step.event, error)
            return step.end()
        step.end()
        if step.kind == STEP_CONNECT or step.kind == STEP_MIDDLEWARES:
            return self._refused(error)
        if step.kind == STEP_DISCONNECT:
            self.handler_failed("disconnect", error)
            return self.disconnect_handled()
        if step.kind == STEP_REGISTER:
            return self._not_registered(error)
        if step.kind == STEP_COMPLETE:
            return self._completed(error, step.size)
        return self._unregistered(error)  # STEP_UNREGISTER

    # Connecting.

    cdef object assign_sid(self, object auth):
        """Choose the sid, and enter the client in the namespace's table.

        Returns:
            `auth` without the members that recovery needs.
        """
        cdef Namespace ns = self.namespace
        cdef Session session = self.session
        if session.dialect & REVISION_3:
            # The client derives the same sid, and it is not recovered.
            self.sid = session.id
            if ns.name != "/":
                self.sid = ns.name + "#" + self.sid
        elif ns.recovery is None:
            self.sid = session.engine.new_id()
        else:
            return ns.recovery.restore_session(self, auth)
        ns.peers[self.sid] = self
        return auth

    cdef int register_client(self, object auth, Py_ssize_t size) except -1:
        """Ask the registry to register the client. `size` is that of its CONNECT
        packet, in bytes."""
        cdef Step step = new_step(self, STEP_REGISTER, size)
        self.auth = auth
        self.namespace.joining += 1
        if self.namespace.hub.runner.call_then(
            self.namespace.hub.registry.register, [self], copied(self.session.context),
            step,
        ) is not None:
            step.begin()
        return 0

    def name(self, sid=None):
        """Register this client. For a registry.

        Args:
            sid: Its sid, a str; None: one is made.

        Returns:
            The sid.

        Raises:
            TypeError: The sid is not a str, or empty.
            ValueError: The client has another sid or has gone, or another client has
                this sid.
        """
        cdef Namespace ns = self.namespace
        if self.sid is not None:
            if sid is None or sid == self.sid:
                return self.sid
            raise ValueError(f"this client is {self.sid!r} already, not {sid!r:.80}")
        if self.state == DISCONNECTED:
            raise ValueError("this client has gone")
        if sid is None:
            self.auth = self.assign_sid(self.auth)
            return self.sid
        if not isinstance(sid, str) or not sid:
            raise TypeError(f"sid {sid!r:.80}: a str that is not empty expected")
        if sid in ns.peers:
            raise ValueError(f"sid {sid!r:.80} is that of another client")
        self.sid = sid
        ns.peers[sid] = self
        return sid

    cdef int _registered(self, object sid, Py_ssize_t size) except -1:
        """The registry has registered the client; None: it refuses it."""
        self.namespace.joining -= 1
        if self.state == ABORTED:
            return self._closed()  # it has gone meanwhile
        if sid is None:
            self._refuse({"message": "Unable to connect"})
            return self._closed()
        if sid != self.sid:
            self.namespace.joining += 1
            return self._not_registered(RuntimeError(
                f"sid {sid!r:.80} was returned, but {self.sid!r} has been registered"
            ))
        return self.start(self.auth, size)

    cdef int _not_registered(self, object error) except -1:
        self.namespace.joining -= 1
        self.namespace.hub.failed(
            error, "the client manager's pre_connect() failed in %s",
            (escaped(self.namespace.name),),
        )
        if self.state == CONNECTING:
            self._refuse(ConnectionRefusedError().error_args)
        return self._closed()

    cdef int _complete(self, Py_ssize_t size) except -1:
        """Ask the registry to complete the connection."""
        cdef Step step = new_step(self, STEP_COMPLETE, size)
        self.completing = True
        if self.namespace.hub.runner.call_then(
            self.namespace.hub.registry.complete, [self], copied(self.session.context),
            step,
        ) is not None:
            step.begin()
        return 0

    def accept(self):
        """Connect the client: send it CONNECT. For a registry, while it completes the
        connection; nothing happens at other times."""
        if not self.completing:
            return
        self.completing = False
        if self.accepted:
            self._accept()
        elif self.state == CONNECTING:  # else it has gone meanwhile
            self._announce()

    cdef int _completed(self, object error, Py_ssize_t size) except -1:
        cdef Hub hub = self.namespace.hub
        cdef bint skipped = self.completing
        self.completing = False
        if error is None and skipped and self.state <= CONNECTED:
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
            return 0 if self.accepted else self._run_connect_handler(size)
        if not self.accepted:
            return self._refused(ConnectionRefusedError())
        # The connect handler has accepted: the disconnect handler is to run.
        self.close("server disconnect")
        return self._accept()

    cdef int start(self, object auth, Py_ssize_t size) except -1:
        """Run the namespace's middlewares, then the connect handler."""
        cdef NamespaceListener listener = self.namespace.listener
        cdef Step step
        self.auth = auth or None
        self.context = self.session.context
        self.trace_connect()
        if listener is None:
            return self._run_connect_handler(size)
        listener.client_connects(self)
        if listener.middlewares is None or (
            self.recovered and self.namespace.recovery.skip_middlewares
        ):
            return self._run_connect_handler(size)
        step = new_step(self, STEP_MIDDLEWARES, size)
        if self.namespace.hub.runner.call_then(
            listener.middlewares, [self.socket], self._own_context(), step
        ) is not None:
            step.begin()
        return 0

    cdef object _own_context(self):
        """The context in which all runs while the client connects, not in copies: what
        a middleware sets, the connect handler sees."""
        cdef object handshake = self.session.context
        if self.context is handshake:
            self.context = self.namespace.hub.runner.fork(handshake)
        return self.context

    cdef int keep_context(self) except -1:
        cdef object handshake = self.session.context
        if self.context is not handshake:
            self.context = self.namespace.hub.runner.kept(self.context, handshake)
        return 0

    cdef int _run_connect_handler(self, Py_ssize_t size) except -1:
        cdef Hub hub = self.namespace.hub
        cdef list args = [self.sid, None, self.auth]
        cdef object handler = self.namespace.find("connect", args)
        cdef Step step
        if self.state > CONNECTED:
            # It has gone, or was disconnected, while the middlewares ran.
            return self._refused(ConnectionRefusedError())
        if handler is None:
            return self._connect_returned(None, size)
        args[len(args) - 2] = self.session.environ
        if hub.always_connect and self.state == CONNECTING and (
            not self.namespace.defer_connect
        ):
            if hub.registry is not None:
                return self._complete(size)
            self._announce()
        step = new_step(self, STEP_CONNECT, size)
        if hub.runner.call_then(
            handler, args, self._own_context(), step
        ) is not None:
            step.begin()
        return 0

    cdef int _connect_returned(self, object value, Py_ssize_t size) except -1:
        """The connect handler has ended: accept the client unless it returned False."""
        if value is False:
            return self._refused(ConnectionRefusedError())
        self.keep_context()
        if self.namespace.hub.registry is not None and self.state == CONNECTING:
            self.accepted = True
            return self._complete(size)
        return self._accept()

    cdef int _announce(self) except -1:
        """Send CONNECT before the connect handler runs."""
        self._become(ANNOUNCED)
        self.busy = True  # its events wait until the handler has ended
        return self._send_connect()

    cdef int _accept(self) except -1:
        cdef Session session = self.session
        cdef bint announced = self.state == ANNOUNCED
        cdef list queued = self.take_queued()
        self.trace_connected(None)
        if self.state > CONNECTED:
            # The client has gone, or was disconnected, meanwhile. Its connect handler
            # accepted, so the disconnect handler must run.
            if self.state == ABORTED:
                self._refuse(ConnectionRefusedError().error_args)
            return self._leave()
        self._become(CONNECTED)
        self.namespace.rooms.added(self)
        if not announced:
            self._send_connect()
        for m in queued or ():
            session.pass_on(m)
        self.tell_connected()
        if self.socket is not None and self.namespace.listener is not None:
            self._fire_connection()
            if self.namespace.hub.holds_events:
                return 0
        return self.start_next_event() if announced else 0

    cdef int _fire_connection(self) except -1:
        """Call the listeners of the namespace's `connection` event."""
        cdef list args = [self.socket]
        cdef Told told = new_told(self, "connection")
        told.context = self._own_context()
        told.shares = True
        if self.namespace.hub.holds_events:
            self.busy = told.holds = True
        # The namespace may end with this client while they run.
        cdef Listeners events = self.namespace.listener.events
        for event in ("connect", "connection"):
            functions = events.take(event)
            for function in functions or ():
                told.call(
                    self.namespace.hub.runner, function, PySequence_Fast_ITEMS(args), 1
                )
        return told.all_called()

    cdef int _send_connect(self) except -1:
        cdef Session session = self.session
        cdef ConnectionState recovery = self.recovery
        cdef Hub hub = self.namespace.hub
        cdef str name = self.namespace.name
        cdef str pid = None
        self.client.end_connect_deadline()
        if recovery is not None:
            pid = recovery.pid
            # Before CONNECT, as the reference implementation does: the client has got
            # what it missed when its own `connect` event fires.
            for m in recovery.missed or ():
                session.send(m)
            recovery.missed = None
        if session.dialect & REVISION_3:
            session.send(hub.encode(SIO_CONNECT, name, None, -1))
        else:
            session.send(hub.connect_packet(name, self.sid, pid))
        # A client may add its listeners only when it is connected.
        return session.part()

    cdef int _refused(self, object error) except -1:
        cdef dict answer
        if isinstance(error, ConnectionRefusedError):
            answer = error.error_args
        elif isinstance(error, builtins.ConnectionRefusedError):
            answer = {"message": "Connection refused by server"}
        else:
            self.handler_failed("connect", error)
            answer = ConnectionRefusedError().error_args
        self.tell_refused(error)
        self._refuse(answer)
        return self._closed()

    cdef int _refuse(self, dict answer) except -1:
        """Tell the client that it is not connected, unless disconnect() has."""
        cdef bint first = self.state <= CONNECTED
        if first:
            self._abort()
        if self.state == ABORTED_ANNOUNCED:
            if self.namespace.hub.registry is not None:
                self._begin_to_leave()
            # The client knows that it is connected. A DISCONNECT carries no reason:
            # clients of the reference implementation take one for an error.
            return self._send_disconnect() if first else 0
        try:
            self.client.send_connect_error(self.namespace.name, answer)
        except BaseException as exc:
            self.namespace.hub.failed(exc, "data of a refusal cannot be encoded", ())
            self.client.send_connect_error(
                self.namespace.name, {"message": answer["message"]}
            )
        return 0

    # Disconnecting.

    def disconnect(self):
        """Send DISCONNECT, then run the disconnect handler.

        A client whose connect handler still runs is told when that has ended.

        Returns:
            The Task of the disconnect handler if that has suspended, else None.
        """
        if self.connected:
            self._send_disconnect()
        self.close("server disconnect")
        return self.ending

    cdef int _send_disconnect(self) except -1:
        self.session.send(self.namespace.hub.encode(
            SIO_DISCONNECT, self.namespace.name, None, -1
        ))
        return 0

    cdef int close(self, str reason) except -1:
        """The client leaves the namespace, now or when what runs for it, while it
        connects, has ended. Nothing happens the second time."""
        if self.state > CONNECTED:
            return 0
        self.reason = reason
        return self._leave() if self.state == CONNECTED else self._abort()

    cdef int _abort(self) except -1:
        """It is not to connect: _accept() or _refused() will find that."""
        return self._become(ABORTED if self.state == CONNECTING else ABORTED_ANNOUNCED)

    cdef int _leave(self) except -1:
        """Run the disconnect handler."""
        cdef Hub hub = self.namespace.hub
        cdef Observer observer = hub.observer if self.state == CONNECTED else None
        cdef list args = [self.sid, self.reason]
        cdef object handler
        self._become(DISCONNECTING)
        self.client.forget(self)
        if hub.registry is not None:
            self._begin_to_leave()
        if observer is not None:
            observer.peer_disconnected(self, self.reason)
        if self.socket is not None:
            return self._fire_disconnecting(args)
        handler = self.namespace.find("disconnect", args)
        if handler is None:
            return self._closed()
        # The client is not counted any more: its session ends, or it has left.
        task = hub.runner.call_then(
            handler, args, copied(self.context),
            new_step(self, STEP_DISCONNECT, UNCOUNTED),
        )
        if task is not None:
            self.ending = task
        return 0

    cdef int _fire_disconnecting(self, list args) except -1:
        """Call the listeners of `disconnecting`, while the client is still in its
        rooms, and the disconnect handler."""
        cdef Runner runner = self.namespace.hub.runner
        cdef tuple functions = self.socket.take("disconnecting")
        cdef DisconnectListeners leaving = new_disconnect_listeners(self)
        cdef object handler
        for function in functions or ():
            leaving.call(runner, function, PySequence_Fast_ITEMS(args) + 1, 1)
        handler = self.namespace.find("disconnect", args)
        if handler is not None:
            leaving.call(runner, handler, PySequence_Fast_ITEMS(args), len(args))
        if leaving.left > 1:
            self.ending = runner.loop.create_future()
        return leaving.all_called()

    cdef int _begin_to_leave(self) except -1:
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
        self.leaving = True
        self.client.forget(self)
        if ns.leaving is None:
            ns.leaving = {}
        ns.leaving[self.sid] = self
        if hub.runner.call_then(
            hub.registry.unregister, [self], copied(self.session.context),
            new_step(self, STEP_UNREGISTER, UNCOUNTED),
        ) is not None and self.ending is None:
            self.ending = hub.runner.loop.create_future()
        return 0

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

    cdef int disconnect_handled(self) except -1:
        return self._closed()

    cdef int _closed(self) except -1:
        """Forget the client, and tell who waits for it."""
        cdef Namespace ns = self.namespace
        if ns.hub.registry is not None and not self.leaving and self.sid is not None:
            return self._unregister()
        cdef bint was_connected = self.state == DISCONNECTING
        self._become(DISCONNECTED)
        self.client.forget(self)
        if ns.peers.get(self.sid) is self:
            # Else it is that of a client which has come back, or of revision 3.
            del ns.peers[self.sid]
        if self.recovery is not None:
            ns.recovery.forget_session(self)
            self.recovery = None
        if ns.rooms is not None:
            ns.rooms.remove(self, was_connected)
        self.take_queued()
        queued, self.queued_events = self.queued_events, None
        for packet in queued or ():
            self.session.end_event((<Packet> packet).size)
        ending, self.ending = self.ending, None
        self.give_up_acks()
        if self.socket is not None:
            self._end_socket(was_connected)
            if isinstance(ending, _Future) and not ending.done():
                ending.set_result(None)
        self.context = None  # its variables may refer to this client
        return ns.hub.end_if_empty(ns)

    cdef int _end_socket(self, bint was_connected) except -1:
        """Tell the socket that the client has gone, and let go of it: each refers to
        the other, and listeners may refer to both."""
        cdef Listeners socket = self.socket
        if was_connected:
            self.fire("disconnect", self.reason)
        if socket.any_out is not None:
            self.watch(False)
        self.socket = None
        return socket.end()
