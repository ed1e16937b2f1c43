"""What a server or a client is measured by: counts and times of its events.

It is in C because it is asked at each event. Who shows the figures reads them now and
then: `socketio_fast/contrib`.

Clients choose the names of events, and of some namespaces, so there is a bound on what
is counted apart. An event that is received has figures of its own if a handler, a
method or a listener has its name. The others of its namespace share those of the
event `"*"`, and namespaces whose names clients choose share those of `"*"`.
"""
import cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from socketio_fast._core.engine.contracts cimport SessionBase as Session

#: Upper bounds of the buckets for times (seconds); the last bucket has none.
BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 10.0,
)
cdef int64_t[BUCKETS] _BOUNDS
cdef int _i
for _i in range(BUCKETS - 1):
    _BOUNDS[_i] = round(BOUNDS[_i] * 1e9)
_BOUNDS[BUCKETS - 1] = 0x7fffffffffffffff

#: The name of what is not counted apart.
OTHER = "*"

# Reasons by which a connection ends. An application may have reasons of its own.
_REASONS = frozenset((
    "client disconnect", "server disconnect", "ping timeout", "transport close",
    "transport error",
))


@cython.final
cdef class EventFigures(EventWatch):
    """Counts and times of one event of a namespace, in one direction.

    Args:
        namespace: The namespace, or `OTHER`.
        event: The event, or `OTHER`.
    """

    def __cinit__(self, str namespace not None, str event not None):
        self.namespace = namespace
        self.event = event

    cdef int time(self, int64_t nanoseconds) except -1:
        cdef int i = 0
        while nanoseconds > _BOUNDS[i]:
            i += 1
        self.counts[i] += 1
        self.total += nanoseconds
        return 0

    cdef int ended(self, int64_t took, object error) except -1:
        if error is not None:
            self.failed += 1
        return self.time(took)

    @property
    def times(self):
        """How many took how long: by the buckets of `BOUNDS`, and all together in
        seconds."""
        cdef int i
        return [self.counts[i] for i in range(BUCKETS)], self.total / 1e9


