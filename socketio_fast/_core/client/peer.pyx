"""A client's place in one namespace: how it joins, what it emits, what it is sent.

    DISCONNECTED ──join()──► CONNECTING ──CONNECT──► CONNECTED
          ▲                     │   ▲                    │
          ├──CONNECT_ERROR──────┘   └──connection lost───┤
          └──leave(), DISCONNECT of the server───────────┘

It outlives connections. While it is not CONNECTED, what is emitted waits in `offline`,
in order and within bounds, and is sent when CONNECT has come.
"""
from collections import deque
from urllib.parse import urlencode

import cython
from cpython.list cimport PyList_GET_SIZE
from libc.stdint cimport int64_t

from socketio_fast._core.client.session cimport ClientSession
from socketio_fast._core.engine.contexts cimport copied
from socketio_fast._core.engine.contracts cimport (
    CLIENT_DISCONNECT,
    OPEN,
    REVISION_3,
    SERVER_DISCONNECT,
    SessionBase as Session,
)
from socketio_fast._core.engine.listeners import functions_of
from socketio_fast._core.engine.runner cimport Outcome
from socketio_fast._core.protocol.outgoing cimport Outgoing, numbered
from socketio_fast._core.protocol.sio cimport (
    SIO_ACK,
    SIO_CONNECT,
    SIO_CONNECT_ERROR,
    SIO_DISCONNECT,
    SIO_EVENT,
    Packet,
)
from socketio_fast._core.socketio.acks cimport PendingAcks, Reply, give_up
from socketio_fast._core.socketio.contracts cimport Connection
from socketio_fast._core.socketio.handlers cimport LEADING_EVENT, LEADING_NAMESPACE
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.outcomes cimport (
    STEP_CONNECT,
    STEP_DISCONNECT,
    STEP_EVENT,
    STEP_EVENT_MIDDLEWARES,
    UNCOUNTED,
    Step,
    new_step,
)
from socketio_fast._core.socketio.peer_messaging cimport (
    CONNECTED,
    CONNECTING,
    DISCONNECTED,
    drop_sid,
)

from socketio_fast.exceptions import CallDisconnectedError, OfflineBufferError
from socketio_fast.options.logs import escaped


cdef class PeerOwner:
    """Who made a place in a namespace, and hears what happens to it. The methods run in
    the pass that reads the connection: they must not block."""

    def joined(self, peer):
        """The server has accepted: before the connect handler runs."""

    def refused(self, peer, error):
        """The server has refused, with this dict."""

    def leaves(self, peer, reason):
        """The disconnect handler is to run."""

    def left(self, peer, reason):
        """It is in the namespace no longer. `peer.active`: it will be again."""

    def begun(self, peer, event, task):
        """A handler or listener of an event of the connection has suspended."""

    def takes(self, function, event, count):
        """Whether a handler or a listener of an event takes `count` arguments, the last
        of which is the offset of connection state recovery."""
        return True


