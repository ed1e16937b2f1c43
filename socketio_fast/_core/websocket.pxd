# WebSocket connections: the transport, and the adoption of a socket from HTTP.
from socketio_fast._core.deadlines cimport Deadline
from socketio_fast._core.outgoing cimport Outgoing
from socketio_fast._core.session cimport Engine, Session, Transport
from socketio_fast._core.wire cimport sf_frame, sf_utf8


cdef class Connections:
    # The open connections of a server, HTTP or WebSocket.
    cdef:
        readonly set open
        object waiter               # a Future of somebody who waits for none

    cdef int add(self, object connection) except -1
    cdef int discard(self, object connection) except -1


cdef class WebSocket(Transport):
    cdef:
        readonly str name
        Engine engine
        object transport            # the event loop's; None when the connection is lost
        object buffer_size          # its get_write_buffer_size
        Connections connections     # this one is among them while it is open
        Deadline close_deadline
        # Reading: an incomplete frame, and how long it must get to be read on.
        bytearray partial
        Py_ssize_t needed
        # Reading: a fragmented message, its pieces, and the check of its text.
        int fragment_type           # 0: none
        list fragments
        Py_ssize_t fragments_size
        sf_utf8 utf8
        # Writing.
        int fd                      # to send to directly; -1: not (TLS)
        list pending                # bytes to write
        Py_ssize_t pending_bytes
        bytes pong                  # the last one, while paused
        Py_ssize_t handed           # bytes that the loop's transport was given last
        bint marked                 # flush() is coming
        bint reading                # a burst is being read: flush() at its end
        bint paused                 # the loop's transport holds more than it can send
        bint loop_buffered          # it may hold something
        bint close_sent
        bint dead                   # nothing is read any more

    cdef int begin(self, Session session, object request) except -1
    cdef int _write(self, bytes data) except -1
    cdef int _send_close(self, object code) except -1
    cdef int _close_connection(self) except -1
    cdef Py_ssize_t _read(self, const char *p, Py_ssize_t n, bint own) except -1
    cdef int _check_frame(self, const sf_frame *f) except -1
    cdef int _on_frame(
        self, int opcode, bint fin, const char *p, Py_ssize_t n
    ) except -1
    cdef int _on_text(self, const char *p, Py_ssize_t n) except -1
    cdef int _on_packet(self, const char *p, Py_ssize_t n) except -1
    cdef int _on_binary(self, const char *p, Py_ssize_t n) except -1
    cdef int _on_fragment(self, const char *p, Py_ssize_t n, bint fin) except -1
    cdef int _on_close(self, const char *p, Py_ssize_t n) except -1
