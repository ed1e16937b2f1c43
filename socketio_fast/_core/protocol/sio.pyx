"""Socket.IO packets, protocol revision 5: strict decoding, heads of packets to send.

    packet = type [ count "-" ] [ "/" namespace "," ] [ id ] [ json ]

`count` is the number of attachments (binary messages) that follow the text. Packets of
the types BINARY_EVENT and BINARY_ACK have them; here these two types are EVENT and ACK.
"""
import cython

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8

from socketio_fast._core.protocol.attachments cimport Attachments, put_in_place
from socketio_fast._core.protocol.event_values cimport split_event
from socketio_fast._core.protocol.json_text cimport (
    read_json,
    read_json_with,
    read_strings,
    write_json,
)
from socketio_fast._core.protocol.wire cimport (
    SF_BAD_ATTACHMENTS,
    SF_BAD_TYPE,
    SF_NUMBER_SIZE,
    SF_OK,
    sf_head,
    sf_put_number,
    sf_scan_head,
)

from socketio_fast.exceptions import LimitError, PacketError

cdef enum:
    # Bytes of JSON above which the data of a packet with attachments is decoded when
    # the last attachment has come.
    READ_LATER = 4096

# Names of events that the library itself emits. A client may not send them (as in
# socket.io-parser), and clients would take an event with such a name, sent by a server,
# for an event of the connection.
cdef frozenset _reserved = frozenset((
    "connect", "connect_error", "disconnect", "disconnecting", "newListener",
    "removeListener",
))
RESERVED_EVENTS = _reserved

# The heads of most events: Engine.IO MESSAGE, Socket.IO EVENT or BINARY_EVENT.
cdef bytes HEAD_EVENT = b"42"
cdef bytes HEAD_BINARY_EVENT = b"451-"


@cython.no_gc  # JSON has no cycles
@cython.freelist(16)
cdef class Packet:
    """A decoded packet; `data` is complete when `missing` is 0."""

    def __init__(self):
        raise TypeError("use decode_packet()")

    cdef int attach(self, bytes data) except -1:
        """Take the next attachment; the last one completes `data`."""
        if self.attachments is None:
            self.attachments = [data]
        else:
            self.attachments.append(data)
        self.missing -= 1
        if self.missing == 0:
            if isinstance(self.data, Unread):
                self.data = (<Unread> self.data).read(self.type)
            self.data = put_in_place(self.data, self.attachments, 0)
            self.attachments = None
        return 0

    def add_attachment(self, bytes data not None):
        """Take the next attachment; True when the packet is complete."""
        if self.missing == 0:
            raise PacketError("binary message that no packet has announced")
        self.attach(data)
        return self.missing == 0


def decode_packet(
    bytes packet not None, Py_ssize_t max_attachments=10, object loads=None
):
    """Decode the text of a packet, without the Engine.IO type.

    Args:
        packet: The text, in UTF-8.
        max_attachments: How many attachments the packet may announce.
        loads: Decodes JSON, a str; None: the built-in decoder.

    Raises:
        PacketError: The packet is malformed.
        LimitError: It announces too many attachments; this is a PacketError too.
    """
    cdef const char *p = PyBytes_AS_STRING(packet)
    cdef Packet decoded
    if loads is not None:
        decoded = decode_with(p, PyBytes_GET_SIZE(packet), max_attachments, loads)
    else:
        decoded = decode(p, PyBytes_GET_SIZE(packet), max_attachments, None)
    if isinstance(decoded.data, Unread):
        decoded.data = (<Unread> decoded.data).read(decoded.type)
    return decoded


cdef Packet decode(
    const char *p, Py_ssize_t n, Py_ssize_t max_attachments, dict undecoded
):
    """Decode the text of a packet; see `decode_packet`.

    `undecoded`: the names of events whose arguments stay JSON, `values`; or None.
    """
    cdef Py_ssize_t json
    cdef Packet packet = _decode_head(p, n, max_attachments, &json)
    if n - json > READ_LATER and packet.missing:
        packet.data = Unread.new(p + json, n - json, None)
        return packet
    if undecoded is not None and packet.type == SIO_EVENT and packet.missing == 0:
        packet.values = split_event(p + json, n - json, undecoded)
        if packet.values is not None:
            return packet
    if json < n:
        packet.data = read_json(
            p + json, n - json, packet.type == SIO_EVENT, packet.missing != 0
        )
    check_data(packet.type, packet.data, json < n)
    return packet


