# All sessions of one server: their deadlines, and what they have to write.
from socketio_fast._core.engine.contracts cimport EngineBase
from socketio_fast._core.engine.deadlines cimport Timeline
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.engine.send_batch cimport SendBatch
from socketio_fast._core.engine.writer cimport Writer


cdef class Alarm:
    cdef object found               # a weak reference to the engine


cdef class Engine(EngineBase):
    cdef:
        list lost                   # sessions of an event loop that was closed
        bint can_upgrade            # from polling to WebSocket
        # The open packet behind the sid; None: it has not been sent yet.
        bytes open_with_upgrade
        bytes open_without_upgrade
        Timeline timeline
        # Methods of the event loop; None before bind().
        object _clock
        object _call_at
        object _call_soon
        object _call_later
        object _generate_id         # the application's; None: generate_id()
        readonly str tag            # what ids end with; None: nothing
        # What is to be done at the end of this pass of the loop.
        list slow                   # sessions above the high-water mark
        list dirty                  # transports with something to write
        list writers                # connections with something to write
        list apart                  # connections to write to a moment later
        SendBatch batch
        bint flushing               # flush() follows at the end of this pass
        bint in_pass                # sockets are read; see begin_pass()
        bint due                    # end_pass() calls flush()
        # The clock, while `flushing`. It is read once in a pass: an event loop's time
        # stands still during a pass, and reading it costs a call of Python.
        double pass_time
        object _alarm
        object _timer               # of the next deadline; None: there is none
        double _timer_at

    cdef int _schedule(self) except -1
    cdef int _flush_writers(self, list writers) except -1
    cdef int _observe(self, Observer observer) except -1
    cdef int _arm(self) except -1
