"""Compiled functions that tests call from Python; nothing else uses them."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from socketio_fast._core.client.websocket cimport masked
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.http.admission cimport Admission, admit
from socketio_fast._core.http.http1 cimport Http1Core
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.http.request_parser cimport MAX_HEAD, scanned_request
from socketio_fast._core.http.websocket cimport WebSocket
from socketio_fast._core.protocol.deflate cimport Deflate
from socketio_fast._core.protocol.eio cimport (
    binary_frame,
    join_payload,
    packet_end,
    text_frame,
    unpacked,
)
from socketio_fast._core.protocol.eio3 cimport (
    binary_end,
    binary_payload,
    decode_base64_message,
    decode_binary_message,
    text_end,
    text_payload,
)
from socketio_fast._core.protocol cimport event_values, outgoing
from socketio_fast._core.protocol.event_values cimport EncodedValue, EventValues
from socketio_fast._core.protocol.jsonp cimport form_payload, script, script_head
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.protocol.sio cimport SIO_ACK
from socketio_fast._core.protocol.wire cimport (
    SF_DECLINED,
    sf_request,
    sf_scan_request,
)

from socketio_fast._core.socketio.checked_handlers cimport CheckedHandler

from socketio_fast.exceptions import PacketError


def scan_request(bytes data not None):
    """The request at the beginning of `data`, if it is read without httptools.

    Returns (Request, whether it asks for an upgrade, body, bytes taken); None:
    `sf_scan_request` declines it, and httptools parses it.
    """
    cdef const char *p = PyBytes_AS_STRING(data)
    cdef sf_request r = sf_scan_request(p, PyBytes_GET_SIZE(data), MAX_HEAD)
    if r.method == SF_DECLINED:
        return None
    return (
        scanned_request(&r, p, "http"), r.upgrade, data[r.head:r.head + r.length],
        r.head + r.length,
    )


def judge(Engine engine not None, Request request not None, upgrade=False):
    """Judge a request: (status, body, header lines, session); status 0 admits it."""
    cdef Admission a = admit(engine, request, upgrade)
    return a.status, a.body, a.headers, a.session


def receive(protocol not None, bytes data not None):
    """Give a connection what was received where it lies: in memory of just this size,
    which holds something else afterwards."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(data)
    cdef char *p = <char *> malloc(max(n, 1))
    if p is NULL:
        raise MemoryError
    memcpy(p, PyBytes_AS_STRING(data), n)
    try:
        if isinstance(protocol, Http1Core):
            (<Http1Core> protocol).receive(p, n)
        else:
            (<WebSocket?> protocol).receive(p, n)
    finally:
        memset(p, 0xFF, n)
        free(p)


def acknowledge(CheckedHandler handler not None, value):
    """The text of an acknowledgement, and its attachments, if the handler returns
    `value`, which is no tuple."""
    cdef Outgoing m
    value = handler.finish(value)
    if type(value) is EncodedValue:
        m = outgoing.of_json(SIO_ACK, "/", (<EncodedValue> value).json, -1)
    else:
        m = outgoing.packet(SIO_ACK, "/", [value], -1)
    return [m.text()[1:], *(m.attachments or ())]


# The protocol.

def split_event(bytes text not None, str name not None):
    """The JSON of each value of an event, if it can be split; else None."""
    cdef EventValues values = event_values.split_event(
        PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), {name: None}
    )
    if values is None:
        return None
    return [values.value_text(i) for i in range(values.count)]


def decode_payload(bytes payload not None):
    """The packets of a long-polling payload of revision 4, as a list of (type, data).

    Raises PacketError at the first packet that is malformed.
    """
    cdef const char *p = PyBytes_AS_STRING(payload)
    cdef const char *end = p + PyBytes_GET_SIZE(payload)
    cdef const char *stop
    cdef list packets = []
    while True:
        stop = packet_end(p, end)
        packets.append(unpacked(p, stop))
        if stop == end:
            return packets
        p = stop + 1


def encode_payload(list packets not None):
    """Join packets, bytes each, to a long-polling payload of revision 4."""
    if not all(isinstance(packet, bytes) for packet in packets):
        raise TypeError("packets are bytes")
    return join_payload(packets)


def encode_payload_3(
    bytes packet=None, list attachments=None, bint binary=False
):
    """The payload of revision 3 of a text packet and the binary messages behind it."""
    if binary:
        return binary_payload(packet, b"", attachments)
    return text_payload(packet, b"", attachments)


def decode_payload_3(bytes payload not None, bint binary=False):
    """The packets of a payload of revision 3: str for text, bytes for binary messages.

    Raises PacketError at the first that is malformed.
    """
    cdef const char *p = PyBytes_AS_STRING(payload)
    cdef const char *end = p + PyBytes_GET_SIZE(payload)
    cdef const char *packet
    cdef bint is_binary = False
    cdef list packets = []
    while p < end:
        if binary:
            p = binary_end(p, end, &packet, &is_binary)
        else:
            p = text_end(p, end, &packet)
        if is_binary:
            packets.append(decode_binary_message(packet[:p - packet]))
        elif p > packet and packet[0] == c"b":
            packets.append(decode_base64_message(packet, p - packet))
        else:
            try:
                packets.append(packet[:p - packet].decode())
            except UnicodeDecodeError:
                raise PacketError("text is not UTF-8", code=1007) from None
    return packets


def encode_frames(bytes packet=None, list attachments=None):
    """The WebSocket frames of a text packet and the binary messages behind it."""
    cdef list frames = []
    if packet is not None:
        frames.append(text_frame(packet, b""))
    for data in attachments or ():
        frames.append(binary_frame(data))
    return b"".join(frames)


def encode_script(str index not None, bytes payload not None):
    """The script with a payload, for the callback of this index."""
    return script(script_head(index), payload)


def decode_form(bytes form not None):
    """The payload in a form that was posted."""
    return form_payload(form)


def render_frames(Outgoing m not None):
    """The bytes that every WebSocket client gets."""
    return m.frames()


def mask_frames(Outgoing m not None):
    """The bytes that a client sends by WebSocket."""
    return masked(m, 0)


def render_packets(Outgoing m not None):
    """The bytes in the payload of every long-polling client."""
    return m.packets()


def render(Outgoing m not None, int kind):
    """What some clients get: a `Rendering`."""
    return m.rendering(kind)


def render_compressed(Deflate deflate not None, Outgoing m not None):
    """The frames of a message, compressed."""
    return deflate.frames(m)


def inflate(Deflate deflate not None, bytes payload not None, Py_ssize_t limit):
    """The message of a compressed frame."""
    return deflate.inflate(PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), limit)
