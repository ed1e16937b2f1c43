"""Ids of sessions and of clients in namespaces: random, 20 characters of URLs."""
import os

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcpy, memset

from socketio_fast._core.protocol.wire cimport sf_base64_encode

cdef enum:
    ID_BYTES = 15
    ID_CHARACTERS = 20
    RANDOM_SIZE = 256 * ID_BYTES

# Random bytes that no id has been made of yet: a system call costs more than an id.
cdef char random[RANDOM_SIZE]
cdef Py_ssize_t random_left = 0


cpdef str generate_id():
    """Return a new id: 120 random bits of the operating system, as 20 characters."""
    global random_left
    cdef char id[ID_CHARACTERS]
    cdef bytes drawn
    cdef int i
    if random_left == 0:
        drawn = os.urandom(RANDOM_SIZE)
        memcpy(random, PyBytes_AS_STRING(drawn), RANDOM_SIZE)
        random_left = RANDOM_SIZE
    random_left -= ID_BYTES
    sf_base64_encode(id, random + random_left, ID_BYTES)
    # An id is a secret: whoever reads this memory later must not find it.
    memset(random + random_left, 0, ID_BYTES)
    for i in range(ID_CHARACTERS):
        if id[i] == c"+":
            id[i] = c"-"
        elif id[i] == c"/":
            id[i] = c"_"
    return PyUnicode_DecodeASCII(id, ID_CHARACTERS, NULL)


def _forget_random():
    global random_left
    random_left = 0


if hasattr(os, "register_at_fork"):
    # A parent and a forked child must not make the same ids.
    os.register_at_fork(after_in_child=_forget_random)
