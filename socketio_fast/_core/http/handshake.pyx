"""Which HTTP requests Engine.IO admits, and what they look like to an application.

The checks, their order, statuses and bodies are the reference implementation's; origins
are judged as python-engineio's `cors_allowed_origins` says.
"""
import logging
import math
from random import randint
from urllib.parse import parse_qs, unquote

import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.string cimport memchr

from socketio_fast._core.engine.rate_limits cimport Limits
from socketio_fast._core.engine.contracts cimport (
    BASE64,
    CLOSED,
    JSONP,
    OPENING,
    REVISION_3,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.protocol.wire cimport (
    sf_find_header,
    sf_find_parameter,
    sf_has_token,
)

from socketio_fast._core.engine.failures import ends_task
from socketio_fast.exceptions import ProtocolError
from socketio_fast.options.logs import escaped

cdef enum:
    UNKNOWN_TRANSPORT
    UNKNOWN_SID
    BAD_HANDSHAKE_METHOD
    BAD_REQUEST
    FORBIDDEN
    UNSUPPORTED_PROTOCOL_VERSION

cdef tuple MESSAGES = (
    b"Transport unknown",
    b"Session ID unknown",
    b"Bad handshake method",
    b"Bad request",
    b"Forbidden",
    b"Unsupported protocol version",
)


@cython.final
@cython.no_gc  # what came from the network, and addresses: no cycles
@cython.freelist(16)
cdef class Request:
    """The head of an HTTP request.

    It keeps the bytes that came; little of them is ever looked at.
    """

    def __init__(self):
        raise TypeError("use make_request()")

    @staticmethod
    cdef Request new(
        str method, bytes target, bytes lines, str scheme, str http_version
    ):
        cdef Request self = Request.__new__(Request)
        cdef const char *start = PyBytes_AS_STRING(target)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(target)
        cdef const char *query
        self.method = method
        self.target = target
        self.lines = lines
        self.scheme = scheme
        self.http_version = http_version
        self.query_at = -1
        query = <const char *> memchr(start, c"?", n)
        if query is not NULL:
            query += 1
            self.query_at = query - start
            n -= self.query_at
            self.escaped = (
                memchr(query, c"%", n) is not NULL
                or memchr(query, c"+", n) is not NULL
            )
        return self

    @property
    def path(self):
        """The path, percent-decoded, a str."""
        cdef bytes path = self.target.partition(b"?")[0]
        cdef str text = path.decode("latin-1")
        return unquote(text) if "%" in text else text

    @property
    def query(self):
        """The query as it was sent, a str."""
        return self.target.partition(b"?")[2].decode("latin-1")

    @property
    def headers(self):
        """The header as a list of (name in lower case, value), as bytes."""
        found = []
        for line in self.lines.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            found.append((name.lower(), value.strip(b" \t")))
        return found

    cpdef bytes header(self, bytes name):
        """The first value of a header (name in lower case), None without it."""
        cdef size_t size = 0
        cdef const char *p = PyBytes_AS_STRING(self.lines)
        p = sf_find_header(
            p, p + PyBytes_GET_SIZE(self.lines),
            PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), &size,
        )
        return None if p is NULL else p[:size]

    cpdef Py_ssize_t count(self, bytes name) except -1:
        """How many lines have this name (in lower case)."""
        cdef Py_ssize_t found = 0
        cdef size_t size = 0
        cdef const char *p = PyBytes_AS_STRING(self.lines)
        cdef const char *end = p + PyBytes_GET_SIZE(self.lines)
        while True:
            p = sf_find_header(
                p, end, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), &size
            )
            if p is NULL:
                return found
            found += 1
            # On to the end of that line.
            p = <const char *> memchr(p, c"\n", end - p) + 1

    cpdef bint has_token(self, bytes name, bytes token) except -1:
        """Whether a list in a header has this token (both in lower case)."""
        cdef const char *p = PyBytes_AS_STRING(self.lines)
        return sf_has_token(
            p, p + PyBytes_GET_SIZE(self.lines),
            PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
            PyBytes_AS_STRING(token), PyBytes_GET_SIZE(token),
        )

    cdef str parameter(self, bytes name):
        """The first value of this name in the query, None without it.

        Plain queries, which all of clients' are, are searched here; escapes are left
        to urllib."""
        cdef const char *found
        cdef size_t size = 0
        if self.query_at < 0:
            return None
        if self.escaped:
            if self._parameters is None:
                self._parameters = {
                    key: values[0] for key, values in parse_qs(self.query).items()
                }
            return self._parameters.get(name.decode())
        found = sf_find_parameter(
            PyBytes_AS_STRING(self.target) + self.query_at,
            PyBytes_GET_SIZE(self.target) - self.query_at,
            PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), &size,
        )
        return None if found is NULL else PyUnicode_DecodeLatin1(found, size, NULL)

    def environ(self):
        """The request as a WSGI environment (PEP 3333), a new dict.

        As python-engineio's, with the true address of the peer: of the client, as far
        as a trusted proxy says who that is.
        """
        cdef dict environ
        cdef str key, value
        peer, server = self.client_address, self.server
        environ = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.scheme,
            "wsgi.async": True,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "SERVER_SOFTWARE": "socketio_fast",
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "RAW_URI": self.target.decode("latin-1"),
            "SERVER_PROTOCOL": "HTTP/" + self.http_version,
            # A Unix socket has no address, and its peer is on this machine.
            "REMOTE_ADDR": peer[0] if isinstance(peer, tuple) else "127.0.0.1",
            "REMOTE_PORT": str(peer[1]) if isinstance(peer, tuple) else "0",
            "SERVER_NAME": server[0] if isinstance(server, tuple) else "localhost",
            "SERVER_PORT": str(server[1]) if isinstance(server, tuple) else "0",
        }
        for name, raw in self.headers:
            key = _HEADER_KEYS.get(name)
            if key is None:
                if b"_" in name:
                    continue  # it would pass for the name with hyphens
                key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
            value = raw.decode("latin-1")
            if key in environ:
                value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
            environ[key] = value
        if self.host is not None:
            environ["HTTP_HOST"] = self.host
        return environ

    def told(self):
        """What trusted proxies are believed of the client, as parts of a WSGI
        environment; a new dict, empty where they are not asked."""
        cdef dict environ = {}
        peer = self.client_address
        if self.believed:
            environ["wsgi.url_scheme"] = self.scheme
            if isinstance(peer, tuple):
                environ["REMOTE_ADDR"] = peer[0]
                environ["REMOTE_PORT"] = str(peer[1])
            if self.host is not None:
                environ["HTTP_HOST"] = self.host
        return environ


