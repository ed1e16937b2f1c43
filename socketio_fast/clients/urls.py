"""The URLs of a client's requests."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

__all__ = ["engine_url", "unix_path"]

_SCHEMES = ("http", "https", "ws", "wss", "unix")

#: The host that a server on a Unix socket is told.
_UNIX_HOST = "localhost"


def engine_url(
    url: str,
    path: str,
    transport: str,
    *,
    eio: int = 4,
    sid: str | None = None,
    query: Mapping[str, str] | None = None,
    base64: bool = False,
    timestamp: bool = False,
) -> str:
    """The URL of a request to Engine.IO.

    Args:
        url: The server's, of http, https, ws, wss or unix. Its query is kept; what it
            has for a path is not used, as in python-socketio; but see
            :func:`unix_path`.
        path: The path of Engine.IO, such as ``"socket.io"``.
        transport: ``"polling"``, ``"websocket"`` or ``"webtransport"``.
        eio: The revision of the protocol.
        sid: The session; ``None`` for a new one.
        query: More parameters.
        base64: Whether the server is asked to send no binary.
        timestamp: Whether ``t`` is added, against caches.

    Raises:
        ValueError: The URL has no scheme that is known, or no host.
    """
    parts = urlsplit(url)
    if unix_path(url) is not None:
        parts = parts._replace(netloc=_UNIX_HOST)
    if parts.scheme not in _SCHEMES or not parts.netloc:
        raise ValueError(
            f"url={url!r:.200}: the URL of a server expected, such as "
            "'http://127.0.0.1:5000' or 'https://example.com'"
        )
    secure = "s" if parts.scheme in ("https", "wss") else ""
    scheme = ("ws" if transport == "websocket" else "http") + secure
    fields = {**(query or {}), "transport": transport, "EIO": str(eio)}
    if sid is not None:
        fields["sid"] = sid
    if base64:
        fields["b64"] = "1"
    if timestamp:
        fields["t"] = str(time.time())
    text = urlencode(fields)
    if parts.query:
        text = f"{parts.query}&{text}"
    stripped = path.strip("/")
    return urlunsplit(
        (scheme, parts.netloc, f"/{stripped}/" if stripped else "/", text, "")
    )


def unix_path(url: str) -> str | None:
    """The path of the Unix socket that a URL such as ``unix:///run/app.sock`` names.

    Returns:
        The path, percent-decoded; ``None`` for the URL of another scheme.

    Raises:
        ValueError: It is no absolute path; or this is Windows.
    """
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return None
    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or "\0" in path:
        raise ValueError(
            f"url={url!r:.200}: the absolute path of a Unix socket expected, with "
            "three slashes: 'unix:///run/app.sock'"
        )
    if sys.platform == "win32":
        raise ValueError(
            f"url={url!r:.200}: Python has no Unix sockets on Windows; the URL of a "
            "server that listens on a TCP port expected, such as "
            "'http://127.0.0.1:5000'"
        )
    return path
