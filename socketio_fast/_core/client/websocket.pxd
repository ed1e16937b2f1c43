# A client's WebSocket, on picows.
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.engine.message_transport cimport MessageTransport
from socketio_fast._core.engine.writer cimport Writer
from socketio_fast._core.protocol.deflate cimport Deflate
from socketio_fast._core.protocol.outgoing cimport Outgoing


cdef class ClientWebSocket(MessageTransport):
    cdef:
        Engine engine
        object ws                   # picows' transport; None: not connected
        Writer writer               # None: as `ws`
        Deflate deflate             # None: messages are not compressed
        bytes pong                  # the frame that answers the last ping; or None
        list held           # (kind, end, payload, compressed) of frames while paused
        bytearray fragments         # of a message that has not ended; None: no such
        bint text                   # that message is text
        bint is_compressed          # that message is compressed
        readonly bint accepted      # the server has accepted the handshake
        bint paused
        bint close_sent
        bint dead                   # nothing is read any more
        bint in_burst
        Py_ssize_t max_payload      # bytes of a message

    cdef int _write(self, bytes frames) except -1
    cdef int _send_close(self, object code) except -1
    cdef int _disconnect(self) except -1
    cdef int on_frame(self, object frame) except -1
    cdef int _on_frame(
        self, object kind, bint end, bytes data, bint compressed
    ) except -1
    cdef int _on_fragment(
        self, object kind, bint end, bytes data, bint compressed
    ) except -1
    cdef int _on_close(self, bytes data) except -1
    cdef bytes _inflated(self, const char *p, Py_ssize_t n)
    cdef int _too_large(self) except -1
    cdef int send_pong(self) except -1
    cdef int _fail(self, object error) except -1


cdef bytes masked(Outgoing m, int dialect)
cdef bytes compressed(Outgoing m, Deflate deflate)
