"""JSON of Socket.IO packets: read and written by the fastest way that fits the data.

1. Arrays of ASCII strings that need no escapes, and of binary values, are read and
   written here (`sf_json.h`). Most events are such arrays.
2. All other JSON is orjson's. It calls back for binary values, so that one pass both
   serialises the data and collects the attachments.
3. What orjson refuses although it is JSON goes through the standard library: integers
   of more than 64 bits, lone surrogates, deep nesting.
"""
import json as _json
from math import isfinite

import orjson

from cpython.buffer cimport PyBUF_READ
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from cpython.list cimport PyList_GET_ITEM, PyList_New, PyList_SET_ITEM
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcmp, memcpy

from socketio_fast._core.protocol.attachments cimport (
    MAX_DEPTH,
    Attachments,
    placeholder,
)
from socketio_fast._core.protocol.wire cimport (
    SF_MAX_ITEMS,
    SF_PLACEHOLDER,
    SF_PLACEHOLDER_NUM,
    SF_PLACEHOLDER_SIZE,
    sf_item,
    sf_plain_run,
    sf_scan_array,
)

from socketio_fast.exceptions import PacketError
from socketio_fast.payloads import plain

cdef extern from "Python.h":
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    object PyObject_Vectorcall(
        object func, PyObject **args, size_t n, PyObject *kwnames
    )
    PyObject **PySequence_Fast_ITEMS(object o)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void *PyUnicode_1BYTE_DATA(object o)
    bint PyUnicode_IS_COMPACT_ASCII(object o)
    Py_ssize_t PyUnicode_GET_LENGTH(object o)
    bint PyUnicode_CheckExact(object o)
    bint PyBytes_CheckExact(object o)

cdef enum:
    PARSED_DEPTH = 1024  # levels of arrays and objects that orjson parses
    # Event names that are kept, and the bytes of the longest of them.
    NAMES = 64
    NAME_SIZE = 32

cdef object _orjson_dumps = orjson.dumps
cdef object _orjson_loads = orjson.loads
cdef object _JSONEncodeError = orjson.JSONEncodeError

cdef tuple DEFAULT = ("default",)

# Names of events that have been received, each at an index that its bytes determine.
# Handlers are looked up by name, and the kept string has its hash already. Without this
# table an event with one string costs 3 % more instructions.
cdef list names = [""] * NAMES


# Reading.

cdef object read_json(const char *p, Py_ssize_t n, bint event, bint binary):
    """Decode JSON text.

    `event`: the text is an array that begins with the name of an event. `binary`: its
    placeholders stand for attachments. Raises PacketError if the text is not JSON.
    """
    cdef object data = _read_strings(p, n, event, binary)
    return _loads(p, n) if data is None else data


cdef object read_json_with(const char *p, Py_ssize_t n, object loads):
    """Decode JSON text by `loads`, a function of a str."""
    # `p` may be in the receive buffer, which the call of `loads` can overwrite: nothing
    # is read from it after that call.
    cdef str text
    try:
        text = PyUnicode_DecodeUTF8(p, n, NULL)
    except UnicodeDecodeError:
        raise PacketError("text is not UTF-8", code=1007) from None
    try:
        return loads(text)
    except Exception as exc:
        raise PacketError(f"payload is not JSON: {text[:64]!r}") from exc


cdef list _read_strings(const char *p, Py_ssize_t n, bint event, bint binary):
    """Decode an array of ASCII strings and, if `binary`, placeholders; None: it has
    other items."""
    cdef sf_item items[SF_MAX_ITEMS]
    cdef size_t count = sf_scan_array(p, n, items), i
    cdef list data
    cdef object value
    if count == 0:
        return None
    if not binary:
        for i in range(count):
            if items[i].num >= 0:
                return None  # an object that only looks like a placeholder
    data = PyList_New(count)
    for i in range(count):
        value = _read_item(p, &items[i], event and i == 0)
        Py_INCREF(value)
        PyList_SET_ITEM(data, i, value)
    return data


cdef int read_strings(
    const char *p, Py_ssize_t n, PyObject **strings, Py_ssize_t *count
) except -1:
    """Decode an array of ASCII strings that begins with the name of an event, without
    a list of them.

    Args:
        strings: Gets new references; it has room for SF_MAX_ITEMS.
        count: 0; becomes the number of the references, also if this raises. It stays 0
            for an array that has other items.
    """
    cdef sf_item items[SF_MAX_ITEMS]
    cdef Py_ssize_t found = sf_scan_array(p, n, items), i
    cdef object value
    for i in range(found):
        if items[i].num >= 0:
            return 0
    for i in range(found):
        value = _read_item(p, &items[i], i == 0)
        Py_INCREF(value)
        strings[i] = <PyObject *> value
        count[0] = i + 1
    return 0


cdef inline object _read_item(const char *p, const sf_item *item, bint name):
    if item.num >= 0:
        return placeholder(item.num)
    if name and item.size:
        return read_name(p + item.start, item.size)
    return _read_ascii(p + item.start, item.size)


cdef str read_name(const char *p, size_t n):
    """Decode the name of an event, ASCII; `n` is not 0."""
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


