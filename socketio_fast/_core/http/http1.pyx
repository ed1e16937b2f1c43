"""HTTP/1.1 (RFC 9112): routing, responses in order, upgrades.

Requests as clients of Engine.IO send them, whole in one segment, are scanned where they
lie (`sf_http.h`): a POST and a GET cost 37.6 us of CPU with httptools, which calls back
for every header, and 23.1 without. Whatever the scanner declines httptools parses.

A connection carries several requests, also before the response to the first: a waiting
poll with a POST behind it must not block the POST, and the responses keep the order of
the requests. At an upgrade the connection is given to websocket and forgotten.
"""
import asyncio
import re
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote

import cython
import httptools
from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.string cimport memcmp, memcpy

from socketio_fast._core.engine.deadlines cimport Timed
from socketio_fast._core.protocol.deflate cimport Deflate
from socketio_fast._core.http.exchange cimport Body, Exchange
from socketio_fast._core.http.handshake cimport (
    Admission,
    Request,
    admit,
    believe,
    cookie_header,
    hooked,
    no_websocket,
    tell_refusal,
)
from socketio_fast._core.http.polling cimport Polling
from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.http.websocket cimport (
    Connections,
    adopt,
    negotiated,
    subprotocol_header,
    websocket_key,
)
from socketio_fast._core.protocol.wire cimport (
    SF_DECLINED,
    SF_GET,
    SF_NUMBER_SIZE,
    sf_put_number,
    sf_request,
    sf_scan_request,
)
from socketio_fast._core.engine.writer cimport Opened, Writer

from socketio_fast._core.http.handshake import consider
from socketio_fast.exceptions import ProtocolError
from socketio_fast.options.logs import escaped

cdef enum:
    MAX_HEAD = 16384        # bytes of a request's head, as Node.js
    MAX_PIPELINED = 16      # requests without a response on one connection
    # Bytes of a response's body from which on it is sent in pieces of this size.
    PIECE = 131072

cdef enum:
    D_READ      # the client is to send a request, or the rest of one
    D_WRITE     # it is to read what was written

# Seconds for a head to come, also between requests, and for a body: Node.js' figures.
cdef double HEAD_TIMEOUT = 60.0
cdef double BODY_TIMEOUT = 300.0
# Seconds for a client to read something of a response, at most: nginx' figure.
cdef double WRITE_TIMEOUT = 60.0
# Seconds to read on after a response that did not wait for the request's body.
cdef double LINGER_TIMEOUT = 2.0

# What a target in absolute form has before its path.
ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)

HOST_LINE = re.compile(rb"^host: [^\r\n]*", re.IGNORECASE | re.MULTILINE)

cdef bytes NO_STORE = b"Cache-Control: no-store\r\n"
cdef bytes JSON = b"application/json"
cdef bytes TEXT = b"text/plain; charset=UTF-8"
cdef bytes KEEP_ALIVE = b"Connection: keep-alive\r\n\r\n"
cdef bytes CLOSE = b"Connection: close\r\n\r\n"

cdef dict STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}


@cython.final
cdef class Endpoint:
    """What all connections to one listening server share.

    Args:
        engine: The Engine.IO engine.
        loop: The event loop.
        path: Where Engine.IO is, "/socket.io/".
        fallback: Answers requests to other paths: an async function of the Request
            that returns (status, content type, body, header lines), or None for 404.
        other: Takes over connections with a request to another path, called with the
            transport, what was received from that request on, and the (client, server)
            that a proxy has named, or None; None: nobody does.
            Its `environ_source(request, websocket)` makes the environ of sessions.
        access_log: A logger for requests, or None.
        secure: Whether connections use TLS.
        descriptors: A `DescriptorWatch`, or None.
    """

    def __cinit__(
        self, Engine engine not None, object loop, str path not None,
        object fallback=None, object access_log=None, bint secure=False,
        object other=None, object descriptors=None,
    ):
        self.engine = engine
        self.loop = loop
        self.path = path
        self.prefix = path.encode()
        self.fallback = fallback
        self.access_log = access_log
        self.secure = secure
        self.other = other
        self.descriptors = descriptors
        self.few_from = -1 if descriptors is None else descriptors.few_from
        self.connections = Connections()
        self.asking = set()

    cdef bytes date_line(self):
        cdef double now = self.engine.now()
        if now >= self.date_until or self.date is None:
            self.date = b"Date: " + formatdate(usegmt=True).encode() + b"\r\n"
            self.date_until = now + 1.0
        return self.date

    cdef int log_access(self, Request request, int status, Py_ssize_t size) except -1:
        # A quote would end the request before its end.
        path = escaped(request.path, MAX_HEAD).replace('"', "\\x22")
        self.access_log.info(
            '%s "%s %s" %d %d', _address(request.client_address), request.method, path,
            status,
            size,
        )
        return 0

    cdef bint owns_target(self, bytes target) except -1:
        """Whether the path of a request's target is Engine.IO's."""
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.prefix)
        if PyBytes_GET_SIZE(target) >= n and memcmp(
            PyBytes_AS_STRING(target), PyBytes_AS_STRING(self.prefix), n
        ) == 0:
            return True
        return self.owns(
            unquote(_path_of(target).partition(b"?")[0].decode("latin-1"))
        )

    @property
    def patience(self):
        """Seconds in which a client has to read something of what it is sent: those in
        which one with a WebSocket has to answer a ping, WRITE_TIMEOUT at most."""
        return min(self.engine.ping_interval + self.engine.ping_timeout, WRITE_TIMEOUT)

    def owns(self, str path not None):
        """Whether a path is Engine.IO's."""
        return path.startswith(self.path) or path == self.path[:-1]

    def takes(self, bytes data not None):
        """Whether a request to Engine.IO begins here; False where it cannot be seen."""
        cdef list words = data[:MAX_HEAD].split(b" ", 2)
        return len(words) == 3 and self.owns_target(words[1])

    def protocol(self):
        """A protocol for a new connection."""
        return Http1Connection(self)

    def ask(self, coroutine):
        """Run the hooks of a request, as a task that is kept until it ends."""
        task = self.loop.create_task(coroutine)
        self.asking.add(task)
        task.add_done_callback(self.asking.discard)

    def close_idle(self):
        """Close the HTTP connections that wait for a request."""
        for connection in list(self.connections.open):
            if isinstance(connection, Http1Core):
                (<Http1Core> connection).close_when_idle()


