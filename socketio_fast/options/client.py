"""The options of clients."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from socketio_fast.options.amounts import real
from socketio_fast.options.config import DeflateOptions
from socketio_fast.options.declare import (
    as_options,
    check_options,
    number,
    option,
    seconds,
    size,
    switch,
    takes,
    texts,
)

if TYPE_CHECKING:
    from socketio_fast.options.logs import AnyLogger

__all__ = ["ClientConfig", "EngineClientConfig"]


def _factor(label: str, value: Any) -> float:
    found = real(value)
    if found is None or not 0 <= found <= 1:
        raise ValueError(f"{label}={value!r}: a number from 0 to 1 expected")
    return found


def _reconnection(label: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(
            f"{label}={value!r}: True or False expected; the URL of a server is an "
            "argument of connect(), or of connection() in a with statement"
        )
    return value


def _revision(label: str, value: Any) -> int:
    if value not in (3, 4) or isinstance(value, bool):
        raise ValueError(f"{label}={value!r}: 3 or 4 expected")
    return int(value)


def _query(label: str, value: Any) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{label}={value!r}: a dict of texts expected")
    return {str(name): str(each) for name, each in value.items()}


#: As the official client: the server says whether each message stands alone.
_TAKEOVER = {"server_no_context_takeover": False, "client_no_context_takeover": False}

_DEFLATE = DeflateOptions(**_TAKEOVER)


def _deflate(label: str, given: Any) -> DeflateOptions | None:
    if given is True:
        return _DEFLATE
    if isinstance(given, Mapping):
        given = {**_TAKEOVER, **given}
    return as_options(DeflateOptions, label, given)


def _webtransport(label: str, value: Any) -> dict[str, tuple[bytes, ...]]:
    """The options of WebTransport, all of them."""
    if value is None:
        value = {}
    names = {"server_certificate_hashes"}
    if not isinstance(value, Mapping) or not names >= {*value}:
        raise ValueError(
            f"{label}={value!r:.200}: a dict with 'server_certificate_hashes' expected"
        )
    hashes = value.get("server_certificate_hashes") or ()
    return {"server_certificate_hashes": tuple(map(_hash, hashes))}


def _hash(value: Any) -> bytes:
    """The SHA-256 of a certificate: bytes, hexadecimal, or as browsers take it."""
    found = value
    if isinstance(found, Mapping):
        known = found.get("algorithm", "sha-256") == "sha-256"
        found = found.get("value") if known else None
    if isinstance(found, str):
        # As `openssl x509 -fingerprint` prints it, or without colons.
        with suppress(ValueError):
            found = bytes.fromhex(found.replace(":", ""))
    if isinstance(found, (bytes, bytearray)) and len(found) == 32:
        return bytes(found)
    raise ValueError(
        f"server_certificate_hashes has {value!r:.200}: the SHA-256 of a certificate "
        "expected, as 32 bytes, 64 hexadecimal digits, or "
        "{'algorithm': 'sha-256', 'value': bytes}"
    )


def _protocols(label: str, value: Any) -> tuple[str, ...]:
    return texts(label, value, "a subprotocol or a list of them")


def _timeout(label: str, value: Any) -> float | None:
    return None if value is None or value == 0 else _seconds(label, value)


_seconds = seconds()


def _extra(label: str, value: Any) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"{label}={value!r}: a dict or None expected")
    return value or {}


@takes()
@dataclass(kw_only=True, eq=False, repr=False)
class EngineClientConfig:
    """The options of Engine.IO clients.

    Names and defaults are python-engineio's where it has the option.

    Args:
        **options: See docs/options.md.

    Raises:
        ValueError: The option and the value that is not allowed.
    """

    logger: bool | AnyLogger = option(
        False,
        "Whether events of the connection are logged, or the logger to use.",
    )
    json: Any = option(
        None,
        "A module, or any object with ``dumps`` and ``loads``, that writes and reads "
        "JSON; see docs/encodings.md. ``None`` for the built-in JSON.",
    )
    request_timeout: float | None = option(
        5,
        "Seconds for a request of long-polling that the server is to answer at once. "
        "``None`` or 0 for no limit.",
        _timeout,
        unit="s",
    )
    http_session: Any = option(
        None,
        "What makes HTTP requests: an ``aiohttp.ClientSession``, a "
        "``requests.Session``, or a function that returns one. Its cookies, "
        "certificates and proxies hold for the WebSocket too. ``None`` for a session "
        "of the client's own.",
    )
    ssl_verify: bool | ssl.SSLContext = option(
        True,
        "Whether the server's certificate is verified, or the ``ssl.SSLContext`` to "
        "use.",
    )
    handle_sigint: bool = option(
        True,
        "Whether SIGINT disconnects a client for threads and ends ``wait()``.",
        switch(),
    )
    websocket_extra_options: Mapping[str, Any] | None = option(
        None,
        "Options of python-engineio for the WebSocket: ``headers``, ``subprotocols``, "
        "``ssl``, ``sslopt``, ``proxy`` and others; see docs/client.md.",
        _extra,
    )
    timestamp_requests: bool = option(
        True,
        "Whether each request of long-polling has a parameter ``t``, against caches.",
        switch(),
    )
    connect_timeout: float = option(
        20,
        "Seconds for an attempt to connect by one transport, and for the upgrade to "
        "another.",
        seconds(),
        unit="s",
    )
    upgrade: bool = option(
        True,
        "Whether a client that has connected by long-polling upgrades to WebSocket, or "
        "to WebTransport.",
        switch(),
    )
    remember_upgrade: bool = option(
        False,
        "Whether a client that has once upgraded begins with WebSocket when it "
        "connects again.",
        switch(),
    )
    try_all_transports: bool = option(
        False,
        "Whether the next transport is tried when the first cannot connect.",
        switch(),
    )
    proxy: str | Literal[False] | None = option(
        None,
        "The URL of the proxy to connect by: of http, https, socks4 or socks5. "
        "``None``: what the environment says (``HTTPS_PROXY``, ``NO_PROXY``, …). "
        "``False``: no proxy.",
    )
    webtransport_options: Mapping[str, Any] | None = option(
        None,
        "Options of WebTransport: ``server_certificate_hashes``, a list of the SHA-256 "
        "of the certificates that are accepted in the place of those of authorities; "
        "see docs/webtransport.md.",
        _webtransport,
    )
    query: Mapping[str, str] | None = option(
        None,
        "Parameters of each URL, beside those that the URL of the server has.",
        _query,
    )
    protocols: Iterable[str] | str = option(
        (),
        "The subprotocols that the WebSocket asks for.",
        _protocols,
    )
    per_message_deflate: bool | Mapping[str, Any] | DeflateOptions | None = option(
        True,
        "Whether compression of WebSocket messages (RFC 7692) is offered to the "
        "server: ``True``, or a dict of ``DeflateOptions``. Nothing is compressed "
        "unless the server accepts; see docs/client.md.",
        _deflate,
    )
    eio: int = option(
        4,
        "The revision of Engine.IO: 4, or 3 for servers of Socket.IO 2.",
        _revision,
    )
    force_base64: bool = option(
        False,
        "Whether binary data is sent as base64 in text, for proxies that pass on no "
        "binary.",
        switch(),
    )
    max_http_buffer_size: int = option(
        100_000_000,
        "The largest message or HTTP response that the server may send. With a larger "
        "one the client disconnects.",
        size,
        unit="bytes",
    )
    max_buffer_bytes: int = option(
        100_000_000,
        "The most bytes that may wait for the server to read them. With more, the "
        "client disconnects.",
        size,
        unit="bytes",
    )
    high_water_mark: int = option(
        1_048_576,
        "Bytes that wait for the server, above which ``await emit()`` waits.",
        size,
        unit="bytes",
    )

    def __post_init__(self) -> None:
        check_options(self)


@takes()
@dataclass(kw_only=True, eq=False, repr=False)
class ClientConfig:
    """The options of Socket.IO clients, beside those of Engine.IO clients.

    Names and defaults are python-socketio's where it has the option.

    Args:
        **options: See docs/options.md.

    Raises:
        ValueError: The option and the value that is not allowed.
    """

    reconnection: bool = option(
        True,
        "Whether the client connects again after it has lost its connection.",
        _reconnection,
    )
    reconnection_attempts: int = option(
        0,
        "How often it tries to; 0 for any number.",
        number("a number from 0 on", 0),
    )
    reconnection_delay: float = option(
        1,
        "Seconds before the first attempt. Each further delay is twice as long.",
        seconds("seconds", zero=True),
        unit="s",
    )
    reconnection_delay_max: float = option(
        5,
        "The most seconds between two attempts, unless the server asks for more by "
        "``Retry-After``.",
        seconds("seconds", zero=True),
        unit="s",
    )
    randomization_factor: float = option(
        0.5,
        "By which share each delay is made shorter or longer, at random, so that not "
        "all clients of a server that stopped come back at once.",
        _factor,
    )
    logger: bool | AnyLogger = option(
        False,
        "Whether events are logged, or the logger to use.",
    )
    serializer: str | type[Any] = option(
        "default",
        "How packets are encoded: ``'default'``, ``'msgpack'``, or a packet class; see "
        "docs/encodings.md. The server must use the same.",
    )
    json: Any = option(
        None,
        "A module, or any object with ``dumps`` and ``loads``, that writes and reads "
        "the JSON of packets; see docs/encodings.md. ``None`` for the built-in JSON.",
    )
    handle_sigint: bool = option(
        True,
        "Whether SIGINT disconnects a client for threads and ends ``wait()``.",
        switch(),
    )
    engineio_logger: bool | AnyLogger | None = option(
        None,
        "Whether events of the connection are logged, or the logger to use.",
    )
    offline_buffer: bool = option(
        True,
        "Whether events that are emitted while the connection is lost are kept and "
        "sent when there is one. ``False``: ``emit()`` raises ``BadNamespaceError`` "
        "then, as in python-socketio.",
        switch(),
    )
    max_offline_events: int = option(
        10_000,
        "The most events that are kept, of one namespace. ``emit()`` raises "
        "``OfflineBufferError`` for one more.",
        number("a number above 0", 1),
    )
    max_offline_bytes: int = option(
        16_777_216,
        "The most bytes that these events may have, of one namespace.",
        size,
        unit="bytes",
    )
    retries: int | None = option(
        None,
        "How often an event that the server has not acknowledged in ``ack_timeout`` is "
        "sent again; ``None`` or 0: events need no acknowledgement. See "
        "docs/client.md.",
        number("a number from 0 on, or None", 0, optional=True),
    )
    retry_ids: bool = option(
        False,
        "Whether events that are sent until they are acknowledged (``retries=``) have "
        "one more argument, an id (str) by which the server recognises one that it "
        "has had.",
        switch(),
    )
    ack_timeout: float | None = option(
        None,
        "Seconds to wait for an acknowledgement, where a call does not say; ``None``: "
        "without limit.",
        _timeout,
        unit="s",
    )
    max_attachments: int = option(
        10_000,
        "The most binary attachments of one message.",
        number("a number from 0 on", 0),
    )
    max_pending_acks: int = option(
        100_000,
        "The most acknowledgements that are waited for, of one namespace. With more, "
        "the oldest is given up.",
        number("a number above 0", 1),
    )
    validate_handlers: bool = option(
        True,
        "Whether handlers that are annotated with pydantic models, msgspec structs or "
        "dataclasses get validated arguments; see docs/validation.md.",
        switch(),
    )

    def __post_init__(self) -> None:
        check_options(self)
