# Limits that several processes hold together.
from socketio_fast._core.engine.contracts cimport EngineBase
from socketio_fast._core.engine.rate_limits cimport Bucket, Limits, Visitor


cdef class SharedBucket(Bucket):
    cdef:
        SharedLimits limits
        str address
        double seen             # tokens when it was refilled
        double taken            # taken before that, and not yet told

    @staticmethod
    cdef SharedBucket of(Bucket bucket, SharedLimits limits, str address)
    cdef double tell(self) except -1
    cdef int lose(self, double n, double now) except -1


cdef class SharedLimits(Limits):
    cdef:
        EngineBase engine
        object noted
        set counted             # addresses whose connections have changed
        set spent               # addresses of which tokens may have been taken
        dict elsewhere          # address -> sessions and TCP connections elsewhere
        dict told               # address -> TCP connections here, as told last

    cdef int note(self, str address, bint at_once) except -1
    cdef Bucket _shared(self, Bucket bucket, Visitor visitor)
    cdef tuple _here(self, str address, Visitor visitor)
    cdef Visitor _named(self, str address)
