"""Connections that wait: who closes them before the server's heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp

from socketio_fast.coroutines import within
from socketio_fast.doctor import remedies
from socketio_fast.doctor.findings import Finding, Stopwatch
from socketio_fast.doctor.link import Failed, Link
from socketio_fast.doctor.packets import Opened, packets
from socketio_fast.doctor.sessions import UNKNOWN_SESSION, close_session
from socketio_fast.options.logs import escaped

__all__ = ["MOST", "check_idle_polling", "check_idle_websocket", "skipped"]

PING = "2"
PONG = "3"

#: Seconds beyond ``ping_interval`` in which the server's ping is to come.
LATE = 5.0

#: Seconds of ``ping_interval`` that are waited for, at most.
MOST = 120.0


async def check_idle_websocket(
    link: Link, ws: aiohttp.ClientWebSocketResponse, session: Opened
) -> Finding:
    """Say nothing by WebSocket until the server pings."""
    eio = link.target.eio
    longest = session.ping_interval + LATE

    async def wait() -> str | None:
        while True:
            if eio == 3:  # its clients ping
                await asyncio.sleep(session.ping_interval)
                await ws.send_str(PING)
            message = await ws.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                code = ws.close_code
                if message.type is aiohttp.WSMsgType.ERROR:
                    return escaped(message.data)
                # aiohttp's own word for a connection that was cut off.
                return f"closed, code {code}" if code not in (None, 1006) else "cut off"
            if message.data == (PONG if eio == 3 else PING):
                await ws.send_str(PONG)
                return None

    try:
        return await _waited("websocket", session, longest, wait)
    finally:
        with contextlib.suppress(asyncio.TimeoutError, aiohttp.ClientError, OSError):
            await within(ws.close(), 1.0)


async def check_idle_polling(link: Link, session: Opened) -> Finding:
    """Poll until the server pings."""
    target = link.target
    longest = session.ping_interval + LATE
    url = target.engine_url("polling", sid=session.sid)

    async def wait() -> str | None:
        while True:
            reply = await link.get(url, timeout=longest + LATE)
            if reply.code == UNKNOWN_SESSION:
                return f"{reply.shown}: the session has ended"
            if reply.status != 200:
                return reply.shown
            if PING in packets(reply.text, target.eio):
                return None

    try:
        return await _waited("polling", session, longest, wait)
    finally:
        await close_session(link, session.sid)


async def _waited(
    transport: str,
    session: Opened,
    longest: float,
    wait: Callable[[], Awaitable[str | None]],
) -> Finding:
    tried = f"an idle {transport} connection, {session.ping_interval:g} s to a ping"
    check = f"idle {transport}"
    watch = Stopwatch()
    try:
        ended = await within(_told(wait), longest)
    except asyncio.TimeoutError:
        return Finding(
            check,
            "problem",
            "no-ping",
            tried,
            f"no ping in {longest:g} s",
            "The connection is open, and packets of the server do not come through.",
            remedies.BUFFERING,
            watch.seconds,
        )
    if ended is None:
        return Finding(check, "ok", "ok", tried, "the ping came", seconds=watch.seconds)
    return Finding(
        check,
        "problem",
        "idle-timeout",
        tried,
        f"{ended}, after {watch.seconds:.1f} s",
        "A proxy or firewall ends connections on which nothing is said for so long: "
        "clients connect again and again.",
        remedies.idle_timeouts(session.ping_interval + session.ping_timeout),
        watch.seconds,
    )


async def _told(wait: Callable[[], Awaitable[str | None]]) -> str | None:
    try:
        return await wait()
    except Failed as exc:
        return exc.text
    except (aiohttp.ClientError, OSError) as exc:
        return escaped(exc) or type(exc).__name__


def skipped(why: str) -> Finding:
    """The finding where nothing is waited for.

    Args:
        why: Why not.
    """
    return Finding("idle", "skipped", "skipped", "an idle connection", why)