@cython.final
cdef class ClientPeer(MessagingPeer):
    """A client's place in one namespace.

    Args:
        namespace: The handlers.
        client: The connection, which lasts as long as the client.
        owner: Hears what happens.
    """

    def __init__(
        self, Namespace namespace not None, Connection client not None,
        PeerOwner owner not None,
    ):
        self.namespace = namespace
        self.client = client
        self.session = client.session
        self.owner = owner
        self.state = DISCONNECTED
        self.acks = PendingAcks.__new__(PendingAcks)
        self.max_offline_events = 10_000
        self.max_offline_bytes = 16_777_216

    @property
    def connected(self):
        """Whether it is in the namespace, a bool."""
        return self.state == CONNECTED

    @property
    def reachable(self):
        """Whether what is emitted now is sent at once, a bool."""
        return self.state == CONNECTED and not (
            (<ClientSession> self.session).is_overdue()
        )

    # Joining and leaving.

    def join(self, auth=None, query=None):
        """Ask the server for the namespace, by the session that is open.

        Args:
            auth: What its connect handler gets; of revision 4.
            query: Parameters of the namespace, a dict; of revision 3.
        """
        cdef object data = auth
        cdef str name = self.namespace.name
        self.session = self.client.session
        self.state = CONNECTING
        self.active = True
        self.early = []
        if self.session.dialect & REVISION_3:
            if name == "/":
                return  # the server lets it join without being asked
            data = None
            if query:
                name = f"{name}?{urlencode(query)}"
        elif self.pid is not None and (auth is None or isinstance(auth, dict)):
            data = {"pid": self.pid, "offset": self.offset}
            if auth is not None:
                data.update(auth)
        self.session.send(self.namespace.hub.encode(SIO_CONNECT, name, data, -1))

    def intend(self):
        """It is to join, as soon as there is a connection."""
        self.active = True
        if self.state == DISCONNECTED:
            self.state = CONNECTING

    def give_up(self):
        """There is no connection, and there will be none unless the program connects
        again. What waits for one goes on waiting, without acknowledgements."""
        self.active = False
        if self.state == CONNECTING:
            self.state = DISCONNECTED
        self.offline_acks = set()
        self._give_up_sent_acks()

    def leave(self):
        """Leave the namespace, and tell the server."""
        cdef bint was_connected = self.state == CONNECTED
        self.active = False
        if self.state != DISCONNECTED and self.session.state == OPEN and (
            was_connected or self.early is not None
        ):
            self.session.send(
                self.namespace.hub.encode(SIO_DISCONNECT, self.namespace.name, None, -1)
            )
        self._left(CLIENT_DISCONNECT)

    cdef int lost(self, str reason) except -1:
        """The connection is over."""
        return self._left(reason)

    cdef int _left(self, str reason) except -1:
        cdef bint was_connected = self.state == CONNECTED
        self.state = CONNECTING if self.active else DISCONNECTED
        self.early = None
        self.reason = reason
        # One connection adds 2 ** 53 at most (`SF_MAX_ID`).
        self.first_asked = self.next_asked if self.next_asked < <int64_t> 1 << 62 else 0
        self._give_up_sent_acks()
        self._tell(self.owner.leaves, reason)
        if was_connected:
            # As in python-socketio, handlers find the namespace still connected.
            self._run_own("disconnect", [reason])
        if self.sid is not None:
            self.namespace.peers.pop(self.sid, None)
            self.sid = None
        self._tell(self.owner.left, reason)
        return 0

    def _tell(self, told, *args):
        """Call a method of the owner, which may raise."""
        try:
            told(self, *args)
        except BaseException as exc:
            self.namespace.hub.failed(
                exc, "the client of %s failed", (escaped(self.namespace.name),)
            )

    cdef int _give_up_sent_acks(self) except -1:
        """What was sent is not acknowledged now; what waits in `offline` may be."""
        cdef dict callbacks = self.acks.callbacks, kept = {}
        if not callbacks:
            return 0
        for id in self.offline_acks or ():
            if id in callbacks:
                kept[id] = callbacks.pop(id)
        self.acks.callbacks = kept
        self.client.outstanding -= len(callbacks)
        for id, callback in callbacks.items():
            self.acks.ended(id, "disconnected")
            try:
                give_up(callback, self.sid, CallDisconnectedError(
                    "the connection was lost before the server acknowledged: "
                    f"{self.reason}"
                ))
            except BaseException as exc:
                self.namespace.hub.failed(exc, "an acknowledgement was given up", ())
        return 0

    def forget(self):
        """The connection belongs to another process, or to an event loop that is
        closed: it is not there any more, and nobody is told."""
        self.session = self.client.session
        self.state = DISCONNECTED
        self.active = False
        if self.sid is not None:
            self.namespace.peers.pop(self.sid, None)
        self.sid = self.pid = self.offset = self.early = None
        self.acks.callbacks = {}
        self.offline = self.offline_acks = None
        self.offline_bytes = self.posted = 0

    # What comes.

    cdef int on_packet(self, Packet packet) except -1:
        """A packet for this namespace has come."""
        if packet.type == SIO_EVENT:
            if packet.id >= 0:
                # Counted on from former connections: a handler may outlive its own.
                packet.id += self.first_asked
                self.next_asked = max(self.next_asked, packet.id + 1)
            if self.state == CONNECTED:
                if self.pid is not None:
                    self._note_offset(packet)
                return self.on_event(<list> packet.data, packet.id, packet.size)
            if self.early is not None:
                self.early.append(packet)
            return 0
        if packet.type == SIO_ACK:
            return self.on_ack(<list> packet.data, packet.id)
        if packet.type == SIO_CONNECT:
            return self._on_connect(packet.data)
        if packet.type == SIO_CONNECT_ERROR:
            return self._on_refusal(packet.data)
        self.active = False  # SIO_DISCONNECT
        return self._left(SERVER_DISCONNECT)

    cdef int send_ack(self, object value, int64_t id) except -1:
        if id < self.first_asked:
            return 0  # a former connection has asked for it
        return MessagingPeer.send_ack(self, value, id - self.first_asked)

    cdef int _note_offset(self, Packet packet) except -1:
        """Remember what came last: with recovery the last argument of an event, a
        string, says it. One that is to be acknowledged is not kept by servers, and has
        no offset.

        The argument stays, as in the official client, unless a function that gets the
        event does not take so many.
        """
        cdef list data = <list> packet.data, leading = [None]
        cdef Py_ssize_t own = PyList_GET_SIZE(data) - 1
        cdef object event = data[0], functions = None
        if packet.id >= 0 or own == 0 or type(data[own]) is not str:
            return 0
        self.offset = data[own]
        handler = self.namespace.find(event, leading)
        if handler is None or self.owner.takes(handler, event, own + len(leading) - 1):
            if self.socket is not None:
                functions = functions_of(self.socket, event)
            for function in functions or ():
                if not self.owner.takes(function, event, own):
                    break
            else:
                return 0
        data.pop()
        return 0

    cdef int _on_connect(self, object data) except -1:
        cdef Packet packet
        cdef list early
        cdef object pid = None
        if self.state != CONNECTING:
            return 0
        if self.session.dialect & REVISION_3:
            sid = self.session.id
            if self.namespace.name != "/":
                sid = f"{self.namespace.name}#{sid}"
        else:
            sid = data.get("sid") if isinstance(data, dict) else None
            if not isinstance(sid, str) or not sid:
                # As the reference implementation says.
                return self._on_refusal({
                    "message": "It seems you are trying to reach a Socket.IO server in "
                    "v2.x with a v3.x client, but they are not compatible (more "
                    "information here: https://socket.io/docs/v3/migrating-from-2-x-"
                    "to-3-0/): use eio=3",
                })
            pid = data.get("pid")
        self.recovered = pid is not None and pid == self.pid
        self.pid = pid if isinstance(pid, str) else None
        self.sid = sid
        self.state = CONNECTED
        self.reason = None
        self.namespace.peers[sid] = self
        early, self.early = self.early, None
        self._tell(self.owner.joined)
        # As the reference implementation: what came early, what was emitted early, and
        # then the connect handler.
        for packet in early or ():
            if self.sid is not sid:
                return 0  # a handler has left the namespace
            if self.pid is not None:
                self._note_offset(packet)
            self.on_event(<list> packet.data, packet.id, packet.size)
        self._send_offline()
        return self._run_own("connect", []) if self.sid is sid else 0

    cdef int _on_refusal(self, object data) except -1:
        if not isinstance(data, dict):
            data = {"message": data}  # of revision 3, or of a sloppy server
        self.active = False
        self.state = DISCONNECTED
        self.early = None
        self._tell(self.owner.refused, data)
        return self._run_own("connect_error", [data])

    cdef int _run_own(self, str event, list args, list told=None) except -1:
        """Run the handler and the listeners of connect, connect_error or disconnect."""
        cdef list arguments = [self.sid, *args]
        cdef object handler = self._own_handler(event, arguments)
        if handler is not None:
            drop_sid(arguments, len(args))
            self._call_own(handler, event, arguments)
        if self.socket is not None:
            for listener in self.socket.take(event) or ():
                self._call_own(listener, event, args if told is None else told)
        return 0

    cdef int _call_own(self, object function, str event, list args) except -1:
        cdef object task = self.namespace.hub.runner.call_then(
            function, args, copied(self.context), _own_step(self, event)
        )
        if task is not None:
            self._tell(self.owner.begun, event, task)
        return 0

    cdef object _own_handler(self, str event, list args):
        """The handler of an event of the connection, which no catch-all takes."""
        cdef Namespace ns = self.namespace
        cdef Namespace wildcard = ns.hub.wildcard
        if event == "connect" or event == "disconnect":
            return ns.find(event, args)
        handler = ns.handlers.get(event)
        if handler is not None:
            return handler
        handler = wildcard.handlers.get(event)
        if handler is not None:
            ns.lead(args, event, LEADING_NAMESPACE)
            return handler
        if ns.trigger is not None:
            ns.lead(args, event, LEADING_EVENT)
            return ns.trigger
        if wildcard.trigger is not None:
            ns.lead(args, event, LEADING_EVENT | LEADING_NAMESPACE)
        return wildcard.trigger

    def trigger(self, str event not None, *args, list of_listeners=None):
        """Run the handler and the listeners of an event of the connection."""
        self._run_own(event, list(args), of_listeners)

    cdef int step_returned(self, Outcome outcome, object value) except -1:
        cdef Step step = <Step> outcome
        if step.kind == STEP_EVENT_MIDDLEWARES:
            return self.middlewares_ended(step, None)
        if step.kind == STEP_EVENT and step.id >= 0:
            self.send_ack(value, step.id)
        return step.end()

    cdef int step_raised(self, Outcome outcome, object error) except -1:
        cdef Step step = <Step> outcome
        if step.kind == STEP_EVENT_MIDDLEWARES:
            return self.middlewares_ended(step, error)
        if step.kind == STEP_EVENT:
            self.event_failed(step.event, error, step.id)
        else:
            self.handler_failed(step.event, error)
        return step.end()

    cdef int keep_context(self) except -1:
        return 0

    # Emitting.

    def emit(self, list event not None, callback=None, bint volatile=False,
             bint compress=True):
        """Send an event, now or when it is connected.

        Args:
            event: ``[name, *arguments]``.
            callback: A function that gets the arguments of the acknowledgement, or a
                `Reply`; None: no acknowledgement is wanted.
            volatile: Drop it where it cannot leave at once.
            compress: Whether it may be compressed.

        Returns:
            None; or a Future, while the server reads more slowly than this side sends.

        Raises:
            TypeError: An argument is not JSON with bytes in it.
            OfflineBufferError: Too much waits for the connection already.
            ValueError: The server does not take a packet of this size.
        """
        cdef Hub hub = self.namespace.hub
        cdef int64_t id = -1
        cdef Outgoing m
        if hub.verbose:
            hub.log_emit(event[0], self.namespace.name)
        if callback is not None:
            id = self.new_ack(callback, event[0])
        try:
            m = hub.encode(SIO_EVENT, self.namespace.name, event, id)
            m.uncompressed = not compress
            m.volatile = volatile
            m.droppable = id < 0
            return self._emit(m, event, id)
        except BaseException:
            if id >= 0:
                self._take_ack(id, "abandoned")
            raise

    def encode(self, list event not None, callback=None, bint volatile=False,
               bint compress=True):
        """Encode an event now, in any thread. The arguments are those of emit().

        Returns:
            A function that sends the event, to be called in the event loop's thread;
            None if emit() must be called there: the event may have to wait for a
            connection, or this side for the server to read.

        Raises:
            TypeError: An argument is not JSON with bytes in it.
        """
        cdef _Encoded made
        cdef Hub hub = self.namespace.hub
        cdef Session session = self.session
        cdef Outgoing m
        cdef int64_t id = -1
        if self.state != CONNECTED or (
            session.buffered() + self.posted > session.engine.high_water_mark
        ):
            return None
        if hub.verbose:
            hub.log_emit(event[0], self.namespace.name)
        if callback is not None:
            # Awaited when the event is sent: until then the connection may be lost.
            id = self.acks.next_id
            self.acks.next_id += 1
        m = hub.encode(SIO_EVENT, self.namespace.name, event, id)
        (<ClientSession> session).check_size(m)
        m.uncompressed = not compress
        m.volatile = volatile
        m.droppable = id < 0
        made = _Encoded.__new__(_Encoded)
        made.peer = self
        made.message = m
        made.event = event
        made.callback = callback
        made.id = id
        if id >= 0 and hub.watches_events:
            made.watch = self.new_ack_watch(event[0])
        self.posted += m.size()
        return made

    cdef object _emit(self, Outgoing m, list event, int64_t id):
        """Send an event, now or when it is connected; see emit()."""
        cdef Hub hub = self.namespace.hub
        cdef Session session = self.session
        if self.state == CONNECTED and not (<ClientSession> session).is_overdue():
            (<ClientSession> session).check_size(m)
            if self.socket is not None and self.socket.any_out is not None:
                self.tell_outgoing(event)
            if m.volatile and not self._writable():
                session.dropped(m)
            else:
                hub.count_sent(self.namespace, event[0], m.size())
                session.send(m)
                if session.above():
                    return session.below(session.engine.high_water_mark)
        elif not m.volatile:
            self._keep_offline(m, id)
            hub.count_sent(self.namespace, event[0], m.size())
        return None

    def encoded(self, list event not None):
        """Encode an event now, for `emit_encoded()`: later changes of its arguments do
        not count. Returns it, and its bytes.

        Raises:
            TypeError: An argument is not JSON with bytes in it.
        """
        cdef Outgoing m = self.namespace.hub.encode(
            SIO_EVENT, self.namespace.name, event, -1
        )
        return m, m.size()

    def emit_encoded(
        self, Outgoing m not None, list event not None, callback, bint compress=True
    ):
        """Send what `encoded()` has returned; see emit()."""
        cdef Hub hub = self.namespace.hub
        cdef str name = self.namespace.name
        cdef int64_t id = self.new_ack(callback, event[0])
        try:
            if hub.encoding is None:
                m = numbered(m, name, id)
            else:
                m = hub.encode(SIO_EVENT, name, event, id)
            m.uncompressed = not compress
            return self._emit(m, event, id)
        except BaseException:
            self._take_ack(id, "abandoned")
            raise

    def run_callback(self, callback, list args not None):
        """Call the callback of an acknowledgement with its arguments."""
        self.call_back(callback, args)

    def cancel_ack(self, Reply reply not None):
        # What nobody waits for any more is not sent, as in the official client.
        if self.offline_acks and reply.id in self.offline_acks:
            self.offline_acks.discard(reply.id)
            for m, id in self.offline:
                if id == reply.id:
                    self.offline.remove((m, id))
                    self.offline_bytes -= (<Outgoing> m).size()
                    break
        MessagingPeer.cancel_ack(self, reply)

    cdef int send(self, Outgoing m) except -1:
        if self.state == CONNECTED:
            self.session.send(m)
        return 0

    cdef int _keep_offline(self, Outgoing m, int64_t id) except -1:
        cdef Py_ssize_t size = m.size()
        if self.offline is None:
            self.offline, self.offline_acks = deque(), set()
        if (
            len(self.offline) >= self.max_offline_events
            or self.offline_bytes + size > self.max_offline_bytes
        ):
            raise OfflineBufferError(
                f"{self.namespace.name!r:.80} is not connected, and "
                f"{len(self.offline)} events with {self.offline_bytes} bytes wait for "
                "that already: at most "
                f"max_offline_events={self.max_offline_events} and "
                f"max_offline_bytes={self.max_offline_bytes}"
            )
        self.offline.append((m, id))
        self.offline_bytes += size
        if id >= 0:
            self.offline_acks.add(id)
        return 0

    cdef int _send_offline(self) except -1:
        cdef Outgoing m
        while self.offline and self.state == CONNECTED:
            m, id = self.offline.popleft()
            self.offline_bytes -= m.size()
            self.offline_acks.discard(id)
            try:
                (<ClientSession> self.session).check_size(m)
            except ValueError as exc:
                self._refuse_offline(id, exc)
            else:
                self.session.send(m)
        return 0

    cdef int _refuse_offline(self, int64_t id, object error) except -1:
        """The server does not take an event that has waited for the connection."""
        self.namespace.hub.logger.error("an event was not sent: %s", escaped(error))
        callback = self._take_ack(id, "abandoned") if id >= 0 else None
        if isinstance(callback, Reply):
            (<Reply> callback).fail(error)
        return 0

    @property
    def callbacks(self):
        """What awaits acknowledgements, by their ids, a dict."""
        return dict(self.acks.callbacks)

    @property
    def offline_events(self):
        """How many events wait for a connection, an int."""
        return len(self.offline) if self.offline else 0


cdef Step _own_step(ClientPeer peer, str event):
    cdef Step step = new_step(
        peer, STEP_DISCONNECT if event == "disconnect" else STEP_CONNECT, UNCOUNTED
    )
    step.event = event
    step.id = -1
    return step


@cython.final
cdef class _Encoded:
    """An event that is encoded. Calling it, once, sends it."""

    def __call__(self):
        cdef ClientPeer peer = self.peer
        peer.posted -= self.message.size()
        if self.callback is not None:
            peer.acks.put(self.id, self.callback)
            peer.client.outstanding += 1
            peer.acks.watch(self.id, self.watch)
            if len(peer.acks.callbacks) > peer.namespace.hub.max_pending_acks:
                peer._give_up_oldest_ack()
            peer.session.expect()
        try:
            peer._emit(self.message, self.event, self.id)
        except BaseException as exc:
            callback = peer._take_ack(self.id, "abandoned")
            if callback is not None:
                give_up(callback, peer.sid, exc)
            raise
