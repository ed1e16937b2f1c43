"""HTTP/1.1 (RFC 9112), parsed by httptools: routing, responses in order, upgrades.

A connection carries several requests, also before the response to the first: a waiting
poll with a POST behind it must not block the POST, and the responses keep the order of
the requests. At an upgrade the connection is given to websocket and forgotten.
"""
import asyncio
from email.utils import formatdate
from http import HTTPStatus

import cython
import httptools
from cpython.bytes cimport PyBytes_GET_SIZE

from socketio_fast._core.deadlines cimport Timed
from socketio_fast._core.handshake cimport Admission, Request, admit, cookie_header
from socketio_fast._core.polling cimport Polling, Responder
from socketio_fast._core.session cimport Engine, Session
from socketio_fast._core.websocket cimport Connections

from socketio_fast._core.websocket import adopt, subprotocol_header, websocket_key
from socketio_fast.exceptions import LimitError, ProtocolError

cdef enum:
    MAX_HEAD = 16384        # bytes of a request's head, as Node.js
    MAX_PIPELINED = 16      # requests without a response on one connection

# Seconds for a head to come, also between requests, and for a body: Node.js' figures.
cdef double HEAD_TIMEOUT = 60.0
cdef double BODY_TIMEOUT = 300.0
# Seconds to read on after a response that did not wait for the request's body.
cdef double LINGER_TIMEOUT = 2.0

cdef bytes NO_STORE = b"Cache-Control: no-store\r\n"
cdef bytes JSON = b"application/json"
cdef bytes TEXT = b"text/plain; charset=UTF-8"

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
        access_log: A logger for requests, or None.
        secure: Whether connections use TLS.
    """

    def __cinit__(
        self, Engine engine not None, object loop, str path not None,
        object fallback=None, object access_log=None, bint secure=False,
    ):
        self.engine = engine
        self.loop = loop
        self.path = path
        self.prefix = path.encode()
        self.fallback = fallback
        self.access_log = access_log
        self.secure = secure
        self.connections = Connections()

    cdef bytes date_line(self):
        cdef double now = self.engine.now()
        if now >= self.date_until or self.date is None:
            self.date = b"Date: " + formatdate(usegmt=True).encode() + b"\r\n"
            self.date_until = now + 1.0
        return self.date

    def owns(self, str path not None):
        """Whether a path is Engine.IO's."""
        return path.startswith(self.path) or path == self.path[:-1]

    def protocol(self):
        """A protocol for a new connection."""
        return Http1Connection(self)

    def close_idle(self):
        """Close the HTTP connections that wait for a request."""
        for connection in list(self.connections.open):
            if isinstance(connection, Http1Core):
                (<Http1Core> connection).close_when_idle()


@cython.final
cdef class Exchange(Responder):
    """One request and its response."""

    cpdef int respond(
        self, int status, bytes content_type, bytes body, bytes headers
    ) except -1:
        cdef Http1Core connection = self.connection
        cdef Endpoint endpoint
        if connection is None or connection.transport is None:
            return 0  # nobody is there to read it
        self.connection = None
        self.polling = None
        endpoint = connection.endpoint
        if endpoint.access_log is not None:
            endpoint.access_log.info(
                '%s "%s %s" %d %d', _address(self.request.peer), self.request.method,
                self.request.path, status, PyBytes_GET_SIZE(body),
            )
        if self.body is not None:
            # The rest of the request's body is not waited for.
            self.body = None
            self.keep_alive = False
        self.response = b"".join((
            STATUS_LINES[status],
            b"Content-Type: ", content_type,
            b"\r\nContent-Length: %d\r\n" % PyBytes_GET_SIZE(body),
            self.headers, headers, endpoint.date_line(),
            b"Connection: keep-alive\r\n\r\n" if self.keep_alive
            else b"Connection: close\r\n\r\n",
            b"" if self.request.method == "HEAD" else body,
        ))
        connection._write_ready()
        return 0

    cpdef bytes header(self, bytes name):
        return self.request.header(name)


