# Heads of HTTP/1.1 responses.

cdef bytes response_bytes(
    int status, bytes content_type, bytes store, bytes lines, bytes more, bytes date,
    bint keep_alive, bytes body, Py_ssize_t body_size, bint head_only
)
