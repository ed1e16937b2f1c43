"""One request on an HTTP/1.1 connection, and its response.

Requests to Engine.IO are judged and routed here; the endpoint's other server is asked
for all others. Responses may be made in any order: the connection writes them in the
order of the requests.
"""
import asyncio

import cython
from cpython.bytes cimport PyBytes_GET_SIZE

from socketio_fast._core.engine.contracts cimport (
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.writer cimport Writer
from socketio_fast._core.http.admission cimport Admission, admit, hooked, tell_refusal
from socketio_fast._core.http.endpoint cimport Endpoint
from socketio_fast._core.http.exchange cimport Exchange
from socketio_fast._core.http.polling cimport Polling
from socketio_fast._core.http.request cimport GET, HEAD, POST, Request
from socketio_fast._core.http.request_parser cimport RequestReceiver
from socketio_fast._core.http.response cimport response_bytes

from socketio_fast._core.http.admission import consider
from socketio_fast.options.logs import escaped

cdef enum:
    # A longer body of a response is sent in pieces of this size.
    PIECE = 131072

cdef bytes NO_STORE = b"Cache-Control: no-store\r\n"
cdef bytes TEXT = b"text/plain; charset=UTF-8"


cdef class HttpConnection(RequestReceiver):
    """What exchanges need of their connection. Abstract."""

    cdef int set_addresses(self, Request request) except -1:
        """Set the addresses of a request: the client's and the server's."""
        raise NotImplementedError

    cdef int write_ready(self) except -1:
        """Write the responses that are next in order."""
        raise NotImplementedError

    cdef int abort(self) except -1:
        """Close without delay; what was written may be lost."""
        raise NotImplementedError

    cdef int end(self) except -1:
        """Close once the client has read what was written."""
        raise NotImplementedError


cdef int close_body(object body) except -1:
    """Close a body that has been sent, or will not be."""
    if body is not None and not isinstance(body, bytes):
        body.close()
    return 0


@cython.final
cdef class Http1Exchange(Exchange):
    """One request and its response, on an HTTP/1.1 connection."""

    # The response.

    cpdef int respond(
        self, int status, bytes content_type, bytes body, bytes headers
    ) except -1:
        return self._respond(
            status, content_type, body, None, PyBytes_GET_SIZE(body), headers
        )

    cdef int send_long(
        self, int status, bytes content_type, object body, bytes headers
    ) except -1:
        """Respond with a body that may be long: it is sent as fast as the client reads.

        `body` is bytes, or has `len()`, `async read(size)` and `close()`.
        """
        if isinstance(body, bytes) and PyBytes_GET_SIZE(body) <= PIECE:
            return self.respond(status, content_type, body, headers)
        return self._respond(status, content_type, b"", body, len(body), headers)

    cdef int _respond(
        self, int status, bytes content_type, bytes body, object long_body,
        Py_ssize_t size, bytes headers
    ) except -1:
        cdef HttpConnection connection = self.connection
        cdef Request request = self.request
        cdef Endpoint endpoint
        cdef bint head_only = request.known_method == HEAD or status == 304
        if connection is None or connection.writer is None:
            close_body(long_body)
            return 0  # the client has gone
        self.connection = None
        self.polling = None
        self._forget_remote()
        endpoint = connection.endpoint
        if endpoint.access_log is not None:
            connection.set_addresses(request)
            endpoint.log_access(request, status, size)
        if self.wants_body:
            # The rest of the request's body is not read.
            self.wants_body = False
            self.body = None
            self.keep_alive = False
        self.response = response_bytes(
            status, content_type, self.store, self.headers, headers,
            endpoint.date_line(), self.keep_alive, body, size, head_only,
        )
        if head_only:
            close_body(long_body)
        else:
            self.long_body = long_body
        connection.write_ready()
        return 0

    cdef int send_file(self, Admission a) except -1:
        self.store = b""
        return self.send_long(a.status, a.content_type, a.body, b"")

    cdef int too_large(self, Engine engine) except -1:
        # The rest of the body is not read.
        self.connection.closing = True
        return Exchange.too_large(self, engine)

    cdef int lost(self) except -1:
        """The response will not be sent."""
        polling, self.polling = self.polling, None
        self.connection = None
        close_body(self.long_body)
        self._forget_remote()
        if polling is not None:
            (<Polling> polling).on_abort(self)
        return 0

    cdef int _forget_remote(self) except -1:
        remote, self.remote = self.remote, None
        if remote is not None:
            remote.lost()
        return 0

    cdef int fail(self, object error) except -1:
        """Serving the request has raised an error: answer with status 500."""
        if self.endpoint.loop.is_closed():
            return 0  # a coroutine has ended because its loop was closed
        self._log_failure(error)
        return self.respond(500, TEXT, b"Internal Server Error", b"")

    cdef int _log_failure(self, object error) except -1:
        if not isinstance(error, asyncio.CancelledError):
            self.endpoint.engine.failed(
                error, "%s %s failed",
                (self.request.method, escaped(self.request.path)),
            )
        return 0

    cdef int start_long_body(self, HttpConnection connection) except -1:
        """Send the long body in a Task, behind the head that is written."""
        body, self.long_body = self.long_body, None
        self.endpoint.spawn(self._send_long_body(connection, body))
        return 0

    async def _send_long_body(self, HttpConnection connection, body):
        """Send the body in pieces, each when the client has read the one before."""
        cdef Writer writer
        cdef bytes piece
        cdef Py_ssize_t at = 0, size = len(body)
        try:
            while at < size:
                if isinstance(body, bytes):
                    piece = (<bytes> body)[at:at + PIECE]
                else:
                    piece = await body.read(min(PIECE, size - at))
                writer = connection.writer
                if writer is None:
                    return  # the connection was lost
                at += PyBytes_GET_SIZE(piece)
                writer.write(piece)
                writer.flush()
                piece = None
                if writer.paused:
                    connection.space_waiter = self.endpoint.loop.create_future()
                    await connection.space_waiter
                    if connection.writer is None:
                        return
        except BaseException as exc:
            # Content-Length was sent, so the response cannot end before that size.
            self._log_failure(exc)
            connection.abort()
            return
        finally:
            close_body(body)
        self.response = b""
        connection.write_ready()

    # The request.

    cdef int dispatch(self) except -1:
        """Let Engine.IO or the other server answer the request."""
        cdef Endpoint endpoint = self.endpoint
        cdef HttpConnection connection = self.connection
        if endpoint.owns_target(self.request.target):
            self.store = NO_STORE
            self.owner = endpoint.owner_of(self.request.target, True)
            if self.owner is None:
                return self._admit()
            if self.request.known_method != POST or not self.is_behind_post():
                return self._relay()
            # One at a time, as a session takes them.
            self.deferred = self.wants_body = True
            return 0
        page = endpoint.page_at(self.request.target)
        if endpoint.hands_over and page is None:
            # It has come in one piece with the request before, behind a body, so the
            # connection cannot be handed over at this point.
            self.keep_alive = False
            return self.respond(503, TEXT, b"Pipelined behind another application", b"")
        if endpoint.other is None and page is None:
            return self.respond(404, TEXT, b"Not Found", b"")
        if connection.exchanges[0] is self:
            return self.ask()
        # One at a time: a response may hold a file open until it has been sent.
        self.deferred = True
        return 0

    cdef bint is_behind_post(self) except -1:
        cdef Http1Exchange exchange
        for exchange in self.connection.exchanges:
            if exchange is self:
                break
            if (
                exchange.owner is not None and exchange.response is None
                and exchange.request.known_method == POST
            ):
                return True
        return False

    cdef int _relay(self) except -1:
        """Have the other worker answer the request: the connection cannot go there,
        because responses to requests before have to be sent here."""
        cdef bytes body
        self.connection.set_addresses(self.request)
        self.remote = self.owner.exchange(self.request, self._relayed)
        self.wants_body = self.remote.begin()
        if self.wants_body and self.early is not None:
            body, self.early = self.early, None
            return self.deliver(body)
        return self._continue()

    def _relayed(self, int status, list headers, bytes body):
        """The other worker has answered."""
        cdef HttpConnection connection = self.connection
        cdef Http1Exchange exchange
        cdef bytes content_type = TEXT, lines = b""
        try:
            for name, value in headers:
                if name == b"content-type":
                    content_type = value
                elif name != b"content-length":
                    lines += b"%b: %b\r\n" % ((<bytes> name).title(), value)
            self.store = b""
            self.send_long(status, content_type, body, lines)
            for exchange in list(connection.exchanges):
                if exchange.deferred and exchange.owner is not None:
                    if not exchange.is_behind_post():
                        exchange.ask()
                    break
        except BaseException as exc:
            self.fail(exc)

    cdef int deliver(self, bytes body) except -1:
        if self.owner is None:
            return Exchange.deliver(self, body)
        self.wants_body = False
        if self.remote is None:
            self.early = body
        else:
            self.remote.finish(body)
        return 0

    cdef int ask(self) except -1:
        """Ask the other worker for the response; or the other server, in a Task."""
        self.deferred = False
        if self.owner is not None:
            return self._relay()
        self.endpoint.spawn(self._ask_other())
        return 0

    async def _ask_other(self):
        try:
            if self.connection is not None:
                self.connection.set_addresses(self.request)
            page = self.endpoint.page_at(self.request.target)
            if page is None:
                answer = await self.endpoint.other.handle(self.request)
            else:
                answer = await page(self.request)
        except BaseException as exc:
            self.fail(exc)
            return
        if answer is None:
            answer = 404, TEXT, b"Not Found", b""
        status, content_type, body, headers = answer
        self.send_long(status, content_type, body, headers)

    cdef int _admit(self) except -1:
        """Judge a request to Engine.IO, and go on with it."""
        cdef Engine engine = self.endpoint.engine
        cdef Request request = self.request
        if engine.hooks is not None and hooked(engine, request):
            self.connection.set_addresses(request)
            self.environ_source = self.endpoint.environ_source(request, False)
            self.awaiting_hooks = True
            self.wants_body = request.known_method == POST
            self.endpoint.spawn(self._ask_hooks())
            return 0
        return self._proceed(self.judge(False))

    async def _ask_hooks(self):
        """Ask the hooks about the request, and go on with it."""
        cdef HttpConnection connection
        try:
            a = await consider(
                self.endpoint.engine, self.request, self.environ_source, False
            )
            self.awaiting_hooks = False
            connection = self.connection
            if connection is None:
                return  # it has its response, or the connection was lost
            self._proceed(a)
            if self.wants_body and self.early is not None:
                self.deliver(self.early)
            if connection.ended and self.is_waiting_poll():
                connection.end()
        except BaseException as exc:
            self.fail(exc)

    cdef Admission judge(self, bint upgrade):
        """Judge the request; `upgrade`: it asks for a WebSocket."""
        cdef Engine engine = self.endpoint.engine
        cdef Request request = self.request
        cdef HttpConnection connection = self.connection
        cdef Admission a
        if (
            engine.limits is not None
            or engine.hooks is not None
            or engine.proxies is not None
            or engine.allowed_origins is not None and callable(engine.allowed_origins)
        ):
            connection.set_addresses(request)  # these judge by the address
        a = admit(engine, request, upgrade)
        if a.cause is not None:
            connection.set_addresses(request)
            tell_refusal(engine, request, a)
        return a

    cdef int _proceed(self, Admission a) except -1:
        """Go on with a request that has been judged."""
        cdef Engine engine = self.endpoint.engine
        cdef Request request = self.request
        cdef HttpConnection connection = self.connection
        cdef Session session = a.session
        if session is None:
            if a.environ_source is not None:
                self.environ_source = a.environ_source
            elif not a.status:
                connection.set_addresses(request)
                self.environ_source = self.endpoint.environ_source(request, False)
        elif (
            request.known_method == GET
            and connection.writer.buffered() > engine.max_buffer_bytes
        ):
            # The client asks for more, and has not read what it was sent before.
            session.too_slow()
            return connection.abort()
        self.route(engine, a)
        return self._continue()

    cdef int _continue(self) except -1:
        """Tell a client that waits for it to send the body."""
        cdef HttpConnection connection = self.connection
        if self.wants_body and self.early is None:
            expect = self.request.header(b"expect")
            if expect is not None and expect.lower() == b"100-continue":
                if len(connection.exchanges) == 1:
                    connection.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return 0

    cdef bint is_waiting_poll(self) except -1:
        """Whether this is a GET of long-polling that waits for something to be sent.

        Such a GET is not served on a connection whose client sends nothing more:
        `close()`, the end of the client, and `shutdown(SHUT_WR)` look the same, and
        what is sent to a client that has gone is lost.
        """
        cdef Polling polling = self.polling
        if self.remote is not None:
            return self.request.known_method == GET
        return polling is not None and polling.poll is self
