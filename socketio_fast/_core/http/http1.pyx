"""An HTTP/1.1 connection (RFC 9112): bytes in, responses out in order, upgrades.

A client may send several requests before it has the response to the first: a POST
behind a GET that waits for a message must not wait for that GET. The responses are
written in the order of the requests. At an upgrade the connection becomes a WebSocket,
and this object is forgotten.

Who owns the connection: `writer` is set while HTTP does. It is None after the
connection was lost, or given to a WebSocket or to another application; nothing is
written then.

How a connection ends: with `closing` no further request is read. It is closed behind
the last response (`end()`), or, if the client is still sending a request, after it has
had LINGER_TIMEOUT to read the response.
"""
import asyncio

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.engine.writer cimport Opened, Writer, descriptor_of
from socketio_fast._core.http.admission cimport Admission, hooked
from socketio_fast._core.http.endpoint cimport INCOMPLETE, Endpoint
from socketio_fast._core.http.exchange cimport Body
from socketio_fast._core.http.http1_deadlines cimport TimedConnection
from socketio_fast._core.http.http1_exchange cimport Http1Exchange
from socketio_fast._core.http.polling cimport Polling
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.http.request_parser cimport (
    MAX_HEAD,
    RequestParser,
    scanned_request,
)
from socketio_fast._core.http.websocket_handshake cimport (
    begin_handshake,
    switch_protocols,
)
from socketio_fast._core.protocol.wire cimport SF_DECLINED, sf_request, sf_scan_request

from socketio_fast._core.http.admission import consider

cdef enum:
    MAX_PIPELINED = 16      # requests without a response on one connection

# Seconds in which a head must come, also between requests, and in which a body must
# come: the defaults of Node.js.
cdef double HEAD_TIMEOUT = 60.0
cdef double BODY_TIMEOUT = 300.0
# Seconds in which a client that still sends a request can read the response that closes
# the connection.
cdef double LINGER_TIMEOUT = 2.0

cdef bytes JSON = b"application/json"
cdef bytes TEXT = b"text/plain; charset=UTF-8"


