"""Which origins may send requests, and the header lines of CORS for responses.

Origins are judged as python-engineio's option `cors_allowed_origins` says. A preflight
is recognized here; `admission.admit()` answers it, with these header lines alone.
"""
from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.http.request cimport OPTIONS, Request

cdef bytes CREDENTIALS = b"Access-Control-Allow-Credentials: true\r\n"


cdef bytes cors_lines(Engine engine, Request request):
    """The header lines of CORS for the response; None: the origin is not accepted."""
    cdef bytes lines = b"", origin, requested
    cdef object allowed = engine.allowed_origins
    if isinstance(allowed, tuple) and not <tuple> allowed:
        return b""  # cors_allowed_origins=[]: origins are not checked
    origin = request.header(b"origin")
    if origin:
        if not _origin_allowed(engine, origin, request):
            return None
        lines += b"Access-Control-Allow-Origin: " + origin + b"\r\nVary: Origin\r\n"
    if is_preflight(request):
        lines += b"Access-Control-Allow-Methods: OPTIONS, GET, POST\r\n"
    requested = request.header(b"access-control-request-headers")
    if requested:
        lines += b"Access-Control-Allow-Headers: " + requested + b"\r\n"
    if engine.cors_credentials:
        return lines + CREDENTIALS if lines else CREDENTIALS
    return lines


cdef bint is_preflight(Request request) except -1:
    """Whether the request asks for the header lines of CORS alone (Fetch standard,
    "CORS-preflight request"). Any OPTIONS request does, as in the reference."""
    return request.known_method == OPTIONS


cdef str origin_of(Request request):
    """The Origin header; None: there is none."""
    cdef bytes origin = request.header(b"origin")
    return None if origin is None else origin.decode("latin-1")


cdef bint _origin_allowed(Engine engine, bytes raw, Request request) except -1:
    cdef object allowed = engine.allowed_origins
    cdef str origin = raw.decode("latin-1")
    if allowed is None:
        own = _same_origins(engine, request)
        return origin in own or _canonical_origin(origin) in [
            _canonical_origin(name) for name in own
        ]
    if callable(allowed):
        return bool(allowed(origin, request.environ()))
    return "*" in allowed or origin in allowed or (
        engine.origin_pattern is not None
        and engine.origin_pattern.fullmatch(origin) is not None
    )


cdef str _canonical_origin(str origin):
    """An origin as a browser writes it: scheme, host, and a port that is not default.

    Clients that are not browsers send the URL that they connect to: the one for Swift
    with the scheme ws, the one for PHP with a path.
    """
    scheme, _, rest = origin.lower().partition("://")
    if scheme == "ws" or scheme == "wss":
        scheme = "http" + scheme[2:]
    host = rest.partition("/")[0]
    return scheme + "://" + host.removesuffix(":443" if scheme == "https" else ":80")


cdef list _same_origins(Engine engine, Request request):
    """The server's own origins.

    X-Forwarded-Proto and X-Forwarded-Host of any client count, as in python-engineio,
    unless the application has named the proxies that it trusts.
    """
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


def origin_accepted(Engine engine not None, Request request not None):
    """Whether a request's origin is allowed. The client's address must be known."""
    request.evaluate_proxies(engine.proxies)
    return cors_lines(engine, request) is not None
