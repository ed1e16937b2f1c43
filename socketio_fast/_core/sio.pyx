"""Socket.IO packets, revision 5: strict decoding, encoding in one pass.

    packet = type [ count "-" ] [ "/" nsp "," ] [ id ] [ json ]

JSON is orjson's: it reads from the receive buffer, and calls back for bytes, so that
attachments are found in the pass that serialises. What orjson refuses goes through the
standard library instead.
"""
import json as _json
from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite

import orjson

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.list cimport PyList_GET_ITEM
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.buffer cimport PyBUF_READ
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdio cimport snprintf

from socketio_fast._core.wire cimport (
    SF_BAD_ATTACHMENTS,
    SF_BAD_TYPE,
    SF_OK,
    sf_head,
    sf_scan_head,
)

from socketio_fast.exceptions import LimitError, PacketError

cdef enum:
    PARSED_DEPTH = 1024  # of arrays and objects in what is received: orjson's limit
    MAX_DEPTH = 1100  # in what is sent: all that was received, in something else

cdef object _orjson_dumps = orjson.dumps
cdef object _orjson_loads = orjson.loads
cdef object _JSONEncodeError = orjson.JSONEncodeError

# Events of the library itself: a peer may not send them (socket.io-parser).
cdef frozenset RESERVED_EVENTS = frozenset((
    "connect", "connect_error", "disconnect", "disconnecting", "newListener",
    "removeListener",
))

# The common heads are constants: Engine.IO MESSAGE, Socket.IO type.
cdef bytes HEAD_EVENT = b"42"


cdef class Packet:
    """A decoded packet; `data` is complete when `missing` is 0."""

    def __init__(self):
        raise TypeError("use decode_packet()")

    cdef int attach(self, bytes data) except -1:
        """Take the next attachment; with the last one, put all in their places."""
        self.attachments.append(data)
        self.missing -= 1
        if self.missing == 0:
            self.data = _reconstruct(self.data, self.attachments, 0)
            self.attachments = None
        return 0

    def add_attachment(self, bytes data not None):
        """Take the next attachment; True when the packet is complete."""
        if self.missing == 0:
            raise PacketError("binary message without a packet that awaits it")
        self.attach(data)
        return self.missing == 0


def decode_packet(bytes packet not None, Py_ssize_t max_attachments=10):
    """Decode the text of a packet (without the Engine.IO type).

    Raises PacketError (or its kind LimitError for too many attachments).
    """
    return decode(PyBytes_AS_STRING(packet), PyBytes_GET_SIZE(packet), max_attachments)


cdef Packet decode(const char *p, Py_ssize_t n, Py_ssize_t max_attachments):
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
        packet.attachments = []
    if <Py_ssize_t> h.json < n:
        packet.data = _loads(p + h.json, n - h.json)
        _check_data(packet.type, packet.data)
    elif packet.type == SIO_EVENT or packet.type == SIO_ACK:
        raise PacketError("EVENT or ACK packet without data")
    return packet


cdef int check_namespace(str name) except -1:
    """Raise PacketError for a name that cannot stand in a packet, or a payload."""
    if "," in name or "\x1e" in name:
        raise PacketError(f"namespace {name!r:.80} has ',' or U+001E in it")
    return 0


cdef object _loads(const char *p, Py_ssize_t n):
    # A copy is cheaper than a memoryview until about 1 KiB (60 ns against 110 ns
    # at 32 bytes, with the parsing).
    try:
        if n <= 1024:
            return _orjson_loads(PyBytes_FromStringAndSize(p, n))
        return _orjson_loads(PyMemoryView_FromMemory(<char *> p, n, PyBUF_READ))
    except ValueError:
        pass
    return _loads_plain(p[:n])