# The keys of frequent headers, so that connections share them.
cdef dict _HEADER_KEYS = {
    name.lower().encode(): "HTTP_" + name.upper().replace("-", "_")
    for name in (
        "Accept", "Accept-Encoding", "Accept-Language", "Authorization",
        "Cache-Control", "Connection", "Cookie", "Host", "Origin", "Pragma", "Referer",
        "Sec-WebSocket-Extensions", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
        "Upgrade", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host",
        "X-Forwarded-Proto",
    )
}
_HEADER_KEYS[b"content-type"] = "CONTENT_TYPE"
_HEADER_KEYS[b"content-length"] = "CONTENT_LENGTH"


@cython.final
@cython.no_gc  # nothing knows it
@cython.freelist(4)
cdef class Admission:
    """What becomes of a request."""


@cython.final
cdef class _EnvironSource:
    """An environment that is made already: hooks have seen it."""
    cdef dict _environ

    def environ(self):
        return self._environ


cdef Admission _error(
    Engine engine, Request request, int code, dict context, bytes message=None
):
    cdef Admission a = Admission.__new__(Admission)
    a.status = 403 if code == FORBIDDEN else 400
    a.body = b'{"code":%d,"message":"%s"}' % (
        code, MESSAGES[code] if message is None else message
    )
    a.headers = b""
    if engine.logger.isEnabledFor(logging.INFO):
        engine.logger.info(
            "%s %s refused: %s",
            escaped(request.method), escaped(request.path), a.body.decode(),
        )
    if engine.hooks is not None:
        text = MESSAGES[code].decode()
        engine.hooks.failed(request.environ(), code, text, context)
    return a