cdef class Http1Core(Timed):
    """One connection; see Http1Connection."""

    def __cinit__(self, Endpoint endpoint not None):
        self.endpoint = endpoint
        self.exchanges = []

    # From the event loop.

    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.endpoint.connections.add(self)
        self._set_deadline(HEAD_TIMEOUT)

    def connection_lost(self, exc):
        cdef Exchange exchange
        cdef Polling polling
        self.transport = self.parser = self.current = self.upgrade = None
        self.endpoint.connections.discard(self)
        self._set_deadline(0)
        exchanges, self.exchanges = self.exchanges, []
        for exchange in exchanges:
            polling = exchange.polling
            exchange.connection = exchange.polling = None
            if polling is not None:
                polling.on_abort(exchange)

    def data_received(self, bytes data not None):
        cdef Py_ssize_t upgraded = -1
        if self.closing:
            return
        if self.head_size >= 0:
            self.head_size += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            upgraded = exc.args[0]
        except httptools.HttpParserError:
            if not self.closing:
                self._fail(400, b"Bad request")
            return
        if upgraded >= 0:
            if self.upgrade is not None:
                self._upgrade(data[upgraded:])
            else:
                # Another protocol than websocket: this one goes on, once.
                self.closing = True
                self._write_ready()
        elif self.head_size > MAX_HEAD and not self.closing:
            self._fail(431, b"Request head too large")

    def eof_received(self):
        return False

    def pause_writing(self):
        pass  # the responses of at most MAX_PIPELINED requests

    def resume_writing(self):
        pass

    # From httptools.

    def on_message_begin(self):
        self.target = b""
        self.headers = []
        self.current = None

    def on_url(self, bytes url):
        self.target += url

    def on_header(self, bytes name, bytes value):
        if self.headers is not None:  # else a trailer, of no interest
            self.headers.append((name.lower(), value))

    def on_headers_complete(self):
        cdef Endpoint endpoint = self.endpoint
        cdef object transport = self.transport, parser = self.parser
        cdef Exchange exchange
        if self.closing:
            return
        self.head_size = -1
        size = len(self.target)
        for name, value in self.headers:
            size += len(name) + len(value) + 4
        exchange = Exchange.__new__(Exchange)
        exchange.connection = self
        exchange.headers = NO_STORE
        exchange.keep_alive = parser.should_keep_alive()
        exchange.request = Request(
            parser.get_method().decode("latin-1"), self.target, self.headers,
            transport.get_extra_info("peername"), transport.get_extra_info("sockname"),
            "https" if endpoint.secure else "http", parser.get_http_version(),
        )
        self.headers = None
        self.current = exchange
        self.exchanges.append(exchange)
        if size > MAX_HEAD:
            self._fail(431, b"Request head too large")
            return
        if exchange.request.http_version != "1.0" and _hosts(exchange.request) != 1:
            self._fail(400, b"One Host header expected")  # RFC 9112, section 3.2
            return
        if parser.should_upgrade() and _wants_websocket(exchange.request):
            self.upgrade = exchange.request
            return
        if len(self.exchanges) >= MAX_PIPELINED and not self.paused:
            self.paused = True
            transport.pause_reading()
        self._set_deadline(BODY_TIMEOUT)
        try:
            self._route(exchange)
        except Exception as exc:
            self._internal_error(exchange, exc)

    def on_body(self, bytes chunk):
        cdef Exchange exchange = self.current
        if exchange is None or exchange.body is None:
            return
        exchange.body_size += PyBytes_GET_SIZE(chunk)
        if exchange.body_size > self.endpoint.engine.max_payload:
            self._too_large(exchange)
            return
        exchange.body.append(chunk)

    def on_message_complete(self):
        cdef Exchange exchange = self.current
        cdef Polling polling
        cdef bytes body
        self.current = None
        self.head_size = 0
        if self.upgrade is not None or self.transport is None:
            return
        if self.closing:
            if not self.exchanges:
                self.transport.close()  # answered before it was all there
            return
        self._set_deadline(0 if self.exchanges else HEAD_TIMEOUT)
        if exchange is None or exchange.body is None:
            return
        polling = exchange.polling
        body = b"".join(exchange.body)
        exchange.body = None
        if polling is None:
            return
        try:
            polling.on_body(exchange, body)
        except Exception as exc:
            self._internal_error(exchange, exc)

    # Requests.

    cdef int _route(self, Exchange exchange) except -1:
        cdef Endpoint endpoint = self.endpoint
        cdef Engine engine = endpoint.engine
        cdef Request request = exchange.request
        cdef Admission a
        cdef Session session
        cdef Polling polling
        if not endpoint.owns(request.path):
            exchange.headers = b""
            if endpoint.fallback is None:
                exchange.respond(404, TEXT, b"Not Found", b"")
            else:
                endpoint.loop.create_task(self._answer_other(exchange))
            return 0
        expect = request.header(b"expect")
        length = request.header(b"content-length")
        if request.method == "POST" and length is not None:
            if int(length) > engine.max_payload:
                exchange.body = []
                a = admit(engine, request, False)
                if a.session is not None:
                    exchange.polling = <Polling> a.session.transport
                exchange.headers += a.headers
                self._too_large(exchange)
                return 0
        a = admit(engine, request, False)
        exchange.headers += a.headers
        if a.status:
            exchange.respond(a.status, JSON if a.body else TEXT, a.body, b"")
            return 0
        session = a.session
        if request.method == "POST":
            polling = <Polling> session.transport
            if polling.on_post(exchange):
                exchange.polling = polling
                exchange.body = []
                if expect is not None and expect.lower() == b"100-continue":
                    if len(self.exchanges) == 1:
                        self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return 0
        if session is None:
            polling = Polling(engine)
            session = engine.new_session()
            exchange.headers += cookie_header(engine, session)
            exchange.polling = polling
            session.open(polling, request)
        elif self.transport.get_write_buffer_size() > engine.max_buffer_bytes:
            # It asks for more, and has not read what it got.
            session.too_slow()
            self.transport.abort()
            return 0
        else:
            polling = <Polling> session.transport
            exchange.polling = polling
        polling.on_poll(exchange)
        return 0

    async def _answer_other(self, Exchange exchange):
        try:
            answer = await self.endpoint.fallback(exchange.request)
        except Exception as exc:
            self._internal_error(exchange, exc)
            return
        if answer is None:
            answer = 404, TEXT, b"Not Found", b""
        status, content_type, body, headers = answer
        exchange.respond(status, content_type, body, headers)

    def _internal_error(self, Exchange exchange, exc):
        self.endpoint.engine.logger.error(
            "%s %.200s failed", exchange.request.method, exchange.request.path,
            exc_info=exc,
        )
        exchange.respond(500, TEXT, b"Internal Server Error", b"")

    def _too_large(self, Exchange exchange):
        cdef Polling polling = exchange.polling
        cdef Session session = None if polling is None else polling.session
        error = LimitError(
            "body of more than max_http_buffer_size="
            f"{self.endpoint.engine.max_payload} bytes"
        )
        if session is not None:
            session.on_error(error)
        # What else comes is not read.
        self.closing = True
        exchange.respond(413, TEXT, b"Payload Too Large", b"")

    cdef int _upgrade(self, bytes tail) except -1:
        """The request has asked for a WebSocket; `tail` is what came behind it."""
        cdef Endpoint endpoint = self.endpoint
        cdef Engine engine = endpoint.engine
        cdef Request request = self.upgrade
        cdef Exchange exchange = self.exchanges[-1]
        cdef Admission a
        cdef Session session
        cdef object transport = self.transport
        self.upgrade = None
        exchange.keep_alive = False
        self.closing = True
        if len(self.exchanges) > 1:
            exchange.respond(400, TEXT, b"Upgrade behind an unanswered request", b"")
            return 0
        if not endpoint.owns(request.path):
            exchange.respond(404, TEXT, b"Not Found", b"")
            return 0
        try:
            a = admit(engine, request, True)
            if not a.status:
                if request.http_version == "1.0":
                    raise ProtocolError("HTTP/1.0 has no upgrade")
                key = websocket_key(request.headers)
        except ProtocolError as exc:
            exchange.respond(
                400, JSON, b'{"code":3,"message":"%s"}' % str(exc).encode(), b""
            )
            return 0
        except Exception as exc:
            self._internal_error(exchange, exc)
            return 0
        if a.status:
            exchange.headers += a.headers
            exchange.respond(a.status, JSON, a.body, b"")
            return 0
        if endpoint.access_log is not None:
            endpoint.access_log.info(
                '%s "%s %s" 101 0', _address(request.peer), request.method, request.path
            )
        session = a.session
        if session is None:
            session = engine.new_session()
            a.headers += cookie_header(engine, session)
        else:
            request = None
        a.headers += subprotocol_header(exchange.request.headers)
        # From here on the connection is not HTTP's.
        self._set_deadline(0)
        endpoint.connections.discard(self)
        self.transport = self.parser = self.current = None
        self.exchanges = []
        exchange.connection = None
        try:
            adopt(
                transport, engine, session, request, key, a.headers, tail,
                endpoint.connections,
            )
        except Exception:
            engine.logger.exception("a WebSocket could not be adopted")
            transport.abort()
        return 0

    cdef int _fail(self, int status, bytes message) except -1:
        """What comes is not HTTP, or too much of it: answer and close."""
        cdef Exchange exchange = self.current
        if exchange is None or exchange.connection is None:
            exchange = Exchange.__new__(Exchange)
            exchange.connection = self
            exchange.headers = NO_STORE
            exchange.request = Request("GET", b"/", [])
            self.exchanges.append(exchange)
        self.closing = True
        self.upgrade = None
        exchange.keep_alive = False
        exchange.respond(status, JSON, b'{"code":3,"message":"%s"}' % message, b"")
        return 0

    cdef int _write_ready(self) except -1:
        """Write the responses that are next in order."""
        cdef Exchange exchange
        cdef object transport = self.transport
        while self.exchanges:
            exchange = self.exchanges[0]
            if exchange.response is None:
                return 0
            del self.exchanges[0]
            transport.write(exchange.response)
            exchange.response = None
            if not exchange.keep_alive:
                self.closing = True
                self.exchanges.clear()
        if self.closing:
            if self.current is not None and transport.can_write_eof():
                # More of the request is on its way. Closing now would reset the
                # connection, and the response could be lost with it (RFC 9112, 9.6).
                transport.write_eof()
                self.current = None
                self.head_size = 0
                self._set_deadline(LINGER_TIMEOUT)
            else:
                self._set_deadline(0)
                transport.close()
            return 0
        if self.paused:
            self.paused = False
            transport.resume_reading()
        if self.current is None:
            self._set_deadline(HEAD_TIMEOUT)
        return 0

    def close_when_idle(self):
        """Close once every request has its response."""
        self.closing = True
        if self.transport is not None:
            self._write_ready()

    def abort_connection(self):
        """Close now."""
        if self.transport is not None:
            self.transport.abort()

    # Time.

    cdef int _set_deadline(self, double delay) except -1:
        """Close the connection unless something comes in `delay` seconds; 0: never."""
        cdef Engine engine = self.endpoint.engine
        if delay == 0:
            if self.deadline is not None:
                self.deadline.cancel()
                self.deadline = None
        elif self.deadline is None:
            self.deadline = engine.start(delay, 0, self)
        else:
            engine.restart(self.deadline, delay, 0)
        return 0

    cdef int on_deadline(self, int kind, double now) except -1:
        self.deadline = None
        if self.transport is None:
            return 0
        if self.head_size > 0 or self.current is not None:
            self._fail(408, b"Request timeout")
        else:
            self.transport.close()
        return 0


class Http1Connection(Http1Core, asyncio.Protocol):
    """An asyncio protocol: HTTP/1.1 until an upgrade."""


def _wants_websocket(Request request):
    value = request.header(b"upgrade")
    return value is not None and b"websocket" in value.lower()


def _hosts(Request request):
    cdef tuple item
    count = 0
    for item in request.headers:
        if item[0] == b"host":
            count += 1
    return count


def _address(peer):
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "unix"
