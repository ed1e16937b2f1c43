# Deadlines of many owners, without a timer for each.


cdef class Timed:
    # An owner of deadlines. It numbers the kinds of its deadlines itself.
    cdef int on_deadline(self, int kind, double now) except -1


cdef class Deadline:
    cdef:
        readonly double when
        readonly int kind
        readonly Timed owner
        Queue queue             # None: not pending
        Deadline previous
        Deadline next

    cdef int cancel(self) except -1


cdef class Queue:
    cdef:
        double delay            # of its deadlines (seconds)
        double late             # how late its deadlines may be handled (seconds)
        double early            # how early they may be (seconds)
        Deadline first
        Deadline last

    cdef int append(self, Deadline d) except -1
    cdef int remove(self, Deadline d) except -1


cdef class Timeline:
    cdef:
        dict queues             # delay -> Queue

    cdef Deadline start(self, double now, double delay, int kind, Timed owner)
    cdef int restart(self, Deadline d, double now, double delay, int kind) except -1
    cdef double next(self)
    cdef double wake(self, double now)
    cdef Deadline pop(self, double now)