@cython.final
cdef class Meter(Observer):
    """Counts what happens in a server or a client.

    Args:
        wildcard: The handlers of namespace `"*"`.
        named: Names of events that are received and are counted apart although no
            handler has their name.
        most: Events that are counted apart, at most, in each direction.
        sessions: Those that are open already.
    """

    def __init__(
        self, Handlers wildcard not None, frozenset named, Py_ssize_t most, sessions=()
    ):
        self.wildcard = wildcard
        self.named = named
        self.most = most
        self.received = []
        self.sent = []
        self.tables_in = {}
        self.tables_out = {}
        self.opened = {}
        self.upgrades = {}
        self.closed = {}
        self.refused = {}
        self.others = {}
        for session in sessions:
            self._enter(session)

    # Connections.

    @property
    def connections(self):
        """Connections that are open, by transport, a dict."""
        cdef dict found = {"websocket": self.web_sockets, "polling": 0}
        for transport in list(self.others.values()):
            found[transport] = found.get(transport, 0) + 1
        return found

    def _enter(self, session):
        cdef str transport = session.transport_name
        if transport == "websocket":
            self.web_sockets += 1
        else:
            self.others[session.id] = transport
        return transport

    cpdef void session_opened(self, object session) noexcept:
        _count(self.opened, self._enter(session))

    cpdef void session_upgraded(self, object session) noexcept:
        self._leave(session.id)
        _count(self.upgrades, self._enter(session))

    cpdef void session_closed(self, object session, str reason) noexcept:
        # It has no transport any more.
        self._leave(session.id)
        _count(self.closed, reason if reason in _REASONS else OTHER)

    def _leave(self, id):
        if self.others.pop(id, None) is None:
            self.web_sockets -= 1

    cpdef void request_refused(self, str reason) noexcept:
        _count(self.refused, reason)

    cpdef void peer_refused(self, object peer) noexcept:
        _count(self.refused, "connect_handler")

    # Events.

    cdef EventFigures event_in(
        self, Handlers namespace, Listeners socket, object event, Py_ssize_t size
    ):
        """Count an event that was received. Returns its figures."""
        cdef EventFigures figures = <EventFigures> namespace.last_in
        if figures is None or figures.event is not event:
            figures = self._find_in(namespace, socket, event)
            namespace.last_in = figures
        figures.events += 1
        figures.bytes += size
        return figures

    cdef EventFigures _find_in(
        self, Handlers namespace, Listeners socket, object event
    ):
        cdef PyObject *found = NULL
        cdef EventFigures figures
        if namespace.figures_in is not None:
            found = PyDict_GetItemWithError(namespace.figures_in, event)
        if found is not NULL:
            return <EventFigures> found
        figures = self._new(
            self.tables_in, self.received, namespace, event,
            self.knows(namespace, socket, event),
        )
        namespace.figures_in = self.tables_in[figures.namespace]
        return figures

    cdef int event_out(
        self, Handlers namespace, object event, Py_ssize_t recipients, Py_ssize_t size
    ) except -1:
        """Count an event that is sent to so many, `size` bytes together."""
        cdef EventFigures figures = <EventFigures> namespace.last_out
        if figures is None or figures.event is not event:
            figures = self.figures_out(namespace, event)
            namespace.last_out = figures
        figures.calls += 1
        figures.events += recipients
        figures.bytes += size
        return 0

    cdef EventFigures figures_out(self, Handlers namespace, object event):
        """The figures of an event that is sent."""
        cdef PyObject *found = NULL
        cdef EventFigures figures
        if namespace.figures_out is not None:
            found = PyDict_GetItemWithError(namespace.figures_out, event)
        if found is not NULL:
            return <EventFigures> found
        figures = self._new(self.tables_out, self.sent, namespace, event, True)
        namespace.figures_out = self.tables_out[figures.namespace]
        return figures

    cdef bint knows(
        self, Handlers namespace, Listeners socket, object event
    ) except -1:
        """Whether the application has named an event that is received."""
        return event in self.named or is_known(
            namespace, self.wildcard, socket, event
        )

    cdef EventFigures _new(
        self, dict tables, list all, Handlers namespace, object event, bint known
    ):
        cdef str label = namespace.label(), name = str(event) if known else OTHER
        cdef EventFigures figures
        if label not in tables and len(tables) >= self.most:
            label = OTHER
        table = tables.setdefault(label, {})
        if name not in table and len(all) >= self.most:
            name = OTHER
        figures = table.get(name)
        if figures is None:
            figures = table[name] = EventFigures(label, name)
            all.append(figures)
        return figures


cdef int _count(dict counts, str key) except -1:
    counts[key] = counts.get(key, 0) + 1
    return 0


def label_of(Handlers namespace not None):
    """The name by which a namespace is counted."""
    return namespace.label()


def is_known(
    Handlers namespace not None, Handlers wildcard not None, Listeners socket, event
):
    """Whether the application has named an event that is received.

    Args:
        namespace: Where it was received.
        wildcard: The handlers of namespace `"*"`.
        socket: The listeners of the client, or None.
        event: Its name.
    """
    if event in namespace.handlers or event in wildcard.handlers or (
        socket is not None and event in socket.table
    ):
        return True
    for trigger in (namespace.trigger, wildcard.trigger):
        handler = getattr(trigger, "namespace_handler", None)
        if handler is not None and callable(getattr(handler, f"on_{event}", None)):
            return True
    return False


def unread(sessions):
    """What clients have not read.

    Returns:
        Bytes, and how many clients are slow.
    """
    cdef Session session
    cdef Py_ssize_t size = 0, slow = 0
    for session in sessions:
        size += session.unread_bytes()
        slow += session.above()
    return size, slow
