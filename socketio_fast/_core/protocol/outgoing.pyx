"""Outgoing: one encoded message for any number of clients, on any transport.

A server does not mask its frames, so all clients get the same bytes: N recipients cost
one serialisation, one framing, and N references.
"""
import cython
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_CheckExact,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.list cimport PyList_CheckExact
from cpython.object cimport PyObject
from libc.string cimport memcpy

from socketio_fast._core.protocol cimport eio, eio3, sio
from socketio_fast._core.protocol.attachments cimport Attachments
from socketio_fast._core.protocol.json_text cimport (
    put_strings,
    strings_size,
    write_other_json,
)

cdef extern from "Python.h":
    PyObject **PySequence_Fast_ITEMS(object o)

cdef enum:
    # Bytes of the frames of binary values that are written at once. Larger ones are
    # written when a WebSocket needs them: the copy would be in vain for other clients.
    FRAMED_SIZE = 4096


@cython.final
@cython.no_gc  # bytes and str alone, and what holds them
@cython.freelist(64)
cdef class Outgoing:
    """A text packet, binary messages, or a text packet followed by binary messages.

    `uncompressed`: it is never compressed, neither by permessage-deflate nor by HTTP.
    `droppable`: an event without an acknowledgement; see `outflow`.
    """

    cdef bytes body(self):
        """The text packet behind its head; None: there is no text packet."""
        if self._body is None and self.head is not None:
            self._body = PyBytes_FromStringAndSize(self.json(), self.json_size())
        return self._body

    cdef bytes text(self):
        """The text packet, which there is."""
        cdef const char *start
        if self._body is not None:
            return self.head + self._body
        start = self.json() - PyBytes_GET_SIZE(self.head)
        return PyBytes_FromStringAndSize(
            start, PyBytes_GET_SIZE(self.head) + self.json_size()
        )

    cdef const char *json(self) noexcept:
        """Where the body of the text packet is, which there is."""
        if self._body is not None:
            return PyBytes_AS_STRING(self._body)
        return PyBytes_AS_STRING(self._frames) + self._body_at

    cdef Py_ssize_t json_size(self) noexcept:
        """The size of the body, in bytes."""
        if self._body is not None:
            return PyBytes_GET_SIZE(self._body)
        return self._body_size

    cdef bytes frames(self):
        """The WebSocket frames."""
        cdef list parts
        if self._frames is None:
            if self.attachments is None:
                self._frames = eio.text_frame(self.head, self._body)
            else:
                parts = []
                if self.head is not None:
                    parts.append(eio.text_frame(self.head, self._body))
                for data in self.attachments:
                    parts.append(eio.binary_frame(data))
                self._frames = b"".join(parts)
        return self._frames

    cdef bytes packets(self):
        """The packets of a long-polling payload, joined."""
        cdef list parts
        if self._packets is None:
            parts = []
            if self.head is not None:
                parts.append(self.text())
            for data in self.attachments or ():
                parts.append(eio.base64_packet(data))
            self._packets = eio.join_payload(parts)
        return self._packets

    cdef list messages(self):
        """The WebSocket messages, as str and bytes."""
        return self.rendering(MESSAGES)

    cdef object rendering(self, int kind):
        """What some clients get, by a `Rendering`: bytes, or a list of messages."""
        cdef object made = self.rendered(kind)
        if made is None:
            made = self._render(kind)
            self.keep(kind, made)
        return made

    cdef object rendered(self, int kind):
        """A rendering that was made before; None: it was not."""
        return None if self._renderings is None else self._renderings.get(kind)

    cdef int keep(self, int kind, object rendering) except -1:
        """Keep a rendering for other clients."""
        if self._renderings is None:
            self._renderings = {}
        self._renderings[kind] = rendering
        return 0

    cdef object _render(self, int kind):
        cdef list parts
        cdef bint frames, revision_4 = kind >= FRAMES_BASE64
        if kind == MESSAGES:
            messages = [] if self.head is None else [self.text().decode()]
            return messages + (self.attachments or [])
        if kind == TEXT_PAYLOAD_3:
            return eio3.text_payload(self.head, self.body(), self.attachments)
        if kind == BINARY_PAYLOAD_3:
            return eio3.binary_payload(self.head, self.body(), self.attachments)
        frames = kind <= FRAMES_3_BASE64 or kind == FRAMES_BASE64
        if self.attachments is None:
            # Text is the same in both revisions.
            return self.frames() if frames else self.messages()
        parts = []
        if self.head is not None:
            parts.append(self.text())
        if kind == MESSAGES_3:
            messages = [part.decode() for part in parts]
            return messages + [b"\x04" + data for data in self.attachments]
        if kind == FRAMES_3:
            parts = [eio.text_frame(part, b"") for part in parts]
            parts += [eio.binary_frame(b"\x04" + data) for data in self.attachments]
            return b"".join(parts)
        for data in self.attachments:
            parts.append(
                eio.base64_packet(data) if revision_4 else eio3.base64_message(data)
            )
        if frames:
            return b"".join([eio.text_frame(part, b"") for part in parts])
        return [part.decode() for part in parts]

    cdef Py_ssize_t size(self) except -1:
        """The size in bytes, without the heads of frames."""
        cdef Py_ssize_t n = 0
        cdef bytes data
        if self.head is not None:
            n = PyBytes_GET_SIZE(self.head) + self.json_size()
        if self.attachments is not None:
            for data in self.attachments:
                n += PyBytes_GET_SIZE(data)
        return n

    cdef Py_ssize_t count(self) except -1:
        """How many packets, or frames, it has."""
        cdef Py_ssize_t attachments = (
            0 if self.attachments is None else len(self.attachments)
        )
        return attachments + (self.head is not None)

    cdef list apart(self):
        """Split it into messages of one packet each."""
        cdef list parts = []
        cdef Outgoing part
        if self.head is not None:
            part = unrendered(self)
            part.attachments = None
            parts.append(part)
        for data in self.attachments or ():
            part = Outgoing.__new__(Outgoing)
            part.uncompressed = self.uncompressed
            part.attachments = [data]
            parts.append(part)
        return parts

    @property
    def compress(self):
        """Whether it may be compressed for clients that have negotiated compression."""
        return not self.uncompressed

    @compress.setter
    def compress(self, bint compress):
        self.uncompressed = not compress


