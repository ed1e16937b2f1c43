"""The first request, by long-polling: the path, and what came instead."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from socketio_fast.clients.failures import error_chain
from socketio_fast.doctor import remedies
from socketio_fast.doctor.findings import Finding, Level, Remedy
from socketio_fast.doctor.link import Failed, Link, Reply
from socketio_fast.doctor.network import explain_certificate, speaks_tls
from socketio_fast.doctor.packets import Opened, opened
from socketio_fast.doctor.sessions import close_session

__all__ = ["TOO_MANY", "TOO_MANY_REMEDY", "Told", "check_polling", "other_path"]

#: Where servers have Engine.IO besides.
OTHER_PATHS = ("socket.io", "engine.io", "ws", "ws/socket.io", "api/socket.io")

#: What pages say that want a log-in for the network.
_PORTAL = re.compile(
    rb"type=.?password|captive|hotspot|wi-?fi|log.?in|sign.?in|portal|voucher",
    re.IGNORECASE,
)

#: Engine.IO's codes of refusals.
UNKNOWN_TRANSPORT = 0
BAD_REQUEST = 3
FORBIDDEN = 4
UNSUPPORTED_REVISION = 5


# The first request.


@dataclass(frozen=True)
class Told:
    """What a response to the first request means."""

    cause: str
    meaning: str
    remedy: Remedy
    level: Level = "problem"


async def check_polling(link: Link) -> tuple[Finding, Opened | None, Reply | None]:
    """Open a session by polling.

    Returns:
        What was found, the open packet, and the response.
    """
    target = link.target
    url = target.engine_url("polling")
    tried = f"GET {target.shown_path} (Engine.IO {target.eio}, polling)"
    try:
        reply = await link.get(url)
    except Failed as exc:
        told = await _explain_failure(link, exc)
        return Finding(
            "polling", "problem", told.cause, tried, exc.text, told.meaning,
            told.remedy, exc.seconds,
        ), None, None  # fmt: skip
    found = opened(reply.text, target.eio) if reply.status == 200 else None
    if found is not None and found.eio == target.eio:
        await close_session(link, found.sid)
        shown = f"an open packet, ping_interval {found.ping_interval:g} s, ping_timeout"
        came = f"{shown} {found.ping_timeout:g} s"
        finding = Finding("polling", "ok", "ok", tried, came, seconds=reply.seconds)
        return finding, found, reply
    told = _explain_revision(target.eio, found) or await _explain(link, reply)
    return Finding(
        "polling", told.level, told.cause, tried, reply.shown, told.meaning,
        told.remedy, reply.seconds,
    ), None, reply  # fmt: skip


async def _explain_failure(link: Link, failed: Failed) -> Told:
    target = link.target
    for each in error_chain(failed.error):
        # aiohttp's own has no code; that of ssl is inside it.
        if isinstance(each, ssl.SSLCertVerificationError) and hasattr(
            each, "verify_code"
        ):
            return Told(*explain_certificate(each))
    if target.proxy_url is not None:
        return Told(
            "proxy-failed",
            "The proxy of this machine does not bring the client to the server.",
            Remedy(
                "May it reach this host and port, and are its credentials right "
                "(--proxy URL)? Without it: --no-proxy, NO_PROXY in the environment."
            ),
        )
    name = type(failed.error).__name__
    if isinstance(failed.error, asyncio.TimeoutError) or "Timeout" in name:
        return await _explain_silence(link)
    if not target.secure and target.unix_path is None and await speaks_tls(target):
        return _TLS_EXPECTED
    return Told(
        "no-http",
        "What listens there does not answer HTTP as a server does, or closes the "
        "connection.",
        Remedy(
            "Is this the port of the server? If it expects the PROXY protocol "
            "(--proxy-protocol), only the proxy can reach it."
        ),
    )


_TLS_EXPECTED = Told(
    "tls-expected",
    "The port speaks TLS, and the URL says http.",
    Remedy("Write https:// rather than http://."),
)


async def _explain_silence(link: Link) -> Told:
    """The connection was accepted, and no response came."""
    # A server of Node.js without a handler for other paths never answers them.
    if (told := await other_path(link)) is not None:
        return told
    headers = {"Connection": "close"}
    url = link.target.engine_url("polling")
    try:
        await link.get(url, headers, link.target.patience)
    except Failed:
        return Told(
            "no-answer",
            "The connection is accepted, and no response comes: the process hangs, or "
            "its event loop is blocked; or a proxy holds responses back, or waits for "
            "a server that does not answer it.",
            Remedy(
                "See the log of the server: a handler that blocks the event loop is "
                "named there. Ask the server without the proxy: socketio-fast doctor "
                "http://127.0.0.1:PORT. If it answers, the proxy holds it back.",
                remedies.BUFFERING.configuration,
            ),
        )
    return Told(
        "buffered",
        "The response comes only if its connection ends with it: a proxy holds back "
        "what it has until its buffer is full, or the connection closes.",
        remedies.BUFFERING,
    )


def _explain_revision(asked: int, found: Opened | None) -> Told | None:
    if found is None or found.eio == asked:
        return None
    return Told(
        "eio3-server",
        "The server speaks revision 3 of Engine.IO alone: it is of Socket.IO 2, which "
        "clients of Socket.IO 3 and 4 do not understand.",
        Remedy(
            "Update the server to Socket.IO 4; or use a client of Socket.IO 2, or "
            "AsyncClient(eio=3), here --eio 3."
        ),
    )


async def _explain(link: Link, reply: Reply) -> Told:
    """A response that is no open packet."""
    if reply.status in (429, 503):
        return _STATUSES[reply.status]
    told = _explain_code(link, reply) or _explain_redirect(link, reply)
    if told is not None:
        return told
    if reply.status in (404, 405) or reply.status < 300:
        return await _explain_path(link, reply)
    if reply.status == 511:
        return _CAPTIVE_PORTAL
    if reply.status == 400 and b"HTTPS port" in reply.body:
        return _TLS_EXPECTED
    return _STATUSES.get(reply.status) or Told(
        "http-error",
        "The server, or a proxy, refuses the request."
        if reply.status < 500
        else "The server has failed.",
        Remedy("See the log of the server, and of the proxy."),
    )


def _explain_code(link: Link, reply: Reply) -> Told | None:
    """A refusal of an Engine.IO server."""
    target = link.target
    if reply.code == UNKNOWN_TRANSPORT:
        return Told(
            "polling-not-offered",
            "The server offers no long-polling; clients begin with it by default.",
            Remedy(
                'Let clients begin with WebSocket: transports: ["websocket"], here '
                '--transport websocket; or add "polling" to transports= of the server.'
            ),
            "warning" if "websocket" in target.transports else "problem",
        )
    if reply.code == UNSUPPORTED_REVISION:
        return Told(
            "eio3-refused",
            f"The server does not speak revision {target.eio} of Engine.IO"
            + (", which clients of Socket.IO 2 do." if target.eio == 3 else "."),
            Remedy(
                "Update the client to Socket.IO 4, or let the server speak revision 3 "
                "too: allow_eio3=True (allowEIO3 in Node.js)."
            ),
        )
    if reply.code in (BAD_REQUEST, FORBIDDEN) and b"origin" in reply.body.lower():
        return Told(
            "origin-refused",
            "The server does not allow the origin of this request.",
            Remedy("Add the origin to cors_allowed_origins= of the server."),
        )
    if reply.code is not None:
        return Told(
            "refused",
            "An Engine.IO server is there, and refuses the request: by a middleware, "
            "allow_request or a limit perhaps.",
            Remedy("See the log of the server (engineio_logger=True)."),
        )
    return None


def _explain_redirect(link: Link, reply: Reply) -> Told | None:
    location = reply.headers.get("Location")
    if not 300 <= reply.status < 400 or location is None:
        return None
    asked = urlsplit(link.target.engine_url("polling"))
    there = urlsplit(urljoin(asked.geturl(), location))
    if there.hostname != asked.hostname:
        if _PORTAL.search(location.encode()):
            return _CAPTIVE_PORTAL
        return Told(
            "redirect",
            "The request is sent to another host: to a log-in page (of the network, a "
            "captive portal, or of the site), or to where the site is now.",
            Remedy(
                "Open the URL in a browser here. Log in, or use the URL that it leads "
                "to. Exclude the path of Socket.IO from a proxy's log-in."
            ),
        )
    if (asked.scheme, there.scheme) == ("http", "https"):
        return Told(
            "redirect-to-https",
            "The server wants https. A client loses its POSTs by such a redirect, and "
            "WebSockets do not follow it.",
            Remedy("Write https:// in the URL of the client."),
        )
    return Told(
        "redirect",
        "The server sends the request to another path; clients do not follow with all "
        "of their requests.",
        Remedy(
            "Let the proxy pass the path on as it is, slash included.",
            remedies.PATH.configuration,
        ),
    )


_CAPTIVE_PORTAL = Told(
    "captive-portal",
    "A page came that asks for a log-in: of a network with a captive portal, or of a "
    "proxy before the server.",
    Remedy(
        "Open the URL in a browser here, and log in. If it is a log-in of the site, "
        "let the proxy pass the path of Socket.IO without it."
    ),
)


async def other_path(link: Link) -> Told | None:
    """Whether there is a server at another path: what to do then."""
    there = await _find_path(link)
    if there is None:
        return None
    return Told(
        "wrong-path",
        f"No Socket.IO server at {link.target.shown_path}; there is one at /{there}/.",
        Remedy(
            f"Use this path: --path {there} (path: '/{there}/' in JavaScript, "
            f"socketio_path='{there}' in Python); or have the server, or the "
            "proxy, serve the other.",
            remedies.PATH.configuration,
        ),
    )


async def _explain_path(link: Link, reply: Reply) -> Told:
    """Nobody speaks Engine.IO at this path: who does so at another?"""
    if (told := await other_path(link)) is not None:
        return told
    if reply.is_html and reply.status < 300 and _PORTAL.search(reply.body):
        return _CAPTIVE_PORTAL
    if reply.is_html and reply.status < 300:
        return Told(
            "html-page",
            "A web page came: the site answers every path with it, or a network's "
            "log-in page (a captive portal) does.",
            Remedy(
                "Is the host right? Let the proxy pass the path of Socket.IO on to the "
                "server, before what serves the page:",
                remedies.PATH.configuration,
            ),
        )
    return Told(
        "wrong-path",
        "What answers is no Socket.IO server, or it has another path.",
        Remedy(
            "Is the host right, and the port? Compare the client's path with the "
            "server's: run shows it when it starts. " + remedies.PATH.text,
            remedies.PATH.configuration,
        ),
    )


async def _find_path(link: Link) -> str | None:
    """Where an Engine.IO server is on this host."""
    target = link.target
    own = target.parts.path.strip("/") if target.unix_path is None else ""
    asked = target.path.strip("/")
    paths = [f"{own}/socket.io", own] if own else []
    paths += [*OTHER_PATHS, f"{asked.rpartition('/')[0]}/socket.io".strip("/")]
    others = [path for path in dict.fromkeys(paths) if path != asked]
    there = await asyncio.gather(*(_is_engine(link, path) for path in others))
    return next(
        (path for path, is_it in zip(others, there, strict=True) if is_it), None
    )


async def _is_engine(link: Link, path: str) -> bool:
    target = link.target
    try:
        url = target.engine_url("polling", path=path)
        reply = await link.get(url, timeout=target.patience)
    except Failed:
        return False
    found = opened(reply.text, target.eio) if reply.status == 200 else None
    if found is not None:
        await close_session(link, found.sid, path)
    return found is not None or reply.code is not None


TOO_MANY = "The server, or a proxy, has had too many requests of this address."
TOO_MANY_REMEDY = Remedy(
    "Wait, or raise limits= of the server, or the proxy's. This examination makes "
    "about 25 connections."
)

_STATUSES = {
    401: Told(
        "unauthorized",
        "The server, or a proxy before it, asks for credentials.",
        Remedy(
            "Give them: -H 'Authorization: …'; in clients headers= or extraHeaders."
        ),
    ),
    403: Told(
        "forbidden",
        "The server, or a proxy or firewall before it, forbids this.",
        Remedy("See which of them answers (Server, Via), and its rules and log."),
    ),
    407: Told(
        "proxy-unauthorized",
        "The proxy of this network asks for a name and a password.",
        Remedy("Give them: --proxy http://name:password@host:port."),
    ),
    429: Told(
        "too-many-requests",
        TOO_MANY,
        TOO_MANY_REMEDY,
    ),
    503: Told(
        "unavailable",
        "The server is overloaded or is stopping, or the proxy finds none that runs.",
        remedies.GATEWAY,
    ),
}
_STATUSES[502] = Told(
    "bad-gateway",
    "The proxy cannot reach the server, or the server has closed the connection.",
    remedies.GATEWAY,
)
_STATUSES[504] = Told(
    "gateway-timeout",
    "The server behind the proxy has not answered the proxy in time.",
    Remedy(
        "Is its event loop blocked, or the address wrong so that packets are lost? "
        "See its log."
    ),
)
