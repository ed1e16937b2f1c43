# What Python's garbage collector looks at.

cdef int set_tracked(object o, bint tracked) except -1