cdef object _loads_plain(bytes data):
    """What orjson refuses, but is JSON: lone surrogates (escaped), deep nesting.

    Raises PacketError for the rest. orjson refuses invalid UTF-8 too, so valid text is
    not checked twice; it has its own close code (RFC 6455, section 8.1).
    """
    try:
        if _depth(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)) > PARSED_DEPTH:
            raise ValueError("nested too deep")
        return _json.loads(data.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise PacketError("text is not UTF-8", code=1007) from None
    except (ValueError, RecursionError):
        raise PacketError(f"payload is not JSON: {data[:64]!r}") from None


cdef Py_ssize_t _depth(const char *p, Py_ssize_t n) noexcept:
    """How deep arrays and objects are nested, at most."""
    cdef Py_ssize_t i = 0, depth = 0, deepest = 0
    cdef bint quoted = False
    while i < n:
        if quoted:
            if p[i] == c"\\":
                i += 1
            elif p[i] == c'"':
                quoted = False
        elif p[i] == c'"':
            quoted = True
        elif p[i] == c"[" or p[i] == c"{":
            depth += 1
            deepest = max(deepest, depth)
        elif p[i] == c"]" or p[i] == c"}":
            depth -= 1
        i += 1
    return deepest


def _no_constant(name):
    raise ValueError(f"{name} is not JSON")


cdef int _fail_head(int error, const char *p, Py_ssize_t n) except -1:
    cdef bytes shown = p[:min(n, 32)]
    if error == SF_BAD_TYPE:
        raise PacketError(f"unknown Socket.IO packet type: {shown!r}")
    if error == SF_BAD_ATTACHMENTS:
        raise PacketError(f"illegal attachment count: {shown!r}")
    raise PacketError(f"ack id exceeds 2^53 - 1: {shown!r}")


cdef int _check_data(int type, object data) except -1:
    """The shapes of payloads that the reference implementation accepts."""
    cdef object name
    if type == SIO_EVENT:
        if isinstance(data, list) and <list> data:
            name = <object> PyList_GET_ITEM(data, 0)
            if isinstance(name, str):
                if name not in RESERVED_EVENTS:
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


cdef object _reconstruct(object data, list attachments, int depth):
    """Put attachments where their placeholders are, in place."""
    cdef object key, value
    cdef Py_ssize_t i
    # orjson's own limit of nesting is 1024; this recursion is on the C stack.
    if isinstance(data, list):
        for i in range(len(<list> data)):
            value = (<list> data)[i]
            if isinstance(value, (list, dict)):
                (<list> data)[i] = _reconstruct(value, attachments, depth + 1)
    elif isinstance(data, dict):
        if (<dict> data).get("_placeholder") is True:
            value = (<dict> data).get("num")
            if type(value) is not int or not 0 <= value < len(attachments):
                raise PacketError(f"illegal attachment number {value!r:.32}")
            return attachments[value]
        for key, value in (<dict> data).items():
            if isinstance(value, (list, dict)):
                # Replacing values does not resize, so iteration stays valid.
                (<dict> data)[key] = _reconstruct(value, attachments, depth + 1)
    return data


cdef class _Attachments:
    """orjson's `default=`: collects bytes, and leaves placeholders behind."""
    cdef list found

    def __call__(self, value):
        return _placeholder(value, self.found)


cdef object _placeholder(object value, list found):
    if not isinstance(value, bytes):
        if not isinstance(value, (bytearray, memoryview)):
            raise TypeError(
                f"object of type {type(value).__name__} is not JSON serializable"
            )
        value = bytes(value)
    elif type(value) is not bytes:
        value = bytes(value)
    found.append(value)
    return {"_placeholder": True, "num": len(found) - 1}


cdef bytes dumps(object data, list attachments):
    """JSON of `data`; the bytes in it are appended to `attachments`.

    Raises TypeError for what neither orjson nor json can serialise.
    """
    cdef _Attachments collect = _Attachments.__new__(_Attachments)
    collect.found = attachments
    try:
        return _orjson_dumps(data, default=collect)
    except _JSONEncodeError:
        del attachments[:]
        return _dumps_plain(data, attachments)


cdef bytes _dumps_plain(object data, list attachments):
    """What orjson refuses: integers beyond 64 bits, keys that are not strings, lone
    surrogates, deep nesting. Slower; as the standard library would, but for NaN."""
    return _plain(data, attachments, 0).encode()


cdef str _plain(object value, list attachments, int depth):
    cdef list parts
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return _plain_string(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if isfinite(value) else "null"
    if depth == MAX_DEPTH:
        raise TypeError(f"data nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, (list, tuple)):
        parts = [_plain(item, attachments, depth + 1) for item in value]
        return "[" + ",".join(parts) + "]"
    if isinstance(value, dict):
        parts = [
            _plain_key(key) + ":" + _plain(item, attachments, depth + 1)
            for key, item in value.items()
        ]
        return "{" + ",".join(parts) + "}"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _plain(_placeholder(value, attachments), attachments, depth + 1)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain({
            field.name: getattr(value, field.name)
            for field in fields(value) if not field.name.startswith("_")
        }, attachments, depth + 1)
    if isinstance(value, Enum):
        return _plain(value.value, attachments, depth + 1)
    # Dates, UUIDs, …: orjson knows them one by one.
    try:
        return _orjson_dumps(value).decode()
    except _JSONEncodeError as exc:
        raise TypeError(str(exc)) from None


cdef str _plain_string(object value):
    if value.isascii():
        return _json.encoder.encode_basestring(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8; JSON can escape it.
        return _json.encoder.encode_basestring_ascii(value)
    return _json.encoder.encode_basestring(value)


cdef str _plain_key(object key):
    if isinstance(key, str):
        return _plain_string(key)
    if key is None or isinstance(key, int):
        return '"' + _plain(key, None, 0) + '"'
    if isinstance(key, float) and isfinite(key):
        return '"' + float.__repr__(key) + '"'
    raise TypeError(f"key {key!r:.64}: str, int, float, bool or None expected")


cdef bytes head(int type, str namespace, int64_t id, Py_ssize_t attachments):
    """All of an Engine.IO message before the JSON: b"42", b"451-/chat,7", …"""
    if type == SIO_EVENT and id < 0 and attachments == 0 and namespace == "/":
        return HEAD_EVENT
    cdef char text[64]
    cdef int n = 2
    cdef bytes nsp
    text[0] = c"4"
    text[1] = c"0" + type
    if attachments:
        text[1] += SIO_BINARY_EVENT - SIO_EVENT
        n += snprintf(text + n, 24, "%zd-", attachments)
    if namespace != "/":
        nsp = namespace.encode()
        start = text[:n] + nsp + b","
        return start if id < 0 else start + str(id).encode()
    if id >= 0:
        n += snprintf(text + n, 24, "%lld", <long long> id)
    return text[:n]


def encode_packet(
    int type, object data=None, str namespace not None="/", object id=None
):
    """Encode a packet: `[text, *attachments]`, the text as UTF-8 bytes.

    `data` is the array of an EVENT or ACK, the object of a CONNECT or CONNECT_ERROR,
    None for no payload.
    """
    cdef list attachments = []
    cdef bytes body = b"" if data is None else dumps(data, attachments)
    cdef bytes start = head(
        type, namespace, -1 if id is None else id, len(attachments)
    )
    return [start[1:] + body, *attachments]
