"""The options of servers and clients as types, for editors and type checkers.

`python -m tests.meta.options` writes this file from the declarations in
`options/config.py`, `options/server.py` and `options/client.py`, and from the signature
of `serve()`.
Change those, not this file. Nothing here is used when a program runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    import os
    import socket
    import ssl
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from socketio_fast.options.config import DeflateOptions
    from socketio_fast.options.limits import Limits
    from socketio_fast.options.logs import AnyLogger
    from socketio_fast.serving.proxies import TrustedProxies

__all__ = [
    "ClientOptions",
    "EngineAttributes",
    "EngineClientKeywords",
    "EngineClientOptions",
    "EngineKeywords",
    "EngineOptions",
    "ServeOptions",
    "ServerOptions",
]


class EngineAttributes:
    """The options of Engine.IO as attributes of its servers."""

    ping_interval: float | tuple[float, float]
    ping_timeout: float
    upgrade_timeout: float
    max_http_buffer_size: int
    max_buffer_bytes: int
    high_water_mark: int
    slow_consumer: Literal["close", "drop_volatile", "drop_oldest", "block"]
    max_pending_events: int
    max_pending_bytes: int
    allow_upgrades: bool
    http_compression: bool
    compression_threshold: int
    per_message_deflate: bool | Mapping[str, Any] | DeflateOptions | None
    cookie: str | Mapping[str, Any] | None
    cors_allowed_origins: str | Sequence[str] | Callable[..., bool] | None
    cors_credentials: bool
    transports: str | Sequence[str] | None
    limits: Limits | None
    allow_eio3: bool
    allow_jsonp: bool | None
    trusted_proxies: str | Sequence[str] | TrustedProxies | None
    slow_handler_threshold: float | None
    initial_packet: str | bytes | None


class EngineKeywords(TypedDict, total=False):
    """Options that servers of Engine.IO take by keyword only."""

    upgrade_timeout: float
    """Seconds that an upgrade from polling to WebSocket may take. Default: ``10``."""
    max_buffer_bytes: int
    """Bytes that may wait for a client to read them. A client for which more wait is
    disconnected. Default: ``16,777,216``.
    """
    high_water_mark: int
    """Bytes that wait for a client from which on it counts as slow. Default:
    ``1,048,576``.
    """
    slow_consumer: Literal["close", "drop_volatile", "drop_oldest", "block"]
    """What is done about a slow client, see docs/flow-control.md. ``'close'``: nothing
    until more than ``max_buffer_bytes`` wait. ``'drop_volatile'`` and ``'drop_oldest'``
    drop messages, ``'block'`` lets senders wait. Default: ``'close'``.
    """
    max_pending_events: int
    """Events of one client whose handlers may be under way. With more, the connection
    is not read until half of them have ended. Default: ``1,000``.
    """
    max_pending_bytes: int
    """Bytes of events of one client whose handlers may be under way, likewise. Default:
    ``16,777,216``.
    """
    per_message_deflate: bool | Mapping[str, Any] | DeflateOptions | None
    """Whether WebSocket messages are compressed (RFC 7692) for clients that offer it:
    ``True``, or a dict of ``DeflateOptions``; see docs/compression.md. Default:
    ``False``.
    """
    limits: Limits | None
    """What clients and addresses may ask for, a ``socketio.Limits``. ``None`` for its
    defaults. Default: ``None``.
    """
    allow_eio3: bool
    """Whether clients of revision 3 of the protocol, Socket.IO 2, are served too; see
    docs/old-clients.md. Default: ``False``.
    """
    allow_jsonp: bool | None
    """Whether long-polling by scripts and forms (JSONP) is served. ``None``: where
    ``allow_eio3`` is set. Default: ``None``.
    """
    trusted_proxies: str | Sequence[str] | TrustedProxies | None
    """The proxies whose ``X-Forwarded-*`` headers say who a client is: addresses and
    networks, ``'unix'`` for Unix sockets, ``'*'`` for every peer; or a
    ``TrustedProxies``, which can name the header ``Forwarded`` instead. See
    docs/deployment.md. Default: ``()``.
    """
    slow_handler_threshold: float | None
    """Seconds that a handler may hold up the event loop, from its call to its first
    ``await`` or between two of them, before a WARNING names it, once a minute. ``None``
    or 0: no warnings. Default: ``0.1``.
    """
    initial_packet: str | bytes | None
    """A message that each client gets behind the open packet. Default: ``None``."""
    cluster: str | None
    """``'unix:'`` and a directory, where the processes that serve one port of this
    machine find each other, so that long-polling needs no sticky sessions; see
    docs/scaling.md. ``None``: the variable ``SOCKETIO_FAST_CLUSTER`` says it, which
    ``run(workers=)`` sets, or there is one process. Default: ``None``.
    """
    allow_request: Callable[..., Any] | None
    """A function or coroutine function that is asked with the environ of a handshake
    whether the client may connect. It returns a bool, or raises
    ``RequestRefusedError``. Default: ``None``.
    """


class EngineOptions(EngineKeywords, total=False):
    """Options of Engine.IO that servers of Socket.IO take."""

    ping_interval: float | tuple[float, float]
    """Seconds between a client's answer to a ping and the next ping. A pair adds a
    grace period, in seconds, to the interval that the client is told. Default: ``25``.
    """
    ping_timeout: float
    """Seconds that a client has to answer a ping. Default: ``20``."""
    max_http_buffer_size: int
    """The largest message and the largest body of a POST request, in bytes. Default:
    ``1,000,000``.
    """
    allow_upgrades: bool
    """Whether a client may go from polling to WebSocket. Default: ``True``."""
    http_compression: bool
    """Whether responses to polls are compressed: with brotli if it is installed, gzip
    or deflate. Default: ``True``.
    """
    compression_threshold: int
    """Size of such a response in bytes from which on it is compressed. Default:
    ``1,024``.
    """
    cookie: str | Mapping[str, Any] | None
    """A cookie that holds the Engine.IO id: its name, which gives it the path ``/`` and
    ``SameSite=Lax``, or a dict of its ``name`` (``io``) and attributes. ``None`` for no
    cookie. Default: ``None``.
    """
    cors_allowed_origins: str | Sequence[str] | Callable[..., bool] | None
    """The origins whose pages may connect: ``None`` for the server's own, ``'*'`` for
    all, an origin, a list of origins, or a function of the origin and the environ.
    ``'https://*.example.com'`` stands for every host below ``example.com``. An empty
    list switches the check off. Default: ``None``.
    """
    cors_credentials: bool
    """Whether pages of other origins may send cookies. Default: ``True``."""
    transports: str | Sequence[str] | None
    """The transports that are served, of ``'polling'``, ``'websocket'`` and
    ``'webtransport'`` (docs/webtransport.md). ``None`` for the first two. Default:
    ``None``.
    """
    monitor_clients: bool | None
    """Accepted as python-engineio's; clients are always monitored. Default: ``None``.
    """


class ServerOptions(EngineOptions, total=False):
    """Options that servers of Socket.IO take by keyword only."""

    engineio_logger: bool | AnyLogger | None
    """Whether events of connections are logged, or the logger to use, as ``logger``.
    Default: ``None``.
    """
    connect_timeout: float
    """Seconds that a client has to join a namespace. Default: ``45``."""
    max_attachments: int
    """The largest number of binary attachments of one message. Default: ``10``."""
    max_incomplete_bytes: int
    """The largest total size, in bytes, of the messages of all clients whose binary
    attachments have not all come. With more, the client whose message was begun first
    is disconnected. ``max_pending_bytes`` or ``max_http_buffer_size`` counts instead if
    it is larger. Default: ``67,108,864``.
    """
    max_pending_acks: int
    """The largest number of acknowledgements that are waited for, of one client in one
    namespace. With more, the oldest is given up. Default: ``10,000``.
    """
    cleanup_empty_child_namespaces: bool
    """Whether a namespace that ``of()`` has made for a client goes with its last
    client. Default: ``False``.
    """
    validate_handlers: bool
    """Whether handlers that are annotated with pydantic models, msgspec structs or
    dataclasses get validated arguments; see docs/validation.md. Default: ``True``.
    """
    connection_state_recovery: bool | Mapping[str, Any] | None
    """Whether a client that was cut off may go on where it was, with what it has
    missed: ``True``, or a dict of ``RecoveryOptions``. ``None`` or ``False`` for not.
    See docs/recovery.md. Default: ``None``.
    """
    error_acks: bool
    """Whether an event whose handler raises, or that has no handler, is acknowledged by
    ``{'error': ...}`` if the client asks for an acknowledgement. Otherwise it is not
    acknowledged. The client is not told what was raised. Default: ``False``.
    """
    serve_client: str | os.PathLike[str] | bool | None
    """The directory of the official JavaScript client, the ``dist`` of the npm package
    ``socket.io-client``, which is then served at ``/socket.io/socket.io.js``. ``None``
    for not. See docs/deployment.md. Default: ``None``.
    """


class EngineClientKeywords(TypedDict, total=False):
    """Options that clients of Engine.IO take by keyword only."""

    connect_timeout: float
    """Seconds for an attempt to connect by one transport, and for the upgrade to
    another. Default: ``20``.
    """
    upgrade: bool
    """Whether a client that has connected by long-polling upgrades to WebSocket, or to
    WebTransport. Default: ``True``.
    """
    remember_upgrade: bool
    """Whether a client that has once upgraded begins with WebSocket when it connects
    again. Default: ``False``.
    """
    try_all_transports: bool
    """Whether the next transport is tried when the first cannot connect. Default:
    ``False``.
    """
    proxy: str | Literal[False] | None
    """The URL of the proxy to connect by: of http, https, socks4 or socks5. ``None``:
    what the environment says (``HTTPS_PROXY``, ``NO_PROXY``, …). ``False``: no proxy.
    Default: ``None``.
    """
    webtransport_options: Mapping[str, Any] | None
    """Options of WebTransport: ``server_certificate_hashes``, a list of the SHA-256 of
    the certificates that are accepted in the place of those of authorities; see
    docs/webtransport.md. Default: ``None``.
    """
    query: Mapping[str, str] | None
    """Parameters of each URL, beside those that the URL of the server has. Default:
    ``None``.
    """
    protocols: Iterable[str] | str
    """The subprotocols that the WebSocket asks for. Default: ``()``."""
    per_message_deflate: bool | Mapping[str, Any] | DeflateOptions | None
    """Whether compression of WebSocket messages (RFC 7692) is offered to the server:
    ``True``, or a dict of ``DeflateOptions``. Nothing is compressed unless the server
    accepts; see docs/client.md. Default: ``True``.
    """
    eio: int
    """The revision of Engine.IO: 4, or 3 for servers of Socket.IO 2. Default: ``4``."""
    force_base64: bool
    """Whether binary data is sent as base64 in text, for proxies that pass on no
    binary. Default: ``False``.
    """
    max_http_buffer_size: int
    """The largest message or HTTP response that the server may send. With a larger one
    the client disconnects. Default: ``100,000,000``.
    """
    max_buffer_bytes: int
    """The most bytes that may wait for the server to read them. With more, the client
    disconnects. Default: ``100,000,000``.
    """
    high_water_mark: int
    """Bytes that wait for the server, above which ``await emit()`` waits. Default:
    ``1,048,576``.
    """


class EngineClientOptions(EngineClientKeywords, total=False):
    """Options of Engine.IO that clients of Socket.IO take."""

    request_timeout: float | None
    """Seconds for a request of long-polling that the server is to answer at once.
    ``None`` or 0 for no limit. Default: ``5``.
    """
    http_session: Any
    """What makes HTTP requests: an ``aiohttp.ClientSession``, a ``requests.Session``,
    or a function that returns one. Its cookies, certificates and proxies hold for the
    WebSocket too. ``None`` for a session of the client's own. Default: ``None``.
    """
    ssl_verify: bool | ssl.SSLContext
    """Whether the server's certificate is verified, or the ``ssl.SSLContext`` to use.
    Default: ``True``.
    """
    websocket_extra_options: Mapping[str, Any] | None
    """Options of python-engineio for the WebSocket: ``headers``, ``subprotocols``,
    ``ssl``, ``sslopt``, ``proxy`` and others; see docs/client.md. Default: ``None``.
    """
    timestamp_requests: bool
    """Whether each request of long-polling has a parameter ``t``, against caches.
    Default: ``True``.
    """


class ClientOptions(EngineClientOptions, total=False):
    """Options that clients of Socket.IO take by keyword only."""

    engineio_logger: bool | AnyLogger | None
    """Whether events of the connection are logged, or the logger to use. Default:
    ``None``.
    """
    offline_buffer: bool
    """Whether events that are emitted while the connection is lost are kept and sent
    when there is one. ``False``: ``emit()`` raises ``BadNamespaceError`` then, as in
    python-socketio. Default: ``True``.
    """
    max_offline_events: int
    """The most events that are kept, of one namespace. ``emit()`` raises
    ``OfflineBufferError`` for one more. Default: ``10,000``.
    """
    max_offline_bytes: int
    """The most bytes that these events may have, of one namespace. Default:
    ``16,777,216``.
    """
    retries: int | None
    """How often an event that the server has not acknowledged in ``ack_timeout`` is
    sent again; ``None`` or 0: events need no acknowledgement. See docs/client.md.
    Default: ``None``.
    """
    retry_ids: bool
    """Whether events that are sent until they are acknowledged (``retries=``) have one
    more argument, an id (str) by which the server recognises one that it has had.
    Default: ``False``.
    """
    ack_timeout: float | None
    """Seconds to wait for an acknowledgement, where a call does not say; ``None``:
    without limit. Default: ``None``.
    """
    max_attachments: int
    """The most binary attachments of one message. Default: ``10,000``."""
    max_pending_acks: int
    """The most acknowledgements that are waited for, of one namespace. With more, the
    oldest is given up. Default: ``100,000``.
    """
    validate_handlers: bool
    """Whether handlers that are annotated with pydantic models, msgspec structs or
    dataclasses get validated arguments; see docs/validation.md. Default: ``True``.
    """


class ServeOptions(TypedDict, total=False):
    """Options of :func:`socketio_fast.serve`, which ``run()`` has too."""

    path: str | None
    uds: str | os.PathLike[str] | None
    sock: socket.socket | Sequence[socket.socket] | None
    ssl_certfile: str | os.PathLike[str] | None
    ssl_keyfile: str | os.PathLike[str] | None
    ssl_keyfile_password: str | None
    ssl: ssl.SSLContext | None
    static_files: Mapping[str, str | Path | Mapping[str, Any]] | None
    backlog: int
    shutdown_timeout: float
    drain_rate: float | None
    access_log: bool
    proxy_protocol: bool
    webtransport: bool
    health: bool