cdef int decode_strings(
    const char *p, Py_ssize_t n, PyObject **strings, Py_ssize_t *count, int64_t *id
) except -1:
    """Decode an event of the main namespace without a Packet, if its name and its
    arguments are ASCII strings without escapes, as those of most events are.

    Args:
        strings: As of `read_strings()`.
        count: The same; it stays 0 for any other packet, which decode() then decodes.
        id: Gets the id of the acknowledgement; -1: none is wanted.
    """
    cdef sf_head h = sf_scan_head(p, n)
    if _is_main_event(&h):
        id[0] = h.id
        read_strings(p + h.json, n - h.json, strings, count)
    return 0


cdef EventValues decode_values(
    const char *p, Py_ssize_t n, dict undecoded, int64_t *id
):
    """Split an event of the main namespace, one of the names in `undecoded`, without a
    Packet; `id` as of decode_strings(). None: decode() decodes it."""
    cdef sf_head h = sf_scan_head(p, n)
    if not _is_main_event(&h):
        return None
    id[0] = h.id
    return split_event(p + h.json, n - h.json, undecoded)


cdef inline bint _is_main_event(const sf_head *h) noexcept:
    return h.error == SF_OK and h.type == SIO_EVENT and h.nsp_size == 0


cdef Packet decode_with(
    const char *p, Py_ssize_t n, Py_ssize_t max_attachments, object loads
):
    """Decode the text of a packet whose JSON is decoded by `loads`, from a str."""
    cdef Py_ssize_t json
    cdef Packet packet = _decode_head(p, n, max_attachments, &json)
    cdef bint present = json < n
    if n - json > READ_LATER and packet.missing:
        packet.data = Unread.new(p + json, n - json, loads)
        return packet
    if present:
        packet.data = read_json_with(p + json, n - json, loads)
    check_data(packet.type, packet.data, present)
    return packet


cdef inline Packet _decode_head(
    const char *p, Py_ssize_t n, Py_ssize_t max_attachments, Py_ssize_t *json
):
    """Decode a packet up to its JSON, which begins at `json[0]`; `n`: it has none."""
    cdef sf_head h = sf_scan_head(p, n)
    if h.error != SF_OK:
        _fail_head(h.error, p, n)
    cdef Packet packet = Packet.__new__(Packet)
    packet.type = h.type
    packet.id = h.id
    if h.nsp_size == 0:
        packet.namespace = "/"
    else:
        try:
            packet.namespace = PyUnicode_DecodeUTF8(p + h.nsp, h.nsp_size, NULL)
            check_namespace(packet.namespace)
        except UnicodeDecodeError:
            raise PacketError("namespace is not UTF-8", code=1007) from None
    if h.type >= SIO_BINARY_EVENT:
        if h.attachments == 0:
            raise PacketError("binary packet without attachments")
        if h.attachments > max_attachments:
            raise LimitError(
                f"attachment count {h.attachments} exceeds "
                f"max_attachments={max_attachments}"
            )
        packet.type -= SIO_BINARY_EVENT - SIO_EVENT
        packet.missing = h.attachments
    json[0] = h.json
    return packet


cdef int check_namespace(str name) except -1:
    """Raise PacketError for a name that a packet, or a payload, cannot carry."""
    if "," in name or "\x1e" in name:
        raise PacketError(f"namespace {name!r:.80} has ',' or U+001E in it")
    return 0


@cython.final
cdef class Unread:
    """The JSON of a packet whose attachments have not all come.

    Decoded data can take 38 times the memory of its text (nested dicts), so a client
    that announces attachments and never sends them occupies no more than the text.
    """
    cdef bytes text
    cdef object loads           # decodes the JSON; None: the built-in decoder

    @staticmethod
    cdef Unread new(const char *p, Py_ssize_t n, object loads):
        cdef Unread self = Unread.__new__(Unread)
        self.text = p[:n]
        self.loads = loads
        return self

    cdef object read(self, int type):
        """Decode and check the data of a packet of this type."""
        cdef const char *p = PyBytes_AS_STRING(self.text)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.text)
        cdef object data
        if self.loads is None:
            data = read_json(p, n, type == SIO_EVENT, True)
        else:
            data = read_json_with(p, n, self.loads)
        check_data(type, data, True)
        return data


