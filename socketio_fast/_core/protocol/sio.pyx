"""Socket.IO packets, revision 5: strict decoding, encoding in one pass.

    packet = type [ count "-" ] [ "/" nsp "," ] [ id ] [ json ]

Events of plain strings and bytes are read and written here (`sf_json.h`). All other
JSON is orjson's: it calls back for bytes, so that attachments are found in the pass
that serialises. What orjson refuses goes through the standard library.
"""
import json as _json
from math import isfinite

import cython
import orjson

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.list cimport PyList_GET_ITEM, PyList_New, PyList_SET_ITEM
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.buffer cimport PyBUF_READ
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcmp, memcpy

from socketio_fast._core.protocol.wire cimport (
    SF_BAD_ATTACHMENTS,
    SF_BAD_TYPE,
    SF_MAX_ITEMS,
    SF_NUMBER_SIZE,
    SF_OK,
    SF_PLACEHOLDER,
    SF_PLACEHOLDER_NUM,
    SF_PLACEHOLDER_SIZE,
    sf_head,
    sf_item,
    sf_plain_run,
    sf_put_number,
    sf_scan_array,
    sf_scan_head,
)

from socketio_fast.exceptions import LimitError, PacketError
from socketio_fast.payloads import plain

cdef extern from "Python.h":
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    object PyObject_Vectorcall(
        object func, PyObject **args, size_t n, PyObject *kwnames
    )
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void *PyUnicode_1BYTE_DATA(object o)
    bint PyUnicode_IS_COMPACT_ASCII(object o)
    Py_ssize_t PyUnicode_GET_LENGTH(object o)
    bint PyUnicode_CheckExact(object o)
    bint PyBytes_CheckExact(object o)

cdef enum:
    PARSED_DEPTH = 1024  # of arrays and objects in what is received: orjson's limit
    # Bytes of JSON above which that of a packet with attachments is read when they are
    # there.
    READ_LATER = 4096
    MAX_DEPTH = 1100  # in what is sent: all that was received, in something else

cdef object _orjson_dumps = orjson.dumps
cdef object _orjson_loads = orjson.loads
cdef object _JSONEncodeError = orjson.JSONEncodeError

# Events of the library itself: a peer may not send them (socket.io-parser), and what
# is sent to clients with these names, they take for what the protocol tells.
cdef frozenset _reserved = frozenset((
    "connect", "connect_error", "disconnect", "disconnecting", "newListener",
    "removeListener",
))
RESERVED_EVENTS = _reserved

# The common heads are constants: Engine.IO MESSAGE, Socket.IO type.
cdef bytes HEAD_EVENT = b"42"


@cython.no_gc  # JSON has no cycles
@cython.freelist(16)
cdef class Packet:
    """A decoded packet; `data` is complete when `missing` is 0."""

    def __init__(self):
        raise TypeError("use decode_packet()")

    cdef int attach(self, bytes data) except -1:
        """Take the next attachment; with the last one, put all in their places."""
        self.attachments.append(data)
        self.missing -= 1
        if self.missing == 0:
            if isinstance(self.data, Unread):
                self.data = (<Unread> self.data).read(self.type)
            self.data = _reconstruct(self.data, self.attachments, 0)
            self.attachments = None
        return 0

    def add_attachment(self, bytes data not None):
        """Take the next attachment; True when the packet is complete."""
        if self.missing == 0:
            raise PacketError("binary message without a packet that awaits it")
        self.attach(data)
        return self.missing == 0


def decode_packet(
    bytes packet not None, Py_ssize_t max_attachments=10, object loads=None
):
    """Decode the text of a packet (without the Engine.IO type).

    `loads` is another JSON's, which takes a str. Raises PacketError (or its kind
    LimitError for too many attachments).
    """
    cdef const char *p = PyBytes_AS_STRING(packet)
    if loads is not None:
        return decode_with(p, PyBytes_GET_SIZE(packet), max_attachments, loads)
    return decode(p, PyBytes_GET_SIZE(packet), max_attachments)


