"""Transports whose packets come in payloads: long-polling, of a server or a client.

In revision 4 a payload is packets with a separator between them, in revision 3 packets
with their lengths before them.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from socketio_fast._core.engine.contracts cimport (
    BASE64,
    REVISION_3,
    SessionBase as Session,
)
from socketio_fast._core.protocol.eio cimport (
    PacketView,
    decode_base64,
    join_payload,
    packet_end,
    scan_packet,
)
from socketio_fast._core.protocol.eio3 cimport binary_end, text_end
from socketio_fast._core.protocol.outgoing cimport (
    BINARY_PAYLOAD_3,
    TEXT_PAYLOAD_3,
    Outgoing,
)

from socketio_fast.exceptions import PacketError


cdef class PayloadTransport(MessageTransport):
    """A transport of payloads. Abstract: subclasses call read() or read_3()."""

    cdef Py_ssize_t read(self, bytes body, Py_ssize_t at, bint whole) except -1:
        """Read packets of a payload from `at` on; returns up to where. That is not the
        end if the session pauses. `whole`: it is read to its end nevertheless."""
        cdef Session session = self.session
        cdef const char *start = PyBytes_AS_STRING(body)
        cdef const char *p = start + at
        cdef const char *end = start + PyBytes_GET_SIZE(body)
        cdef const char *stop
        cdef PacketView packet
        while True:
            if session.is_paused() and not whole:
                return p - start
            stop = packet_end(p, end)
            self.in_message = p < stop and (p[0] == c"4" or p[0] == c"b")
            if p < stop and p[0] == c"b":
                session.on_binary(decode_base64(p + 1, stop - p - 1))
            else:
                scan_packet(p, stop - p, &packet)
                session.on_packet(packet.type, packet.data, packet.size)
            if stop == end:
                return stop - start
            p = stop + 1

    cdef Py_ssize_t read_3(
        self, bytes body, Py_ssize_t at, bint binary, bint whole
    ) except -1:
        """Read packets of a payload of revision 3, text or `binary`; see read().

        Packets of revision 3 are the same as over WebSocket.
        """
        cdef Session session = self.session
        cdef const char *start = PyBytes_AS_STRING(body)
        cdef const char *p = start + at
        cdef const char *end = start + PyBytes_GET_SIZE(body)
        cdef const char *packet
        cdef bint is_binary = False
        cdef Py_ssize_t count = 0
        if p == end:
            raise PacketError("empty payload")
        while p < end:
            if session.is_paused() and not whole:
                return p - start
            count += 1
            self.in_message = False
            self.check_count(count)
            if binary:
                p = binary_end(p, end, &packet, &is_binary)
            else:
                p = text_end(p, end, &packet)
            self.in_message = is_binary or (
                packet < p and (packet[0] == c"4" or packet[0] == c"b")
            )
            if is_binary:
                self.on_binary(packet[:p - packet])
            else:
                self.on_text(packet, p - packet)
        return p - start

    cdef int check_count(self, Py_ssize_t count) except -1:
        """Raise LimitError if a payload may not have as many packets."""
        return 0

    cdef bytes payload(self, list messages):
        """The payload that carries these messages."""
        cdef Outgoing m
        if not self.dialect & REVISION_3:
            if len(messages) == 1:
                return (<Outgoing> messages[0]).packets()
            return join_payload([m.packets() for m in messages])
        if self.wants_binary(messages):
            return b"".join([m.rendering(BINARY_PAYLOAD_3) for m in messages])
        return b"".join([m.rendering(TEXT_PAYLOAD_3) for m in messages])

    cdef bint wants_binary(self, list messages) except -1:
        """Whether these messages have a binary payload, which only revision 3 knows."""
        cdef Outgoing m
        if self.dialect & REVISION_3 and not self.dialect & BASE64:
            for m in messages:
                if m.attachments is not None:
                    return True
        return False


cdef Py_ssize_t count_of(list messages) except -1:
    """How many packets the messages have."""
    cdef Outgoing m
    cdef Py_ssize_t count = 0
    for m in messages:
        count += m.count()
    return count