cdef int believe(Engine engine, Request request) except -1:
    """Let trusted proxies say who the client is, if there are any; its peer is known.
    """
    if engine.proxies is None or request.believed:
        return 0
    request.believed = True
    try:
        client = engine.proxies.client(request.client_address, request.headers)
    except ProtocolError:
        request.disputed = True
        return 0
    if client is not None:
        peer, scheme, request.host = client
        if peer is not None:
            request.client_address = peer
        if scheme is not None:
            request.scheme = scheme
    return 0


cpdef bint hooked(Engine engine, Request request) except -1:
    """Whether the application has hooks that are asked about a request."""
    return (
        engine.hooks is not None
        and (engine.hooks.every_request or request.parameter(b"sid") is None)
        and _client_file(engine, request) is None
    )


async def consider(
    Engine engine not None, Request request not None, environ_source, upgrade
):
    """Judge a request that is `hooked()`; its hooks may suspend.

    Args:
        engine: The Engine.IO engine.
        request: The request; its peer is known.
        environ_source: Has `environ()`, that of a new session.
        upgrade: Whether it asks for a WebSocket.
    """
    cdef Admission a
    cdef _EnvironSource seen
    try:
        believe(engine, request)
        seen = _EnvironSource.__new__(_EnvironSource)
        seen._environ = environ_source.environ()
        if request.disputed:
            return admit(engine, request, upgrade)  # which refuses it
        hooks = engine.hooks
        headers = hooks.new_headers()
        refusal = await hooks.run_middlewares(seen._environ, headers)
        if refusal is None:
            a = admit(engine, request, upgrade)
            if a.status == 0 and a.session is None:
                refusal = await hooks.allow(seen._environ)
                if refusal is None:
                    await hooks.on_headers(headers, seen._environ, True)
                    # The last that may wait: others may take the id, or the place.
                    a.id, refusal = await hooks.new_id(seen._environ)
        if refusal is not None:
            a = _error(
                engine, request, refusal.code, refusal.context, refusal.text
            )
            a.status = refusal.status
            a.headers = (_cors_headers(engine, request) or b"") + refusal.lines
        elif a.status == 0 and a.session is None:
            _admit_later(engine, request, a)
        elif a.status == 0:
            await hooks.on_headers(headers, seen._environ, False)
            # It may have ended, or upgraded, meanwhile.
            a = admit(engine, request, upgrade)
        tell_refusal(engine, request, a)
        a.headers += headers.lines()
        a.environ_source = seen
    except BaseException as exc:
        if ends_task(exc):
            raise
        engine.failed(
            exc, "%s %s: a hook failed",
            (escaped(request.method), escaped(request.path)),
        )
        a = Admission.__new__(Admission)
        a.status = 500
        a.body = b'{"code":3,"message":"Internal Server Error"}'
        a.headers = b""
    return a


cdef tuple _client_file(Engine engine, Request request):
    """The answer to a request for a file of the JavaScript client: its status, content
    type, body and header lines; None: it is not for one."""
    if engine.client_files is None or request.parameter(b"transport") is not None:
        return None
    return engine.client_files.answer(request)


