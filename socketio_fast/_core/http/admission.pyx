"""Which HTTP requests Engine.IO admits.

The checks, their order, and the statuses and bodies of refusals are those of the
reference implementation.
"""
import logging
import math
from random import randint

import cython

from socketio_fast._core.engine.rate_limits cimport Limits
from socketio_fast._core.engine.observer cimport Observer
from socketio_fast._core.engine.request_hooks cimport HookRefusal, RequestHooks
from socketio_fast._core.engine.contracts cimport (
    BASE64,
    CLOSED,
    JSONP,
    OPENING,
    REVISION_3,
    EngineBase as Engine,
    SessionBase as Session,
)
from socketio_fast._core.engine.payload_transport cimport PayloadTransport
from socketio_fast._core.http.cors cimport cors_lines, is_preflight, origin_of
from socketio_fast._core.http.request cimport GET, POST, Request

from socketio_fast._core.engine.failures import ends_task
from socketio_fast.options.logs import escaped

cdef enum:
    UNKNOWN_TRANSPORT
    UNKNOWN_SID
    BAD_HANDSHAKE_METHOD
    BAD_REQUEST
    FORBIDDEN
    UNSUPPORTED_PROTOCOL_VERSION

cdef tuple REASONS = (
    "unknown_transport",
    "unknown_sid",
    "bad_handshake_method",
    "bad_request",
    "forbidden",
    "unsupported_protocol_version",
)

cdef tuple MESSAGES = (
    b"Transport unknown",
    b"Session ID unknown",
    b"Bad handshake method",
    b"Bad request",
    b"Forbidden",
    b"Unsupported protocol version",
)


@cython.final
@cython.no_gc  # nothing knows it
@cython.freelist(4)
cdef class Admission:
    """The result of judging a request."""


@cython.final
cdef class _ShownEnviron:
    """The environ that hooks were shown: the session gets the same dict."""
    cdef dict _environ_dict

    def environ(self):
        return self._environ_dict


cdef Admission _error(
    Engine engine, Request request, int code, dict context, bytes message=None
):
    """Refuse a request, log that, and tell the hooks.

    Args:
        engine: The engine.
        request: The request.
        code: Engine.IO's error code.
        context: Says more to the hook `failed`.
        message: For the response, UTF-8, escaped for a JSON string; None: that of the
            code.
    """
    cdef RequestHooks hooks = engine.hooks
    cdef Observer observer = engine.observer
    cdef Admission a = Admission.__new__(Admission)
    if observer is not None:
        observer.request_refused(
            "origin" if context.get("name") == "INVALID_ORIGIN" else REASONS[code]
        )
    a.status = 403 if code == FORBIDDEN else 400
    a.body = b'{"code":%d,"message":"%s"}' % (
        code, MESSAGES[code] if message is None else message
    )
    a.headers = b""
    if engine.logger.isEnabledFor(logging.INFO):
        engine.logger.info(
            "%s %s refused: %s",
            escaped(request.method), escaped(request.path), a.body.decode(),
            extra={"address": _host(request)},
        )
    if hooks is not None:
        hooks.failed(request.environ(), code, MESSAGES[code].decode(), context)
    return a


cpdef bint hooked(Engine engine, Request request) except -1:
    """Whether the application has hooks that must be asked about a request."""
    cdef RequestHooks hooks = engine.hooks
    return (
        hooks is not None
        and (hooks.every_request or request.parameter(b"sid") is None)
        and _client_file(engine, request) is None
    )


async def consider(
    Engine engine not None, Request request not None, environ_source, upgrade
):
    """Judge a request that is `hooked()`; its hooks may suspend.

    Args:
        engine: The engine.
        request: The request. The address of the client must be known.
        environ_source: Its `environ()` makes the environ that hooks are shown, which
            becomes that of a new session.
        upgrade: Whether the request asks for a WebSocket.

    Returns:
        The Admission. If a hook fails, that is logged, and the status is 500.
    """
    cdef Admission a
    cdef RequestHooks hooks = engine.hooks
    cdef _ShownEnviron shown
    cdef HookRefusal refusal
    try:
        request.evaluate_proxies(engine.proxies)
        shown = _ShownEnviron.__new__(_ShownEnviron)
        shown._environ_dict = environ_source.environ()
        if request.disputed:
            return admit(engine, request, upgrade)  # which refuses it
        headers = hooks.new_headers()
        refusal = await hooks.run_middlewares(shown._environ_dict, headers)
        if refusal is None:
            a = admit(engine, request, upgrade)
            if a.status == 0 and a.session is None:
                refusal = await hooks.allow(shown._environ_dict)
                if refusal is None:
                    await hooks.on_headers(headers, shown._environ_dict, True)
                    # The last hook that may suspend: between the choice of an id and
                    # new_session(), nobody else may take that id.
                    a.id, refusal = await hooks.new_id(shown._environ_dict)
        if refusal is not None:
            a = _error(engine, request, refusal.code, refusal.context, refusal.text)
            a.status = refusal.status
            a.headers = (cors_lines(engine, request) or b"") + refusal.lines
        elif a.status == 0 and a.session is None:
            _check_limits_again(engine, request, a)
        elif a.status == 0:
            await hooks.on_headers(headers, shown._environ_dict, False)
            # The session may have ended, or upgraded, while the hooks ran.
            a = admit(engine, request, upgrade)
        tell_refusal(engine, request, a)
        a.headers += hooks.header_lines(headers)
        a.environ_source = shown
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
    """The response to a request for a file of the JavaScript client.

    Returns (status, content type, body, header lines); None: the request is not for
    such a file.
    """
    if engine.client_files is None or request.parameter(b"transport") is not None:
        return None
    return engine.client_files.answer(request)


