"""What a client in a namespace sends, and what it is sent: events, acknowledgements.

What is sent to a client that is CONNECTING follows its CONNECT packet, or is dropped
if the client is refused. A volatile message is dropped for a client that could not get
it at once.

With `ordered`, a client's events wait in `queued_events` while a handler of it is
suspended. Without it, each handler starts when its packet has come.
"""
import asyncio

from cpython.dict cimport PyDict_GetItemWithError
from cpython.list cimport PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t

from socketio_fast._core.engine.collecting cimport set_tracked
from socketio_fast._core.engine.contexts cimport copied
from socketio_fast._core.engine.failures cimport log_failure
from socketio_fast._core.engine.listeners cimport Listeners
from socketio_fast._core.engine.observer cimport (
    EventWatch,
    Observer,
    TracedEvent,
    Tracer,
)
from socketio_fast._core.engine.runner cimport Continuation, Runner, handles_in
from socketio_fast._core.engine.contracts cimport OPEN, SessionBase as Session
from socketio_fast._core.protocol cimport outgoing, sio
from socketio_fast._core.protocol.event_values cimport EncodedValue, EventValues
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.protocol.sio cimport SIO_ACK, SIO_EVENT, Packet
from socketio_fast._core.protocol.wire cimport SF_MAX_ITEMS, sf_exact_ns
from socketio_fast._core.socketio.checked_handlers cimport CheckedHandler
from socketio_fast._core.socketio.contracts cimport PeerBase
from socketio_fast._core.socketio.hub cimport Hub, Namespace
from socketio_fast._core.socketio.outcomes cimport (
    STEP_EVENT,
    STEP_EVENT_MIDDLEWARES,
    EventAnswers,
    Step,
    Told,
    new_answers,
    new_step,
    new_told,
)
from socketio_fast._core.socketio.peer_acks cimport log_fields

from socketio_fast.exceptions import InvalidPayloadError
from socketio_fast.options.logs import escaped

cdef extern from "Python.h":
    PyObject **PySequence_Fast_ITEMS(object o)