cdef Packet decode(const char *p, Py_ssize_t n, Py_ssize_t max_attachments):
    cdef Py_ssize_t json
    cdef Packet packet = _decode_head(p, n, max_attachments, &json)
    if n - json > READ_LATER and packet.missing:
        packet.data = Unread.new(p + json, n - json, None)
        return packet
    if json < n:
        packet.data = _read(p + json, n - json, packet.type, packet.missing != 0)
    check_data(packet.type, packet.data, json < n)
    return packet


cdef inline object _read(const char *p, Py_ssize_t n, int type, bint binary):
    cdef object data = _read_plain(p, n, binary, type == SIO_EVENT)
    return _loads(p, n) if data is None else data


cdef Packet decode_with(
    const char *p, Py_ssize_t n, Py_ssize_t max_attachments, object loads
):
    """The same with another JSON: `loads` takes a str."""
    cdef Py_ssize_t json
    cdef Packet packet = _decode_head(p, n, max_attachments, &json)
    cdef bint present = json < n
    if n - json > READ_LATER and packet.missing:
        packet.data = Unread.new(p + json, n - json, loads)
        return packet
    if present:
        packet.data = _read_with(p + json, n - json, loads)
    check_data(packet.type, packet.data, present)
    return packet


cdef object _read_with(const char *p, Py_ssize_t n, object loads):
    # `p` is the receive buffer: it is not looked at behind a call of Python code.
    cdef str text
    try:
        text = PyUnicode_DecodeUTF8(p, n, NULL)
    except UnicodeDecodeError:
        raise PacketError("text is not UTF-8", code=1007) from None
    try:
        return loads(text)
    except Exception as exc:
        raise PacketError(f"payload is not JSON: {text[:64]!r}") from exc


cdef inline Packet _decode_head(
    const char *p, Py_ssize_t n, Py_ssize_t max_attachments, Py_ssize_t *json
):
    """All but the data, which begins at `json`; that is `n` where there is none."""
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
    json[0] = h.json
    return packet


cdef int check_namespace(str name) except -1:
    """Raise PacketError for a name that cannot stand in a packet, or a payload."""
    if "," in name or "\x1e" in name:
        raise PacketError(f"namespace {name!r:.80} has ',' or U+001E in it")
    return 0


@cython.final
cdef class Unread:
    """The JSON of a packet, until its attachments are there: what it becomes may take
    38 times as much (nested dicts)."""
    cdef bytes text
    cdef object loads           # another JSON's; None: the built-in

    @staticmethod
    cdef Unread new(const char *p, Py_ssize_t n, object loads):
        cdef Unread self = Unread.__new__(Unread)
        self.text = p[:n]
        self.loads = loads
        return self

    cdef object read(self, int type):
        cdef const char *p = PyBytes_AS_STRING(self.text)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.text)
        cdef object data
        if self.loads is None:
            data = _read(p, n, type, True)
        else:
            data = _read_with(p, n, self.loads)
        check_data(type, data, True)
        return data


@cython.final
cdef class Placeholder:
    """Where the attachment of a number belongs; of plain arrays."""
    cdef int num


cdef list PLACEHOLDERS = []
for _num in range(10):
    PLACEHOLDERS.append(Placeholder.__new__(Placeholder))
    (<Placeholder> PLACEHOLDERS[_num]).num = _num


cdef enum:
    NAMES = 64
    NAME_SIZE = 32      # bytes of a name that is kept, at most

# Names of events that have come, each at a place that its bytes say: handlers are
# looked up by them, and a string that is there has its hash already. Without, an event
# of one string costs 3 % more instructions.
cdef list names = [""] * NAMES


cdef inline str _read_name(const char *p, size_t n):
    """The name of an event, ASCII."""
    cdef size_t place = n + 7 * p[0] + 3 * p[n >> 1] + p[n - 1]
    cdef str name
    if n > NAME_SIZE:
        return _read_ascii(p, n)
    place %= NAMES
    name = <str> PyList_GET_ITEM(names, place)
    if <size_t> PyUnicode_GET_LENGTH(name) != n or (
        memcmp(PyUnicode_1BYTE_DATA(name), p, n) != 0
    ):
        name = names[place] = _read_ascii(p, n)
    return name