cdef class Http1Core(TimedConnection):
    """The compiled part of `Http1Connection`."""

    def __cinit__(self, Endpoint endpoint not None):
        self.endpoint = endpoint
        self.exchanges = []

    def set_proxied_addresses(self, client, server):
        """Set the client's and the server's address as a proxy has named them: what
        getpeername() and getsockname() would give without the proxy."""
        self.proxied_addresses = client, server

    # From the event loop.

    def connection_made(self, transport):
        cdef Endpoint endpoint = self.endpoint
        cdef int number
        self.writer = Writer(endpoint.engine, transport, endpoint.secure)
        endpoint.connections.add(self)
        if endpoint.few_from >= 0:
            number = descriptor_of(transport)
            if number >= endpoint.few_from:
                endpoint.descriptors.seen(number)
        if endpoint.engine.limits is not None:
            address = (
                transport.get_extra_info("peername") if self.proxied_addresses is None
                else self.proxied_addresses[0]
            )
            if not endpoint.admits(Opened(transport), address):
                self.closing = True
                self.abort()
                return
        self._set_deadline(HEAD_TIMEOUT)

    cdef int set_addresses(self, Request request) except -1:
        cdef object transport
        if request.client_address is None and self.writer is not None:
            if self.proxied_addresses is not None:
                request.client_address, request.server = self.proxied_addresses
            else:
                transport = self.writer.transport
                request.client_address = transport.get_extra_info("peername")
                request.server = transport.get_extra_info("sockname")
            request.evaluate_proxies(self.endpoint.engine.proxies)
        return 0

    def connection_lost(self, exc):
        cdef Http1Exchange exchange
        self.closing = True
        if self.writer is not None:
            self.writer.lost()
        self.writer = self.parser = self.current = self.upgrade = self.rest = None
        self.behind = self.taker = None
        self.endpoint.connections.discard(self)
        self._set_deadline(0)
        self._stop_expecting()
        self._wake_sender()
        exchanges, self.exchanges = self.exchanges, []
        for exchange in exchanges:
            exchange.lost()

    cdef int receive(self, const char *p, Py_ssize_t n) except -1:
        """Like data_received(), of bytes that lie at `p` until this returns."""
        if self.rest is None and self.behind is None and self.opening is None:
            return self._read(None, p, 0, n)
        return self._received(p[:n])

    def data_received(self, data not None):
        # asyncio's loop of Windows gives a bytearray.
        self._received(data if type(data) is bytes else bytes(data))

    cdef int _received(self, bytes data) except -1:
        if self.rest is not None:
            self.rest = self.rest[self.rest_at:] + data
            self.rest_at = 0
            return 0
        if self.behind is not None:
            self.behind += data
            return 0
        if self.opening is not None:
            data, self.opening = self.opening + data, None
        return self._read(data, PyBytes_AS_STRING(data), 0, PyBytes_GET_SIZE(data))

    def eof_received(self):
        """The client sends nothing more, but may still read.

        Returns whether the connection stays open: while responses are being made. TLS
        has no half-closed connections.
        """
        cdef Http1Exchange exchange, incomplete = self.current
        if self.writer is None:
            return False
        self.ended = True
        if self.endpoint.secure:
            self.end()
            return False
        for exchange in self.exchanges:
            if exchange.is_waiting_poll():
                self.end()
                return False
        self._forget_current()
        if incomplete is not None and incomplete in self.exchanges:
            self.exchanges.remove(incomplete)
            incomplete.lost()
        if self.writer is None:
            return False
        if not self.exchanges:
            self.end()
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
            self._wake_sender()
            self._read_on()

    def _wake_sender(self):
        """The sender of a long body can go on, or the connection was lost."""
        waiter, self.space_waiter = self.space_waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # Reading: from bytes to requests.

    cdef int _read(
        self, bytes data, const char *p, Py_ssize_t i, Py_ssize_t n
    ) except -1:
        """Begin requests in the `n` bytes at `p` from `i` on, as many as may be; keep
        the rest. They are `data`; None: they lie there until this returns."""
        cdef Py_ssize_t begun = 0
        cdef bint inside, full
        cdef sf_request r
        r.method = SF_DECLINED
        while i < n and not self.closing:
            inside = self.parser is not None and self.parser.head_size != 0
            full = not inside and (begun == MAX_PIPELINED or self._full())
            if not inside and not full:
                begun += 1
                r = sf_scan_request(p + i, n - i, MAX_HEAD)
            if inside or full or r.method == SF_DECLINED:
                if data is None:
                    data = p[:n]
                    p = PyBytes_AS_STRING(data)
                if full:
                    return self._keep(data, i)
                i = self._parse(data, i) if inside else self._choose(data, i)
                continue
            if self.endpoint.gives_away:
                taker = self.endpoint.taker(
                    p[i + r.target:i + r.target + r.target_size], self.stays
                )
                if self._goes_to(taker):
                    return self._hand_over(p[i:n], taker)
            i += self._read_scanned(&r, p + i, n - i)
        return 0

    cdef bint _full(self) except -1:
        """Whether no further request may begin now: too many have no response yet, the
        client does not read its responses, or the next one is another application's."""
        return (
            len(self.exchanges) >= MAX_PIPELINED or self.writer.paused
            or self.behind is not None
        )

    cdef int _keep(self, bytes data, Py_ssize_t at) except -1:
        """Keep `data` from `at` on for later, and read nothing until then."""
        self.rest = data
        self.rest_at = at
        if not self.paused:
            self.paused = True
            self.writer.transport.pause_reading()
        if not self._full():
            # MAX_PIPELINED requests were read in this pass: other connections have
            # their turn before the next ones.
            self.endpoint.engine.soon(self._read_on)
        return 0

    def _read_on(self):
        """Read what was kept, then let the transport read again, if requests may begin.
        """
        cdef bytes rest = self.rest
        if self.writer is None or not self.paused or self.closing or self._full():
            return
        if rest is not None:
            self.rest = None
            self._read(
                rest, PyBytes_AS_STRING(rest), self.rest_at, PyBytes_GET_SIZE(rest)
            )
            if (
                self.rest is not None or self.writer is None or self.closing
                or self._full()
            ):
                return
        self.paused = False
        self.writer.transport.resume_reading()

    cdef int _read_scanned(
        self, const sf_request *r, const char *p, Py_ssize_t n
    ) except -1:
        """Begin a request that has come completely; returns its size in bytes."""
        cdef Http1Exchange exchange = self._begin(
            scanned_request(r, p, self.endpoint.scheme), True
        )
        if r.upgrade:
            self._upgrade(exchange, p[r.head:n])
            return n
        try:
            exchange.dispatch()
            if exchange.wants_body:
                exchange.deliver(p[r.head:r.head + r.length])
        except BaseException as exc:
            exchange.fail(exc)
        if self.exchanges:
            self._expect_nothing()  # the client waits for a response
        return r.head + r.length

    cdef Py_ssize_t _choose(self, bytes data, Py_ssize_t at) except -1:
        """Parse a request that was not scanned, or give it to another application or
        process. Returns up to where `data` is taken."""
        cdef object taker = None
        if self.endpoint.gives_away:
            taker = self.endpoint.taker_of(data[at:], self.stays)
        if taker is INCOMPLETE:
            self.opening = data[at:]
        elif self._goes_to(taker):
            self._hand_over(data[at:], taker)
        else:
            return self._parse(data, at)
        return PyBytes_GET_SIZE(data)

    cdef bint _goes_to(self, object taker) except -1:
        """Whether the connection goes to who takes a request. While requests before it
        have no response, the request alone goes to another process."""
        return taker is not None and (
            not self.exchanges or taker is self.endpoint.other
        )

    cdef int _hand_over(self, bytes data, object taker) except -1:
        """Give the connection to another application or process, which reads from
        `data` on."""
        cdef Writer writer = self.writer
        cdef object transport = writer.transport
        if self.exchanges:
            # Their responses come first; see write_ready().
            self.behind = data
            self.taker = taker
            transport.pause_reading()
            return 0
        writer.hand_over()
        transport.set_write_buffer_limits()
        self._set_deadline(0)
        self._stop_expecting()
        self.endpoint.connections.discard(self)
        self.writer = self.parser = self.current = None
        self.closing = True
        taker.take_over(transport, data, self.proxied_addresses, self.endpoint)
        return 0

    cdef Py_ssize_t _parse(self, bytes data, Py_ssize_t at) except -1:
        """Parse by httptools; returns up to where `data` is taken."""
        # A reference: the parser may be forgotten while it parses.
        cdef RequestParser parser = self.parser
        if parser is None:
            parser = self.parser = RequestParser(self, self.endpoint.scheme)
        return parser.feed(data, at)

    cdef int on_request(
        self, Request request, bint keep_alive, bint websocket
    ) except -1:
        cdef Http1Exchange exchange = self._begin(request, keep_alive)
        cdef bytes coding = request.header(b"transfer-encoding")
        self.current = exchange
        if len(request.target) + len(request.lines) > MAX_HEAD:
            return self.refuse_request(431, b"Request head too large")
        if request.http_version != "1.0" and request.count(b"host") != 1:
            # RFC 9112, section 3.2
            return self.refuse_request(400, b"One Host header expected")
        if coding is not None and coding.lower() != b"chunked":
            # RFC 9112, section 6.1
            return self.refuse_request(501, b"Transfer-Encoding other than chunked")
        if len(self.exchanges) > MAX_PIPELINED:
            # They came in one piece behind a body, where the parser cannot be stopped.
            return self.refuse_request(400, b"Too many pipelined requests")
        if websocket:
            self.upgrade = exchange
            return 0
        self._set_deadline(BODY_TIMEOUT)
        try:
            exchange.dispatch()
        except BaseException as exc:
            exchange.fail(exc)
        return 0

    cdef int on_body_piece(self, bytes piece) except -1:
        cdef Http1Exchange exchange = self.current
        if exchange is None or not exchange.wants_body:
            return 0
        if exchange.body is None:
            exchange.body = Body()
        exchange.body.add(piece)
        if exchange.body.size > self.endpoint.engine.max_payload:
            exchange.too_large(self.endpoint.engine)
        return 0

    cdef int on_request_end(self) except -1:
        cdef Http1Exchange exchange = self.current
        self.current = None
        if self.upgrade is not None or self.writer is None:
            return 0
        if self.closing:
            if not self.exchanges:
                self.end()  # the response was sent before the request had come
            return 0
        if self.exchanges:
            self._expect_nothing()
        else:
            self._set_deadline(HEAD_TIMEOUT)
        if exchange is None or not exchange.wants_body:
            return 0
        try:
            body, exchange.body = exchange.body, None
            exchange.deliver(b"" if body is None else (<Body> body).take())
        except BaseException as exc:
            exchange.fail(exc)
        return 0

    cdef Py_ssize_t on_upgrade(self, bytes data, Py_ssize_t at) except -1:
        cdef Http1Exchange exchange = self.upgrade
        if exchange is not None:
            self.upgrade = None
            self._upgrade(exchange, data[at:])
            return PyBytes_GET_SIZE(data)
        if self.writer is not None:
            # The request was CONNECT, which is refused: what follows is not HTTP.
            self.closing = True
            self.write_ready()
        return at

    cdef int refuse_request(self, int status, bytes message) except -1:
        cdef Http1Exchange exchange = self.current
        if exchange is None or exchange.connection is None:
            exchange = self._new_exchange(
                Request.new("GET", b"/", b"", "http", "1.1")
            )
        self.closing = True
        self.upgrade = None
        exchange.keep_alive = False
        exchange.respond(status, JSON, b'{"code":3,"message":"%s"}' % message, b"")
        return 0

    cdef Http1Exchange _begin(self, Request request, bint keep_alive):
        """A request has come: reserve the place of its response."""
        cdef Http1Exchange exchange = self._new_exchange(request)
        exchange.keep_alive = keep_alive
        exchange.environ_source = request
        if len(self.exchanges) >= MAX_PIPELINED and not self.paused:
            self.paused = True
            self.writer.transport.pause_reading()
        return exchange

    cdef Http1Exchange _new_exchange(self, Request request):
        cdef Http1Exchange exchange = Http1Exchange.__new__(Http1Exchange)
        exchange.endpoint = self.endpoint
        exchange.connection = self
        exchange.headers = exchange.store = b""
        exchange.request = request
        self.exchanges.append(exchange)
        return exchange

    cdef bint _is_inside_request(self) except -1:
        """Whether a part of a request has come, and the rest has not."""
        return self.current is not None or (
            self.parser is not None and self.parser.head_size > 0
        )

    cdef int _forget_current(self) except -1:
        """The rest of the request that is being received is not read."""
        self.current = None
        self.parser = None
        return 0

    # Upgrades.

    cdef int _upgrade(self, Http1Exchange exchange, bytes tail) except -1:
        """Judge a request for a WebSocket; `tail` is what came behind the request."""
        cdef Endpoint endpoint = self.endpoint
        cdef Engine engine = endpoint.engine
        cdef Request request = exchange.request
        cdef object owner = endpoint.owner_of(request.target, True)
        if owner is not None and len(self.exchanges) == 1:
            # It was parsed with the request before, in one piece.
            self.exchanges.clear()
            exchange.connection = None
            return self._hand_over(request.head() + tail, owner)
        exchange.keep_alive = False
        self.closing = True
        if len(self.exchanges) > 1:
            exchange.respond(400, TEXT, b"Upgrade behind an unanswered request", b"")
            return 0
        if not endpoint.owns_target(request.target):
            exchange.respond(404, TEXT, b"Not Found", b"")
            return 0
        if engine.hooks is not None and hooked(engine, request):
            self.set_addresses(request)
            exchange.environ_source = endpoint.environ_source(request, True)
            self._set_deadline(0)
            self.writer.transport.pause_reading()
            endpoint.spawn(self._ask_upgrade(exchange, tail))
            return 0
        try:
            self._switch(exchange, exchange.judge(True), tail)
        except BaseException as exc:
            exchange.fail(exc)
        return 0

    async def _ask_upgrade(self, Http1Exchange exchange, bytes tail):
        """Ask the hooks about a request for a WebSocket, and go on with it."""
        try:
            a = await consider(
                self.endpoint.engine, exchange.request, exchange.environ_source, True
            )
            if exchange.connection is None:
                return  # the connection was lost
            self.writer.transport.resume_reading()
            self._switch(exchange, a, tail)
        except BaseException as exc:
            exchange.fail(exc)

    cdef int _switch(self, Http1Exchange exchange, Admission a, bytes tail) except -1:
        """Make a WebSocket of the connection, or refuse the request."""
        cdef Endpoint endpoint = self.endpoint
        cdef Engine engine = endpoint.engine
        cdef Request request = exchange.request
        cdef Writer writer = self.writer
        cdef object environ_source = None
        if not a.status:
            self.set_addresses(request)
            if a.session is None and a.environ_source is None:
                environ_source = endpoint.environ_source(request, True)
            a = begin_handshake(engine, request, a, environ_source)
        if a.status:
            exchange.headers += a.headers
            exchange.respond(a.status, JSON, a.body, b"")
            return 0
        # From here on the connection is not HTTP's.
        self._set_deadline(0)
        self._stop_expecting()
        endpoint.connections.discard(self)
        self.writer = self.parser = self.current = None
        self.exchanges = []
        exchange.connection = None
        try:
            ws = switch_protocols(engine, a, writer, tail, endpoint.connections)
            if endpoint.access_log is not None:
                endpoint.log_websocket(request, ws)
        except BaseException as exc:
            engine.failed(exc, "a WebSocket could not be opened", ())
            writer.transport.abort()
        return 0

    # Writing.

    cdef int write_ready(self) except -1:
        cdef Http1Exchange exchange
        cdef Writer writer = self.writer
        while self.exchanges:
            exchange = self.exchanges[0]
            if exchange.response is None:
                if exchange.deferred:
                    exchange.ask()
                return 0
            if writer.buffered() > self.endpoint.engine.max_buffer_bytes:
                # The client sends requests, and does not read the responses.
                self.closing = True
                return self.abort()
            if exchange.response:
                writer.write(exchange.response)
            exchange.response = None
            if exchange.long_body is not None:
                # When it has been sent, `response` is b"", and this is called again.
                return exchange.start_long_body(self)
            del self.exchanges[0]
            if not exchange.keep_alive:
                self.closing = True
                self.exchanges.clear()
        if self.closing:
            if self.current is not None and writer.transport.can_write_eof():
                # More of the request is on its way. To close the socket now would reset
                # the connection, and the response could be lost (RFC 9112, 9.6).
                writer.write_eof()
                self._forget_current()
                self._set_deadline(LINGER_TIMEOUT)
            else:
                self._set_deadline(0)
                self.end()
            return 0
        if self.paused and not self._full():
            if self.rest is None:
                self.paused = False
                writer.transport.resume_reading()
            else:
                self.endpoint.engine.soon(self._read_on)
        if self.behind is not None:
            data, self.behind = self.behind, None
            taker, self.taker = self.taker, None
            writer.transport.resume_reading()
            return self._hand_over(data, taker)
        if self.current is None:
            self._set_deadline(HEAD_TIMEOUT)
        return 0

    def close_when_idle(self):
        """Close once every request has its response."""
        self.closing = True
        if self.writer is not None:
            self.write_ready()

    def abort_connection(self):
        """Close without delay."""
        self.abort()

    cdef int abort(self) except -1:
        if self.writer is not None:
            self.writer.transport.abort()
        return 0

    cdef int end(self) except -1:
        self.writer.close()
        if self.writer.buffered():
            self._expect_reading()
        return 0

    cdef int on_late(self) except -1:
        cdef Http1Exchange incomplete = self.current
        cdef Polling polling
        if self._is_inside_request():
            polling = None if incomplete is None else incomplete.polling
            self.refuse_request(408, b"Request timeout")
            if polling is not None:
                polling.on_abort(incomplete)
        elif self.writer.paused and not self.closing:
            self._set_deadline(HEAD_TIMEOUT)  # it is reading the response before
        else:
            self.end()
        return 0


class Http1Connection(Http1Core, asyncio.Protocol):
    """An asyncio protocol: HTTP/1.1 until an upgrade."""
