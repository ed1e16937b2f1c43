"""Payloads of HTTP long-polling by JSONP: a script that comes, a form that is posted.

A response is `___eio[index]("payload");`. A POST has the payload in its field `d`,
with newlines as `\\n` and `\\n` as `\\\\n`: browsers change newlines in forms.
"""
import re
from urllib.parse import parse_qs

import orjson

from socketio_fast.exceptions import PacketError

# What is valid in JSON but not in every JavaScript, and what ends a script element.
cdef tuple ESCAPES = (
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
    (b"</", b"<\\/"),
)

cdef object _newlines = re.compile(r"(\\)?\\n").sub


cdef bytes script_head(str index):
    """What a script begins with; `index` is what the client gave, of which digits are
    kept."""
    digits = "".join([c for c in index if c in "0123456789"])
    return b"___eio[" + digits.encode() + b"]("


cdef bytes script(bytes head, bytes payload):
    """The script that calls the client with a payload, text in UTF-8."""
    cdef bytes text = orjson.dumps(payload.decode())
    for plain, escaped in ESCAPES:
        text = text.replace(plain, escaped)
    return head + text + b");"


def _unescape(match):
    return "\\n" if match.group(1) else "\n"


cdef bytes form_payload(bytes form):
    """The payload in a form. Raises PacketError if there is none."""
    try:
        fields = parse_qs(form.decode(), errors="strict", max_num_fields=8)
        return _newlines(_unescape, fields["d"][0]).encode()
    except (KeyError, ValueError):
        raise PacketError(f"JSONP form without a field d: {form[:32]!r}") from None