cdef bytes _response(
    int status, bytes content_type, bytes store, bytes lines, bytes more, bytes date,
    bint keep_alive, bytes body, Py_ssize_t body_size, bint head_only
):
    """A response, in one piece: its body may follow in others."""
    cdef bytes first = STATUS_LINES[status], last = KEEP_ALIVE if keep_alive else CLOSE
    cdef char length[SF_NUMBER_SIZE]
    cdef Py_ssize_t size, length_size
    cdef bytes response
    cdef char *out
    length_size = sf_put_number(length, body_size) - length
    size = (
        PyBytes_GET_SIZE(first) + 34 + PyBytes_GET_SIZE(content_type) + length_size
        + PyBytes_GET_SIZE(store) + PyBytes_GET_SIZE(lines) + PyBytes_GET_SIZE(more)
        + PyBytes_GET_SIZE(date) + PyBytes_GET_SIZE(last)
        + (0 if head_only else PyBytes_GET_SIZE(body))
    )
    response = PyBytes_FromStringAndSize(NULL, size)
    out = PyBytes_AS_STRING(response)
    out = _put(out, first)
    memcpy(out, b"Content-Type: ", 14)
    out = _put(out + 14, content_type)
    memcpy(out, b"\r\nContent-Length: ", 18)
    memcpy(out + 18, length, length_size)
    out = _put(out + 18 + length_size, b"\r\n")
    out = _put(out, store)
    out = _put(out, lines)
    out = _put(out, more)
    out = _put(out, date)
    out = _put(out, last)
    if not head_only:
        _put(out, body)
    return response


