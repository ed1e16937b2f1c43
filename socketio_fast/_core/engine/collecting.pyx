"""What Python's garbage collector looks at.

It looks at each object that it tracks, in each collection of the object's generation,
while no client is served. What is not tracked counts as used, and so does what it
refers to: right for an object only while something that is used refers to it.
"""
from cpython.object cimport PyObject

cdef extern from "Python.h":
    bint PyObject_IS_GC(PyObject *o)
    bint PyObject_GC_IsTracked(PyObject *o)
    void PyObject_GC_Track(void *o)
    void PyObject_GC_UnTrack(void *o)


cdef int set_tracked(object o, bint tracked) except -1:
    """Have the collector look at an object, or not."""
    if not PyObject_IS_GC(<PyObject *> o):
        return 0
    if not tracked:
        PyObject_GC_UnTrack(<void *> o)
    elif not PyObject_GC_IsTracked(<PyObject *> o):
        PyObject_GC_Track(<void *> o)
    return 0
