"""What becomes of the application's code that a client's packets make run.

A `Step` is one function: a handler, the middlewares, a method of the registry. A
`PeerGroup` is several that run at the same time. While they are suspended they count
as events that the client has under way (`Session.begin_event()`): a client that has
too many is not read.
"""
import cython

from socketio_fast._core.engine.observer cimport EventWatch
from socketio_fast._core.protocol.wire cimport sf_exact_ns

from socketio_fast.exceptions import InvalidPayloadError


@cython.final
cdef class Step(Outcome):
    """One function; its client is told how it ended."""

    cdef int begin(self) except -1:
        """It has suspended: count it."""
        if self.size != UNCOUNTED:
            self.session = self.peer.session
            return self.session.begin_event(self.size)
        return 0

    cdef int end(self) except -1:
        """It has ended: do not count it any longer."""
        cdef Session session = self.session
        if session is not None:
            self.session = None
            return session.end_event(self.size)
        return 0

    cdef int returned(self, object value) except -1:
        if self.watch is not None and self.kind == STEP_EVENT:
            self.watch.ended(sf_exact_ns() - self.began, None)
        return self.peer.step_returned(self, value)

    cdef int raised(self, object error) except -1:
        if self.watch is not None and self.kind == STEP_EVENT:
            self.watch.ended(sf_exact_ns() - self.began, error)
        return self.peer.step_raised(self, error)


cdef Step new_step(PeerBase peer, int kind, Py_ssize_t size):
    cdef Step step = Step.__new__(Step)
    step.peer = peer
    step.kind = kind
    step.size = size
    return step


cdef class PeerGroup(Group):
    """Several functions of a client. Abstract."""

    cdef int count(self, Py_ssize_t size) except -1:
        """Some have suspended, of a packet of that size."""
        self.size = size
        self.session = self.peer.session
        return self.session.begin_event(size)

    cdef int release(self) except -1:
        """All have ended."""
        if self.session is not None:
            self.session.end_event(self.size)
        return self.peer.start_next_event() if self.holds else 0

    cdef int failed(self, object error) except -1:
        return self.peer.handler_failed(self.event, error)


cdef int _begin(PeerGroup group, PeerBase peer, object event) except -1:
    group.peer = peer
    group.context = peer.context
    group.event = event
    group.size = UNCOUNTED
    return 0


@cython.final
cdef class Told(PeerGroup):
    """Listeners whose values are ignored."""

    cdef int ended(self) except -1:
        if self.shares:
            self.peer.keep_context()
        return self.release()


cdef Told new_told(PeerBase peer, object event):
    cdef Told told = Told.__new__(Told)
    _begin(told, peer, event)
    return told


@cython.final
cdef class EventAnswers(PeerGroup):
    """The handler of an event and its listeners: the first value acknowledges it."""

    cdef int returned(self, Py_ssize_t place, object value) except -1:
        if value is self.not_handled:
            return 0
        return Group.returned(self, place, value)

    cdef int failed(self, object error) except -1:
        self.errors = True
        if self.watch is not None and self.error is None:
            self.error = error
        if not isinstance(error, InvalidPayloadError):
            return self.peer.event_failed(self.event, error, -1)
        self.peer.event_failed(self.event, error, self.id)
        self.id = -1  # that was the acknowledgement
        return 0

    cdef int ended(self) except -1:
        watch, self.watch = self.watch, None
        if watch is not None:
            (<EventWatch> watch).ended(sf_exact_ns() - self.began, self.error)
        # As with one handler, an error alone acknowledges nothing.
        if self.id >= 0 and not (self.errors and self.value is None):
            self.peer.send_ack(self.value, self.id)
        elif self.errors:
            self.peer.send_error_ack("The handler of this event failed", self.id)
        return self.release()


cdef EventAnswers new_answers(
    PeerBase peer, object event, int64_t id, object not_handled
):
    cdef EventAnswers answers = EventAnswers.__new__(EventAnswers)
    _begin(answers, peer, event)
    answers.id = id
    answers.not_handled = not_handled
    return answers


@cython.final
cdef class DisconnectListeners(PeerGroup):
    """The disconnect handler, and the listeners of `disconnecting`."""

    cdef int ended(self) except -1:
        return self.peer.disconnect_handled()


cdef DisconnectListeners new_disconnect_listeners(PeerBase peer):
    cdef DisconnectListeners listeners = DisconnectListeners.__new__(
        DisconnectListeners
    )
    _begin(listeners, peer, "disconnect")
    return listeners