cdef inline str _read_ascii(const char *p, size_t n):
    cdef object text = PyUnicode_New(n, 127)
    memcpy(PyUnicode_1BYTE_DATA(text), p, n)
    return <str> text


cdef list _read_plain(const char *p, Py_ssize_t n, bint binary, bint event):
    """The strings, and placeholders if `binary`, of an array; None: it has others."""
    cdef sf_item items[SF_MAX_ITEMS]
    cdef sf_item *item
    cdef size_t count = sf_scan_array(p, n, items), i
    cdef list data
    cdef object value
    if count == 0:
        return None
    if not binary:
        for i in range(count):
            if items[i].num >= 0:
                return None  # an object like any other
    data = PyList_New(count)
    for i in range(count):
        item = &items[i]
        if item.num >= 0:
            value = PLACEHOLDERS[item.num]
        elif event and i == 0 and item.size:
            value = _read_name(p + item.start, item.size)
        else:
            value = _read_ascii(p + item.start, item.size)
        Py_INCREF(value)
        PyList_SET_ITEM(data, i, value)
    return data


cdef object _loads(const char *p, Py_ssize_t n):
    # A copy is cheaper than a memoryview until about 1 KiB (60 ns against 110 ns
    # at 32 bytes, with the parsing).
    try:
        if n <= 1024:
            return _orjson_loads(PyBytes_FromStringAndSize(p, n))
        return _orjson_loads(PyMemoryView_FromMemory(<char *> p, n, PyBUF_READ))
    except ValueError:
        pass
    return _loads_slow(p[:n])


cdef object _loads_slow(bytes data):
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


cdef int check_data(int type, object data, bint present) except -1:
    """The shapes of payloads that the reference implementation accepts."""
    cdef object name
    if not present:
        if type == SIO_EVENT or type == SIO_ACK:
            raise PacketError("EVENT or ACK packet without data")
        return 0
    if type == SIO_EVENT:
        if isinstance(data, list) and <list> data:
            name = <object> PyList_GET_ITEM(data, 0)
            if isinstance(name, str):
                # None of them is shorter than 7 characters.
                if len(<str> name) < 7 or name not in _reserved:
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
    # This recursion is on the C stack, and other JSON has other limits than orjson.
    if depth > MAX_DEPTH:
        raise PacketError(f"data nested more than {MAX_DEPTH} levels deep")
    if isinstance(data, list):
        for i in range(len(<list> data)):
            value = (<list> data)[i]
            if isinstance(value, Placeholder):
                (<list> data)[i] = _attachment(attachments, (<Placeholder> value).num)
            elif isinstance(value, (list, dict)):
                (<list> data)[i] = _reconstruct(value, attachments, depth + 1)
    elif isinstance(data, dict):
        if (<dict> data).get("_placeholder") is True:
            return _attachment(attachments, (<dict> data).get("num"))
        for key, value in (<dict> data).items():
            if isinstance(value, (list, dict)):
                # Replacing values does not resize, so iteration stays valid.
                (<dict> data)[key] = _reconstruct(value, attachments, depth + 1)
    return data


cdef object _attachment(list attachments, object num):
    if type(num) is not int or not 0 <= num < len(attachments):
        raise PacketError(f"illegal attachment number {num!r:.32}")
    return attachments[num]


@cython.final
@cython.no_gc  # bytes alone
@cython.freelist(4)
cdef class Attachments:
    """orjson's `default=`: collects bytes, and leaves placeholders behind. What else
    orjson does not know is replaced as docs/encodings.md has it."""

    def __call__(self, value):
        return _placeholder(value, self)


cdef object _placeholder(object value, Attachments attachments):
    if not isinstance(value, bytes):
        if not isinstance(value, (bytearray, memoryview)):
            return plain(value)
        value = bytes(value)
    elif type(value) is not bytes:
        value = bytes(value)
    _collect(attachments, value)
    return {"_placeholder": True, "num": attachments.count - 1}


