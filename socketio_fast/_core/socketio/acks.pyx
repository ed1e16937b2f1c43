"""Acknowledgements that the server asks for: who awaits them, and the ids.

Each client counts its own ids from 0 (Socket.IO protocol, revision 5: an event with an
id is answered by an ACK packet with the same id).
"""
import cython

from socketio_fast._core.protocol.wire cimport sf_exact_ns


@cython.final
cdef class Reply:
    """The acknowledgement of one client, as a callback that resolves a Future.

    Args:
        future: Gets the arguments of the acknowledgement, a list or tuple; or a
            `CallDisconnectedError` if the client goes, or a `TimeoutError` if the
            acknowledgement is given up.
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
        """Stop waiting: the Future gets this error."""
        self.fail(error)


@cython.final
cdef class AckCollector:
    """The acknowledgement of one of several clients that were asked together."""


@cython.final
@cython.freelist(16)
cdef class AckWatch:
    """Watches the acknowledgement that one client owes."""

    cdef int ended(self, str outcome) except -1:
        if self.figures is not None:
            if outcome == "acknowledged":
                self.figures.time(sf_exact_ns() - self.began)
            else:
                self.figures.failed += 1
        if self.tracer is not None:
            self.tracer.answered(self.span, outcome)
        return 0


@cython.final
cdef class PendingAcks:
    """The acknowledgements that one client owes. Made with the first of them."""

    def __cinit__(self):
        self.callbacks = {}

    cdef int64_t add(self, object callback) except -1:
        """Await an acknowledgement; returns its id."""
        cdef int64_t id = self.next_id
        self.next_id += 1
        self.put(id, callback)
        return id

    cdef int put(self, int64_t id, object callback) except -1:
        """Await the acknowledgement with this id."""
        self.callbacks[id] = callback
        if isinstance(callback, Reply):
            (<Reply> callback).id = id
        return 0

    cdef int watch(self, int64_t id, AckWatch watch) except -1:
        """Let `watch` be told of what becomes of an acknowledgement; None: nobody."""
        if watch is not None:
            if self.watches is None:
                self.watches = {}
            self.watches[id] = watch
        return 0

    cdef object pop(self, int64_t id):
        """Remove and return the callback of an acknowledgement; None: there is none."""
        return self.callbacks.pop(id, None)

    cdef object pop_oldest(self):
        """Remove and return the callback that has waited longest."""
        cdef object callback = None
        while callback is None and self.first_id < self.next_id:
            callback = self.callbacks.pop(self.first_id, None)
            self.ended(self.first_id, "abandoned")
            self.first_id += 1
        return callback

    cdef int ended(self, int64_t id, str outcome) except -1:
        """Tell who watches an acknowledgement what has become of it."""
        cdef AckWatch watch
        if self.watches is not None:
            watch = self.watches.pop(id, None)
            if watch is not None:
                return watch.ended(outcome)
        return 0


cdef int give_up(object callback, str sid, object error) except -1:
    """Tell what awaits an acknowledgement of `sid` that none will come. A callback of
    the application is not called."""
    if isinstance(callback, AckCollector):
        (<AckCollector> callback).collector.gone(sid)
    elif isinstance(callback, Reply):
        (<Reply> callback).fail(error)
    return 0
