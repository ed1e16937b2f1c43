"""The WebSocket handshake (RFC 6455, section 4.2): an HTTP request becomes a WebSocket.

`begin_handshake` checks an admitted request and creates its session, while the request
can still be refused. `switch_protocols` then takes the connection over from HTTP.
"""
import re
from hashlib import sha1

from cpython.bytes cimport PyBytes_AS_STRING

from socketio_fast._core.engine.contracts cimport EngineBase as Engine
from socketio_fast._core.engine.writer cimport Writer
from socketio_fast._core.http.admission cimport (
    Admission,
    cookie_line,
    refused_handshake,
)
from socketio_fast._core.http.connections cimport Connections
from socketio_fast._core.http.request cimport Request
from socketio_fast._core.http.websocket cimport WebSocket
from socketio_fast._core.protocol.deflate cimport Deflate
from socketio_fast._core.protocol.wire cimport sf_base64_decode, sf_base64_encode

from socketio_fast.exceptions import ProtocolError

# The first item of a list, if it is a token (RFC 9110, section 5.6.2).
FIRST_TOKEN = re.compile(rb"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*(?:,|\Z)")

# Sec-WebSocket-Accept is the SHA-1 of the key and this (RFC 6455, section 1.3).
cdef bytes GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


cpdef bytes websocket_key(Request request):
    """The Sec-WebSocket-Key of a valid WebSocket handshake (RFC 6455, section 4.2.1).

    Raises ProtocolError, which names the rule that the request breaks.
    """
    cdef bytes key = request.header(b"sec-websocket-key")
    cdef char decoded[24]
    if request.http_version == "1.0":
        raise ProtocolError("HTTP/1.0 has no upgrade")
    if not request.upgrades and (
        not request.has_token(b"upgrade", b"websocket")
        or not request.has_token(b"connection", b"upgrade")
    ):
        raise ProtocolError("not an upgrade to websocket")
    if request.header(b"sec-websocket-version") != b"13":
        raise ProtocolError("Sec-WebSocket-Version is not 13")
    # 16 bytes in base64 (RFC 4648): 22 characters, of which the last one holds two
    # bits, and "==".
    if (
        key is None
        or request.count(b"sec-websocket-key") != 1
        or len(key) != 24
        or not key.endswith(b"==")
        or sf_base64_decode(decoded, PyBytes_AS_STRING(key), 24) != 16
    ):
        raise ProtocolError("Sec-WebSocket-Key is not 16 bytes in base64")
    return key


cpdef bytes subprotocol_line(Request request):
    """The response line that chooses the first subprotocol that the client offers.

    Browsers fail a connection if none of the subprotocols they offer is chosen; ws for
    Node.js chooses the first as well. The line is empty if none is offered, or if the
    first is not a token (RFC 6455, section 4.1).
    """
    cdef bytes offered = request.header(b"sec-websocket-protocol")
    match = None if offered is None else FIRST_TOKEN.match(offered)
    return b"" if match is None else b"Sec-WebSocket-Protocol: %b\r\n" % match[1]


cdef Deflate _negotiate_deflate(Engine engine, Request request):
    """The permessage-deflate that client and server agree on; None: they do not.

    Raises ProtocolError if Sec-WebSocket-Extensions is malformed.
    """
    if engine.deflate is None:
        return None
    return engine.deflate.negotiate([
        value for name, value in request.headers if name == b"sec-websocket-extensions"
    ])


cdef Admission begin_handshake(
    Engine engine, Request request, Admission a, object environ_source
):
    """Check the handshake of a request that is admitted, and create a new session.

    Args:
        engine: The engine of the session.
        request: The request.
        a: Its admission.
        environ_source: Its `environ()` makes the environ of a new session, unless hooks
            have been given one. It is not used for a session that upgrades.

    Returns:
        `a`, complete for `switch_protocols()`; or a refusal, which has a `status`.
    """
    if a.status:
        return a
    try:
        a.websocket_key = websocket_key(request)
        a.deflate = _negotiate_deflate(engine, request)
    except ProtocolError as exc:
        return refused_handshake(engine, request, exc)
    if a.session is None:
        if a.environ_source is None:
            a.environ_source = environ_source
        a.session = engine.new_session(a.visitor, a.dialect, a.id)
        a.headers = a.headers + cookie_line(engine, a.session)
    else:
        a.environ_source = None
    a.headers = a.headers + subprotocol_line(request)
    return a


cdef WebSocket switch_protocols(
    Engine engine, Admission a, Writer writer, bytes received, Connections connections
):
    """Make a WebSocket of a connection, and send the response of the handshake.

    Args:
        engine: The engine of the session.
        a: What `begin_handshake()` has returned.
        writer: Of the connection, which HTTP must not use any more.
        received: What the client has sent behind the request.
        connections: The WebSocket is one of these while it is open.

    Returns:
        The WebSocket.
    """
    cdef char accept[28]
    cdef bytes digest = sha1(a.websocket_key + GUID).digest()
    cdef bytes response
    cdef WebSocket ws = WebSocket.new(engine, writer, a.deflate, connections)
    sf_base64_encode(accept, PyBytes_AS_STRING(digest), 20)
    response = b"".join((
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: ",
        accept[:28], b"\r\n", a.headers,
        b"" if a.deflate is None else a.deflate.header, b"\r\n",
    ))
    ws.begin(response, a.session, a.environ_source, received)
    return ws