cdef inline char *_put(char *out, bytes piece) noexcept:
    memcpy(out, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    return out + PyBytes_GET_SIZE(piece)


cdef int _close_body(object body) except -1:
    """Close a body that is not sent, or was."""
    if body is not None and not isinstance(body, bytes):
        body.close()
    return 0


cdef bint _polls(Exchange exchange) except -1:
    """Whether it is a poll that waits for something to be sent. It does so on a whole
    connection only: `close()` of a client, and its end, look like `shutdown(SHUT_WR)`,
    and what was sent to a client that has gone would be lost."""
    cdef Polling polling = exchange.polling
    return polling is not None and polling.poll is exchange


@cython.final
cdef class Http1Exchange(Exchange):
    """One request and its response, on an HTTP/1.1 connection."""

    cpdef int respond(
        self, int status, bytes content_type, bytes body, bytes headers
    ) except -1:
        return self._respond(
            status, content_type, body, None, PyBytes_GET_SIZE(body), headers
        )

    cdef int send_large(
        self, int status, bytes content_type, object body, bytes headers
    ) except -1:
        """Respond with a body that may be large: it is sent as the client reads it.

        `body` is bytes, or has `len()`, `async read(size)` and `close()`.
        """
        if isinstance(body, bytes) and PyBytes_GET_SIZE(body) <= PIECE:
            return self.respond(status, content_type, body, headers)
        return self._respond(status, content_type, b"", body, len(body), headers)

    cdef int _respond(
        self, int status, bytes content_type, bytes body, object large,
        Py_ssize_t size, bytes headers
    ) except -1:
        cdef Http1Core connection = self.connection
        cdef Request request = self.request
        cdef Endpoint endpoint
        cdef bint head_only = request.method == "HEAD" or status == 304
        if connection is None or connection.writer is None:
            _close_body(large)
            return 0  # nobody is there to read it
        self.connection = None
        self.polling = None
        endpoint = connection.endpoint
        if endpoint.access_log is not None:
            connection._set_client_address(request)
            endpoint.log_access(request, status, size)
        if self.wants_body:
            # The rest of the request's body is not waited for.
            self.wants_body = False
            self.body = None
            self.keep_alive = False
        self.response = _response(
            status, content_type, self.store, self.headers, headers,
            endpoint.date_line(), self.keep_alive, body, size, head_only,
        )
        if head_only:
            _close_body(large)
        else:
            self.large = large
        connection._write_ready()
        return 0

    cdef int send_file(self, Admission a) except -1:
        self.store = b""
        return self.send_large(a.status, a.content_type, a.body, b"")

    cdef int too_large(self, Engine engine) except -1:
        # What else comes is not read.
        self.connection.closing = True
        return Exchange.too_large(self, engine)


cdef class Http1Core(Timed):
    """One connection; see Http1Connection."""

    def __cinit__(self, Endpoint endpoint not None):
        self.endpoint = endpoint
        self.exchanges = []

    def name(self, client, server):
        """Who has connected and where, as a proxy says: what getpeername() and
        getsockname() would give without it."""
        self.proxied_addresses = client, server

    # From the event loop.

    def connection_made(self, transport):
        cdef Endpoint endpoint = self.endpoint
        cdef int number
        self.writer = Writer(endpoint.engine, transport, endpoint.secure)
        endpoint.connections.add(self)
        if endpoint.few_from >= 0:
            number = (
                transport.get_extra_info("socket").fileno() if endpoint.secure
                else self.writer.fd
            )
            if number >= endpoint.few_from:
                endpoint.descriptors.seen(number)
        if endpoint.engine.limits is not None and not self._admitted():
            self.closing = True
            self.abort_connection()
            return
        self._set_deadline(HEAD_TIMEOUT)

    cdef bint _admitted(self) except -1:
        """Whether its address may have one more connection."""
        cdef Engine engine = self.endpoint.engine
        cdef object transport = self.writer.transport
        peer = (
            transport.get_extra_info("peername") if self.proxied_addresses is None
            else self.proxied_addresses[0]
        )
        if engine.proxies is not None and engine.proxies.trusts(peer):
            return True  # which connects for many
        if engine.limits.admits(Opened(transport), peer, engine.now()):
            return True
        engine.counters["refused_tcp_connections"] += 1
        engine.logger.info(
            "%r refused: more than tcp_connections_per_address", peer
        )
        return False

    def connection_lost(self, exc):
        cdef Http1Exchange exchange
        cdef Polling polling
        if self.writer is not None:
            self.writer.lost()
        self.writer = self.parser = self.current = self.upgrade = self.rest = None
        self.endpoint.connections.discard(self)
        self._set_deadline(0)
        self._stop_expecting()
        self._let_write()
        exchanges, self.exchanges = self.exchanges, []
        for exchange in exchanges:
            polling = exchange.polling
            exchange.connection = exchange.polling = None
            _close_body(exchange.large)
            if polling is not None:
                polling.on_abort(exchange)

    def data_received(self, bytes data not None):
        if self.rest is not None:
            self.rest = self.rest[self.rest_at:] + data
            self.rest_at = 0
            return
        if self.behind is not None:
            self.behind += data
            return
        if self.opening is not None:
            data, self.opening = self.opening + data, None
        self._read(data, 0)

    cdef int _read(self, bytes data, Py_ssize_t i) except -1:
        """Take the requests that `data` has from `i` on, as many as may be under way;
        the rest is kept."""
        cdef const char *p = PyBytes_AS_STRING(data)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(data), begun = 0
        cdef sf_request r
        while i < n and not self.closing:
            if self.head_size != 0:
                i = self._parse(data, i)
                continue
            if begun == MAX_PIPELINED or self._full():
                return self._keep(data, i)
            begun += 1
            r = sf_scan_request(p + i, n - i, MAX_HEAD)
            if r.method == SF_DECLINED or (
                self.endpoint.other is not None
                and not self.endpoint.owns_target(
                    p[i + r.target:i + r.target + r.target_size]
                )
            ):
                i = self._choose(data, i)
            else:
                i += self._read_plain(&r, p + i, n - i)
        return 0

    cdef bint _full(self) except -1:
        """Whether no further request is begun now: enough have no response yet, the
        client does not read those that it got, or the next one is another's."""
        return (
            len(self.exchanges) >= MAX_PIPELINED or self.writer.paused
            or self.behind is not None
        )

    cdef int _keep(self, bytes data, Py_ssize_t at) except -1:
        """What `data` has from `at` on is taken later, and nothing is read before."""
        self.rest = data
        self.rest_at = at
        if not self.paused:
            self.paused = True
            self.writer.transport.pause_reading()
        if not self._full():
            # Others have their turn between.
            self.endpoint.engine.soon(self._read_on)
        return 0

    def _read_on(self):
        """Take what was kept, then read again, if there is room for requests."""
        cdef bytes rest = self.rest
        if self.writer is None or not self.paused or self.closing or self._full():
            return
        if rest is not None:
            self.rest = None
            self._read(rest, self.rest_at)
            if (
                self.rest is not None or self.writer is None or self.closing
                or self._full()
            ):
                return
        self.paused = False
        self.writer.transport.resume_reading()

    cdef int _read_plain(
        self, const sf_request *r, const char *p, Py_ssize_t n
    ) except -1:
        """Take a request that is all there: how many bytes."""
        cdef Request request = _plain_request(
            r, p, "https" if self.endpoint.secure else "http"
        )
        cdef Http1Exchange exchange = self._begin(request, True)
        if r.upgrade:
            self.upgrade = request
            self._upgrade(p[r.head:n])
            return n
        try:
            self._route(exchange)
            if exchange.wants_body:
                exchange.deliver(p[r.head:r.head + r.length])
        except BaseException as exc:
            self._internal_error(exchange, exc)
        if self.exchanges:
            self._set_deadline(0)  # it waits for us
        return r.head + r.length

    cdef Py_ssize_t _choose(self, bytes data, Py_ssize_t at) except -1:
        """A request that is not plain, or not Engine.IO's: whose is it? Returns how far
        it was taken."""
        cdef list words
        cdef bytes line
        cdef object found
        if self.endpoint.other is None:
            return self._parse(data, at)
        line, found, _ = data[at:].lstrip(b"\r\n").partition(b"\n")
        words = line.split(b" ")
        if not found and len(words) < 3 and len(data) - at < MAX_HEAD:
            self.opening = data[at:]
        elif len(words) < 3 or self.endpoint.owns_target(words[1]):
            return self._parse(data, at)
        else:
            self._hand_over(data[at:])
        return PyBytes_GET_SIZE(data)

    cdef int _hand_over(self, bytes data) except -1:
        """What comes from here on is another application's."""
        cdef Writer writer = self.writer
        cdef object transport = writer.transport
        if self.exchanges:
            self.behind = data
            transport.pause_reading()
            return 0
        writer.hand_over()
        transport.set_write_buffer_limits()
        self._set_deadline(0)
        self._stop_expecting()
        self.endpoint.connections.discard(self)
        self.writer = self.parser = self.current = None
        self.closing = True
        self.endpoint.other(transport, data, self.proxied_addresses)
        return 0

    cdef Py_ssize_t _parse(self, bytes data, Py_ssize_t at) except -1:
        """Take what is not plain, or not all there: up to the end of a head, so that
        few requests begin at once; or all, of a body. Returns how far it was taken."""
        cdef Py_ssize_t end = PyBytes_GET_SIZE(data), upgraded = -1
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
            upgraded = at + <Py_ssize_t> exc.args[0]
        except httptools.HttpParserError:
            if not self.closing:
                self._fail(400, b"Bad request")
            return end
        if upgraded < 0:
            if self.head_size > MAX_HEAD and not self.closing:
                self._fail(431, b"Request head too large")
            return end
        if self.upgrade is not None:
            self._upgrade(data[upgraded:])
            return PyBytes_GET_SIZE(data)
        self.parser = None
        if self.head is not None:
            # The parser would take the body for the other protocol's.
            head, self.head = self.head, None
            self._parse(head, 0)
        elif self.writer is not None:
            # CONNECT: what follows is not HTTP.
            self.closing = True
            self._write_ready()
        return upgraded

    def eof_received(self):
        """The client sends nothing more; it may still read. Returns whether the
        connection stays open for that: while responses are being made. TLS ends both
        directions at once."""
        cdef Http1Exchange exchange, incomplete = self.current
        cdef Polling polling
        if self.writer is None:
            return False
        self.ended = True
        if self.endpoint.secure:
            self._end()
            return False
        for exchange in self.exchanges:
            if _polls(exchange):
                self._end()
                return False
        self.current = None
        self.head_size = 0
        if incomplete is not None and incomplete in self.exchanges:
            self.exchanges.remove(incomplete)
            polling, incomplete.polling = incomplete.polling, None
            incomplete.connection = None
            if polling is not None:
                polling.on_abort(incomplete)
        if self.writer is None:
            return False
        if not self.exchanges:
            self._end()
            return False
        self.closing = True
        self._set_deadline(0)
        return True

    def pause_writing(self):
        if self.writer is not None:
            self.writer.paused = True
            self._expect_reading()

    def resume_writing(self):
        cdef Writer writer = self.writer
        if writer is None:
            return
        self._stop_expecting()
        writer.resume()
        if not writer.paused:
            self._let_write()
            self._read_on()

    def _let_write(self):
        """Wake who sends a large body."""
        room, self.room = self.room, None
        if room is not None and not room.done():
            room.set_result(None)

    # From httptools.

    def on_message_begin(self):
        self.target = b""
        self.lines = bytearray()
        self.current = None
        if self.head_size == 0:
            self.head_size = 1

    def on_url(self, bytes url):
        self.target += url

    def on_header(self, bytes name, bytes value):
        if self.lines is None:
            return  # a trailer, of no interest
        if b"\n" in value or b"\r" in value:
            value = b" ".join(value.split())  # folded (RFC 9112, section 5.2)
        self.lines += b"%b: %b\r\n" % (name, value)

    def on_headers_complete(self):
        cdef Endpoint endpoint = self.endpoint
        cdef object parser = self.parser
        cdef Http1Exchange exchange
        cdef Request request
        if self.closing:
            return
        self.head_size = -1
        if self.target[:1] != b"/":
            self._take_origin()
        request = Request.new(
            parser.get_method().decode("latin-1"), self.target, bytes(self.lines),
            "https" if endpoint.secure else "http", parser.get_http_version(),
        )
        if (
            parser.should_upgrade() and not _wants_websocket(request)
            and request.method != "CONNECT"
        ):
            # An upgrade may be ignored (RFC 9110, section 7.8): the request is read
            # again, without it.
            self.head = b"%b %b HTTP/%b\r\n%b\r\n" % (
                request.method.encode(), self.target, request.http_version.encode(),
                b"".join([
                    b"%b: %b\r\n" % header for header in request.headers
                    if header[0] != b"upgrade"
                ]),
            )
            self.lines = None
            return
        self.lines = None
        exchange = self._begin(request, parser.should_keep_alive())
        self.current = exchange
        if len(request.target) + len(request.lines) > MAX_HEAD:
            self._fail(431, b"Request head too large")
            return
        if request.http_version != "1.0" and request.count(b"host") != 1:
            self._fail(400, b"One Host header expected")  # RFC 9112, section 3.2
            return
        coding = request.header(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            # RFC 9112, section 6.1
            self._fail(501, b"Transfer-Encoding other than chunked")
            return
        if len(self.exchanges) > MAX_PIPELINED:
            # The parser cannot be stopped behind a body, where they came in one piece.
            self._fail(400, b"Too many pipelined requests")
            return
        if parser.should_upgrade() and _wants_websocket(request):
            self.upgrade = request
            return
        self._set_deadline(BODY_TIMEOUT)
        try:
            self._route(exchange)
        except BaseException as exc:
            self._internal_error(exchange, exc)

    cdef int _take_origin(self) except -1:
        """A target that names the host as well: that counts instead of the Host header
        (RFC 9112, section 3.2.2)."""
        match = ABSOLUTE.match(self.target)
        if match is not None:
            self.target = _path_of(self.target)
            host = b"Host: " + match[1]
            self.lines = bytearray(HOST_LINE.sub(lambda line: host, self.lines))
        return 0

    def on_body(self, bytes chunk):
        cdef Http1Exchange exchange = self.current
        if exchange is None or not exchange.wants_body:
            return
        if exchange.body is None:
            exchange.body = Body()
        exchange.body.add(chunk)
        if exchange.body.size > self.endpoint.engine.max_payload:
            exchange.too_large(self.endpoint.engine)

    def on_message_complete(self):
        cdef Http1Exchange exchange = self.current
        self.current = None
        self.head_size = 0
        if self.upgrade is not None or self.writer is None:
            return
        if self.closing:
            if not self.exchanges:
                self._end()  # answered before it was all there
            return
        self._set_deadline(0 if self.exchanges else HEAD_TIMEOUT)
        if exchange is None or not exchange.wants_body:
            return
        try:
            body, exchange.body = exchange.body, None
            exchange.deliver(b"" if body is None else (<Body> body).take())
        except BaseException as exc:
            self._internal_error(exchange, exc)

    # Requests.

    cdef Http1Exchange _begin(self, Request request, bint keep_alive):
        """A request has come; its response has its place."""
        cdef Http1Exchange exchange = Http1Exchange.__new__(Http1Exchange)
        exchange.connection = self
        exchange.headers = exchange.store = b""
        exchange.keep_alive = keep_alive
        exchange.request = exchange.environ_source = request
        self.exchanges.append(exchange)
        if len(self.exchanges) >= MAX_PIPELINED and not self.paused:
            self.paused = True
            self.writer.transport.pause_reading()
        return exchange

    cdef int _route(self, Http1Exchange exchange) except -1:
        cdef Endpoint endpoint = self.endpoint
        if endpoint.owns_target(exchange.request.target):
            exchange.store = NO_STORE
            return self._admit(exchange)
        if endpoint.other is not None:
            # Received in one piece with the one before, so it cannot be handed over.
            exchange.keep_alive = False
            exchange.respond(503, TEXT, b"Pipelined behind another application", b"")
        elif endpoint.fallback is None:
            exchange.respond(404, TEXT, b"Not Found", b"")
        elif self.exchanges[0] is exchange:
            endpoint.ask(self._answer_other(exchange))
        else:
            # One at a time: it may hold a file open until that is sent.
            exchange.deferred = True
        return 0

    cdef int _admit(self, Http1Exchange exchange) except -1:
        """A request to Engine.IO."""
        cdef Engine engine = self.endpoint.engine
        cdef Request request = exchange.request
        if engine.hooks is not None and hooked(engine, request):
            self._set_client_address(request)
            if self.endpoint.other is not None:
                exchange.environ_source = self.endpoint.other.environ_source(
                    request, False
                )
            exchange.awaiting_hooks = True
            exchange.wants_body = request.method == "POST"
            self.endpoint.ask(self._ask(exchange))
            return 0
        return self._proceed(exchange, self._judge(request, False))

    async def _ask(self, Http1Exchange exchange):
        """Ask the hooks about a request, and go on with it."""
        try:
            a = await consider(
                self.endpoint.engine, exchange.request, exchange.environ_source, False
            )
            exchange.awaiting_hooks = False
            if exchange.connection is None:
                return  # nobody waits for it any more
            self._proceed(exchange, a)
            if exchange.wants_body and exchange.early is not None:
                exchange.deliver(exchange.early)
            if self.ended and _polls(exchange):
                self._end()
        except BaseException as exc:
            self._internal_error(exchange, exc)

    cdef int _proceed(self, Http1Exchange exchange, Admission a) except -1:
        """Go on with a request that is judged."""
        cdef Engine engine = self.endpoint.engine
        cdef Request request = exchange.request
        cdef Session session = a.session
        if session is None:
            if a.environ_source is not None:
                exchange.environ_source = a.environ_source
            elif not a.status:
                self._set_client_address(request)
                if self.endpoint.other is not None:
                    exchange.environ_source = self.endpoint.other.environ_source(
                        request, False
                    )
        elif (
            request.method == "GET"
            and self.writer.buffered() > engine.max_buffer_bytes
        ):
            # It asks for more, and has not read what it got.
            session.too_slow()
            self.abort_connection()
            return 0
        exchange.route(engine, a)
        if exchange.wants_body and exchange.early is None:
            expect = request.header(b"expect")
            if expect is not None and expect.lower() == b"100-continue":
                if len(self.exchanges) == 1:
                    self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return 0

    cdef Admission _judge(self, Request request, bint upgrade):
        cdef Engine engine = self.endpoint.engine
        cdef Admission a
        if (
            engine.limits is not None
            or engine.hooks is not None
            or engine.proxies is not None
            or engine.allowed_origins is not None and callable(engine.allowed_origins)
        ):
            self._set_client_address(request)  # they are asked with the address
        a = admit(engine, request, upgrade)
        if a.cause is not None:
            self._set_client_address(request)
            tell_refusal(engine, request, a)
        return a

    cdef int _set_client_address(self, Request request) except -1:
        """Note who has sent a request, and to which address."""
        cdef object transport
        if request.client_address is None and self.writer is not None:
            if self.proxied_addresses is not None:
                request.client_address, request.server = self.proxied_addresses
            else:
                transport = self.writer.transport
                request.client_address = transport.get_extra_info("peername")
                request.server = transport.get_extra_info("sockname")
            believe(self.endpoint.engine, request)
        return 0

    async def _answer_other(self, Http1Exchange exchange):
        try:
            self._set_client_address(exchange.request)
            answer = await self.endpoint.fallback(exchange.request)
        except BaseException as exc:
            self._internal_error(exchange, exc)
            return
        if answer is None:
            answer = 404, TEXT, b"Not Found", b""
        status, content_type, body, headers = answer
        exchange.send_large(status, content_type, body, headers)

    async def _send_body(self, Http1Exchange exchange, body):
        """Send the body of the first of the exchanges in pieces, each when the one
        before has left."""
        cdef Writer writer
        cdef bytes piece
        cdef Py_ssize_t at = 0, size = len(body)
        try:
            while at < size:
                if isinstance(body, bytes):
                    piece = (<bytes> body)[at:at + PIECE]
                else:
                    piece = await body.read(min(PIECE, size - at))
                writer = self.writer
                if writer is None:
                    return  # it was lost
                at += PyBytes_GET_SIZE(piece)
                writer.write(piece)
                writer.flush()
                piece = None
                if writer.paused:
                    self.room = self.endpoint.loop.create_future()
                    await self.room
                    if self.writer is None:
                        return
        except BaseException as exc:
            # What was announced cannot be sent.
            self._log_failure(exchange, exc)
            self.abort_connection()
            return
        finally:
            _close_body(body)
        exchange.response = b""
        self._write_ready()

    def _log_failure(self, Http1Exchange exchange, exc):
        if not isinstance(exc, asyncio.CancelledError):
            self.endpoint.engine.failed(
                exc, "%s %s failed",
                (exchange.request.method, escaped(exchange.request.path)),
            )

    def _internal_error(self, Http1Exchange exchange, exc):
        if self.endpoint.loop.is_closed():
            return  # a coroutine ends with it
        self._log_failure(exchange, exc)
        exchange.respond(500, TEXT, b"Internal Server Error", b"")

    cdef int _upgrade(self, bytes tail) except -1:
        """The request has asked for a WebSocket; `tail` is what came behind it."""
        cdef Endpoint endpoint = self.endpoint
        cdef Engine engine = endpoint.engine
        cdef Request request = self.upgrade
        cdef Http1Exchange exchange = self.exchanges[-1]
        cdef Admission a
        self.upgrade = None
        exchange.keep_alive = False
        self.closing = True
        if len(self.exchanges) > 1:
            exchange.respond(400, TEXT, b"Upgrade behind an unanswered request", b"")
            return 0
        if not endpoint.owns_target(request.target):
            exchange.respond(404, TEXT, b"Not Found", b"")
            return 0
        if engine.hooks is not None and hooked(engine, request):
            self._set_client_address(request)
            if endpoint.other is not None:
                exchange.environ_source = endpoint.other.environ_source(request, True)
            self._set_deadline(0)
            self.writer.transport.pause_reading()
            endpoint.ask(self._ask_upgrade(exchange, tail))
            return 0
        try:
            a = self._judge(request, True)
        except BaseException as exc:
            self._internal_error(exchange, exc)
            return 0
        return self._switch(exchange, a, tail)

    async def _ask_upgrade(self, Http1Exchange exchange, bytes tail):
        """Ask the hooks about the handshake of a WebSocket, and go on with it."""
        try:
            a = await consider(
                self.endpoint.engine, exchange.request, exchange.environ_source, True
            )
            if exchange.connection is None:
                return  # it was lost
            self.writer.transport.resume_reading()
            self._switch(exchange, a, tail)
        except BaseException as exc:
            self._internal_error(exchange, exc)

    cdef int _switch(self, Http1Exchange exchange, Admission a, bytes tail) except -1:
        """Make a WebSocket of the connection, if the request is admitted."""
        cdef Endpoint endpoint = self.endpoint
        cdef Engine engine = endpoint.engine
        cdef Request request = exchange.request
        cdef Session session
        cdef Writer writer = self.writer
        cdef bytes key
        cdef Deflate deflate = None
        cdef object environ_source = None  # of an upgrade
        try:
            if not a.status:
                if request.http_version == "1.0":
                    raise ProtocolError("HTTP/1.0 has no upgrade")
                key = websocket_key(request)
                deflate = negotiated(engine, request)
        except ProtocolError as exc:
            a = no_websocket(engine, request, exc)
            exchange.respond(a.status, JSON, a.body, b"")
            return 0
        if a.status:
            exchange.headers += a.headers
            exchange.respond(a.status, JSON, a.body, b"")
            return 0
        self._set_client_address(request)
        if endpoint.access_log is not None:
            endpoint.log_access(request, 101, 0)
        session = a.session
        if session is None:
            session = engine.new_session(a.visitor, a.dialect, a.id)
            a.headers += cookie_header(engine, session)
            if a.environ_source is not None:
                environ_source = a.environ_source
            elif endpoint.other is None:
                environ_source = request
            else:
                environ_source = endpoint.other.environ_source(request, True)
        a.headers += subprotocol_header(exchange.request)
        # From here on the connection is not HTTP's.
        self._set_deadline(0)
        self._stop_expecting()
        endpoint.connections.discard(self)
        self.writer = self.parser = self.current = None
        self.exchanges = []
        exchange.connection = None
        try:
            adopt(
                writer, engine, session, environ_source, key, a.headers, tail,
                endpoint.connections, deflate,
            )
        except BaseException as exc:
            engine.failed(exc, "a WebSocket could not be adopted", ())
            writer.transport.abort()
        return 0

    cdef int _fail(self, int status, bytes message) except -1:
        """What comes is not HTTP, or too much of it: answer and close."""
        cdef Http1Exchange exchange = self.current
        if exchange is None or exchange.connection is None:
            exchange = Http1Exchange.__new__(Http1Exchange)
            exchange.connection = self
            exchange.headers = exchange.store = b""
            exchange.request = Request.new("GET", b"/", b"", "http", "1.1")
            self.exchanges.append(exchange)
        self.closing = True
        self.upgrade = None
        exchange.keep_alive = False
        exchange.respond(status, JSON, b'{"code":3,"message":"%s"}' % message, b"")
        return 0

    cdef int _write_ready(self) except -1:
        """Write the responses that are next in order."""
        cdef Http1Exchange exchange
        cdef Writer writer = self.writer
        while self.exchanges:
            exchange = self.exchanges[0]
            if exchange.response is None:
                if exchange.deferred:
                    exchange.deferred = False
                    self.endpoint.ask(self._answer_other(exchange))
                return 0
            if writer.buffered() > self.endpoint.engine.max_buffer_bytes:
                # It asks on, and does not read what it is answered.
                self.closing = True
                self.abort_connection()
                return 0
            if exchange.response:
                writer.write(exchange.response)
            exchange.response = None
            if exchange.large is not None:
                body, exchange.large = exchange.large, None
                self.endpoint.ask(self._send_body(exchange, body))
                return 0
            del self.exchanges[0]
            if not exchange.keep_alive:
                self.closing = True
                self.exchanges.clear()
        if self.closing:
            if self.current is not None and writer.transport.can_write_eof():
                # More of the request is on its way. Closing now would reset the
                # connection, and the response could be lost with it (RFC 9112, 9.6).
                writer.write_eof()
                self.current = None
                self.head_size = 0
                self._set_deadline(LINGER_TIMEOUT)
            else:
                self._set_deadline(0)
                self._end()
            return 0
        if self.paused and not self._full():
            if self.rest is None:
                self.paused = False
                writer.transport.resume_reading()
            else:
                self.endpoint.engine.soon(self._read_on)
        if self.behind is not None:
            data, self.behind = self.behind, None
            writer.transport.resume_reading()
            return self._hand_over(data)
        if self.current is None:
            self._set_deadline(HEAD_TIMEOUT)
        return 0

    def close_when_idle(self):
        """Close once every request has its response."""
        self.closing = True
        if self.writer is not None:
            self._write_ready()

    def abort_connection(self):
        """Close now."""
        if self.writer is not None:
            self.writer.transport.abort()

    # Time.

    cdef int _set_deadline(self, double delay) except -1:
        """Close the connection unless something comes in `delay` seconds; 0: never."""
        cdef Engine engine = self.endpoint.engine
        if delay == 0:
            if self.deadline is not None:
                self.deadline.cancel()
                self.deadline = None
        elif self.deadline is None:
            self.deadline = engine.start(delay, D_READ, self)
        else:
            engine.restart(self.deadline, delay, D_READ)
        return 0

    cdef int _expect_reading(self) except -1:
        """Close the connection unless its client reads something in time."""
        cdef Engine engine = self.endpoint.engine
        cdef double delay = self.endpoint.patience
        self.unread = self.writer.unread()
        if self.stalled is None:
            self.stalled = engine.start(delay, D_WRITE, self)
        else:
            engine.restart(self.stalled, delay, D_WRITE)
        return 0

    cdef int _stop_expecting(self) except -1:
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None
        return 0

    cdef int _end(self) except -1:
        """Close behind what was written."""
        self.writer.close()
        if self.writer.buffered():
            self._expect_reading()
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        cdef Engine engine = self.endpoint.engine
        cdef Http1Exchange incomplete = self.current
        cdef Polling polling
        if kind == D_WRITE:
            self.stalled = None
            if self.writer is None:
                return 0
            if self.writer.unread() < self.unread:
                return self._expect_reading()
            engine.counters["stalled_responses"] += 1
            engine.logger.info(
                "an HTTP client has read nothing of %d bytes for %g s, closed",
                self.unread, self.endpoint.patience,
            )
            self.abort_connection()
            return 0
        self.deadline = None
        if self.writer is None:
            return 0
        if self.head_size > 0 or incomplete is not None:
            polling = None if incomplete is None else incomplete.polling
            self._fail(408, b"Request timeout")
            if polling is not None:
                polling.on_abort(incomplete)
        elif self.writer.paused and not self.closing:
            self._set_deadline(HEAD_TIMEOUT)  # it reads the response before
        else:
            self._end()
        return 0


class Http1Connection(Http1Core, asyncio.Protocol):
    """An asyncio protocol: HTTP/1.1 until an upgrade."""


def plain_request(bytes data not None):
    """The plain request that `data` begins with, for tests: (Request, upgrade, body,
    bytes taken); None where httptools is asked."""
    cdef const char *p = PyBytes_AS_STRING(data)
    cdef sf_request r = sf_scan_request(p, PyBytes_GET_SIZE(data), MAX_HEAD)
    if r.method == SF_DECLINED:
        return None
    return (
        _plain_request(&r, p, "http"), r.upgrade, data[r.head:r.head + r.length],
        r.head + r.length,
    )


cdef Request _plain_request(const sf_request *r, const char *p, str scheme):
    return Request.new(
        "GET" if r.method == SF_GET else "POST",
        p[r.target:r.target + r.target_size],
        p[r.lines:r.lines + r.lines_size],
        scheme, "1.1",
    )


cdef bytes _path_of(bytes target):
    """The path and query of a target, which may name a scheme and host before them: the
    absolute form (RFC 9112, section 3.2.2)."""
    match = ABSOLUTE.match(target)
    if match is None:
        return target
    path = target[match.end():]
    return path if path[:1] == b"/" else b"/" + path


def _wants_websocket(Request request):
    value = request.header(b"upgrade")
    return value is not None and b"websocket" in value.lower()


def _address(peer):
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unix"
