# Binary attachments of Socket.IO packets, and the placeholders that stand for them.

cdef enum:
    # Levels of arrays and objects in data that is sent. It is more than the JSON parser
    # accepts (1024), so that an event can pass on what another event has brought.
    MAX_DEPTH = 1100


cdef class Placeholder:
    # Stands in decoded JSON for the attachment with this number.
    cdef int num


cdef class Attachments:
    # The binary values of a packet that is being encoded.
    cdef:
        list found                  # in the order of their numbers; None: none
        Py_ssize_t count

    cdef int collect(self, bytes value) except -1
    cdef object replace(self, object value)


cdef Placeholder placeholder(int num)
cdef object extract(object data, Attachments attachments, int depth, bint inside)
cdef object put_in_place(object data, list attachments, int depth)
