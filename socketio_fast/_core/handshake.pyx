"""Which HTTP requests Engine.IO admits, and what they look like to an application.

The checks, their order, statuses and bodies are the reference implementation's; origins
are judged as python-engineio's `cors_allowed_origins` says.
"""
import logging
from urllib.parse import parse_qs, unquote

import cython

from socketio_fast._core.session cimport CLOSED, OPENING, Engine, Session

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
cdef class Request:
    """The head of an HTTP request."""

    def __cinit__(
        self, str method, bytes target, list headers, object peer=None,
        object server=None, str scheme="http", str http_version="1.1",
    ):
        cdef bytes path, query
        path, _, query = target.partition(b"?")
        self.method = method
        self.target = target
        self.path = unquote(path.decode("latin-1")) if b"%" in path else (
            path.decode("latin-1")
        )
        self.query = query.decode("latin-1")
        self.headers = headers
        self.peer = peer
        self.server = server
        self.scheme = scheme
        self.http_version = http_version

    cpdef bytes header(self, bytes name):
        """The value of a header (name in lower case), None without it."""
        cdef tuple item
        for item in self.headers:
            if item[0] == name:
                return item[1]
        return None

    def environ(self):
        """The request as a WSGI environment (PEP 3333), a new dict.

        As python-engineio's, with the true address of the peer.
        """
        cdef dict environ
        cdef str key, value
        peer, server = self.peer, self.server
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
cdef class Admission:
    """What becomes of a request."""


cdef Admission _error(Engine engine, Request request, int code, bytes message=None):
    cdef Admission a = Admission.__new__(Admission)
    a.status = 403 if code == FORBIDDEN else 400
    a.body = b'{"code":%d,"message":"%s"}' % (
        code, MESSAGES[code] if message is None else message
    )
    a.headers = b""
    if engine.logger.isEnabledFor(logging.INFO):
        engine.logger.info(
            "%s %.200s refused: %s", request.method, request.path, a.body.decode()
        )
    return a


cdef Admission admit(Engine engine, Request request, bint upgrade):
    """Judge a request (`upgrade`: it asks for a WebSocket)."""
    cdef Admission a
    cdef Session session = None
    cdef dict query = _parse_query(request.query)
    cdef str transport = query.get("transport"), sid = query.get("sid")
    cdef bytes cors = _cors_headers(engine, request)
    if cors is None:
        return _error(engine, request, BAD_REQUEST, b"Not an accepted origin")
    if request.method == "OPTIONS":
        a = Admission.__new__(Admission)
        a.status = 200
        a.body = b""
        a.headers = cors
        return a
    if transport not in engine.config.transports:
        a = _error(engine, request, UNKNOWN_TRANSPORT)
    elif sid:
        session = engine.sessions.get(sid)
        if session is None or session.state in (OPENING, CLOSED):
            a = _error(engine, request, UNKNOWN_SID)
        elif not upgrade and (
            transport != "polling" or session.transport.name != "polling"
        ):
            a = _error(engine, request, BAD_REQUEST)
        elif not upgrade and request.method not in ("GET", "POST"):
            a = _error(engine, request, BAD_REQUEST)
        elif upgrade and (
            transport != "websocket"
            or not engine.allow_upgrades
            or request.method != "GET"  # RFC 6455, section 4.1
        ):
            a = _error(engine, request, BAD_REQUEST)
        else:
            a = Admission.__new__(Admission)
            a.session = session
    elif request.method != "GET":
        a = _error(engine, request, BAD_HANDSHAKE_METHOD)
    elif upgrade != (transport == "websocket"):
        a = _error(engine, request, BAD_REQUEST)
    elif query.get("EIO") != "4":
        a = _error(engine, request, UNSUPPORTED_PROTOCOL_VERSION)
    else:
        a = Admission.__new__(Admission)
    a.headers = cors
    a.transport = transport
    return a


cdef dict _parse_query(str query):
    """The first value of each name. Plain queries, which all of clients' are, are
    split here; escapes are left to urllib."""
    cdef dict values = {}
    cdef str item, name, value
    if "%" in query or "+" in query:
        return {key: found[0] for key, found in parse_qs(query).items()}
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if name not in values:
            values[name] = value
    return values


cdef bytes _cors_headers(Engine engine, Request request):
    """The lines for the response; None if the origin is not accepted."""
    cdef bytes lines = b"", origin, requested
    config = engine.config
    allowed = config.cors_allowed_origins
    if isinstance(allowed, tuple) and not allowed:
        return b""  # switched off
    origin = request.header(b"origin")
    if origin:
        if b"\n" in origin or not _origin_allowed(allowed, origin, request):
            return None
        lines += b"Access-Control-Allow-Origin: " + origin + b"\r\nVary: Origin\r\n"
    if request.method == "OPTIONS":
        lines += b"Access-Control-Allow-Methods: OPTIONS, GET, POST\r\n"
    requested = request.header(b"access-control-request-headers")
    if requested:
        lines += b"Access-Control-Allow-Headers: " + requested + b"\r\n"
    if config.cors_credentials:
        lines += b"Access-Control-Allow-Credentials: true\r\n"
    return lines


cdef bint _origin_allowed(object allowed, bytes raw, Request request) except -1:
    cdef str origin = raw.decode("latin-1")
    if allowed is None:
        return origin in _same_origins(request)
    if callable(allowed):
        return bool(allowed(origin, request.environ()))
    return "*" in allowed or origin in allowed


cdef list _same_origins(Request request):
    cdef bytes host = request.header(b"host")
    cdef list origins = []
    if host is None:
        return origins
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


def make_request(method, target, headers=(), **more):
    """A Request from str and bytes, for tests."""
    return Request(
        method, target, [(name.lower(), value) for name, value in headers], **more
    )


def judge(Engine engine not None, Request request not None, upgrade=False):
    """The (status, body, headers, session) of a request, for tests; status 0 admits."""
    cdef Admission a = admit(engine, request, upgrade)
    return a.status, a.body, a.headers, a.session
