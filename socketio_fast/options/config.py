"""The options of Engine.IO servers: checked once, then frozen."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from socketio_fast.options.amounts import real
from socketio_fast.options.cluster import check_cluster
from socketio_fast.options.declare import (
    as_options,
    check_options,
    declared,
    number,
    one_of,
    option,
    seconds,
    size,
    switch,
    takes,
    texts,
)
from socketio_fast.options.limits import Limits
from socketio_fast.options.origins import ORIGIN, origin_pattern
from socketio_fast.serving.proxies import TrustedProxies

if TYPE_CHECKING:
    from socketio_fast.options.logs import AnyLogger

__all__ = [
    "DeflateOptions",
    "EngineConfig",
    "EngineServerConfig",
    "is_ordered",
]

#: All transports.
TRANSPORTS = ("polling", "websocket", "webtransport")
#: Those of a server that names none.
DEFAULT_TRANSPORTS = ("polling", "websocket")

#: A type of ``async_handlers``; ``"ordered"`` is ``False``, but allows ``call()``.
AsyncHandlers = bool | Literal["ordered"]

MiB = 1024 * 1024
DEFLATE = "per_message_deflate: "


@takes()
@dataclass(frozen=True, slots=True, kw_only=True)
class DeflateOptions:
    """Options of permessage-deflate (RFC 7692).

    Args:
        **options: See docs/options.md.

    Raises:
        ValueError: The option and the value that is not allowed.
    """

    threshold: int = option(
        1024,
        "Size of a message in bytes from which on it is compressed.",
        number("0 or more", 0),
        unit="bytes",
    )
    server_no_context_takeover: bool = option(
        True,
        "Whether each message is compressed by itself, so that a broadcast is "
        "compressed once and no connection has a compressor. A client that asks for "
        "this gets it in any case.",
        switch(),
    )
    client_no_context_takeover: bool = option(
        True, "Whether clients are told to compress each message by itself.", switch()
    )
    server_max_window_bits: int = option(
        15,
        "The largest window that the server compresses with, 9 to 15 bits.",
        number("9 to 15", 9, 15),
    )
    client_max_window_bits: int = option(
        15,
        "The largest window that clients may compress with, 9 to 15 bits. With less "
        "than 15, the offer of a client that cannot limit its window is declined.",
        number("9 to 15", 9, 15),
    )
    level: int = option(
        1,
        "The level of compression, 1 (fast) to 9 (small), as zlib's.",
        number("1 to 9", 1, 9),
    )
    mem_level: int = option(8, "zlib's ``memLevel``, 1 to 9.", number("1 to 9", 1, 9))

    def __post_init__(self) -> None:
        check_options(self, DEFLATE)


def _deflate(label: str, given: Any) -> DeflateOptions | None:
    return as_options(DeflateOptions, label, given)


def _initial_packet(label: str, packet: Any) -> str | bytes | None:
    if not isinstance(packet, (str, bytes, type(None))):
        raise ValueError(f"{label}={packet!r}: str, bytes or None expected")
    return packet


def _threshold(label: str, given: Any) -> float | None:
    if given is None:
        return None
    expected = "seconds expected, 0 or None for no warnings"
    try:
        return seconds(zero=True)(label, given) or None
    except ValueError:
        raise ValueError(f"{label}={given!r}: {expected}") from None


def _limits(label: str, limits: Any) -> Limits | None:
    if limits is not None and not isinstance(limits, Limits):
        raise ValueError(f"{label}={limits!r}: a socketio_fast.Limits expected")
    return limits


def _cookie(label: str, cookie: Any) -> dict[str, Any] | None:
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
                    f"{label}: {part!r} has a line break, which would end the header"
                )
        return attributes
    raise ValueError(f"{label}={cookie!r}: None, a name or a dict expected")


def _origins(label: str, origins: Any) -> tuple[str, ...] | Callable[..., bool] | None:
    if origins is None:
        return None
    if callable(origins):
        try:
            takes_environ = len(inspect.signature(origins).parameters) > 1
        except ValueError:
            takes_environ = True
        if takes_environ:
            return origins  # type: ignore[no-any-return]
        return lambda origin, environ: origins(origin)
    names = texts(label, origins, "None, an origin, a list of origins or a function")
    origin_pattern(names)  # which refuses patterns that match too much
    return names


def _proxies(label: str, proxies: Any) -> TrustedProxies | None:
    if not proxies:
        return None
    if isinstance(proxies, TrustedProxies):
        return proxies
    try:
        return TrustedProxies(proxies)
    except (TypeError, ValueError) as exc:
        raise ValueError(
            f"{label}={proxies!r}: addresses, networks, 'unix' or '*' expected: {exc}"
        ) from None


def _transports(label: str, transports: Any) -> tuple[str, ...]:
    if transports is None:
        return DEFAULT_TRANSPORTS
    names = texts(label, transports, f"None, or some of {TRANSPORTS}")
    known = tuple(name for name in names if name in TRANSPORTS)
    if not known:
        raise ValueError(
            f"{label}={transports!r}: no valid transports, known are {TRANSPORTS}"
        )
    return known


def check_async_handlers(label: str, given: Any) -> AsyncHandlers:
    """A check for ``async_handlers``."""
    if isinstance(given, str) and given != "ordered":
        raise ValueError(f"{label}={given!r}: True, False or 'ordered' expected")
    return given  # type: ignore[no-any-return]


def is_ordered(async_handlers: AsyncHandlers) -> bool:
    """Whether the handlers of one client run one after another."""
    return not async_handlers or async_handlers == "ordered"


def _allow_request(label: str, function: Any) -> Callable[..., Any] | None:
    if function is not None and not callable(function):
        raise ValueError(f"{label}={function!r}: a function or None expected")
    return function  # type: ignore[no-any-return]


@takes()
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """The options of Engine.IO that the compiled core reads.

    Names and defaults are python-engineio's where it has the option.

    Args:
        **options: See docs/options.md.

    Raises:
        ValueError: The option and the value that is not allowed.
    """

    ping_interval: float | tuple[float, float] = option(
        25,
        "Seconds between a client's answer to a ping and the next ping. A pair adds a "
        "grace period, in seconds, to the interval that the client is told.",
        seconds(),
        unit="s",
    )
    ping_timeout: float = option(
        20, "Seconds that a client has to answer a ping.", seconds(), unit="s"
    )
    upgrade_timeout: float = option(
        10,
        "Seconds that an upgrade from polling to WebSocket may take.",
        seconds(),
        unit="s",
    )
    max_http_buffer_size: int = option(
        1_000_000,
        "The largest message and the largest body of a POST request, in bytes.",
        size,
        unit="bytes",
    )
    max_buffer_bytes: int = option(
        16 * MiB,
        "Bytes that may wait for a client to read them. A client for which more wait "
        "is disconnected.",
        size,
        unit="bytes",
    )
    high_water_mark: int = option(
        1 * MiB,
        "Bytes that wait for a client from which on it counts as slow.",
        size,
        unit="bytes",
    )
    slow_consumer: Literal["close", "drop_volatile", "drop_oldest", "block"] = option(
        "close",
        "What is done about a slow client, see docs/flow-control.md. ``'close'``: "
        "nothing until more than ``max_buffer_bytes`` wait. ``'drop_volatile'`` and "
        "``'drop_oldest'`` drop messages, ``'block'`` lets senders wait.",
        one_of("close", "drop_volatile", "drop_oldest", "block"),
    )
    max_pending_events: int = option(
        1000,
        "Events of one client whose handlers may be under way. With more, the "
        "connection is not read until half of them have ended.",
        number("a number greater than 0", 1),
    )
    max_pending_bytes: int = option(
        16 * MiB,
        "Bytes of events of one client whose handlers may be under way, likewise.",
        size,
        unit="bytes",
    )
    allow_upgrades: bool = option(
        True, "Whether a client may go from polling to WebSocket."
    )
    http_compression: bool = option(
        True,
        "Whether responses to polls are compressed: with brotli if it is installed, "
        "gzip or deflate.",
    )
    compression_threshold: int = option(
        1024,
        "Size of such a response in bytes from which on it is compressed.",
        number("0 bytes or more", 0),
        unit="bytes",
    )
    per_message_deflate: bool | Mapping[str, Any] | DeflateOptions | None = option(
        False,
        "Whether WebSocket messages are compressed (RFC 7692) for clients that offer "
        "it: ``True``, or a dict of ``DeflateOptions``; see docs/compression.md.",
        _deflate,
    )
    cookie: str | Mapping[str, Any] | None = option(
        None,
        "A cookie that holds the Engine.IO id: its name, which gives it the path ``/`` "
        "and ``SameSite=Lax``, or a dict of its ``name`` (``io``) and attributes. "
        "``None`` for no cookie.",
        _cookie,
        as_given=True,
    )
    cors_allowed_origins: str | Sequence[str] | Callable[..., bool] | None = option(
        None,
        "The origins whose pages may connect: ``None`` for the server's own, ``'*'`` "
        "for all, an origin, a list of origins, or a function of the origin and the "
        "environ. ``'https://*.example.com'`` stands for every host below "
        "``example.com``. An empty list switches the check off.",
        _origins,
        as_given=True,
    )
    cors_credentials: bool = option(
        True, "Whether pages of other origins may send cookies."
    )
    transports: str | Sequence[str] | None = option(
        None,
        "The transports that are served, of ``'polling'``, ``'websocket'`` and "
        "``'webtransport'`` (docs/webtransport.md). ``None`` for the first two.",
        _transports,
    )
    limits: Limits | None = option(
        None,
        "What clients and addresses may ask for, a ``socketio.Limits``. ``None`` for "
        "its defaults.",
        _limits,
    )
    allow_eio3: bool = option(
        False,
        "Whether clients of revision 3 of the protocol, Socket.IO 2, are served too; "
        "see docs/old-clients.md.",
        switch(),
    )
    allow_jsonp: bool | None = option(
        None,
        "Whether long-polling by scripts and forms (JSONP) is served. ``None``: where "
        "``allow_eio3`` is set.",
        switch(optional=True),
    )
    trusted_proxies: str | Sequence[str] | TrustedProxies | None = option(
        (),
        "The proxies whose ``X-Forwarded-*`` headers say who a client is: addresses "
        "and networks, ``'unix'`` for Unix sockets, ``'*'`` for every peer; or a "
        "``TrustedProxies``, which can name the header ``Forwarded`` instead. See "
        "docs/deployment.md.",
        _proxies,
    )
    slow_handler_threshold: float | None = option(
        0.1,
        "Seconds that a handler may hold up the event loop, from its call to its first "
        "``await`` or between two of them, before a WARNING names it, once a minute. "
        "``None`` or 0: no warnings.",
        _threshold,
        unit="s",
        settable=False,
    )
    initial_packet: str | bytes | None = option(
        None,
        "A message that each client gets behind the open packet.",
        _initial_packet,
    )
    # Seconds that clients are told on top of ping_interval, which sets it.
    ping_grace: float = 0
    # Options that servers show as they were given; see Option.as_given.
    given: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.given is None:
            names = [
                name for name, each in declared(EngineConfig).items() if each.as_given
            ]
            self._set("given", {name: getattr(self, name) for name in names})
        if isinstance(self.ping_interval, tuple):
            if len(self.ping_interval) != 2:
                raise ValueError(
                    f"ping_interval={self.ping_interval!r}: seconds, or a pair of the "
                    "interval and its grace period expected"
                )
            interval, grace = self.ping_interval
            self._set("ping_interval", interval)
            self._set("ping_grace", grace)
        more = real(self.ping_grace)
        if more is None or not 0 <= more < float("inf"):
            raise ValueError(
                f"ping_interval: grace {self.ping_grace!r}, 0 s or more expected"
            )
        self._set("ping_grace", more)
        check_options(self)

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
    def has_webtransport(self) -> bool:
        """Whether WebTransport is one of the transports."""
        return "webtransport" in (self.transports or ())

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
        cookie: Any = self.cookie
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


@takes()
@dataclass(kw_only=True, eq=False, repr=False)
class EngineServerConfig:
    """The other options of Engine.IO servers, which their constructors read.

    Args:
        **options: See docs/options.md.
    """

    async_mode: str | None = option(
        None,
        "``'asgi'``, ``'aiohttp'``, ``'sanic'`` or ``'tornado'``; ``None`` for "
        "``'asgi'``. Each of them can host the server, whatever is given. Servers for "
        "threads take ``'threading'`` or ``None``.",
    )
    logger: bool | AnyLogger = option(
        False,
        "Whether events of connections are logged, or the logger to use: of logging, "
        "loguru, structlog, or any object with the methods ``info``, ``warning`` and "
        "``error``.",
    )
    json: Any = option(
        None,
        "A module, or any object with ``dumps`` and ``loads``, that writes and reads "
        "messages that are lists or dicts. ``None`` for the built-in JSON.",
    )
    async_handlers: AsyncHandlers = option(
        True,
        "Whether a client's next handler may start before its last has ended. Handlers "
        "start in the order in which its messages came. ``False`` or ``'ordered'``: "
        "one after another.",
        check_async_handlers,
    )
    monitor_clients: bool | None = option(
        None, "Accepted as python-engineio's; clients are always monitored."
    )
    cluster: str | None = option(
        None,
        "``'unix:'`` and a directory, where the processes that serve one port of this "
        "machine find each other, so that long-polling needs no sticky sessions; see "
        "docs/scaling.md. ``None``: the variable ``SOCKETIO_FAST_CLUSTER`` says it, "
        "which ``run(workers=)`` sets, or there is one process.",
        check_cluster,
    )
    allow_request: Callable[..., Any] | None = option(
        None,
        "A function or coroutine function that is asked with the environ of a "
        "handshake whether the client may connect. It returns a bool, or raises "
        "``RequestRefusedError``.",
        _allow_request,
    )

    def __post_init__(self) -> None:
        check_options(self)
