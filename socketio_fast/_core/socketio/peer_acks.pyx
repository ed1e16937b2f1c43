"""The acknowledgements that a client in a namespace is asked for."""
from cpython.dict cimport PyDict_Size
from libc.stdint cimport int64_t

from socketio_fast._core.engine.contexts cimport copied
from socketio_fast._core.engine.observer cimport Tracer
from socketio_fast._core.protocol.wire cimport sf_exact_ns
from socketio_fast._core.socketio.acks cimport (
    AckCollector,
    AckWatch,
    PendingAcks,
    Reply,
    give_up,
)
from socketio_fast._core.socketio.contracts cimport PeerBase
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.outcomes cimport STEP_ACK, Step, new_step

from socketio_fast.exceptions import CallDisconnectedError, TimeoutError
from socketio_fast.options.logs import escaped

cdef enum:
    MAX_LOGGED = 200    # characters of the name of an event


cdef class AskedPeer(PeerBase):
    """A client in a namespace, and what it has yet to acknowledge. Abstract."""

    cdef int64_t new_ack(self, object callback, object event) except -1:
        """Await an acknowledgement; returns its id, for the packet.

        Args:
            callback: A function that gets the arguments, a `Reply` or an
                `AckCollector`.
            event: The name of the event that asks for it.
        """
        cdef int64_t id
        if self.acks is None:
            self.acks = PendingAcks.__new__(PendingAcks)
        id = self.acks.add(callback)
        self.client.outstanding += 1
        if self.namespace.hub.watches_events:
            self.acks.watch(id, self.new_ack_watch(event))
        if PyDict_Size(self.acks.callbacks) > self.namespace.hub.max_pending_acks:
            self._give_up_oldest_ack()
        self.session.expect()
        return id

    cdef AckWatch new_ack_watch(self, object event):
        """Watch an acknowledgement that an event of this name asks for. None: nobody
        does."""
        cdef Hub hub = self.namespace.hub
        cdef Tracer tracer = hub.tracer
        cdef AckWatch watch
        if hub.meter is None and tracer is None:
            return None
        watch = AckWatch.__new__(AckWatch)
        if hub.meter is not None:
            watch.figures = hub.meter.figures_out(self.namespace, event)
            watch.began = sf_exact_ns()
        if tracer is not None:
            watch.tracer = tracer
            watch.span = tracer.asking(self, event)
        return watch

    cdef object _take_ack(self, int64_t id, str outcome):
        """Remove and return the callback for acknowledgement `id`; None if there is
        none."""
        cdef object callback = None
        if self.acks is not None:
            callback = self.acks.pop(id)
            if callback is not None:
                self.client.outstanding -= 1
                self.acks.ended(id, outcome)
        return callback

    cdef int _give_up_oldest_ack(self) except -1:
        """Too many acknowledgements are awaited: give up the oldest."""
        cdef Hub hub = self.namespace.hub
        cdef object callback = self.acks.pop_oldest()
        cdef object who = "the server" if hub.without_sid else self.sid
        self.client.outstanding -= 1
        hub.engine.counters["abandoned_acks"] += 1
        if not self.acks.overflowed:
            self.acks.overflowed = True
            hub.logger.warning(
                "%s in %s does not acknowledge what it is sent: more than "
                "max_pending_acks=%d are waited for, the oldest are given up",
                who, self.namespace.name, hub.max_pending_acks,
                extra=log_fields(self),
            )
        return give_up(callback, self.sid, TimeoutError(
            f"{who} has not acknowledged, and more than max_pending_acks="
            f"{hub.max_pending_acks} acknowledgements of it are waited for"
        ))

    cdef int give_up_acks(self) except -1:
        """The client has gone: it acknowledges nothing any more."""
        cdef PendingAcks acks = self.acks
        cdef dict callbacks
        if acks is None:
            return 0
        # The ids go on: a stale forget_ack() must not meet another acknowledgement.
        callbacks, acks.callbacks = acks.callbacks, {}
        self.client.outstanding -= len(callbacks)
        for id, callback in callbacks.items():
            acks.ended(id, "disconnected")
            give_up(callback, self.sid, CallDisconnectedError(
                f"{self.sid} disconnected before it acknowledged: {self.reason}"
            ))
        return 0

    def ask(self, collector, event):
        """The id of an acknowledgement for a collector, see `Rooms.ask()`."""
        cdef AckCollector asked = AckCollector.__new__(AckCollector)
        asked.collector = collector
        return self.new_ack(asked, event)

    def forget_ack(self, int64_t id):
        """Stop waiting for the acknowledgement with this id."""
        self._take_ack(id, "abandoned")

    def cancel_ack(self, Reply reply not None):
        """Stop waiting for the acknowledgement that this reply is for."""
        if self.acks is not None and self.acks.callbacks.get(reply.id) is reply:
            self._take_ack(reply.id, "abandoned")

    cdef int on_ack(self, list data, int64_t id) except -1:
        """The client has acknowledged event `id`, with the arguments `data`."""
        cdef Hub hub = self.namespace.hub
        cdef object callback
        if hub.verbose:
            hub.logger.info(
                "received ack from %s [%s]",
                escaped(self.sid), escaped(self.namespace.name),
                extra=log_fields(self),
            )
        callback = self._take_ack(id, "acknowledged")
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
        return self.call_back(callback, data)

    cdef int call_back(self, object callback, list data) except -1:
        """Call the callback of an acknowledgement with its arguments."""
        cdef Hub hub = self.namespace.hub
        cdef Step step = new_step(self, STEP_ACK, 0)
        step.event = "acknowledgement"
        step.id = -1
        if hub.runner.call_then(
            callback, data, copied(self.context), step
        ) is not None:
            step.begin()
        return 0


cdef dict log_fields(PeerBase peer, object event=None):
    """Whom a line of the log is about, for those who write it as JSON."""
    cdef Namespace ns = (<AskedPeer> peer).namespace
    cdef dict fields = {"namespace": ns.name}
    if not ns.hub.without_sid:
        fields["sid"] = peer.sid
        environ = (<object> peer.session).environ or {}
        fields["address"] = environ.get("REMOTE_ADDR")
    if event is not None:
        fields["event"] = str(event)[:MAX_LOGGED]
    return fields
