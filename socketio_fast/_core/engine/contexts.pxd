# Contexts of context variables, compared by the identity of their values.
cdef extern from "Python.h":
    object PyContext_Copy(object context)


cdef inline object copied(object context):
    # Copies a context. None stays None.
    return None if context is None else PyContext_Copy(context)


cdef extern from *:
    """
    /* A copy shares the table of variables until one of them is set. This structure is
       CPython's from 3.7 to 3.14; _has_layout() checks it at import. */
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


cdef bint layout_known

cdef bint are_equal(object first, object second) except -1


cdef inline bint same(object first, object second) except -1:
    # Whether the same variables have identical values.
    return (
        layout_known and sf_shares_variables(first, second)
        or are_equal(first, second)
    )