cdef Admission admit(Engine engine, Request request, bint upgrade):
    """Judge a request (`upgrade`: it asks for a WebSocket)."""
    cdef Admission a
    cdef Session session = None
    cdef str transport = request.parameter(b"transport")
    cdef str sid = request.parameter(b"sid")
    cdef str method = request.method
    cdef bytes cors
    if engine.proxies is not None:
        believe(engine, request)
        if request.disputed:
            return _error(
                engine, request, BAD_REQUEST, {"name": "PROXY_HEADERS"},
                b"Forwarded and X-Forwarded-For disagree",
            )
    cors = _cors_headers(engine, request)
    if cors is None:
        a = _error(
            engine, request, BAD_REQUEST,
            {"name": "INVALID_ORIGIN", "origin": _origin_of(request)},
            b"Not an accepted origin",
        )
        a.cause = "origin"
        a.remedy = (
            f"the origin {_origin_of(request)!r:.200} is not allowed: "
            "cors_allowed_origins names those that are"
        )
        return a
    if method == "OPTIONS":
        a = Admission.__new__(Admission)
        a.status = 200
        a.body = b""
        a.headers = cors
        return a
    if transport not in engine.transports and not request.webtransport:
        file = None if upgrade else _client_file(engine, request)
        if file is not None:
            a = Admission.__new__(Admission)
            a.status, a.content_type, a.body, a.headers = file
            a.headers += cors
            return a
        a = _error(
            engine, request, UNKNOWN_TRANSPORT, {"transport": transport}
        )
    elif sid:
        session = engine.sessions.get(sid)
        if session is None or session.state == OPENING or session.state == CLOSED:
            a = _error(engine, request, UNKNOWN_SID, {"sid": sid})
        elif not upgrade and (
            transport != "polling" or session.transport.name != "polling"
        ):
            a = _error(engine, request, BAD_REQUEST, {
                "name": "TRANSPORT_MISMATCH",
                "transport": transport,
                "previous_transport": session.transport.name,
            })
        elif not upgrade and method != "GET" and method != "POST":
            a = _error(engine, request, BAD_REQUEST, {"method": method})
        elif upgrade and (
            (transport != "websocket" and not request.webtransport)
            or (session.dialect and request.webtransport)
            or not engine.allow_upgrades
            or method != "GET"  # RFC 6455, section 4.1
        ):
            a = _error(engine, request, BAD_REQUEST, {
                "name": "TRANSPORT_MISMATCH",
                "transport": transport,
                "previous_transport": session.transport.name,
            })
        else:
            a = Admission.__new__(Admission)
            a.session = session
            if upgrade:
                session.dialect = _dialect(
                    session.dialect & REVISION_3, transport, request
                )
    elif method != "GET":
        a = _error(engine, request, BAD_HANDSHAKE_METHOD, {"method": method})
    elif upgrade != (transport != "polling"):
        a = _error(
            engine, request, BAD_REQUEST, {"name": "TRANSPORT_HANDSHAKE_ERROR"}
        )
    else:
        a = _handshake(engine, request, transport)
        a.headers += cors
        return a
    a.headers = cors
    return a


cdef int tell_refusal(Engine engine, Request request, Admission a) except -1:
    """Say in the log what was refused, whose address is known now."""
    if a.cause is not None:
        engine.tell_refusal(a.cause, request.client_address, a.remedy)
        a.cause = None
    return 0


cdef Admission no_websocket(Engine engine, Request request, object error):
    """A request for a WebSocket that breaks a rule of RFC 6455 or RFC 7692."""
    return _error(
        engine, request, BAD_REQUEST,
        {"name": "TRANSPORT_HANDSHAKE_ERROR", "error": error}, str(error).encode(),
    )