cdef object extract(object data, Attachments attachments, int depth, bint inside):
    """`data` with placeholders instead of bytes, which go to `attachments`.

    What has no bytes in it is not copied, whatever it is. `inside`: bytes are looked
    for in all that can be sent, else in lists, tuples and dicts alone.
    """
    cdef object copy = None, value, new
    cdef Py_ssize_t i
    if isinstance(data, (bytes, bytearray, memoryview)):
        return _placeholder(data, attachments)
    if not isinstance(data, (list, tuple, dict)):
        if not inside or data is None or isinstance(data, (str, int, float)):
            return data
        try:
            value = plain(data)
        except TypeError:
            return data  # which is refused where it is encoded
        new = extract(value, attachments, depth, inside)
        return data if new is value else new
    if depth == MAX_DEPTH:
        raise TypeError(f"data nested more than {MAX_DEPTH} levels deep")
    if isinstance(data, dict):
        for key, value in data.items():
            new = extract(value, attachments, depth + 1, inside)
            if new is not value:
                if copy is None:
                    copy = dict(data)
                copy[key] = new
    else:
        for i, value in enumerate(data):
            new = extract(value, attachments, depth + 1, inside)
            if new is not value:
                if copy is None:
                    copy = list(data)
                copy[i] = new
    return data if copy is None else copy


def deconstruct(data, bint inside=False):
    """`(data, attachments)`: placeholders instead of the bytes in it, and those.

    `inside`: bytes in dataclasses, models, sets, … count, too.
    """
    cdef Attachments attachments = Attachments.__new__(Attachments)
    data = extract(data, attachments, 0, inside)
    return data, attachments.found or []


def reconstruct(data, list attachments not None):
    """`data` with attachments instead of placeholders, in place.

    Raises PacketError for a placeholder without an attachment.
    """
    return _reconstruct(data, attachments, 0)


cdef int _collect(Attachments attachments, bytes value) except -1:
    if attachments.found is None:
        attachments.found = []
    attachments.found.append(value)
    attachments.count += 1
    return 0


cdef tuple DEFAULT = ("default",)


cdef bytes dumps(object data, Attachments attachments):
    """JSON of `data`; the bytes in it go to `attachments`, which are empty.

    Raises TypeError for what neither orjson nor json can serialise.
    """
    cdef PyObject *arguments[3]
    cdef bytes json
    if type(data) is list:
        json = _write_plain(<list> data, attachments)
        if json is not None:
            return json
    # arguments[0] is room for a method's object (PEP 590).
    arguments[0] = NULL
    arguments[1] = <PyObject *> data
    arguments[2] = <PyObject *> attachments
    try:
        return PyObject_Vectorcall(
            _orjson_dumps, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET,
            <PyObject *> DEFAULT,
        )
    except _JSONEncodeError:
        attachments.found = None
        attachments.count = 0
        return _dumps_slow(data, attachments)


def dumps_json(data):
    """JSON of data without bytes in it, as UTF-8.

    Raises TypeError for what is not JSON.
    """
    cdef Attachments attachments = Attachments.__new__(Attachments)
    cdef bytes json = dumps(data, attachments)
    if attachments.count:
        raise TypeError("bytes are not JSON serializable")
    return json


