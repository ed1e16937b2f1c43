"""Configuration of the Engine.IO layer: validated once, then frozen."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from socketio_fast.options.amounts import real, whole
from socketio_fast.options.limits import Limits
from socketio_fast.options.origins import ORIGIN, origin_pattern
from socketio_fast.serving.proxies import TrustedProxies

__all__ = ["DeflateOptions", "EngineConfig"]

# What there is, and what is served without being named.
TRANSPORTS = ("polling", "websocket", "webtransport")
DEFAULT_TRANSPORTS = ("polling", "websocket")
# Options that are asked for as they were given.
GIVEN = ("cookie", "cors_allowed_origins")
BYTES = "bytes greater than 0"
COUNTS = (
    ("max_http_buffer_size", 1, BYTES),
    ("max_buffer_bytes", 1, BYTES),
    ("high_water_mark", 1, BYTES),
    ("max_pending_bytes", 1, BYTES),
    ("max_pending_events", 1, "a number greater than 0"),
    ("compression_threshold", 0, "0 bytes or more"),
)
SLOW_CONSUMER = ("close", "drop_volatile", "drop_oldest", "block")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflateOptions:
    """Options of permessage-deflate (RFC 7692).

    Args:
        threshold: Bytes of a message from which on it is compressed (1024).
        server_no_context_takeover: Whether each message is compressed by itself, so
            that a broadcast is compressed once and no connection has a compressor
            (True). A client that asks for it gets it in any case.
        client_no_context_takeover: Whether clients are told to do the same (True).
        server_max_window_bits: Window to compress with, at most, 9 to 15 (15).
        client_max_window_bits: Window that clients may use, 9 to 15 (15). With less,
            offers of clients that cannot limit theirs are declined.
        level: Of zlib, 1 to 9 (1).
        mem_level: Of zlib, 1 to 9 (8).

    Raises:
        ValueError: The option and the value that is not allowed.
    """

    threshold: int = 1024
    server_no_context_takeover: bool = True
    client_no_context_takeover: bool = True
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15
    level: int = 1
    mem_level: int = 8

    def __post_init__(self) -> None:
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(
                    f"per_message_deflate: {name}={getattr(self, name)!r}: "
                    "True or False expected"
                )
        for name, least, most in (
            ("threshold", 0, float("inf")),
            ("server_max_window_bits", 9, 15),
            ("client_max_window_bits", 9, 15),
            ("level", 1, 9),
            ("mem_level", 1, 9),
        ):
            value = getattr(self, name)
            number = whole(value)
            if number is None or not least <= number <= most:
                between = f"{least} to {most}" if name != "threshold" else "0 or more"
                raise ValueError(
                    f"per_message_deflate: {name}={value!r}: {between} expected"
                )
            object.__setattr__(self, name, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Options of an Engine.IO server, with python-engineio's names and defaults.

    Args:
        ping_interval: Seconds between a client's answer to a ping and the next ping
            (25). A pair adds a grace period to what the client is told.
        ping_timeout: Seconds for a client to answer a ping (20).
        upgrade_timeout: Seconds for an upgrade to WebSocket to complete (10).
        max_http_buffer_size: Bytes of one message or POST body, at most (1,000,000).
        max_buffer_bytes: Bytes that may wait for a client to read them; with more it
            is closed (16 MiB).
        high_water_mark: Bytes that wait for a client from which on it is slow (1 MiB).
        slow_consumer: What becomes of a slow client, see docs/flow-control.md:
            ``"close"``, nothing before ``max_buffer_bytes``; ``"drop_volatile"``;
            ``"drop_oldest"``; ``"block"``. It is closed beyond ``max_buffer_bytes`` in
            any case.
        max_pending_events: Events of one client whose handlers have not ended; with
            more its connection is not read until half of them have (1000).
        max_pending_bytes: Bytes of such events, likewise (16 MiB).
        allow_upgrades: Whether a client may go from polling to WebSocket.
        http_compression: Whether poll responses are compressed: with brotli if that
            is installed, gzip, deflate.
        compression_threshold: Bytes from which on they are (1024).
        per_message_deflate: Whether WebSocket messages are compressed for clients that
            offer it: ``False``, ``True``, or a dict of :class:`DeflateOptions`.
        cookie: ``None``; the name of a cookie that holds the Engine.IO id, with path
            ``/`` and ``SameSite=Lax``, and, as python-socketio's, without ``HttpOnly``
            and ``Secure``; or a dict of its name (``io``) and attributes.
        cors_allowed_origins: ``None`` for the server's own origin, ``"*"`` for all, an
            origin, a list of them, or a callable ``(origin[, environ]) -> bool``. An
            empty list switches the check off. ``"https://*.example.com"`` is every host
            below ``example.com``.
        cors_credentials: Whether cookies may be sent from other origins.
        initial_packet: A message for each client, behind the open packet: ``str`` or
            ``bytes``; ``None`` for none.
        transports: ``None`` for ``"polling"`` and ``"websocket"``, or some of these and
            ``"webtransport"``, see docs/webtransport.md.
        limits: What clients and addresses may ask for, a
            :class:`socketio_fast.options.limits.Limits`; ``None`` for its defaults.
        allow_eio3: Whether clients of revision 3 of the protocol, Socket.IO 2, are
            served too (``False``).
        allow_jsonp: Whether long-polling by scripts and forms (JSONP) is served;
            ``None``: where clients of revision 3 are.
        trusted_proxies: Whose ``X-Forwarded-*`` headers say who a client is: addresses
            and networks, ``"unix"``, ``"*"``; nobody's (``()``). Or a
            :class:`socketio_fast.serving.proxies.TrustedProxies`, which it becomes, and
            which may name ``Forwarded`` instead; ``None`` if there are none.
        slow_handler_threshold: Seconds that a handler may hold up the event loop, from
            its call to its first ``await`` or between two of them, before a WARNING
            names it, once a minute (0.1). ``None`` or 0: nothing is said.

    Raises:
        ValueError: The option and the value that is not allowed.
    """

    ping_interval: float | tuple[float, float] = 25
    ping_timeout: float = 20
    upgrade_timeout: float = 10
    max_http_buffer_size: int = 1_000_000
    max_buffer_bytes: int = 16 * 1024 * 1024
    high_water_mark: int = 1024 * 1024
    slow_consumer: str = "close"
    max_pending_events: int = 1000
    max_pending_bytes: int = 16 * 1024 * 1024
    allow_upgrades: bool = True
    http_compression: bool = True
    compression_threshold: int = 1024
    per_message_deflate: Any = None
    cookie: Any = None
    cors_allowed_origins: Any = None
    cors_credentials: bool = True
    initial_packet: str | bytes | None = None
    transports: Any = None
    limits: Limits | None = None
    allow_eio3: bool = False
    allow_jsonp: bool | None = None
    trusted_proxies: Any = ()
    slow_handler_threshold: float | None = 0.1
    # Seconds that clients are told on top of ping_interval; not an option.
    ping_grace: float = 0
    # What some options were before they became what they are here; not an option.
    given: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.given is None:
            self._set("given", {name: getattr(self, name) for name in GIVEN})
        if isinstance(self.ping_interval, tuple):
            interval, grace = self.ping_interval
            self._set("ping_interval", interval)
            self._set("ping_grace", grace)
        for name in ("ping_interval", "ping_timeout", "upgrade_timeout"):
            value = getattr(self, name)
            seconds = real(value)
            if seconds is None or not 0 < seconds < float("inf"):
                raise ValueError(f"{name}={value!r}: seconds greater than 0 expected")
            self._set(name, seconds)
        seconds = real(self.ping_grace)
        if seconds is None or not 0 <= seconds < float("inf"):
            raise ValueError(
                f"ping_interval: grace {self.ping_grace!r}, 0 s or more expected"
            )
        self._set("ping_grace", seconds)
        for name, least, expected in COUNTS:
            value = getattr(self, name)
            number = whole(value)
            if number is None or number < least:
                raise ValueError(f"{name}={value!r}: {expected} expected")
            self._set(name, number)
        if self.slow_consumer not in SLOW_CONSUMER:
            raise ValueError(
                f"slow_consumer={self.slow_consumer!r}: one of {SLOW_CONSUMER} expected"
            )
        self._set("per_message_deflate", _deflate(self.per_message_deflate))
        if not isinstance(self.allow_eio3, bool):
            raise ValueError(f"allow_eio3={self.allow_eio3!r}: True or False expected")
        if not isinstance(self.allow_jsonp, (bool, type(None))):
            raise ValueError(
                f"allow_jsonp={self.allow_jsonp!r}: True, False or None expected"
            )
        if not isinstance(self.initial_packet, (str, bytes, type(None))):
            raise ValueError(
                f"initial_packet={self.initial_packet!r}: str, bytes or None expected"
            )
        if self.slow_handler_threshold is not None:
            value = real(self.slow_handler_threshold)
            if value is None or not 0 <= value < float("inf"):
                raise ValueError(
                    f"slow_handler_threshold={self.slow_handler_threshold!r}: seconds "
                    "expected, 0 or None for no warnings"
                )
            self._set("slow_handler_threshold", value or None)
        self._set("cookie", _cookie(self.cookie))
        self._set("cors_allowed_origins", _origins(self.cors_allowed_origins))
        if isinstance(self.cors_allowed_origins, tuple):
            origin_pattern(self.cors_allowed_origins)  # which may refuse them
        self._set("transports", _transports(self.transports))
        self._set("trusted_proxies", _proxies(self.trusted_proxies))
        if self.limits is not None and not isinstance(self.limits, Limits):
            raise ValueError(f"limits={self.limits!r}: a socketio_fast.Limits expected")

    @property
    def jsonp(self) -> bool:
        """Whether JSONP is served."""
        return self.allow_eio3 if self.allow_jsonp is None else self.allow_jsonp

    @property
    def max_namespaces(self) -> int:
        """Namespaces that a connection may be in; -1: there is no limit."""
        most = (self.limits or Limits()).namespaces_per_connection
        return -1 if most is None else most

    @property
    def origin_pattern(self) -> re.Pattern[str] | None:
        """What the patterns of ``cors_allowed_origins`` match; ``None`` without any."""
        origins = self.cors_allowed_origins
        return origin_pattern(origins) if isinstance(origins, tuple) else None

    @property
    def weaknesses(self) -> list[str]:
        """What of the options a deployment may not want."""
        found = []
        origins = self.cors_allowed_origins
        for origin in origins if isinstance(origins, tuple) else ():
            if origin not in ("*", "null") and not ORIGIN.fullmatch(origin):
                found.append(
                    f"cors_allowed_origins: {origin!r} is no origin, and allows "
                    "nothing: browsers send a scheme, a host, and perhaps a port, as "
                    "in 'https://example.com', without a slash behind"
                )
        if isinstance(origins, tuple) and "*" in origins and self.cors_credentials:
            found.append(
                "cors_allowed_origins='*' lets pages of every origin connect with the "
                "cookies of their visitors: name the origins, or pass "
                "cors_credentials=False"
            )
        cookie = _cookie(self.cookie)
        if cookie is not None and "httponly" not in map(str.lower, cookie):
            name = cookie.get("name", "io")
            found.append(
                f"the cookie {name!r} is readable by scripts, and sent without TLS "
                f"too: cookie={{'name': {name!r}, 'path': '/', 'SameSite': 'Lax', "
                "'HttpOnly': True, 'Secure': True}, the last with TLS"
            )
        return found

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def _deflate(options: Any) -> DeflateOptions | None:
    if options is None or options is False:
        return None
    if options is True:
        return DeflateOptions()
    if isinstance(options, DeflateOptions):
        return options
    if not isinstance(options, Mapping):
        raise ValueError(
            f"per_message_deflate={options!r}: True, False or a dict expected"
        )
    known = DeflateOptions.__slots__
    for name in options:
        if name not in known:
            raise ValueError(
                f"per_message_deflate: {name!r} is not an option, those are {known}"
            )
    return DeflateOptions(**options)