cdef int _fail_head(int error, const char *p, Py_ssize_t n) except -1:
    """Raise PacketError for the error that `sf_scan_head` has found."""
    cdef bytes shown = p[:min(n, 32)]
    if error == SF_BAD_TYPE:
        raise PacketError(f"unknown Socket.IO packet type: {shown!r}")
    if error == SF_BAD_ATTACHMENTS:
        raise PacketError(f"illegal attachment count: {shown!r}")
    raise PacketError(f"ack id exceeds 2^53 - 1: {shown!r}")


cdef bint is_reserved(str name) except -1:
    # No reserved name is shorter than 7 characters.
    return len(name) >= 7 and name in _reserved


cdef int check_data(int type, object data, bint present) except -1:
    """Raise PacketError for a payload that the reference implementation refuses.

    `type`: of the packet. `present`: whether it has a payload.
    """
    cdef object name
    if not present:
        if type == SIO_EVENT or type == SIO_ACK:
            raise PacketError("EVENT or ACK packet without data")
        return 0
    if type == SIO_EVENT:
        if isinstance(data, list) and <list> data:
            name = <object> PyList_GET_ITEM(data, 0)
            if isinstance(name, str):
                if not is_reserved(name):
                    return 0
                raise PacketError(f"reserved event name {name!r}")
            if isinstance(name, (int, float)) and not isinstance(name, bool):
                return 0
        raise PacketError("EVENT payload is not an array that starts with a name")
    if type == SIO_ACK:
        if isinstance(data, list):
            return 0
        raise PacketError("ACK payload is not an array")
    if type == SIO_CONNECT:
        if isinstance(data, dict):
            return 0
        raise PacketError("CONNECT payload is not an object")
    if type == SIO_CONNECT_ERROR:
        if isinstance(data, (dict, str)):
            return 0
        raise PacketError("CONNECT_ERROR payload is neither object nor string")
    raise PacketError("DISCONNECT packet with a payload")


cdef bytes head(int type, str namespace, int64_t id, Py_ssize_t attachments):
    """An Engine.IO message up to its JSON: b"42", b"451-/chat,7", …

    `id` is -1 for none; `attachments` is how many follow.
    """
    if type == SIO_EVENT and id < 0 and attachments <= 1 and namespace == "/":
        return HEAD_BINARY_EVENT if attachments else HEAD_EVENT
    cdef char text[3 + 2 * SF_NUMBER_SIZE]
    cdef char *end = text + 2
    cdef char *number
    text[0] = c"4"
    text[1] = c"0" + type
    if attachments:
        if type != SIO_EVENT and type != SIO_ACK:
            raise TypeError("only events and acknowledgements can have bytes in them")
        text[1] += SIO_BINARY_EVENT - SIO_EVENT
        end = sf_put_number(end, attachments)
        end[0] = c"-"
        end += 1
    number = end
    if id >= 0:
        end = sf_put_number(end, id)
    if namespace == "/":
        return text[:end - text]
    return text[:number - text] + namespace.encode() + b"," + number[:end - number]


def encode_head(
    int type, str namespace not None="/", object id=None, Py_ssize_t attachments=0
):
    """A packet up to its JSON, as bytes; `type` is never BINARY_*."""
    return head(type, namespace, -1 if id is None else id, attachments)[1:]


def encode_packet(
    int type, object data=None, str namespace not None="/", object id=None
):
    """Encode a packet as `[text, *attachments]`, the text as bytes in UTF-8.

    `data` is the array of an EVENT or ACK, or the object of a CONNECT or CONNECT_ERROR;
    None: no payload.
    """
    cdef Attachments attachments = Attachments.__new__(Attachments)
    cdef bytes body = b"" if data is None else write_json(data, attachments)
    cdef bytes start = head(
        type, namespace, -1 if id is None else id, attachments.count
    )
    return [start[1:] + body, *(attachments.found or ())]
