"""Transports that carry one packet in a message: WebSockets, and long-polling of
revision 3, whose payloads are lists of messages."""
from socketio_fast._core.engine.contracts cimport REVISION_3, SessionBase, Transport
from socketio_fast._core.protocol.eio cimport PacketView, decode_base64, scan_packet
from socketio_fast._core.protocol.eio3 cimport (
    decode_base64_message,
    decode_binary_message,
)
from socketio_fast._core.protocol.wire cimport sf_utf8, sf_utf8_feed

from socketio_fast.exceptions import ProtocolError


cdef class MessageTransport(Transport):
    """A transport of messages. Abstract: subclasses call on_text() and on_binary()."""

    cdef int on_text(self, const char *p, Py_ssize_t n) except -1:
        """A text message has come."""
        cdef PacketView view
        # The session may drop this transport's reference to it meanwhile.
        cdef SessionBase session = self.session
        if n and p[0] == c"b":
            # Clients that write no binary frames send base64, whether they have asked
            # for it or not.
            return self._on_message(
                decode_base64_message(p, n) if self.dialect & REVISION_3
                else decode_base64(p + 1, n - 1)
            )
        scan_packet(p, n, &view)
        if session is None:
            return 0
        if session.probe is self:
            session.on_probe_packet(self, view.type, view.data, view.size)
        else:
            session.on_packet(view.type, view.data, view.size)
        return 0

    cdef int on_text_message(self, const char *p, Py_ssize_t n) except -1:
        """A text message has come, which nobody has checked for UTF-8."""
        # The decoder of a message checks it for UTF-8. Other packets are checked here,
        # and so is a message that the decoder refuses: invalid UTF-8 has the close code
        # 1007 whatever else is wrong.
        cdef sf_utf8 state = sf_utf8(0, 0, 0)
        if n == 0 or p[0] != c"4":
            if not sf_utf8_feed(&state, p, n) or state.need:
                raise ProtocolError("text is not UTF-8", code=1007)
            return self.on_text(p, n)
        try:
            return self.on_text(p, n)
        except ProtocolError:
            if not sf_utf8_feed(&state, p, n) or state.need:
                raise ProtocolError("text is not UTF-8", code=1007) from None
            raise

    cdef int on_binary(self, bytes data) except -1:
        """A binary message has come."""
        if self.dialect & REVISION_3:
            data = decode_binary_message(data)
        return self._on_message(data)

    cdef int _on_message(self, bytes data) except -1:
        cdef SessionBase session = self.session
        if session is None:
            return 0
        if session.probe is self:
            raise ProtocolError("binary message before the upgrade")
        return session.on_binary(data)
