# JSON as it stands in Socket.IO packets.
from cpython.object cimport PyObject

from socketio_fast._core.protocol.attachments cimport Attachments

cdef object read_json(const char *p, Py_ssize_t n, bint event, bint binary)
cdef int read_strings(
    const char *p, Py_ssize_t n, PyObject **strings, Py_ssize_t *count
) except -1
cdef object read_json_with(const char *p, Py_ssize_t n, object loads)
cdef bytes write_json(object data, Attachments attachments)
cdef Py_ssize_t strings_size(
    PyObject **items, Py_ssize_t count, Py_ssize_t *binaries
) except -2
cdef list put_strings(
    char *out, PyObject **items, Py_ssize_t count, Py_ssize_t binaries
)
cdef bytes write_other_json(object data, Attachments attachments)
cdef str read_name(const char *p, size_t n)