def _cookie(cookie: str | Mapping[str, Any] | None) -> dict[str, Any] | None:
    if cookie is None:
        return None
    if isinstance(cookie, (str, Mapping)):
        attributes = (
            {"name": cookie, "path": "/", "SameSite": "Lax"}
            if isinstance(cookie, str)
            else dict(cookie)
        )
        for part in (*attributes, *attributes.values()):
            if isinstance(part, str) and ("\r" in part or "\n" in part):
                raise ValueError(
                    f"cookie: {part!r} has a line break, which would end the header"
                )
        return attributes
    raise ValueError(f"cookie={cookie!r}: None, a name or a dict expected")


def _origins(origins: Any) -> tuple[str, ...] | Callable[..., bool] | None:
    if origins is None:
        return None
    if isinstance(origins, str):
        return (origins,)
    if callable(origins):
        try:
            takes_environ = len(inspect.signature(origins).parameters) > 1
        except ValueError:
            takes_environ = True
        if takes_environ:
            return origins  # type: ignore[no-any-return]
        return lambda origin, environ: origins(origin)
    return tuple(origins)


def _proxies(proxies: Any) -> TrustedProxies | None:
    if not proxies:
        return None
    if isinstance(proxies, TrustedProxies):
        return proxies
    try:
        return TrustedProxies(proxies)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            f"trusted_proxies={proxies!r}: addresses, networks, 'unix' or '*' "
            f"expected: {exc}"
        ) from None


def _transports(transports: Any) -> tuple[str, ...]:
    if transports is None:
        return DEFAULT_TRANSPORTS
    names = (transports,) if isinstance(transports, str) else tuple(transports)
    known = tuple(name for name in names if name in TRANSPORTS)
    if not known:
        raise ValueError(
            f"transports={transports!r}: no valid transports, known are {TRANSPORTS}"
        )
    return known
