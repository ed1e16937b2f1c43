"""Contexts of context variables, compared by the identity of their values.

`==` of contexts compares the values by their `==`. It takes two lists that are equal
now for the same, and calls `__eq__` of the application's classes, which may raise.
"""
from contextvars import Context, ContextVar, copy_context


cdef bint are_equal(object first, object second) except -1:
    """Whether the same variables have identical values."""
    if len(first) != len(second):
        return False
    for variable, value in first.items():
        if second.get(variable, MISSING) is not value:
            return False
    return True


cdef object MISSING = object()  # the value of no variable


cdef bint _has_layout() except -1:
    """Whether sf_context describes contexts of this Python: a copy shares the table of
    variables until one of them is set."""
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
    """Like same(), for tests."""
    return same(first, second)
