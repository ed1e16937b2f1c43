"""Contexts of context variables, compared by what they hold.

`==` compares values by their `==`: two lists that are equal for now would be the same
to it, and an `__eq__` of the application's may raise. Here a value is itself alone.
"""
from contextvars import Context, ContextVar, copy_context

cdef extern from *:
    """
    /* Copies share their table of variables until one of them sets a variable. The
       structure is CPython's, 3.7 to 3.14; _has_layout() tries it. */
    typedef struct {
        PyObject_HEAD
        PyObject *previous;
        PyObject *variables;
    } sf_context;
    static inline int sf_shares_variables(PyObject *a, PyObject *b) {
        return ((sf_context *)a)->variables == ((sf_context *)b)->variables;
    }
    """
    bint sf_shares_variables(object a, object b)
    size_t SF_CONTEXT_SIZE "sizeof(sf_context)"


cdef bint same(object first, object second) except -1:
    """Whether the same variables have the same values, objects that are identical."""
    if layout_known and sf_shares_variables(first, second):
        return True
    if len(first) != len(second):
        return False
    for variable, value in first.items():
        if second.get(variable, MISSING) is not value:
            return False
    return True


cdef object MISSING = object()  # the value of no variable


cdef bint _has_layout() except -1:
    cdef object before = copy_context()
    cdef object after = before.copy()
    if <size_t> Context.__basicsize__ < SF_CONTEXT_SIZE:
        return False
    if not sf_shares_variables(before, after):
        return False
    after.run(ContextVar("socketio_fast").set, None)
    return not sf_shares_variables(before, after)


cdef bint layout_known = _has_layout()


def compare(first, second):
    """`same()`, for tests."""
    return same(first, second)
