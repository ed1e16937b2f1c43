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
        Deflate deflate             # None: permessage-deflate was not negotiated
        Connections connections     # the server's: this is one of them while open
        Deadline close_deadline
        # The bytes of an incomplete frame, and how many it needs to be read on.
        bytearray partial
        Py_ssize_t needed
        # A fragmented message: its opcode (0: there is none), with RSV1 if it is
        # compressed; the fragments so far; the state of its check for UTF-8.
        int fragment_type
        bytearray fragments
        sf_utf8 utf8
        bytes pong                  # the last one, while the client does not read
        bint close_sent             # nothing more is sent
        bint dead                   # nothing more is read
        bint paused                 # the session has paused reading

    @staticmethod
    cdef WebSocket new(
        Engine engine, Writer writer, Deflate deflate, Connections connections
    )
    cdef int begin(
        self, bytes response, Session session, object environ_source, bytes received
    ) except -1
    # data_received() of memory in which payloads may be unmasked.
    cdef int receive(self, const char *p, Py_ssize_t n) except -1
    cdef bint _keep(self, const char *p, Py_ssize_t n) except -1
    cdef int _receive(
        self, const char *p, Py_ssize_t n, bint own, bytearray joined=*
    ) except -1
    cdef bint track(self, bint tracked) except -1
    cdef inline int _write(self, bytes data) except -1
    cdef int _send_close(self, object code) except -1
    cdef int _close_connection(self) except -1
    cdef Py_ssize_t _read(self, const char *p, Py_ssize_t n, bint own) except -1
    cdef int _read_frames(
        self, const char *p, Py_ssize_t n, bint own, Py_ssize_t *taken
    ) except -1
    cdef int _check_frame(self, const sf_frame *f) except -1
    cdef int _on_frame(
        self, int opcode, bint fin, const char *p, Py_ssize_t n
    ) except -1
    cdef int _on_compressed(self, int opcode, const char *p, Py_ssize_t n) except -1
    cdef int _on_fragment(self, const char *p, Py_ssize_t n, bint fin) except -1
    cdef int _on_close(self, const char *p, Py_ssize_t n) except -1