cdef object _loads(const char *p, Py_ssize_t n):
    # Up to about 1 KiB a copy is cheaper than a memoryview: at 32 bytes, 60 ns against
    # 110 ns, with the parsing.
    try:
        if n <= 1024:
            return _orjson_loads(PyBytes_FromStringAndSize(p, n))
        return _orjson_loads(PyMemoryView_FromMemory(<char *> p, n, PyBUF_READ))
    except ValueError:
        pass
    return _loads_slow(p[:n])


cdef object _loads_slow(bytes data):
    """Decode JSON that orjson refuses: escaped lone surrogates, deep nesting.

    Raises PacketError if the text is not JSON. orjson refuses invalid UTF-8 as well, so
    only text that it has refused is checked for that here: invalid UTF-8 has a close
    code of its own (RFC 6455, section 8.1).
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
    """The deepest nesting of arrays and objects in a JSON text."""
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


# Writing.

cdef bytes write_json(object data, Attachments attachments):
    """Encode `data` as JSON. Its binary values go to `attachments`, which is empty.

    Raises TypeError for a value that neither orjson nor the slow path can encode.
    """
    cdef bytes json
    cdef Py_ssize_t size = -1, binaries = 0
    if type(data) is list:
        size = strings_size(PySequence_Fast_ITEMS(data), len(<list> data), &binaries)
    if size < 0:
        return write_other_json(data, attachments)
    json = PyBytes_FromStringAndSize(NULL, size)
    attachments.found = put_strings(
        PyBytes_AS_STRING(json), PySequence_Fast_ITEMS(data), len(<list> data),
        binaries,
    )
    attachments.count = binaries
    return json


cdef Py_ssize_t strings_size(
    PyObject **items, Py_ssize_t count, Py_ssize_t *binaries
) except -2:
    """The size in bytes of the JSON of an array of ASCII strings without escapes, and
    of bytes, whose number is added to `binaries`; -1: it has other items."""
    cdef Py_ssize_t i, size = count + 1, length
    cdef object value
    if not 0 < count <= SF_MAX_ITEMS:
        return -1
    for i in range(count):
        value = <object> items[i]
        if PyUnicode_CheckExact(value) and PyUnicode_IS_COMPACT_ASCII(value):
            length = PyUnicode_GET_LENGTH(value)
            if <Py_ssize_t> sf_plain_run(
                <char *> PyUnicode_1BYTE_DATA(value), length
            ) != length:
                return -1
            size += length + 2
        elif PyBytes_CheckExact(value):
            size += SF_PLACEHOLDER_SIZE
            binaries[0] += 1
        else:
            return -1
    return size


cdef list put_strings(
    char *out, PyObject **items, Py_ssize_t count, Py_ssize_t binaries
):
    """Write an array that has a `strings_size()`, with so many bytes. Returns its
    binary values; None: it has none."""
    cdef Py_ssize_t i, length, num = 0
    cdef object value
    cdef list found = PyList_New(binaries) if binaries else None
    out[0] = c"["
    for i in range(count):
        value = <object> items[i]
        out += 1
        if PyBytes_CheckExact(value):
            memcpy(out, SF_PLACEHOLDER, SF_PLACEHOLDER_SIZE)
            out[SF_PLACEHOLDER_NUM] = c"0" + num
            out += SF_PLACEHOLDER_SIZE
            Py_INCREF(value)
            PyList_SET_ITEM(found, num, value)
            num += 1
        else:
            length = PyUnicode_GET_LENGTH(value)
            out[0] = c'"'
            memcpy(out + 1, PyUnicode_1BYTE_DATA(value), length)
            out[length + 1] = c'"'
            out += length + 2
        out[0] = c","
    out[0] = c"]"
    return found


cdef bytes write_other_json(object data, Attachments attachments):
    """As `write_json()`, for data that has no `strings_size()`."""
    cdef PyObject *arguments[3]
    # PEP 590: the callee may use arguments[0] for a bound method's object.
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


cdef bytes _dumps_slow(object data, Attachments attachments):
    """Encode data that orjson refuses: integers of more than 64 bits, keys that are not
    strings, lone surrogates, deep nesting.

    The result is that of the standard library, but NaN and infinities become null.
    """
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
        return _slow(attachments.replace(value), attachments, depth + 1)
    return _slow(plain(value), attachments, depth + 1)


cdef str _slow_string(object value):
    if value.isascii():
        return _json.encoder.encode_basestring(value)
    try:
        value.encode()
    except UnicodeEncodeError:
        # A lone surrogate cannot be encoded in UTF-8, but JSON can escape it.
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


# For Python.

def dumps_json(data):
    """Encode data that has no binary values as JSON, in UTF-8.

    Raises TypeError for data that cannot be encoded.
    """
    cdef Attachments attachments = Attachments.__new__(Attachments)
    cdef bytes json = write_json(data, attachments)
    if attachments.count:
        raise TypeError("bytes are not JSON serializable")
    return json


def loads_json(bytes data not None):
    """Decode a JSON text in UTF-8; raises PacketError, a ValueError, for other text."""
    return _loads(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