cdef inline char *_begin_frame(
    Outgoing m, bytes head, Py_ssize_t size, Py_ssize_t more
) except NULL:
    """Make the frame of a text packet, and room for `more` bytes of others behind it.
    Returns where the body is to be written."""
    cdef char *body
    m.head = head
    m._frames = eio.begun_text_frame(head, size, more, &body)
    m._body_at = body - PyBytes_AS_STRING(m._frames)
    m._body_size = size
    return body


cdef Outgoing event(str namespace, list data, int64_t id):
    """A Socket.IO EVENT of `[name, *arguments]`; `id` is -1 for no ack."""
    return packet(sio.SIO_EVENT, namespace, data, id)


cdef Outgoing packet(int type, str namespace, object data, int64_t id):
    """A Socket.IO packet; `id` is -1 for none."""
    cdef Outgoing m
    cdef Attachments attachments
    if data is None:
        m = Outgoing.__new__(Outgoing)
        m._body = b""
        m.head = sio.head(type, namespace, id, 0)
        return m
    if PyList_CheckExact(data):
        m = of_strings(
            type, namespace, PySequence_Fast_ITEMS(data), len(<list> data), id
        )
        if m is not None:
            return m
    attachments = Attachments.__new__(Attachments)
    body = write_other_json(data, attachments)
    return assembled(type, namespace, id, body, attachments)


cdef Outgoing of_strings(
    int type, str namespace, PyObject **items, Py_ssize_t n, int64_t id
):
    """A packet of ASCII strings without escapes, and bytes; None: it has other items.

    They are written into the frames, as most are sent by WebSocket. An echo takes 3.5 %
    fewer instructions than with JSON by itself, one of 4 KiB 5.7 % (callgrind).

    `items` must stay as they are: a list that is made here may run the garbage
    collector, and that the program's code.
    """
    cdef Outgoing m
    cdef Py_ssize_t binaries = 0, framed = 0, i
    cdef Py_ssize_t size = strings_size(items, n, &binaries)
    cdef bytes head
    cdef char *json
    cdef char *end
    if size < 0:
        return None
    m = Outgoing.__new__(Outgoing)
    head = sio.head(type, namespace, id, binaries)
    if binaries:
        for i in range(n):
            if PyBytes_CheckExact(<object> items[i]):
                framed += eio.binary_frame_size(<bytes> items[i])
        if framed > FRAMED_SIZE:
            m.head = head
            m._body = PyBytes_FromStringAndSize(NULL, size)
            m.attachments = put_strings(
                PyBytes_AS_STRING(m._body), items, n, binaries
            )
            return m
    json = _begin_frame(m, head, size, framed)
    m.attachments = put_strings(json, items, n, binaries)
    if binaries:
        end = json + size
        for i in range(binaries):
            end = eio.put_binary_frame(end, <bytes> m.attachments[i])
    return m


