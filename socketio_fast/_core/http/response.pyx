"""Heads of HTTP/1.1 responses."""
from http import HTTPStatus

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.string cimport memcpy

from socketio_fast._core.protocol.wire cimport SF_NUMBER_SIZE, sf_put_number

cdef bytes KEEP_ALIVE = b"Connection: keep-alive\r\n\r\n"
cdef bytes CLOSE = b"Connection: close\r\n\r\n"

cdef dict STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}


cdef bytes response_bytes(
    int status, bytes content_type, bytes store, bytes lines, bytes more, bytes date,
    bint keep_alive, bytes body, Py_ssize_t body_size, bint head_only
):
    """A response, allocated and written once.

    Args:
        status: The status code.
        content_type: The value of the header.
        store: The Cache-Control line, or nothing.
        lines: Header lines, each with its CRLF.
        more: More of them.
        date: The Date line.
        keep_alive: Whether the connection stays open.
        body: The body, or nothing if it is written separately.
        body_size: Its length for Content-Length.
        head_only: Whether no body follows: HEAD, and status 304.
    """
    cdef bytes first = STATUS_LINES[status], last = KEEP_ALIVE if keep_alive else CLOSE
    cdef char length[SF_NUMBER_SIZE]
    cdef Py_ssize_t size, length_size
    cdef bytes response
    cdef char *out
    length_size = sf_put_number(length, body_size) - length
    size = (
        PyBytes_GET_SIZE(first) + 34 + PyBytes_GET_SIZE(content_type) + length_size
        + PyBytes_GET_SIZE(store) + PyBytes_GET_SIZE(lines) + PyBytes_GET_SIZE(more)
        + PyBytes_GET_SIZE(date) + PyBytes_GET_SIZE(last)
        + (0 if head_only else PyBytes_GET_SIZE(body))
    )
    response = PyBytes_FromStringAndSize(NULL, size)
    out = PyBytes_AS_STRING(response)
    out = _put(out, first)
    memcpy(out, b"Content-Type: ", 14)
    out = _put(out + 14, content_type)
    memcpy(out, b"\r\nContent-Length: ", 18)
    memcpy(out + 18, length, length_size)
    out = _put(out + 18 + length_size, b"\r\n")
    out = _put(out, store)
    out = _put(out, lines)
    out = _put(out, more)
    out = _put(out, date)
    out = _put(out, last)
    if not head_only:
        _put(out, body)
    return response


cdef inline char *_put(char *out, bytes piece) noexcept:
    memcpy(out, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    return out + PyBytes_GET_SIZE(piece)