cdef Admission admit(Engine engine, Request request, bint upgrade):
    """Judge a request; `upgrade`: it asks for a WebSocket."""
    cdef Admission a
    cdef Session session = None
    cdef str transport = request.transport()
    cdef str sid = request.parameter(b"sid")
    cdef int method = request.known_method
    cdef bytes cors
    if engine.proxies is not None:
        request.evaluate_proxies(engine.proxies)
        if request.disputed:
            return _error(
                engine, request, BAD_REQUEST, {"name": "PROXY_HEADERS"},
                b"Forwarded and X-Forwarded-For disagree",
            )
    cors = cors_lines(engine, request)
    if cors is None:
        a = _error(
            engine, request, BAD_REQUEST,
            {"name": "INVALID_ORIGIN", "origin": origin_of(request)},
            b"Not an accepted origin",
        )
        a.cause = "origin"
        a.remedy = (
            f"the origin {origin_of(request)!r:.200} is not allowed: "
            "cors_allowed_origins names those that are"
        )
        return a
    if is_preflight(request):
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
            transport != "polling"
            or not isinstance(session.transport, PayloadTransport)
        ):
            a = _error(engine, request, BAD_REQUEST, {
                "name": "TRANSPORT_MISMATCH",
                "transport": transport,
                "previous_transport": session.transport.name,
            })
        elif not upgrade and method != GET and method != POST:
            a = _error(engine, request, BAD_REQUEST, {"method": request.method})
        elif upgrade and (
            (transport != "websocket" and not request.webtransport)
            or (session.dialect and request.webtransport)
            or not engine.allow_upgrades
            or method != GET  # RFC 6455, section 4.1
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
    elif method != GET:
        a = _error(
            engine, request, BAD_HANDSHAKE_METHOD, {"method": request.method}
        )
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
    """Log why a request was refused. The address of the client must be known."""
    if a.cause is not None:
        engine.tell_refusal(a.cause, request.client_address, a.remedy)
        a.cause = None
    return 0


cdef Admission refused_handshake(Engine engine, Request request, object error):
    """Refuse a request for a WebSocket that breaks a rule of RFC 6455 or RFC 7692."""
    return _error(
        engine, request, BAD_REQUEST,
        {"name": "TRANSPORT_HANDSHAKE_ERROR", "error": error}, str(error).encode(),
    )


cdef Admission _handshake(Engine engine, Request request, str transport):
    """Admit a new session, if the revision of its protocol is served."""
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
    """Admit a new session, unless a limit is reached or the server is being drained."""
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


cdef int _check_limits_again(Engine engine, Request request, Admission a) except -1:
    """Refuse a new session if a limit has been reached since it was admitted.

    The address is looked up again: its record may have been dropped while hooks ran.
    """
    cdef Limits limits = engine.limits
    if engine.draining:
        return _turn_away(engine, request, a, _draining())
    if limits is None:
        return 0
    a.visitor = limits.visitor(request.client_address, engine.now())
    refusal = limits.crowded(a.visitor)
    return 0 if refusal is None else _turn_away(engine, request, a, refusal)


cdef object _host(Request request):
    """The address of the client, for the log; None where it is not known."""
    address = request.client_address
    return address[0] if isinstance(address, tuple) else None


cdef tuple _draining():
    # The delay is random: clients that were sent away together shall not come back
    # together.
    return 503, b"The server is draining", randint(1, 5), "refused_draining"


cdef int _turn_away(
    Engine engine, Request request, Admission a, tuple refusal
) except -1:
    """Refuse a new session: `refusal` is (status, message, seconds until the client may
    try again, name of the counter)."""
    cdef RequestHooks hooks = engine.hooks
    cdef Observer observer = engine.observer
    a.status, message, delay, counter = refusal
    engine.counters[counter] += 1
    if observer is not None:
        observer.request_refused(counter.removeprefix("refused_"))
    a.body = b'{"code":%d,"message":"%s"}' % (FORBIDDEN, message)
    delay = math.ceil(delay)
    a.headers += b"Retry-After: %d\r\n" % delay
    engine.logger.info(
        "%r refused: %s", request.client_address, a.body.decode(),
        extra={"address": _host(request)},
    )
    if hooks is not None:
        hooks.failed(
            request.environ(), FORBIDDEN, message.decode(),
            {"name": counter.upper(), "status": a.status, "retry_after": delay},
        )
    return 0


cdef int _dialect(int revision, str transport, Request request) except -1:
    """The flags of Dialect for a client's transport; `revision` is REVISION_3 or 0."""
    cdef int dialect = revision
    if transport == "polling" and request.parameter(b"j") is not None:
        dialect |= JSONP
    if transport == "websocket" or revision:
        # Long-polling in revision 4 always sends binary data in base64.
        if dialect & JSONP or request.parameter(b"b64"):
            dialect |= BASE64
    return dialect


cdef bytes cookie_line(Engine engine, Session session):
    """The Set-Cookie line of the response that opens a session; empty without the
    option `cookie`."""
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
