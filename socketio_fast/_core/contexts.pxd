# Contexts of context variables, compared by what they hold.
cdef extern from "Python.h":
    object PyContext_Copy(object context)


cdef inline object copied(object context):
    # A copy of a context; None for None.
    return None if context is None else PyContext_Copy(context)


cdef bint same(object first, object second) except -1
