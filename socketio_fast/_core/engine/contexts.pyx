"""Contexts of context variables, compared by what they hold.

`==` compares values by their `==`: two lists that are equal for now would be the same
to it, and an `__eq__` of the application's may raise. Here a value is itself alone.
"""
from contextvars import Context, ContextVar, copy_context


cdef bint are_equal(object first, object second) except -1:
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
