"""Binary attachments of Socket.IO packets, and the placeholders that stand for them.

A packet with binary values is one text message and one binary message for each value.
In the JSON of the text, `{"_placeholder":true,"num":n}` stands for the attachment with
the number n, counted from 0.
"""
import cython

from socketio_fast.exceptions import PacketError
from socketio_fast.payloads import plain


@cython.final
cdef class Placeholder:
    """A placeholder of an array that was read without the general JSON parser."""


# One object for each number that such an array can name.
cdef list PLACEHOLDERS = []
for _num in range(10):
    PLACEHOLDERS.append(Placeholder.__new__(Placeholder))
    (<Placeholder> PLACEHOLDERS[_num]).num = _num


cdef Placeholder placeholder(int num):
    """The placeholder of a number from 0 to 9."""
    return <Placeholder> PLACEHOLDERS[num]


@cython.final
@cython.no_gc  # it holds bytes alone
@cython.freelist(4)
cdef class Attachments:
    """Collects binary values while their packet is encoded.

    orjson calls it (`default=`) for every value that it does not know.
    """

    def __call__(self, value):
        return self.replace(value)

    cdef int collect(self, bytes value) except -1:
        """Give a binary value the next number."""
        if self.found is None:
            self.found = []
        self.found.append(value)
        self.count += 1
        return 0

    cdef object replace(self, object value):
        """What is encoded instead of a value that JSON does not have.

        A binary value is collected, and its placeholder returned. Other types are
        converted as docs/encodings.md says. Raises TypeError for unknown types.
        """
        if not isinstance(value, bytes):
            if not isinstance(value, (bytearray, memoryview)):
                return plain(value)
            value = bytes(value)
        elif type(value) is not bytes:
            value = bytes(value)
        self.collect(value)
        return {"_placeholder": True, "num": self.count - 1}


cdef object extract(object data, Attachments attachments, int depth, bint inside):
    """Replace the binary values in `data` by placeholders, and collect them.

    `data` itself is not changed. Lists, tuples and dicts are copied only where they
    contain a binary value. If `inside` is true, other types that can be sent
    (dataclasses, sets, …) are searched as well.
    """
    cdef object copy = None, value, new
    cdef Py_ssize_t i
    if isinstance(data, (bytes, bytearray, memoryview)):
        return attachments.replace(data)
    if not isinstance(data, (list, tuple, dict)):
        if not inside or data is None or isinstance(data, (str, int, float)):
            return data
        try:
            value = plain(data)
        except TypeError:
            return data  # the encoder refuses it, with its own error
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


cdef object put_in_place(object data, list attachments, int depth):
    """Replace the placeholders in `data` by their attachments, in place.

    Returns `data`, or the attachment if `data` is a placeholder itself.
    """
    cdef object key, value
    cdef Py_ssize_t i
    # This recursion uses the C stack, and a JSON parser that the application has chosen
    # may accept deeper nesting than orjson does.
    if depth > MAX_DEPTH:
        raise PacketError(f"data nested more than {MAX_DEPTH} levels deep")
    if isinstance(data, list):
        for i in range(len(<list> data)):
            value = (<list> data)[i]
            if isinstance(value, Placeholder):
                (<list> data)[i] = _numbered(attachments, (<Placeholder> value).num)
            elif isinstance(value, (list, dict)):
                (<list> data)[i] = put_in_place(value, attachments, depth + 1)
    elif isinstance(data, dict):
        if (<dict> data).get("_placeholder") is True:
            return _attachment(attachments, (<dict> data).get("num"))
        for key, value in (<dict> data).items():
            if isinstance(value, (list, dict)):
                # To replace a value does not resize the dict: the iteration is valid.
                (<dict> data)[key] = put_in_place(value, attachments, depth + 1)
    return data


cdef object _attachment(list attachments, object num):
    if type(num) is not int or not 0 <= num < len(attachments):
        raise PacketError(f"illegal attachment number {num!r:.32}")
    return _numbered(attachments, num)


cdef object _numbered(list attachments, Py_ssize_t num):
    if not 0 <= num < len(attachments):
        raise PacketError(f"illegal attachment number {num}")
    return attachments[num]


def deconstruct(data, bint inside=False):
    """Separate the binary values from `data`: returns `(data, attachments)`.

    Placeholders stand for the values in the data returned. If `inside` is true, binary
    values in dataclasses, models, sets, … are separated as well.
    """
    cdef Attachments attachments = Attachments.__new__(Attachments)
    data = extract(data, attachments, 0, inside)
    return data, attachments.found or []


def reconstruct(data, list attachments not None):
    """Replace the placeholders in `data` by their attachments, in place.

    Raises PacketError for a placeholder without an attachment.
    """
    return put_in_place(data, attachments, 0)
