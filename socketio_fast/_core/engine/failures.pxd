# What becomes of an exception that user code raises.

cpdef int log_failure(
    object logger, object error, str message, tuple args=*, dict fields=*
) except -1
cpdef int defer_exit(object loop, object error) except -1
cpdef int contain(
    object loop, object logger, object error, str message, tuple args=*
) except -1