cdef Admission _handshake(Engine engine, Request request, str transport):
    """A new connection, if its revision is served."""
    cdef Admission a
    cdef int revision = 0
    if request.parameter(b"EIO") != "4":
        if not engine.allow_eio3 or (request.parameter(b"EIO") or "3") != "3":
            a = _error(
                engine, request, UNSUPPORTED_PROTOCOL_VERSION,
                {"protocol": request.parameter(b"EIO")},
            )
            a.cause = "revision"
            a.remedy = (
                f"revision {request.parameter(b'EIO')!r:.20} of Engine.IO is not "
                "served: allow_eio3=True serves revision 3, clients of Socket.IO 2"
            )
            return a
        revision = REVISION_3
    if (
        not engine.allow_jsonp and transport == "polling"
        and request.parameter(b"j") is not None
    ):
        return _error(
            engine, request, BAD_REQUEST, {"name": "JSONP_DISABLED"},
            b"JSONP is not served: allow_jsonp=False",
        )
    a = _admit_visitor(engine, request)
    a.dialect = _dialect(revision, transport, request)
    return a


cdef Admission _admit_visitor(Engine engine, Request request):
    """A new connection, if the limits allow it, and the server is to stay."""
    cdef Admission a = Admission.__new__(Admission)
    cdef Limits limits = engine.limits
    cdef double now
    a.headers = b""
    if engine.draining:
        _turn_away(engine, request, a, _draining())
        return a
    if limits is None:
        return a
    now = engine.now()
    a.visitor = limits.visitor(request.client_address, now)
    refusal = limits.refusal(a.visitor, now)
    if refusal is not None:
        _turn_away(engine, request, a, refusal)
    return a


cdef int _admit_later(Engine engine, Request request, Admission a) except -1:
    """Others may have connected since it was admitted, and their addresses have been
    forgotten and met anew."""
    cdef Limits limits = engine.limits
    if engine.draining:
        return _turn_away(engine, request, a, _draining())
    if limits is None:
        return 0
    a.visitor = limits.visitor(request.client_address, engine.now())
    refusal = limits.crowded(a.visitor)
    return 0 if refusal is None else _turn_away(engine, request, a, refusal)


cdef tuple _draining():
    # Not the same time for all, who were sent away at about the same time.
    return 503, b"The server is draining", randint(1, 5), "refused_draining"


cdef int _turn_away(
    Engine engine, Request request, Admission a, tuple refusal
) except -1:
    """A connection is refused, by the limits or a drain."""
    a.status, message, wait, counter = refusal
    engine.counters[counter] += 1
    a.body = b'{"code":%d,"message":"%s"}' % (FORBIDDEN, message)
    wait = math.ceil(wait)
    a.headers += b"Retry-After: %d\r\n" % wait
    engine.logger.info("%r refused: %s", request.client_address, a.body.decode())
    if engine.hooks is not None:
        engine.hooks.failed(
            request.environ(), FORBIDDEN, message.decode(),
            {"name": counter.upper(), "status": a.status, "retry_after": wait},
        )
    return 0


cdef int _dialect(int revision, str transport, Request request) except -1:
    """The flags of a client's transport."""
    cdef int dialect = revision
    if transport == "polling" and request.parameter(b"j") is not None:
        dialect |= JSONP
    if transport == "websocket" or revision:
        # Revision 4 has no other form by long-polling.
        if dialect & JSONP or request.parameter(b"b64"):
            dialect |= BASE64
    return dialect


cdef bytes CREDENTIALS = b"Access-Control-Allow-Credentials: true\r\n"


cdef bytes _cors_headers(Engine engine, Request request):
    """The lines for the response; None if the origin is not accepted."""
    cdef bytes lines = b"", origin, requested
    cdef object allowed = engine.allowed_origins
    if isinstance(allowed, tuple) and not <tuple> allowed:
        return b""  # switched off
    origin = request.header(b"origin")
    if origin:
        if not _origin_allowed(engine, origin, request):
            return None
        lines += b"Access-Control-Allow-Origin: " + origin + b"\r\nVary: Origin\r\n"
    if request.method == "OPTIONS":
        lines += b"Access-Control-Allow-Methods: OPTIONS, GET, POST\r\n"
    requested = request.header(b"access-control-request-headers")
    if requested:
        lines += b"Access-Control-Allow-Headers: " + requested + b"\r\n"
    if engine.cors_credentials:
        return lines + CREDENTIALS if lines else CREDENTIALS
    return lines


