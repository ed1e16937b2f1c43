"""Payloads of HTTP long-polling by JSONP: scripts to the client, forms from it.

A response is `___eio[index]("payload");`. A POST has the payload in its field `d`,
with newlines as `\\n` and `\\n` as `\\\\n`: browsers change newlines in forms.
"""
import re
from urllib.parse import parse_qs

import orjson

from socketio_fast.exceptions import PacketError

# Text that is valid in JSON but not in every JavaScript; the end of a script element.
cdef tuple ESCAPES = (
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
    (b"</", b"<\\/"),
)

cdef object _newlines = re.compile(r"(\\)?\\n").sub


cdef bytes script_head(str index):
    """The beginning of a script. Of `index`, which the client chose, only digits are
    used."""
    digits = "".join([c for c in index if c in "0123456789"])
    return b"___eio[" + digits.encode() + b"]("


cdef bytes script(bytes head, bytes payload):
    """A script that passes a payload, text in UTF-8, to the client's function."""
    cdef bytes text = orjson.dumps(payload.decode())
    for plain, escaped in ESCAPES:
        text = text.replace(plain, escaped)
    return head + text + b");"


def _unescape(match):
    return "\\n" if match.group(1) else "\n"


cdef bytes form_payload(bytes form):
    """Decode the payload in a form; raises PacketError if the form has none."""
    try:
        fields = parse_qs(form.decode(), errors="strict", max_num_fields=8)
        return _newlines(_unescape, fields["d"][0]).encode()
    except (KeyError, ValueError):
        raise PacketError(f"JSONP form without a field d: {form[:32]!r}") from None
