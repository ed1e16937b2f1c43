"""WebSocket: the handshake, packets at once, and the upgrade from polling."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

import aiohttp

from socketio_fast.coroutines import within
from socketio_fast.doctor import remedies
from socketio_fast.doctor.findings import Finding, Remedy, Stopwatch
from socketio_fast.doctor.link import Failed, Link, Reply, WebSocketRefused
from socketio_fast.doctor.packets import (
    Opened,
    connect_answer,
    connect_packet,
    opened,
)
from socketio_fast.doctor.polling import TOO_MANY, TOO_MANY_REMEDY, other_path
from socketio_fast.doctor.sessions import (
    UNKNOWN_SESSION,
    close_session,
    joined,
    not_sticky,
    open_session,
    slow_connect,
)
from socketio_fast.options.logs import escaped

__all__ = ["check_upgrade", "check_websocket", "handshake_refused"]

WebSocket = aiohttp.ClientWebSocketResponse

PROBE = "2probe"
PROBE_ANSWER = "3probe"
UPGRADED = "5"


class _Closed(Exception):
    """The WebSocket has been closed."""


async def _message(ws: WebSocket, seconds: float) -> str | None:
    """The next message of text; ``None`` if none comes in time.

    Raises:
        _Closed: None will come.
    """
    try:
        message = await within(ws.receive(), seconds)
    except asyncio.TimeoutError:
        return None
    if message.type is aiohttp.WSMsgType.TEXT:
        return str(message.data)
    if message.type is aiohttp.WSMsgType.BINARY:
        return ""
    if message.type is aiohttp.WSMsgType.ERROR:
        raise _Closed(escaped(message.data))
    code = ws.close_code
    raise _Closed(f"it was closed, code {code}" if code else "it was cut off")


async def _send(ws: WebSocket, packet: str) -> None:
    """Send a packet.

    Raises:
        _Closed: The connection has ended.
    """
    try:
        await ws.send_str(packet)
    except (aiohttp.ClientError, OSError) as exc:
        raise _Closed(f"it was cut off ({escaped(exc)})") from exc


def handshake_refused(
    check: str, tried: str, reply: Reply, text: str, seconds: float
) -> Finding:
    """The finding of a handshake that was answered otherwise."""
    if reply.code == UNKNOWN_SESSION:
        return not_sticky(check, tried, reply.shown, seconds)
    came = reply.shown
    if reply.status == 101:
        came = f"HTTP 101, which is no WebSocket's ({escaped(text)})"
        cause, meaning = "websocket-altered", "A proxy has changed the response."
        remedy = remedies.UPGRADE
    elif reply.status == 429:
        cause, meaning, remedy = "too-many-requests", TOO_MANY, TOO_MANY_REMEDY
    elif reply.code == 0:
        cause, meaning = "websocket-not-offered", "The server offers no WebSocket."
        remedy = Remedy(
            'Add "websocket" to transports= of the server, or let clients use polling '
            'alone: transports: ["polling"].'
        )
    elif reply.code in (3, 4) and b"origin" in reply.body.lower():
        cause, meaning = "origin-refused", "The server does not allow the origin."
        remedy = Remedy("Add the origin to cors_allowed_origins= of the server.")
    elif reply.code == 3 or reply.status in (200, 426):
        cause = "upgrade-stripped"
        meaning = (
            "What reached the server was no WebSocket handshake: a proxy removes the "
            "headers Upgrade and Connection, or speaks HTTP/1.0 or HTTP/2 to it."
        )
        remedy = remedies.UPGRADE
    elif reply.status in (401, 403):
        cause = "websocket-forbidden"
        meaning = "The server, or a proxy or firewall before it, forbids WebSockets."
        remedy = Remedy("Allow WebSockets in the proxy, firewall or CDN.")
    elif reply.status in (502, 503, 504):
        cause = "websocket-gateway"
        meaning = "The proxy cannot pass a WebSocket on to the server."
        remedy = remedies.UPGRADE
    else:
        cause = "websocket-refused"
        meaning = "WebSockets are answered by something else than the server."
        remedy = remedies.UPGRADE
    return Finding(check, "problem", cause, tried, came, meaning, remedy, seconds)


async def check_websocket(
    link: Link,
) -> tuple[Finding, WebSocket | None, Opened | None]:
    """Open a session by WebSocket, and join the namespace.

    Returns:
        What was found; the WebSocket, if it goes on, and its open packet.
    """
    target = link.target
    tried = f"a WebSocket at {target.shown_path}"
    watch = Stopwatch()
    try:
        ws = await link.websocket(target.engine_url("websocket"))
    except WebSocketRefused as exc:
        finding = handshake_refused(
            "websocket", tried, exc.reply, exc.text, watch.seconds
        )
        if exc.reply.status == 404 and "polling" not in target.transports:
            # Where clients poll, the path has been asked for before.
            told = await other_path(link)
            if told is not None:
                finding = replace(
                    finding,
                    cause=told.cause,
                    meaning=told.meaning,
                    remedy=told.remedy,
                )
        return finding, None, None
    except Failed as exc:
        return Finding(
            "websocket",
            "problem",
            "websocket-failed",
            tried,
            exc.text,
            "The handshake of a WebSocket brings no response.",
            remedies.UPGRADE,
            exc.seconds,
        ), None, None  # fmt: skip
    finding, found = await _first_packets(link, ws, tried, watch)
    if finding.level in ("ok", "warning") and not ws.closed:
        return finding, ws, found
    await _close(ws)
    return finding, None, found


async def _first_packets(
    link: Link, ws: WebSocket, tried: str, watch: Stopwatch
) -> tuple[Finding, Opened | None]:
    target = link.target
    found = None
    try:
        text = await _message(ws, target.patience)
        if text is None:
            return _held_back(
                tried, "HTTP 101, and then no open packet", watch.seconds
            ), None
        found = opened(text, target.eio)
        if found is None:
            return _closed(tried, f"{escaped(text)} came", watch), None
        if target.eio == 3:  # the namespace / is joined without being asked for
            return Finding(
                "websocket", "ok", "ok", tried, "an open packet", seconds=watch.seconds
            ), found
        return await _join(link, ws, tried, watch), found
    except _Closed as exc:
        return _closed(tried, f"HTTP 101, and then {exc}", watch), found


async def _join(link: Link, ws: WebSocket, tried: str, watch: Stopwatch) -> Finding:
    """Join the namespace by a WebSocket that is open.

    Raises:
        _Closed: It has been closed.
    """
    target = link.target
    await _send(ws, connect_packet(target.namespace, target.auth, target.eio))
    while (text := await _message(ws, target.patience)) is not None:
        answer = connect_answer(text, target.namespace)
        if answer is not None:
            return joined("websocket", tried, *answer, watch)
        if text == "2":
            await _send(ws, "3")
    came = f"an open packet, and no answer to CONNECT in {target.patience:g} s"
    return slow_connect("websocket", tried, came, watch.seconds)


def _held_back(tried: str, came: str, seconds: float) -> Finding:
    return Finding(
        "websocket",
        "problem",
        "websocket-buffered",
        tried,
        came,
        "The handshake succeeds, and packets of the server do not come through: a "
        "proxy holds back what it reads, or is connected to something else.",
        remedies.BUFFERING,
        seconds,
    )


def _closed(tried: str, came: str, watch: Stopwatch) -> Finding:
    return Finding(
        "websocket",
        "problem",
        "websocket-closed",
        tried,
        came,
        "The handshake succeeds, and the connection ends: a proxy or firewall that "
        "does not know WebSockets, or a server that refuses the session.",
        Remedy(
            "See the log of the server (engineio_logger=True). If it tells of no "
            "session, a proxy ends the connection.",
            remedies.UPGRADE.configuration,
        ),
        watch.seconds,
    )


async def _close(ws: WebSocket) -> None:
    with contextlib.suppress(asyncio.TimeoutError, aiohttp.ClientError, OSError):
        await within(ws.close(), 1.0)


async def check_upgrade(link: Link, session: Opened) -> Finding:
    """Open a session by polling, and go on by WebSocket.

    Args:
        link: What makes requests.
        session: The open packet of an earlier session.
    """
    target = link.target
    tried = "the upgrade from polling to WebSocket"
    if "websocket" not in session.upgrades:
        return Finding(
            "upgrade",
            "warning",
            "upgrade-not-offered",
            tried,
            f"the server offers the upgrades {list(session.upgrades)}",
            "Clients that begin with polling stay with it.",
            Remedy(
                'transports= of the server is to have "websocket", and allow_upgrades= '
                "to be True."
            ),
        )
    watch = Stopwatch()
    try:
        fresh = await open_session(link)
    except Failed as exc:
        return _upgrade_failed(tried, exc.text, "Polling works only sometimes.", watch)
    try:
        ws = await link.websocket(target.engine_url("websocket", sid=fresh.sid))
    except WebSocketRefused as exc:
        await close_session(link, fresh.sid)
        return handshake_refused("upgrade", tried, exc.reply, exc.text, watch.seconds)
    except Failed as exc:
        return _upgrade_failed(tried, exc.text, "The handshake fails.", watch)
    try:
        await _send(ws, PROBE)
        answer = await _message(ws, target.patience)
        if answer != PROBE_ANSWER:
            came = f"no answer in {target.patience:g} s"
            if answer is not None:
                came = f"{escaped(answer)} came"
            return _upgrade_failed(
                tried,
                f"probe sent, {came}",
                "Packets do not get through the upgraded connection.",
                watch,
            )
        await _send(ws, UPGRADED)
    except _Closed as exc:
        return _upgrade_failed(
            tried, f"probe sent, {exc}", "The connection ends.", watch
        )
    finally:
        await _close(ws)
    return Finding(
        "upgrade", "ok", "ok", tried, "probe answered", seconds=watch.seconds
    )


def _upgrade_failed(tried: str, came: str, meaning: str, watch: Stopwatch) -> Finding:
    return Finding(
        "upgrade",
        "problem",
        "upgrade-failed",
        tried,
        came,
        meaning,
        remedies.UPGRADE,
        watch.seconds,
    )
