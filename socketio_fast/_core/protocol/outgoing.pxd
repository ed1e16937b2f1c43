# One encoded message, rendered at most once per kind of transport.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from socketio_fast._core.protocol.attachments cimport Attachments

# What only some clients get: of revision 3, without binary frames, and of other
# servers' WebSockets.
cdef enum Rendering:
    FRAMES_3            # for WebSocket
    FRAMES_3_BASE64
    MESSAGES_3          # for a WebSocket that another server speaks
    MESSAGES_3_BASE64
    TEXT_PAYLOAD_3      # for HTTP long-polling
    BINARY_PAYLOAD_3
    MESSAGES            # of revision 4
    # From 8 to 15: frames for WebSocket, compressed with a window of 2 ** kind bytes.
    FRAMES_BASE64 = 16
    MESSAGES_BASE64


cdef class Outgoing:
    cdef:
        bytes head              # the text packet, up to its JSON; None: there is none
        bytes _body             # the rest of it; None: it is in `_frames` alone,
        Py_ssize_t _body_at     # where it begins there,
        Py_ssize_t _body_size   # and how many bytes it has
        list attachments        # binary messages behind it; None: there are none
        bytes _frames           # rendered for WebSocket
        bytes _packets          # rendered for HTTP long-polling
        dict _renderings        # others, by Rendering; None: nobody asked
        unsigned char droppable     # it may be left out for a slow client
        unsigned char uncompressed     # it must not be compressed on its way
        public bint volatile    # it is dropped where it cannot leave at once

    cdef bytes body(self)
    cdef bytes text(self)
    cdef const char *json(self) noexcept
    cdef Py_ssize_t json_size(self) noexcept
    cdef bytes frames(self)
    cdef bytes packets(self)
    cdef list messages(self)
    cdef object rendering(self, int kind)
    cdef object rendered(self, int kind)
    cdef int keep(self, int kind, object rendering) except -1
    cdef object _render(self, int kind)
    cdef Py_ssize_t size(self) except -1
    cdef Py_ssize_t count(self) except -1
    cdef list apart(self)


cdef Outgoing event(str namespace, list data, int64_t id)
cdef Outgoing of_strings(
    int type, str namespace, PyObject **items, Py_ssize_t n, int64_t id
)
cdef Outgoing of_json(int type, str namespace, bytes json, int64_t id)
cdef Outgoing connect_packet(str namespace, str sid)
cdef Outgoing with_sid(bytes head, str sid, bytes rest)
cdef Outgoing packet(int type, str namespace, object data, int64_t id)
cdef Outgoing assembled(
    int type, str namespace, int64_t id, bytes body, Attachments attachments
)
cdef Outgoing numbered(Outgoing m, str namespace, int64_t id)
cdef Outgoing unrendered(Outgoing m)
cdef Outgoing with_last(Outgoing m, bytes text)
cdef Outgoing control(bytes text)
cdef Outgoing message(object data)
