# WebSocket connections of picows: the transport, and the adoption of a socket.
from picows.picows cimport WSFrame, WSListener, WSTransport

from socketio_fast._core.deadlines cimport Deadline
from socketio_fast._core.outgoing cimport Outgoing
from socketio_fast._core.session cimport Engine, Session, Transport
from socketio_fast._core.wire cimport sf_utf8


cdef class Connections:
    # The open connections of a server, HTTP or WebSocket.
    cdef:
        readonly set open
        object waiter               # a Future of somebody who waits for none

    cdef int add(self, object connection) except -1
    cdef int discard(self, object connection) except -1


cdef class Link:
    # Stands between picows and the event loop's transport: all writing is WebSocket's.
    cdef:
        object transport            # the event loop's; None when the connection is lost
        WebSocket websocket


cdef class Listener(WSListener):
    # What picows calls.
    cdef WebSocket websocket


cdef class WebSocket(Transport):
    cdef:
        readonly str name
        Engine engine
        Link link
        WSTransport ws
        object buffer_size          # get_write_buffer_size of the loop's transport
        int fd                      # to send to directly; -1: not (TLS)
        list pending                # bytes to write
        Py_ssize_t pending_bytes
        bint marked                 # flush() is coming
        bint reading                # a burst is being read: flush() at its end
        bint paused                 # the loop's transport holds more than it can send
        bint loop_buffered          # it may hold something
        Py_ssize_t handed           # bytes that the loop's transport was given last
        bytes failure               # picows' answer to a protocol error
        Connections connections     # this one is among them while it is open
        Deadline close_deadline
        bint close_sent
        bint dead                   # nothing is read any more
        # A fragmented message: its pieces, and the check of its text.
        int fragment_type           # 0: none
        list fragments
        Py_ssize_t fragments_size
        sf_utf8 utf8

    cdef int begin(self, Session session, object request) except -1
    cdef int _write(self, bytes data) except -1
    cdef int _on_text(self, const char *p, Py_ssize_t n) except -1
    cdef int _on_binary(self, const char *p, Py_ssize_t n) except -1
    cdef int _on_fragment(self, const char *p, Py_ssize_t n, bint fin) except -1
    cdef int _on_packet(self, const char *p, Py_ssize_t n) except -1
    cdef int _send_close(self, object code) except -1
    cdef int _await_close(self) except -1
    cdef int _on_frame(self, WSFrame frame) except -1
    cdef int _pong(self, WSFrame frame) except -1
    cdef int _on_close(self, WSFrame frame) except -1
    cdef int _lost(self) except -1