cdef str _origin_of(Request request):
    cdef bytes origin = request.header(b"origin")
    return None if origin is None else origin.decode("latin-1")


cdef bint _origin_allowed(Engine engine, bytes raw, Request request) except -1:
    cdef object allowed = engine.allowed_origins
    cdef str origin = raw.decode("latin-1")
    if allowed is None:
        own = _same_origins(engine, request)
        return origin in own or _plain_origin(origin) in [
            _plain_origin(name) for name in own
        ]
    if callable(allowed):
        return bool(allowed(origin, request.environ()))
    return "*" in allowed or origin in allowed or (
        engine.origin_pattern is not None
        and engine.origin_pattern.fullmatch(origin) is not None
    )


cdef str _plain_origin(str origin):
    """An origin as a browser writes it. Clients that are none write the URL that they
    connect to: Swift's with ws://, PHP's with a path; a Host may have a default port.
    """
    scheme, _, rest = origin.lower().partition("://")
    if scheme == "ws" or scheme == "wss":
        scheme = "http" + scheme[2:]
    host = rest.partition("/")[0]
    return scheme + "://" + host.removesuffix(":443" if scheme == "https" else ":80")


cdef list _same_origins(Engine engine, Request request):
    """The server's own origins. Anybody's X-Forwarded-Proto and -Host count, as in
    python-engineio, unless it is said which proxies are trusted."""
    cdef bytes host = request.header(b"host")
    cdef list origins = []
    if request.host is not None:
        host = request.host.encode("latin-1")
    if host is None:
        return origins
    if engine.proxies is not None:
        return [request.scheme + "://" + host.decode("latin-1")]
    proto = request.header(b"x-forwarded-proto")
    forwarded = request.header(b"x-forwarded-host")
    origins.append(request.scheme + "://" + host.decode("latin-1"))
    if proto is not None or forwarded is not None:
        scheme = (
            request.scheme if proto is None
            else proto.decode("latin-1").split(",")[0].strip()
        )
        name = (host if forwarded is None else forwarded).decode("latin-1")
        origins.append(scheme + "://" + name.split(",")[0].strip())
    return origins


cdef bytes cookie_header(Engine engine, Session session):
    """The Set-Cookie line of a handshake response; empty if it is not configured."""
    cookie = engine.config.cookie
    if cookie is None:
        return b""
    parts = [f"{cookie.get('name', 'io')}={session.id}"]
    for name, value in cookie.items():
        if name == "name":
            continue
        if callable(value):
            value = value()
        if value is True:
            parts.append(name)
        elif value is not False and value is not None:
            parts.append(f"{name}={value}")
    line = "; ".join(parts)
    if "\r" in line or "\n" in line:
        raise ValueError("cookie attributes must not contain line breaks")
    return b"Set-Cookie: " + line.encode("latin-1") + b"\r\n"


def make_request(
    str method, bytes target, headers=(), object client_address=None,
    object server=None, str scheme="http", str http_version="1.1",
    bint webtransport=False,
):
    """A Request of (name, value) pairs of bytes."""
    cdef Request request = Request.new(
        method, target,
        b"".join([b"%b: %b\r\n" % (name, value) for name, value in headers]),
        scheme, http_version,
    )
    request.client_address = client_address
    request.server = server
    request.webtransport = webtransport
    return request


def origin_accepted(Engine engine not None, Request request not None):
    """Whether a request may come from where it says; its peer is known."""
    believe(engine, request)
    return _cors_headers(engine, request) is not None


def judge(Engine engine not None, Request request not None, upgrade=False):
    """The (status, body, headers, session) of a request, for tests; status 0 admits."""
    cdef Admission a = admit(engine, request, upgrade)
    return a.status, a.body, a.headers, a.session
