"""Handlers whose arguments are checked: each is decoded straight into its type.

Without this, the JSON becomes lists and dicts, of which the models are made. If an
argument does not fit, all of them go that way: it finds what is wrong, and says it in
the same words.

Measured by `callgrind` with CPython 3.11, an object of three fields that a
`msgspec.Struct` takes, and its acknowledgement: 33,900 instructions that way, 19,500
this way. An acknowledgement of one string takes 9,800.
"""
import sys

import cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF

from socketio_fast._core.protocol.event_values cimport encoded_value
from socketio_fast._core.protocol.wire cimport SF_MAX_VALUES

cdef extern from "Python.h":
    object PyObject_Vectorcall(
        object func, PyObject **args, size_t n, PyObject *kwnames
    )
    long long PyLong_AsLongLongAndOverflow(object o, int *overflow) except? -1

cdef enum:
    MAX_DEPTH = 32      # of a value that is encoded here

cdef object _ABSENT = object()  # a field that was deleted
cdef object _encode = None      # msgspec's encoder, once a handler returns a struct


@cython.final
cdef class CheckedHandler(PreparedHandler):
    """A handler whose arguments are checked.

    Args:
        function: What checks the arguments, calls the handler, and makes plain what it
            returns. It is called for events that are decoded already.
        handler: What it calls.
        arguments: What makes the arguments of those that were received.
        decoders: For each argument, what makes it of its JSON, bytes, or raises any
            exception; ``None`` for any type.
        least: How many arguments the handler takes at least.
        plain: Makes dicts and lists of models.
    """

    def __init__(
        self, function, handler, arguments, list decoders not None,
        Py_ssize_t least, plain,
    ):
        if len(decoders) >= SF_MAX_VALUES:
            raise ValueError(f"at most {SF_MAX_VALUES - 1} arguments expected")
        self._function = function
        self._handler = handler
        self._arguments = arguments
        self._decoders = decoders
        self._least = least
        self._plain = plain

    def __call__(self, *args):
        return self._function(*args)

    @property
    def __wrapped__(self):
        return self._function

    def __getattr__(self, name):
        return getattr(self._function, name)

    cdef object begin(self, PyObject **args, size_t n):
        if n == 2 and type(<object> args[1]) is EventValues:
            return self._decoded(<object> args[0], <EventValues> args[1])
        cdef list values = self._arguments(tuple([<object> args[i] for i in range(n)]))
        return self._handler(*values)

    cdef object _decoded(self, object sid, EventValues values):
        """Call the handler with arguments that are decoded here."""
        cdef PyObject *args[SF_MAX_VALUES + 1]
        cdef Py_ssize_t count = values.count - 1, i, made = 0
        cdef object decoder, value
        if not self._least <= count <= len(self._decoders):
            return self._checked(sid, values)
        args[0] = <PyObject *> sid
        try:
            try:
                for i in range(1, count + 1):
                    decoder = self._decoders[i - 1]
                    if decoder is None:
                        value = values.read_value(i)
                    else:
                        value = decoder(values.value_text(i))
                    Py_INCREF(value)
                    args[i] = <PyObject *> value
                    made = i
            except Exception:
                pass
            else:
                return PyObject_Vectorcall(self._handler, args, count + 1, NULL)
        finally:
            for i in range(1, made + 1):
                Py_DECREF(<object> args[i])
        return self._checked(sid, values)

    cdef object _checked(self, object sid, EventValues values):
        """Call the handler if the arguments fit nevertheless, or raise the error."""
        cdef list args = values.read()
        args[0] = sid
        return self._handler(*self._arguments(tuple(args)))

    cdef object finish(self, object value):
        global _encode
        if value is None or type(value) is str:
            return value
        if self._fields_of(type(value)) is not None and self._is_json(value, 0):
            if _encode is None:
                _encode = sys.modules["msgspec"].json.Encoder().encode
            try:
                return encoded_value(_encode(value))
            except Exception:
                pass  # what cannot be encoded gets its error below
        return self._plain(value)

    cdef tuple _fields_of(self, object kind):
        """The names of the fields of a `msgspec.Struct`; None for other types."""
        if kind is not self._last:
            fields = getattr(kind, "__struct_fields__", None)
            self._fields = fields if type(fields) is tuple else None
            self._last = kind
        return self._fields

    cdef bint _is_json(self, object value, int depth) except -1:
        """Whether all parsers read what msgspec makes of a value as what orjson makes
        of its dict. Bytes, for one, it would not attach, but write as base64."""
        cdef object kind = type(value), item
        cdef int overflow = 0
        cdef tuple fields
        if kind is str or kind is float or kind is bool or value is None:
            return True
        if kind is int:
            PyLong_AsLongLongAndOverflow(value, &overflow)
            return overflow == 0
        if depth == MAX_DEPTH:
            return False
        if kind is list:
            for item in <list> value:
                if not self._is_json(item, depth + 1):
                    return False
            return True
        if kind is dict:
            for key, item in (<dict> value).items():
                if type(key) is not str or not self._is_json(item, depth + 1):
                    return False
            return True
        fields = self._fields_of(kind)
        if fields is None:
            return False
        for name in fields:
            item = getattr(value, name, _ABSENT)
            if not self._is_json(item, depth + 1):
                return False
        return True
