"""The request that a client connected with, and what other processes may know of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from socketio_fast._core.socketio.peer_lifecycle import Peer

__all__ = ["Handshake", "describe", "handshake_of", "make_handshake"]


@dataclass(frozen=True)
class Handshake:
    """The request that a client connected with, and the ``auth`` that it sent."""

    #: The headers, names in lower case; those sent twice are joined.
    headers: dict[str, str]
    #: When the client joined the namespace, as ISO 8601 has it (UTC).
    time: str
    #: The address of the client.
    address: str
    #: Whether the request has an ``Origin`` header, as requests from web pages do.
    xdomain: bool
    #: Whether the connection is encrypted with TLS.
    secure: bool
    #: When the client joined, in seconds since 1970.
    issued: float
    #: The target of the request: path and query.
    url: str
    #: The parameters of the query; of those sent twice, the last.
    query: dict[str, str]
    #: What the client sent as ``auth``; ``{}`` if it sent nothing.
    auth: Any


def make_handshake(environ: Mapping[str, Any], issued: float, auth: Any) -> Handshake:
    """Builds the handshake of a client.

    Args:
        environ: The request as a WSGI environment.
        issued: When the client joined the namespace, in seconds since 1970.
        auth: What the client sent as ``auth``.
    """
    headers = {
        key[5:].lower().replace("_", "-"): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            headers[key.lower().replace("_", "-")] = environ[key]
    query = environ.get("QUERY_STRING", "")
    path = environ.get("PATH_INFO", "")
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(issued))
    return Handshake(
        headers=headers,
        time=f"{whole}.{int(issued % 1 * 1000):03}Z",
        address=environ.get("REMOTE_ADDR", ""),
        xdomain="origin" in headers,
        secure=environ.get("wsgi.url_scheme") in ("https", "wss"),
        issued=issued,
        url=environ.get("RAW_URI") or (f"{path}?{query}" if query else path),
        query=dict(parse_qsl(query, keep_blank_values=True)),
        auth={} if auth is None else auth,
    )


def handshake_of(peer: Peer) -> dict[str, Any]:
    """The handshake of a client as a dict, which other processes can be sent."""
    socket: Any = peer.socket
    issued = time.time() if socket is None else socket._issued
    return asdict(make_handshake(peer.session.environ, issued, peer.auth))


def describe(peer: Peer) -> dict[str, Any]:
    """What other processes may know of a client, as ``fetch_sockets()`` tells it."""
    data = peer.session.data or {}
    return {
        "id": peer.sid,
        "handshake": handshake_of(peer),
        "rooms": [peer.sid, *(peer.rooms or ())],
        "data": data.get(peer.namespace.name, {}),
    }
