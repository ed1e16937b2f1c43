"""The examination: which checks there are, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from socketio_fast._version import __version__
from socketio_fast.clients.proxies import shown_url
from socketio_fast.doctor.findings import Finding, Remedy
from socketio_fast.doctor.idle import (
    MOST,
    check_idle_polling,
    check_idle_websocket,
    skipped,
)
from socketio_fast.doctor.link import Link
from socketio_fast.doctor.network import check_dns, check_tcp, check_tls
from socketio_fast.doctor.origins import check_origin, check_origin_of_websocket
from socketio_fast.doctor.packets import Opened
from socketio_fast.doctor.polling import check_polling
from socketio_fast.doctor.sessions import (
    check_cache,
    check_delivery,
    check_revisions,
    check_sessions,
)
from socketio_fast.doctor.target import Target
from socketio_fast.doctor.websockets import check_upgrade, check_websocket

__all__ = ["examine"]


async def examine(target: Target) -> AsyncIterator[Finding]:
    """Try what a client does, step by step.

    What a step needs has to work: after a name without an address nothing else is
    tried.

    Args:
        target: The server.

    Yields:
        What each step has found, as soon as it has.
    """
    async with Link(target) as link:
        examination = _Examination(link)
        try:
            async for finding in examination.run():
                yield finding
        finally:
            await examination.stop()


class _Examination:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._target = link.target
        #: Those that wait for the heartbeat meanwhile.
        self._waiting: list[asyncio.Task[Finding]] = []
        #: Whether each request finds its session.
        self._sessions_work = True
        self._too_long = False

    async def run(self) -> AsyncIterator[Finding]:
        target = self._target
        yield self._begin()
        async for finding in self._network():
            yield finding
            if finding.level == "problem":
                return
        session: Opened | None = None
        polls = "polling" in target.transports
        if polls:
            async for found in self._polling():
                if isinstance(found, Opened):
                    session = found
                    continue
                finding = found
                yield finding
                if finding.level == "problem" and finding.check == "polling":
                    return
        websocket_works = False
        if "websocket" in target.transports:
            finding = await self._websocket()
            yield finding
            websocket_works = finding.level != "problem"
        if session is not None and websocket_works and self._sessions_work:
            yield await check_upgrade(self._link, session)
        async for finding in self._origins(session is not None, websocket_works):
            yield finding
        if not target.idle:
            yield skipped("not waited for: --no-idle")
        elif self._too_long:
            yield skipped(f"not waited for: ping_interval is more than {MOST:g} s")
        for task in self._waiting:
            yield await task

    async def stop(self) -> None:
        """End what still waits."""
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    def _begin(self) -> Finding:
        target = self._target
        came = f"socketio_fast {__version__}"
        if target.proxy_url is not None:
            came += f", by the proxy {shown_url(target.proxy_url)}"
        path = "" if target.unix_path is not None else target.parts.path.strip("/")
        if not path or path == target.path.strip("/"):
            return Finding("url", "ok", "ok", target.shown, came)
        return Finding(
            "url",
            "note",
            "path-in-url",
            target.shown,
            came,
            f"The path /{path} of the URL is not where clients connect: JavaScript "
            "takes it for a namespace, Python ignores it.",
            Remedy(f"If the server is below it, write --path {path}/socket.io."),
        )

    async def _network(self) -> AsyncIterator[Finding]:
        target = self._target
        if target.proxy_url is not None:
            return  # it looks the name up, and connects
        addresses: list[str] = []
        if target.unix_path is None:
            finding, addresses = await check_dns(target)
            yield finding
            if not addresses:
                return
        finding = await check_tcp(target, addresses)
        yield finding
        if target.secure and finding.level != "problem":
            yield await check_tls(target)

    async def _polling(self) -> AsyncIterator[Finding | Opened]:
        finding, session, reply = await check_polling(self._link)
        yield finding
        if session is None or reply is None:
            return
        yield session
        yield await check_revisions(self._link, reply)
        cache = await check_cache(self._link)
        yield cache
        if cache.level == "problem":
            self._sessions_work = False
            return
        sessions = await check_sessions(self._link)
        yield sessions
        self._sessions_work = sessions.level != "problem"
        if not self._sessions_work or self._target.eio == 3:
            return
        delivery, joined = await check_delivery(self._link)
        yield delivery
        if joined is not None and self._waits_for(session):
            waits = Opened(
                joined, session.eio, (), session.ping_interval, session.ping_timeout
            )
            self._wait(check_idle_polling(self._link, waits))

    async def _websocket(self) -> Finding:
        finding, ws, session = await check_websocket(self._link)
        if ws is not None and session is not None:
            if self._waits_for(session):
                self._wait(check_idle_websocket(self._link, ws, session))
            else:
                await ws.close()
        return finding

    def _waits_for(self, session: Opened) -> bool:
        """Whether a ping is waited for."""
        self._too_long = self._too_long or session.ping_interval > MOST
        return self._target.idle and session.ping_interval <= MOST

    def _wait(self, check: Coroutine[Any, Any, Finding]) -> None:
        self._waiting.append(asyncio.ensure_future(check))

    async def _origins(self, polling: bool, websocket: bool) -> AsyncIterator[Finding]:
        origin = self._target.origin
        if origin is None:
            return
        if polling:
            for finding in await check_origin(self._link, origin):
                yield finding
        if websocket:
            for finding in await check_origin_of_websocket(self._link, origin):
                yield finding