cdef Outgoing of_json(int type, str namespace, bytes json, int64_t id):
    """A packet of an array with one value, of which this is the JSON."""
    cdef Outgoing m = Outgoing.__new__(Outgoing)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(json)
    cdef char *out = _begin_frame(m, sio.head(type, namespace, id, 0), n + 2, 0)
    out[0] = c"["
    memcpy(out + 1, PyBytes_AS_STRING(json), n)
    out[n + 1] = c"]"
    return m


cdef Outgoing connect_packet(str namespace, str sid):
    """The CONNECT of a server, for a client that cannot be recovered."""
    return with_sid(sio.head(sio.SIO_CONNECT, namespace, -1, 0), sid, b"}")


cdef Outgoing with_sid(bytes head, str sid, bytes rest):
    """A packet of the object `{"sid":…`, which `rest` completes.

    An object that orjson makes takes 1,000 instructions more, and each connection is
    sent two (callgrind).
    """
    cdef Outgoing m = Outgoing.__new__(Outgoing)
    cdef PyObject *item = <PyObject *> sid
    cdef Py_ssize_t binaries = 0, size = strings_size(&item, 1, &binaries)
    cdef Py_ssize_t more = PyBytes_GET_SIZE(rest)
    cdef char *out
    if size < 0:
        m.head = head
        json = write_other_json(sid, Attachments.__new__(Attachments))
        m._body = b'{"sid":' + json + rest
        return m
    out = _begin_frame(m, head, 5 + size + more, 0)
    # The string without the brackets of an array, whose first the colon replaces.
    put_strings(out + 6, &item, 1, 0)
    memcpy(out, b'{"sid":', 7)
    memcpy(out + 5 + size, PyBytes_AS_STRING(rest), more)
    return m


cdef Outgoing assembled(
    int type, str namespace, int64_t id, bytes body, Attachments attachments
):
    """A Socket.IO packet whose JSON is encoded already."""
    cdef Outgoing m = Outgoing.__new__(Outgoing)
    m.head = sio.head(type, namespace, id, attachments.count)
    m._body = body
    m.attachments = attachments.found
    return m


cdef Outgoing numbered(Outgoing m, str namespace, int64_t id):
    """A copy of the EVENT `m` that asks for an acknowledgement. They share the JSON."""
    cdef Outgoing own = unrendered(m)
    own.head = sio.head(
        sio.SIO_EVENT, namespace, id,
        0 if m.attachments is None else len(m.attachments),
    )
    own.droppable = False
    return own


cdef Outgoing unrendered(Outgoing m):
    """A copy of a message without its renderings. They share text and attachments."""
    cdef Outgoing own = _without_body(m)
    own._body = m.body()
    return own


cdef Outgoing _without_body(Outgoing m):
    cdef Outgoing own = Outgoing.__new__(Outgoing)
    own.head = m.head
    own.attachments = m.attachments
    own.uncompressed = m.uncompressed
    own.volatile = m.volatile
    own.droppable = m.droppable
    return own


cdef Outgoing with_last(Outgoing m, bytes text):
    """A copy of the EVENT `m` with one more argument, a string without escapes."""
    cdef Outgoing own = _without_body(m)
    cdef Py_ssize_t n = m.json_size() - 1, added = PyBytes_GET_SIZE(text)
    cdef bytes body = PyBytes_FromStringAndSize(NULL, n + added + 4)
    cdef char *out = PyBytes_AS_STRING(body)
    memcpy(out, m.json(), n)
    memcpy(out + n, b',"', 2)
    memcpy(out + n + 2, PyBytes_AS_STRING(text), added)
    memcpy(out + n + 2 + added, b'"]', 2)
    own._body = body
    return own


cdef Outgoing control(bytes text):
    """An Engine.IO packet of the protocol itself: ping, noop, open, …"""
    cdef Outgoing m = Outgoing.__new__(Outgoing)
    m.head = text
    m._body = b""
    return m


cdef Outgoing message(object data):
    """An Engine.IO message: text from str, binary from bytes-like."""
    cdef Outgoing m = Outgoing.__new__(Outgoing)
    m.droppable = True
    if isinstance(data, str):
        m.head = b"4"
        m._body = (<str> data).encode()
    elif isinstance(data, (bytes, bytearray, memoryview)):
        m.attachments = [bytes(data)]
    else:
        raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
    return m


def event_packet(str name not None, list args not None, namespace="/", id=None):
    """An Outgoing EVENT, for Python callers."""
    return event(namespace, [name, *args], -1 if id is None else id)


def raw_packet(bytes text not None):
    """An Outgoing Engine.IO packet as it is, for Python callers."""
    return control(text)


def message_packet(data):
    """An Outgoing Engine.IO message, for Python callers."""
    return message(data)
