"""CORS: whether a page of an origin may connect."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from socketio_fast.doctor import remedies
from socketio_fast.doctor.findings import Finding, Remedy, Stopwatch
from socketio_fast.doctor.link import Failed, Link, Reply, WebSocketRefused
from socketio_fast.options.logs import escaped

__all__ = ["check_origin", "check_origin_of_websocket"]

ALLOW = "Access-Control-Allow-Origin"
CREDENTIALS = "Access-Control-Allow-Credentials"


def _add_origin(origin: str) -> Remedy:
    return Remedy(
        f"cors_allowed_origins=[{origin!r}] of the server; cors: {{origin: "
        f"[{origin!r}]}} in Node.js."
    )


async def check_origin(link: Link, origin: str) -> list[Finding]:
    """Ask as a browser does for a page of this origin."""
    target = link.target
    tried = f"GET with Origin: {escaped(origin)}"
    if _mixed(link, origin):
        return [
            Finding(
                "cors",
                "problem",
                "mixed-content",
                tried,
                f"{target.shown} has no TLS",
                "Browsers refuse http and ws in a page of https.",
                Remedy("Serve TLS, and write https:// in the URL of the client."),
            )
        ]
    if origin == target.server_origin:
        return [
            Finding(
                "cors",
                "ok",
                "ok",
                tried,
                "the origin is the server's own",
                "Pages of the server itself need no CORS.",
            )
        ]
    url = target.engine_url("polling")
    try:
        reply = await link.get(url, {"Origin": origin})
    except Failed as exc:
        return [
            Finding(
                "cors",
                "problem",
                "cors-failed",
                tried,
                exc.text,
                "Without this header the server answers.",
                Remedy("See the log of the server, and of the proxy."),
                exc.seconds,
            )
        ]
    finding = _judge(tried, origin, reply)
    return [
        finding,
        *([] if finding.level == "problem" else await _preflight(link, origin)),
    ]


def _mixed(link: Link, origin: str) -> bool:
    target = link.target
    own = target.host in ("localhost", "127.0.0.1", "::1")
    return urlsplit(origin).scheme == "https" and not (target.secure or own)


def _judge(tried: str, origin: str, reply: Reply) -> Finding:
    allowed = [
        each.strip()
        for text in reply.all_headers.getall(ALLOW, ())
        for each in text.split(",")
    ]
    came = ", ".join(f"{ALLOW}: {escaped(each)}" for each in allowed)
    came = f"HTTP {reply.status}, {came or f'no {ALLOW}'}"
    credentials = reply.headers.get(CREDENTIALS, "").lower() == "true"
    if reply.status >= 400:
        return Finding(
            "cors",
            "problem",
            "cors-refused",
            tried,
            reply.shown,
            "The server does not allow this origin.",
            _add_origin(origin),
            reply.seconds,
        )
    if len(allowed) > 1:
        return Finding(
            "cors",
            "problem",
            "cors-twice",
            tried,
            came,
            "Browsers refuse more than one value: the server and the proxy both write "
            "the header.",
            remedies.ONE_ORIGIN,
            reply.seconds,
        )
    if not allowed:
        return Finding(
            "cors",
            "problem",
            "cors-missing",
            tried,
            came,
            "Browsers do not let the page read the response.",
            _add_origin(origin),
            reply.seconds,
        )
    if allowed == ["*"]:
        return Finding(
            "cors",
            "warning" if credentials else "note",
            "cors-any-origin",
            tried,
            came,
            "Pages of any origin may connect, but without cookies: browsers refuse * "
            "for a client with withCredentials.",
            _add_origin(origin),
            reply.seconds,
        )
    if allowed != [origin]:
        return Finding(
            "cors",
            "problem",
            "cors-other-origin",
            tried,
            came,
            "Another origin is allowed. Scheme, host and port must be the same, and no "
            "slash may be behind them.",
            _add_origin(origin),
            reply.seconds,
        )
    told = "with cookies" if credentials else "without cookies"
    return Finding(
        "cors",
        "ok",
        "ok",
        tried,
        came,
        f"Pages of this origin may connect, {told}.",
        seconds=reply.seconds,
    )


async def _preflight(link: Link, origin: str) -> list[Finding]:
    """What browsers ask first if the client has headers of its own."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    tried = "OPTIONS, as browsers ask before requests with extraHeaders"
    watch = Stopwatch()
    with contextlib.suppress(Failed):
        url = link.target.engine_url("polling")
        reply = await link.request("OPTIONS", url, headers=headers)
        allowed = reply.headers.get(ALLOW)
        names = reply.headers.get("Access-Control-Allow-Headers", "").lower()
        shown = f"no {ALLOW}" if allowed is None else f"{ALLOW}: {escaped(allowed)}"
        came = f"HTTP {reply.status}, {shown}"
        if names:
            came += f", Access-Control-Allow-Headers: {escaped(names)}"
        if reply.status < 300 and allowed in (origin, "*"):
            return [
                Finding("preflight", "ok", "ok", tried, came, seconds=watch.seconds)
            ]
        return [
            Finding(
                "preflight",
                "warning",
                "preflight-refused",
                tried,
                came,
                "Clients with extraHeaders, or a proxy's own headers, are refused by "
                "the browser; others are not.",
                Remedy("Let the proxy pass OPTIONS on to the server."),
                watch.seconds,
            )
        ]
    return []


async def check_origin_of_websocket(link: Link, origin: str) -> list[Finding]:
    """Open a WebSocket as a page of this origin."""
    tried = f"a WebSocket with Origin: {escaped(origin)}"
    watch = Stopwatch()
    try:
        ws = await link.websocket(link.target.engine_url("websocket"), origin)
    except WebSocketRefused as exc:
        finding = Finding(
            "cors of websocket",
            "problem",
            "cors-refused",
            tried,
            exc.reply.shown,
            "The server does not allow this origin.",
            _add_origin(origin),
            watch.seconds,
        )
    except Failed as exc:
        finding = Finding(
            "cors of websocket",
            "problem",
            "cors-failed",
            tried,
            exc.text,
            "Without this header the server answers.",
            Remedy("See the log of the server, and of the proxy."),
            watch.seconds,
        )
    else:
        await ws.close()
        finding = Finding(
            "cors of websocket", "ok", "ok", tried, "HTTP 101", seconds=watch.seconds
        )
    return [finding]
