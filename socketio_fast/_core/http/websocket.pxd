# The WebSocket transport: frames in and out.
from socketio_fast._core.engine.deadlines cimport Deadline
from socketio_fast._core.protocol.deflate cimport Deflate
from socketio_fast._core.http.connections cimport Connections
from socketio_fast._core.protocol.outgoing cimport Outgoing
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.message_transport cimport MessageTransport
from socketio_fast._core.protocol.wire cimport sf_frame, sf_utf8
from socketio_fast._core.engine.writer cimport Writer


cdef class WebSocket(MessageTransport):
    cdef:
        Engine engine
        Writer writer
        Deflate deflate             # permessage-deflate; None: not negotiated
        Connections connections     # this one is among them while it is open
        Deadline close_deadline
        # Reading: an incomplete frame, and how long it must get to be read on.
        bytearray partial
        Py_ssize_t needed
        # Reading: a fragmented message, what has come of it, and the check of its text.
        int fragment_type           # 0: none; with RSV1 if it is compressed
        bytearray fragments
        sf_utf8 utf8
        bytes pong                  # the last one, while the writer is paused
        bint close_sent
        bint dead                   # nothing is read any more
        bint paused                 # nothing is read for now

    @staticmethod
    cdef WebSocket new(
        Engine engine, Writer writer, Deflate deflate, Connections connections
    )
    cdef int begin(
        self, bytes response, Session session, object environ_source, bytes received
    ) except -1
    cdef inline int _write(self, bytes data) except -1
    cdef int _send_close(self, object code) except -1
    cdef int _close_connection(self) except -1
    cdef Py_ssize_t _read(self, const char *p, Py_ssize_t n, bint own) except -1
    cdef int _check_frame(self, const sf_frame *f) except -1
    cdef int _on_frame(
        self, int opcode, bint fin, const char *p, Py_ssize_t n
    ) except -1
    cdef int _on_compressed(self, int opcode, const char *p, Py_ssize_t n) except -1
    cdef int _on_packet(self, const char *p, Py_ssize_t n) except -1
    cdef int _on_fragment(self, const char *p, Py_ssize_t n, bint fin) except -1
    cdef int _on_close(self, const char *p, Py_ssize_t n) except -1