cdef class MessagingPeer(AskedPeer):
    """A client in a namespace: what it sends and is sent. `Peer` adds how it connects
    and disconnects."""

    cdef int track(self, bint tracked) except -1:
        set_tracked(self, tracked)
        return 0 if self.rooms is None else set_tracked(self.rooms, tracked)

    cdef int send(self, Outgoing m) except -1:
        cdef Session session = self.session
        if m.volatile and not self._writable():
            return session.dropped(m)
        if self.state == CONNECTED or self.state == ANNOUNCED:
            session.pass_on(m)
        elif self.state == CONNECTING:
            if self.queued is None:
                self.queued = []
            self.queued.append(m)
            session.reserve(m.size())
        return 0

    cdef bint _writable(self) except -1:
        """Whether a message that is sent now leaves at once."""
        cdef Session session = self.session
        return (
            self.state == CONNECTED
            and session.state == OPEN
            and session.transport.writable()
            and not (session.engine.drops_volatile and session.above())
        )

    cdef list take_queued(self):
        """Remove and return the messages queued while CONNECTING. The caller sends or
        drops them."""
        cdef list queued = self.queued
        cdef Outgoing m
        self.queued = None
        for m in queued or ():
            self.session.reserve(-m.size())
        return queued

    # Its socket.

    def attach(self, Listeners socket not None):
        """Tell this socket from now on what happens to the client."""
        self.socket = socket

    def watch(self, bint watched):
        """Tell the socket what is sent to the client, or do so no longer."""
        if watched and self.state != DISCONNECTED:
            if self.namespace.watched is None:
                self.namespace.watched = {}
            self.namespace.watched[self] = None
        elif self.namespace.watched is not None:
            self.namespace.watched.pop(self, None)
            if not self.namespace.watched:
                self.namespace.watched = None

    cdef int tell_outgoing(self, list data) except -1:
        """Call the listeners of all that is sent to this client."""
        if self.socket is None or self.socket.any_out is None:
            return 0
        if self.state > CONNECTED:
            return 0  # nothing is sent any more
        return new_told(self, data[0]).call_all(
            self.namespace.hub.runner, self.socket.any_out,
            PySequence_Fast_ITEMS(data), PyList_GET_SIZE(data),
        )

    cdef bint fire(self, object event, object arg) except -1:
        """Call the listeners of an event of the socket itself; False: it has none."""
        cdef tuple functions = self.socket.take(event)
        cdef list args = [arg]
        if functions is None:
            return False
        new_told(self, event).call_all(
            self.namespace.hub.runner, functions, PySequence_Fast_ITEMS(args), 1
        )
        return True

    # Events.

    cdef bint take_event(self, const char *p, Py_ssize_t n) except -1:
        """Handle an event of the main namespace without a `Packet` and a list of its
        data, if one function is all that gets it. False: nothing was done."""
        cdef Hub hub = self.namespace.hub
        if (
            self.state != CONNECTED or self.busy or self.socket is not None
            or hub.trigger is not None or hub.asks_of_events or hub.verbose
        ):
            return False
        if hub.undecoded is not None and self._take_values(p, n):
            return True
        return p[n - 2] == c'"' and self._take_strings(p, n)

    cdef bint _take_strings(self, const char *p, Py_ssize_t n) except -1:
        """Handle an event of strings, as most are."""
        cdef PyObject *args[SF_MAX_ITEMS]
        cdef PyObject *found
        cdef object handler  # it may be replaced while it runs
        cdef Py_ssize_t count = 0, i
        cdef int64_t id = -1
        cdef str event
        cdef Hub hub = self.namespace.hub
        cdef EventWatch watch = None
        try:
            sio.decode_strings(p, n, args, &count, &id)
            if count == 0:
                return False
            event = <str> args[0]
            found = PyDict_GetItemWithError(self.namespace.handlers, event)
            if found is NULL or sio.is_reserved(event):
                return False
            handler = <object> found
            Py_DECREF(event)
            Py_INCREF(self.sid)
            args[0] = <PyObject *> self.sid
            self.heard = True
            if hub.watches_events:
                watch = hub.meter.event_in(self.namespace, None, event, n)
            self._run(handler, args, count, event, id, n, watch)
        finally:
            for i in range(count):
                Py_DECREF(<object> args[i])
        return True

    cdef bint _take_values(self, const char *p, Py_ssize_t n) except -1:
        """Handle an event whose handler decodes its arguments."""
        cdef PyObject *args[2]
        cdef PyObject *found
        cdef object handler  # it may be replaced while it runs
        cdef int64_t id = -1
        cdef Hub hub = self.namespace.hub
        cdef EventValues values = sio.decode_values(p, n, hub.undecoded, &id)
        cdef EventWatch watch = None
        if values is None:
            return False
        found = PyDict_GetItemWithError(self.namespace.handlers, values.name)
        if found is NULL or type(<object> found) is not CheckedHandler:
            return False
        handler = <object> found
        args[0] = <PyObject *> self.sid
        args[1] = <PyObject *> values
        self.heard = True
        if hub.watches_events:
            watch = hub.meter.event_in(self.namespace, None, values.name, n)
        self._run(handler, args, 2, values.name, id, n, watch)
        return True

    cdef int on_event(self, list data, int64_t id, Py_ssize_t size) except -1:
        """The client has sent an event.

        Args:
            data: `[name, *arguments]`. It becomes the arguments of the handler.
            id: Of the acknowledgement that the client wants; -1: it wants none.
            size: Bytes of the packet.
        """
        cdef Hub hub = self.namespace.hub
        cdef object event = data[0], handler
        cdef Py_ssize_t own  # what the client sent
        cdef EventWatch watch = None
        if hub.verbose:
            hub.logger.info(
                'received event "%s" from %s [%s]',
                escaped(event), escaped(self.sid), escaped(self.namespace.name),
                extra=log_fields(self, event),
            )
        if hub.watches_events:
            if hub.asks_of_events:
                watch = self._watch_event(data, size)
            else:
                watch = hub.meter.event_in(self.namespace, self.socket, event, size)
        data[0] = self.sid
        if self.socket is not None:
            return self._on_socket_event(event, data, id, size, watch)
        own = PyList_GET_SIZE(data) - 1
        handler = self.namespace.find(event, data)
        if handler is None:
            return self._unhandled(id, watch)
        if hub.without_sid:
            drop_sid(data, own)
        return self._run(
            handler, PySequence_Fast_ITEMS(data), PyList_GET_SIZE(data), event, id,
            size, watch,
        )

    cdef int _unhandled(self, int64_t id, EventWatch watch) except -1:
        if watch is not None:
            watch.unhandled()
        return self.send_error_ack("No handler for this event", id)

    cdef EventWatch _watch_event(self, list data, Py_ssize_t size):
        """Tell who watches events of one that has come. Returns who is to be told when
        it has been handled; or None."""
        cdef Hub hub = self.namespace.hub
        cdef Observer observer = hub.observer
        cdef Tracer tracer = hub.tracer
        cdef EventWatch watch = None
        if observer is not None and observer.events:
            observer.event_received(self, data)
        if hub.meter is not None:
            watch = hub.meter.event_in(self.namespace, self.socket, data[0], size)
        if tracer is not None:
            context = hub.runner.fork(self.context)
            watch = TracedEvent(
                tracer, tracer.receiving(self, data, context), context, watch
            )
        return watch

    # Connecting, as others are told of it.

    cdef int trace_connect(self) except -1:
        """Its middlewares and its connect handler run next, perhaps in a span."""
        cdef Hub hub = self.namespace.hub
        cdef Tracer tracer = hub.tracer
        if tracer is not None:
            self.context = hub.runner.fork(self.context)
            tracer.connecting(self, self.context)
        return 0

    cdef int trace_connected(self, object error) except -1:
        cdef Tracer tracer = self.namespace.hub.tracer
        if tracer is not None and self.context is not None:
            tracer.connected(self, self.context, error)
        return 0

    cdef int tell_connected(self) except -1:
        cdef Observer observer = self.namespace.hub.observer
        if observer is not None:
            observer.peer_connected(self)
        return 0

    cdef int tell_refused(self, object error) except -1:
        cdef Observer observer = self.namespace.hub.observer
        if observer is not None:
            observer.peer_refused(self)
        return self.trace_connected(error)

    cdef int _run(
        self, object handler, PyObject **args, size_t n, object event, int64_t id,
        Py_ssize_t size, EventWatch watch
    ) except -1:
        """Run the one function that handles an event. (It makes a `Step` only for one
        that suspends; most do not.)"""
        cdef Hub hub = self.namespace.hub
        cdef Runner runner = hub.runner
        cdef Step step
        cdef int64_t began = 0
        if watch is not None:
            began = runner.handled_at or sf_exact_ns()
        try:
            value = runner.call(handler, args, n, _context_of(self, watch))
        except BaseException as exc:
            if watch is not None:
                watch.ended(sf_exact_ns() - began, exc)
            return self.event_failed(event, exc, id)
        if type(value) is Continuation:
            step = new_step(self, STEP_EVENT, size)
            step.event = event
            step.id = id
            step.watch = watch
            step.began = began
            (<Continuation> value).outcome = step
            step.begin()
            self.busy = hub.ordered
            return 0
        if watch is not None:
            watch.ended(runner.handled() - began, None)
        if id >= 0:
            self.send_ack(value, id)
        return 0

    cdef int _on_socket_event(
        self, object event, list data, int64_t id, Py_ssize_t size, EventWatch watch
    ) except -1:
        """An event of a client that has a socket. The catch-all listeners hear it
        first; the event middlewares may keep it from handlers and listeners."""
        cdef Runner runner = self.namespace.hub.runner
        cdef Listeners socket = self.socket
        cdef Told told
        cdef Step step
        if socket.any_in is not None:
            data[0] = event
            told = new_told(self, event)
            if watch is not None and watch.context is not None:
                told.context = watch.context
            told.call_all(
                runner, socket.any_in, PySequence_Fast_ITEMS(data),
                PyList_GET_SIZE(data),
            )
            if told.left:
                told.count(size)
            data[0] = self.sid
        if socket.event_middlewares is None:
            return self._run_handlers(event, data, id, size, watch)
        step = new_step(self, STEP_EVENT_MIDDLEWARES, size)
        step.event = event
        step.id = id
        step.args = data
        step.watch = watch
        data[0] = event
        if runner.call_then(
            socket.event_middlewares, data, _context_of(self, watch), step
        ) is not None:
            step.begin()
            self.busy = self.namespace.hub.ordered
        return 0

    cdef int middlewares_ended(self, Step step, object error) except -1:
        """The event middlewares have let an event pass, or have refused it."""
        cdef bint suspended = step.session is not None
        if suspended and error is None:
            self.busy = False
            step.end()
        if error is None:
            step.args[0] = self.sid
            self._run_handlers(step.event, step.args, step.id, step.size, step.watch)
        else:
            if step.watch is not None:
                step.watch.ended(0, error)
            self._event_refused(step.event, error)
        if not suspended:
            return 0
        if error is not None:
            step.end()
            self.busy = False
        if self.namespace.hub.ordered and not self.busy:
            return self.start_next_event()
        return 0

    cdef int _run_handlers(
        self, object event, list data, int64_t id, Py_ssize_t size, EventWatch watch
    ) except -1:
        """Run the handler of an event, and its listeners."""
        cdef Runner runner = self.namespace.hub.runner
        cdef tuple functions = None
        cdef Py_ssize_t own = PyList_GET_SIZE(data) - 1  # what the client sent
        cdef object handler
        cdef PyObject **args
        cdef Py_ssize_t n
        cdef EventAnswers answers
        if self.state != CONNECTED:
            # It has gone while the event middlewares ran.
            return 0 if watch is None else watch.unhandled()
        if self.socket is not None:
            functions = self.socket.take(event)
        handler = self.namespace.find(event, data)
        if self.namespace.hub.without_sid:
            drop_sid(data, own)
        args = PySequence_Fast_ITEMS(data)
        n = PyList_GET_SIZE(data)
        if functions is None:
            if handler is None:
                return self._unhandled(id, watch)
            return self._run(handler, args, n, event, id, size, watch)
        if handler is None and len(functions) == 1:
            return self._run(
                functions[0], args + (n - own), own, event, id, size, watch
            )
        answers = new_answers(self, event, id, self.namespace.hub.not_handled)
        if watch is not None:
            answers.watch = watch
            answers.began = sf_exact_ns()
            if watch.context is not None:
                answers.context = watch.context
        if handler is not None:
            answers.call(runner, handler, args, n)
        answers.call_all(runner, functions, args + (n - own), own)
        if answers.left:
            self.busy = answers.holds = self.namespace.hub.ordered
            answers.count(size)
        return 0

    cdef int start_next_event(self) except -1:
        cdef Packet packet
        self.busy = False
        while self.queued_events and not self.busy and self.state == CONNECTED:
            packet = self.queued_events.popleft()
            self.session.end_event(packet.size)
            try:
                self.on_event(<list> packet.data, packet.id, packet.size)
            except BaseException as exc:
                # As when it is read: the client is closed.
                self.session.on_error(exc)
        return 0

    # What fails.

    cdef int handler_failed(self, object event, object error) except -1:
        log_failure(
            self.namespace.hub.logger, error, "handler of %.80r {} for %s in %s",
            (event, escaped(self.sid), escaped(self.namespace.name)),
            log_fields(self, event),
        )
        if (
            self.socket is not None and event != "error"
            and not isinstance(error, asyncio.CancelledError)
        ):
            self.fire("error", error)
        return 0

    cdef int _event_refused(self, object event, object error) except -1:
        """An event middleware has refused an event by raising this error."""
        cdef Hub hub = self.namespace.hub
        if not isinstance(error, Exception):
            return self.handler_failed(event, error)
        self.session.engine.counters["refused_events"] += 1
        if not self.fire("error", error):
            hub.logger.warning(
                "event %.80r of %s in %s was refused: %r",
                event, escaped(self.sid), escaped(self.namespace.name), error,
                extra=log_fields(self, event),
            )
        return 0

    cdef int event_failed(self, object event, object error, int64_t id) except -1:
        cdef Hub hub = self.namespace.hub
        cdef dict answer
        if not isinstance(error, InvalidPayloadError):
            self.handler_failed(event, error)
            return self.send_error_ack("The handler of this event failed", id)
        hub.engine.counters["invalid_payloads"] += 1
        hub.logger.info(
            "event %.80r of %s in %s: %s", event, escaped(self.sid),
            escaped(self.namespace.name), escaped(error),
            extra=log_fields(self, event),
        )
        if self.socket is not None and event != "error":
            self.fire("error", error)
        answer = {"message": error.message, "details": error.details}
        if id >= 0:
            return self.send_ack({"error": answer}, id)
        if self.state != CONNECTED or hub.without_sid:
            return 0  # nobody would expect the event of a client
        try:
            self.session.send(hub.encode(
                SIO_EVENT, self.namespace.name, ["error", {"event": event, **answer}],
                -1,
            ))
        except BaseException as exc:
            hub.failed(exc, "details for %s cannot be encoded", (escaped(self.sid),))
        return 0

    # Acknowledgements that the client asks for.

    cdef int send_error_ack(self, str message, int64_t id) except -1:
        # The client gets no reason: it may name what is not for it.
        if id >= 0 and self.namespace.hub.error_acks:
            self.send_ack({"error": message}, id)
        return 0

    cdef int send_ack(self, object value, int64_t id) except -1:
        """Send what a handler returned: for None no arguments, for a tuple several."""
        cdef Namespace ns = self.namespace
        cdef Outgoing m = None
        cdef PyObject *argument = <PyObject *> value
        if value is ns.hub.not_handled or self.state != CONNECTED:
            return 0
        try:
            if type(value) is EncodedValue:
                m = outgoing.of_json(
                    SIO_ACK, ns.name, (<EncodedValue> value).json, id
                )
            elif ns.hub.encoding is None:
                m = outgoing.of_strings(SIO_ACK, ns.name, &argument, 1, id)
            if m is None:
                if value is None:
                    value = []
                elif isinstance(value, tuple):
                    value = list(<tuple> value)
                else:
                    value = [value]
                m = ns.hub.encode(SIO_ACK, ns.name, value, id)
            self.session.send(m)
        except BaseException as exc:
            self.namespace.hub.failed(
                exc, "acknowledgement %d for %s could not be sent",
                (id, escaped(self.sid)),
            )
        return 0

    def check_ask(self):
        """Raise RuntimeError if the caller is this client's own connect handler or
        middleware, which is about to wait for an acknowledgement. The client answers
        only after CONNECT, which is sent when that code has ended."""
        if self.state == CONNECTING and handles_in(self.context):
            raise RuntimeError(
                f"{self.sid} cannot acknowledge anything before its connect handler, "
                "which waits for that here, has ended: make the server with "
                "always_connect=True, or ask in a background task"
            )


cdef int drop_sid(list args, Py_ssize_t own) except -1:
    """Take the sid out of the arguments of a client's handler, which has one alone;
    `own` arguments are behind it."""
    del args[PyList_GET_SIZE(args) - own - 1]
    return 0


cdef inline object _context_of(PeerBase peer, EventWatch watch):
    """A copy of the context that handlers of an event run in; None: that of the Runner.
    """
    if watch is None or watch.context is None:
        return copied(peer.context)
    return copied(watch.context)
