"""What ``websocket_extra_options`` say, but for TLS (``tls``) and ``proxies``.

python-engineio passes them to aiohttp (``AsyncClient``) or to websocket-client
(``Client``). Here both kinds of names are understood, by either class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

__all__ = ["WebSocketExtras"]

#: What has a meaning here, in this module or in those of TLS and proxies.
_USED = frozenset(
    {
        *("headers", "header", "cookie", "origin", "auth", "host", "suppress_origin"),
        *("protocols", "subprotocols", "max_msg_size", "compress"),
        *("ssl", "ssl_context", "verify_ssl", "server_hostname", "sslopt"),
        *("proxy", "proxy_auth", "http_proxy_host", "http_proxy_port"),
        *("http_proxy_auth", "proxy_type"),
    }
)

#: What those libraries have besides; it is about how they work inside.
_IGNORED = frozenset(
    {
        *("method", "timeout", "receive_timeout", "autoclose", "autoping", "heartbeat"),
        *("params", "fingerprint", "proxy_headers", "decode_text", "class_", "sockopt"),
        *("fire_cont_frame", "enable_multithread", "skip_utf8_validation", "socket"),
        *("redirect_limit", "suppress_host", "connection", "dispatcher"),
        *("http_no_proxy", "http_proxy_timeout"),
    }
)


@dataclass(frozen=True)
class WebSocketExtras:
    """What is meant for the WebSocket alone."""

    #: Headers of its handshake, which replace those of ``connect()``.
    headers: dict[str, str] = field(default_factory=dict)
    #: Subprotocols.
    protocols: tuple[str, ...] = ()
    #: Bytes of a message; 0 for no limit, ``None``: the option is not given.
    max_message_size: int | None = None
    #: Whether messages are compressed; ``None``: the option is not given.
    compress: bool | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any] | None) -> WebSocketExtras:
        """Read ``websocket_extra_options``.

        Raises:
            ValueError: A name or a value is neither of the libraries'.
        """
        if not options:
            return _NONE
        _check_names(options)
        protocols = options.get("protocols") or options.get("subprotocols") or ()
        size = options.get("max_msg_size")
        compress = options.get("compress")
        return cls(
            _headers(options),
            (protocols,) if isinstance(protocols, str) else tuple(protocols),
            None if size is None else int(size),
            None if compress is None else bool(compress),
        )


_NONE = WebSocketExtras()


def _check_names(options: Mapping[str, Any]) -> None:
    if not isinstance(options, Mapping):
        raise ValueError(f"websocket_extra_options={options!r}: a dict expected")
    known = _USED | _IGNORED
    for name in options:
        if name not in known:
            close = get_close_matches(str(name), known, 1)
            meant = f"; do you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"websocket_extra_options: {name!r} is an option neither of aiohttp's "
                f"ws_connect() nor of websocket-client's create_connection(){meant}"
            )


def _headers(options: Mapping[str, Any]) -> dict[str, str]:
    headers = _pairs(options.get("header")) | _pairs(options.get("headers"))
    if options.get("cookie"):
        headers["Cookie"] = str(options["cookie"])
    if options.get("origin") and not options.get("suppress_origin"):
        headers["Origin"] = str(options["origin"])
    if options.get("host"):
        headers["Host"] = str(options["host"])
    if options.get("auth") is not None:
        headers["Authorization"] = options["auth"].encode()  # aiohttp.BasicAuth
    return headers


def _pairs(value: Any) -> dict[str, str]:
    """Headers as a mapping, as pairs, or as lines ``"Name: value"``."""
    if callable(value):
        value = value()  # websocket-client's
    if not value:
        return {}
    items = value.items() if hasattr(value, "items") else value
    found: dict[str, str] = {}
    for item in [items] if isinstance(items, str) else items:
        if isinstance(item, str):
            name, colon, text = item.partition(":")
            if not colon:
                raise ValueError(
                    f"websocket_extra_options: the header {item!r} is no 'Name: value'"
                )
        else:
            name, text = item
        if text is not None:
            found[str(name).strip()] = str(text).strip()
    return found
