"""Requests to the server, each on a connection of its own, and what they bring."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from socketio_fast.clients.contracts import BodyTooLargeError, merged_headers
from socketio_fast.clients.failures import failed_attempt
from socketio_fast.clients.proxies import is_socks
from socketio_fast.coroutines import within
from socketio_fast.doctor.findings import Stopwatch
from socketio_fast.doctor.target import Target
from socketio_fast.options.logs import escaped

__all__ = ["Failed", "Link", "Reply", "WebSocketRefused"]

#: Bytes of a response that are read.
MOST_BODY = 1_000_000

#: What clients ask for. aiohttp would ask for the opposite, as it closes connections.
_KEPT_OPEN = {"Connection": "keep-alive"}

#: Characters of a response that are shown.
SHOWN = 160


class Failed(Exception):
    """No response came.

    Attributes:
        error: What was raised.
        text: What it means, in words.
        seconds: How long it took.
    """

    def __init__(self, error: BaseException, text: str, seconds: float) -> None:
        super().__init__(text)
        self.error = error
        self.text = text
        self.seconds = seconds


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    headers: Mapping[str, str]
    #: All values of each header.
    all_headers: Any
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def shown(self) -> str:
        """What came, for people."""
        return shown_response(self.status, self.headers, self.body)

    @property
    def is_html(self) -> bool:
        """Whether it is a page."""
        kind = self.headers.get("Content-Type", "")
        return "html" in kind.lower() and self.body.lstrip()[:1] == b"<"

    @property
    def code(self) -> int | None:
        """Engine.IO's error code, if this is a refusal of its server."""
        if self.status < 400 or len(self.body) > SHOWN * 10:
            return None
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        code = value.get("code") if isinstance(value, dict) else None
        return code if type(code) is int else None


def shown_response(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """A response for people, escaped and cut off."""
    told = f"HTTP {status}"
    if location := headers.get("Location"):
        told += f", Location: {escaped(location)}"
    text = body[: SHOWN * 4].decode("utf-8", "replace").strip()
    if text:
        more = "…" if len(text) > SHOWN else ""
        told += f": {escaped(text, SHOWN)}{more}"
    return told


class WebSocketRefused(Exception):
    """The handshake of a WebSocket was answered with something else.

    Attributes:
        reply: The response.
        text: What aiohttp says.
    """

    def __init__(self, reply: Reply, text: str) -> None:
        super().__init__(text)
        self.reply = reply
        self.text = text


class Link:
    """Makes requests as the target's clients do. An async context manager.

    Args:
        target: Where to.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Link:
        proxy = self.target.proxy_url
        connector: aiohttp.BaseConnector
        # Each request has a connection of its own, which may reach another process.
        if self.target.unix_path is not None:
            connector = aiohttp.UnixConnector(self.target.unix_path, force_close=True)
        elif proxy is not None and is_socks(proxy):
            from socketio_fast.clients.socks import SocksConnector

            connector = SocksConnector(proxy, force_close=True)
        else:
            connector = aiohttp.TCPConnector(force_close=True, limit=0)
        jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar)
        self._session._retry_connection = False
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """GET a URL.

        Raises:
            Failed: Nothing, or not all, has come.
        """
        return await self.request("GET", url, headers=headers, timeout=timeout)

    async def post(self, url: str, body: str) -> Reply:
        """POST packets.

        Raises:
            Failed: Nothing, or not all, has come.
        """
        kind = {"Content-Type": "text/plain;charset=UTF-8"}
        return await self.request("POST", url, headers=kind, body=body)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """Make a request; redirects are not followed.

        Raises:
            Failed: Nothing, or not all, has come.
        """
        assert self._session is not None
        watch = Stopwatch()
        seconds = timeout or self.target.timeout
        try:
            async with self._session.request(
                method,
                url,
                headers=merged_headers(_KEPT_OPEN, self.target.headers, headers or {}),
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
                **self._settings(),
            ) as response:
                content = await _read(response)
                return Reply(
                    response.status, response.headers, response.headers, content,
                    watch.seconds,
                )  # fmt: skip
        except (aiohttp.ClientError, OSError, ValueError, BodyTooLargeError) as exc:
            raise self._failed(exc, url, seconds, watch) from exc
        except asyncio.TimeoutError as exc:
            raise self._failed(exc, url, seconds, watch) from exc

    async def websocket(
        self, url: str, origin: str | None = None
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket.

        Raises:
            WebSocketRefused: The server, or a proxy, has answered otherwise.
            Failed: Nothing has come.
        """
        assert self._session is not None
        watch = Stopwatch()
        seconds = self.target.timeout
        try:
            return await within(
                self._session.ws_connect(
                    url,
                    headers=self.target.headers,
                    origin=origin,
                    autoping=True,
                    max_msg_size=MOST_BODY,
                    **self._settings(),
                ),
                seconds,
            )
        except aiohttp.WSServerHandshakeError as exc:
            raise await self._refused(exc, url, origin, watch) from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise self._failed(exc, url, seconds, watch) from exc
        except asyncio.TimeoutError as exc:
            raise self._failed(exc, url, seconds, watch) from exc

    async def _refused(
        self,
        error: aiohttp.WSServerHandshakeError,
        url: str,
        origin: str | None,
        watch: Stopwatch,
    ) -> WebSocketRefused:
        """With the body of the response, which aiohttp has not kept: it asks again."""
        headers: Any = error.headers or {}
        reply = Reply(error.status, headers, headers, b"", watch.seconds)
        handshake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        if origin is not None:
            handshake["Origin"] = origin
        if error.status != 101:
            try:
                again = await self.get(url, handshake, self.target.patience)
            except Failed:
                pass
            else:
                if again.status == error.status:
                    reply = again
        return WebSocketRefused(reply, error.message)

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        if self.target.secure:
            settings["ssl"] = self.target.context
        proxy = self.target.proxy_url
        if proxy is not None and not is_socks(proxy):
            settings["proxy"] = proxy
        return settings

    def _failed(
        self, error: BaseException, url: str, seconds: float, watch: Stopwatch
    ) -> Failed:
        unix = self.target.unix_path
        way = f"unix://{unix}" if unix is not None else self.target.proxy_url
        told = failed_attempt(
            error, url, timeout=seconds, timeout_name="--connect-timeout", proxy=way
        )
        return Failed(error, str(told.args[0]), watch.seconds)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, as far as it is of interest."""
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_chunked(65_536):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BODY:
            break
    return b"".join(pieces)