def loads_json(bytes data not None):
    """The value of a JSON text; raises PacketError, a ValueError, if it is none."""
    return _loads(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef bytes _write_plain(list data, Attachments attachments):
    """JSON of an array of plain strings and bytes; None if it has others."""
    cdef Py_ssize_t count = len(data), i, size = count + 1, length
    cdef bytes json
    cdef char *out
    cdef object value
    if not 0 < count <= SF_MAX_ITEMS:
        return None
    for i in range(count):
        value = <object> PyList_GET_ITEM(data, i)
        if PyUnicode_CheckExact(value) and PyUnicode_IS_COMPACT_ASCII(value):
            length = PyUnicode_GET_LENGTH(value)
            if <Py_ssize_t> sf_plain_run(
                <char *> PyUnicode_1BYTE_DATA(value), length
            ) != length:
                return None
            size += length + 2
        elif PyBytes_CheckExact(value):
            size += SF_PLACEHOLDER_SIZE
        else:
            return None
    json = PyBytes_FromStringAndSize(NULL, size)
    out = PyBytes_AS_STRING(json)
    out[0] = c"["
    for i in range(count):
        value = <object> PyList_GET_ITEM(data, i)
        out += 1
        if PyBytes_CheckExact(value):
            memcpy(out, SF_PLACEHOLDER, SF_PLACEHOLDER_SIZE)
            out[SF_PLACEHOLDER_NUM] = c"0" + attachments.count
            out += SF_PLACEHOLDER_SIZE
            _collect(attachments, value)
        else:
            length = PyUnicode_GET_LENGTH(value)
            out[0] = c'"'
            memcpy(out + 1, PyUnicode_1BYTE_DATA(value), length)
            out[length + 1] = c'"'
            out += length + 2
        out[0] = c","
    out[0] = c"]"
    return json


cdef bytes _dumps_slow(object data, Attachments attachments):
    """What orjson refuses: integers beyond 64 bits, keys that are not strings, lone
    surrogates, deep nesting. Slower; as the standard library would, but for NaN."""
    return _slow(data, attachments, 0).encode()


cdef str _slow(object value, Attachments attachments, int depth):
    cdef list parts
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return _slow_string(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if isfinite(value) else "null"
    if depth == MAX_DEPTH:
        raise TypeError(f"data nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, (list, tuple)):
        parts = [_slow(item, attachments, depth + 1) for item in value]
        return "[" + ",".join(parts) + "]"
    if isinstance(value, dict):
        parts = [
            _slow_key(key) + ":" + _slow(item, attachments, depth + 1)
            for key, item in value.items()
        ]
        return "{" + ",".join(parts) + "}"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _slow(_placeholder(value, attachments), attachments, depth + 1)
    return _slow(plain(value), attachments, depth + 1)


cdef str _slow_string(object value):
    if value.isascii():
        return _json.encoder.encode_basestring(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        # A lone surrogate has no UTF-8; JSON can escape it.
        return _json.encoder.encode_basestring_ascii(value)
    return _json.encoder.encode_basestring(value)


cdef str _slow_key(object key):
    if isinstance(key, str):
        return _slow_string(key)
    if key is None or isinstance(key, int):
        return '"' + _slow(key, None, 0) + '"'
    if isinstance(key, float) and isfinite(key):
        return '"' + float.__repr__(key) + '"'
    if not isinstance(key, (float, tuple, bytes)):
        new = plain(key)
        if isinstance(new, (str, int, float)) or new is None:
            return _slow_key(new)
    raise TypeError(f"key {key!r:.64}: str, int, float, bool or None expected")


cdef bytes head(int type, str namespace, int64_t id, Py_ssize_t attachments):
    """All of an Engine.IO message before the JSON: b"42", b"451-/chat,7", …"""
    if type == SIO_EVENT and id < 0 and attachments == 0 and namespace == "/":
        return HEAD_EVENT
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
    """All of a packet before its JSON, as bytes; `type` is never BINARY_*."""
    return head(type, namespace, -1 if id is None else id, attachments)[1:]


def encode_packet(
    int type, object data=None, str namespace not None="/", object id=None
):
    """Encode a packet: `[text, *attachments]`, the text as UTF-8 bytes.

    `data` is the array of an EVENT or ACK, the object of a CONNECT or CONNECT_ERROR,
    None for no payload.
    """
    cdef Attachments attachments = Attachments.__new__(Attachments)
    cdef bytes body = b"" if data is None else dumps(data, attachments)
    cdef bytes start = head(
        type, namespace, -1 if id is None else id, attachments.count
    )
    return [start[1:] + body, *(attachments.found or ())]
