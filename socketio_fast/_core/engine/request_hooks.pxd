# What an application decides and learns of requests, connections and slow clients.


cdef class HookRefusal:
    cdef:
        readonly int status
        readonly int code
        readonly bytes text
        readonly bytes lines
        readonly dict context


cdef class RequestHooks:
    cdef:
        public bint every_request   # also requests of open sessions concern the hooks
