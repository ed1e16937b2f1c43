"""Requests of HTTP/1.1 (RFC 9112) as a parser finds them, piece by piece.

Requests as Engine.IO clients send them, complete in one segment, are scanned where they
lie (`sf_http.h`): a POST and a GET cost 37.6 us of CPU with httptools, which calls back
for every header line, and 23.1 us without. httptools parses all other requests.
"""
import re

import cython
import httptools
from cpython.bytes cimport PyBytes_GET_SIZE

from socketio_fast._core.engine.deadlines cimport Timed
from socketio_fast._core.http.request cimport Request, split_target
from socketio_fast._core.protocol.wire cimport SF_GET, sf_request

HOST_LINE = re.compile(rb"^host: [^\r\n]*", re.IGNORECASE | re.MULTILINE)


cdef class RequestReceiver(Timed):
    """Is told what a parser finds. Abstract."""

    cdef int on_request(
        self, Request request, bint keep_alive, bint websocket
    ) except -1:
        """The head of a request has come.

        `keep_alive`: the client lets the connection stay open. `websocket`: the request
        asks for a WebSocket.
        """
        raise NotImplementedError

    cdef int on_body_piece(self, bytes piece) except -1:
        """A part of the request's body has come."""
        raise NotImplementedError

    cdef int on_request_end(self) except -1:
        """The request has come completely."""
        raise NotImplementedError

    cdef Py_ssize_t on_upgrade(self, bytes data, Py_ssize_t at) except -1:
        """What `data` has from `at` on is another protocol's: a WebSocket's, or that of
        a tunnel (CONNECT). Returns up to where it is taken."""
        raise NotImplementedError

    cdef int refuse_request(self, int status, bytes message) except -1:
        """What comes is not HTTP, or too much of it: answer, and close."""
        raise NotImplementedError


@cython.final
cdef class RequestParser:
    """Parses the requests of one connection by httptools.

    httptools calls its methods `on_…`, in the order of the bytes of a request.
    """

    def __cinit__(self, RequestReceiver receiver not None, str scheme not None):
        self.receiver = receiver
        self.scheme = scheme

    cdef Py_ssize_t feed(self, bytes data, Py_ssize_t at) except -1:
        """Parse `data` from `at` on; returns up to where it is taken.

        That is the end of a head, so that the receiver can decide whether a further
        request may begin; or, of a body, all there is.
        """
        cdef RequestReceiver receiver = self.receiver
        cdef Py_ssize_t end = PyBytes_GET_SIZE(data)
        if self.parser is None:
            self.parser = httptools.HttpRequestParser(self)
        if self.head_size >= 0:
            end = data.find(b"\r\n\r\n", at) + 4
            if end == 3:
                end = PyBytes_GET_SIZE(data)
            self.head_size += end - at
        try:
            self.parser.feed_data(memoryview(data)[at:end])
        except httptools.HttpParserUpgrade as exc:
            return self._on_upgrade(data, at + <Py_ssize_t> exc.args[0])
        except httptools.HttpParserError:
            if not receiver.closing:
                receiver.refuse_request(400, b"Bad request")
            return end
        if self.head_size > MAX_HEAD and not receiver.closing:
            receiver.refuse_request(431, b"Request head too large")
        return end

    cdef Py_ssize_t _on_upgrade(self, bytes data, Py_ssize_t at) except -1:
        """httptools has stopped behind a request for an upgrade, at `at`."""
        cdef bytes head = self.rewritten
        cdef RequestReceiver receiver = self.receiver
        self.parser = None
        if head is None:
            return receiver.on_upgrade(data, at)
        # httptools would take the body for data of the other protocol. So the head is
        # parsed again, without the upgrade.
        self.rewritten = None
        self.feed(head, 0)
        return at

    # From httptools.

    def on_message_begin(self):
        self.target = b""
        self.lines = bytearray()
        if self.head_size == 0:
            self.head_size = 1

    def on_url(self, bytes url):
        self.target += url

    def on_header(self, bytes name, bytes value):
        if self.lines is None:
            return  # a trailer; they are ignored
        if b"\n" in value or b"\r" in value:
            value = b" ".join(value.split())  # obsolete folding (RFC 9112, section 5.2)
        self.lines += b"%b: %b\r\n" % (name, value)

    def on_headers_complete(self):
        cdef object parser = self.parser
        cdef RequestReceiver receiver = self.receiver
        cdef Request request
        cdef bint websocket = False
        if receiver.closing:
            return
        self.head_size = -1
        if self.target[:1] != b"/":
            self._take_host()
        request = Request.new(
            parser.get_method().decode("latin-1"), self.target, bytes(self.lines),
            self.scheme, parser.get_http_version(),
        )
        self.lines = None
        if parser.should_upgrade():
            websocket = _wants_websocket(request)
            if not websocket and request.method != "CONNECT":
                # A server may ignore an upgrade (RFC 9110, section 7.8).
                self.rewritten = _without_upgrade(request)
                return
        receiver.on_request(request, parser.should_keep_alive(), websocket)

    cdef int _take_host(self) except -1:
        """The host that a target in absolute form names replaces the Host header
        (RFC 9112, section 3.2.2)."""
        host, self.target = split_target(self.target)
        if host is not None:
            line = b"Host: " + host
            self.lines = bytearray(HOST_LINE.sub(lambda match: line, self.lines))
        return 0

    def on_body(self, bytes piece):
        cdef RequestReceiver receiver = self.receiver
        receiver.on_body_piece(piece)

    def on_message_complete(self):
        cdef RequestReceiver receiver = self.receiver
        self.head_size = 0
        receiver.on_request_end()


cdef bint _wants_websocket(Request request) except -1:
    value = request.header(b"upgrade")
    return value is not None and b"websocket" in value.lower()


cdef bytes _without_upgrade(Request request):
    """The head of a request, without its Upgrade header."""
    return b"%b %b HTTP/%b\r\n%b\r\n" % (
        request.method.encode(), request.target, request.http_version.encode(),
        b"".join([
            b"%b: %b\r\n" % header for header in request.headers
            if header[0] != b"upgrade"
        ]),
    )


cdef Request scanned_request(const sf_request *r, const char *p, str scheme):
    """The request that `sf_scan_request` has found at `p`."""
    cdef Request request = Request.new(
        "GET" if r.method == SF_GET else "POST",
        p[r.target:r.target + r.target_size],
        p[r.lines:r.lines + r.lines_size],
        scheme, "1.1",
    )
    request.names = r.names
    request.length = r.length
    request.upgrades = r.upgrade
    return request
