"""Requests of clients by aiohttp, which is imported at the first of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from ssl import SSLContext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from socketio_fast._core.engine.writer import unread_bytes
from socketio_fast.clients.contracts import (
    PIECE,
    Answer,
    BodyTooLargeError,
    HttpOptions,
    Requests,
    http_url,
    merged_cookies,
    without_own,
)
from socketio_fast.clients.proxies import (
    ProxyOption,
    is_socks,
    proxy_for,
    proxy_of_websocket_options,
    shown_url,
)
from socketio_fast.clients.tls import insecure_context

if TYPE_CHECKING:
    import aiohttp

__all__ = ["AiohttpRequests"]

#: Redirects that are followed for one request, as aiohttp and browsers do about.
MAX_REDIRECTS = 10

#: Seconds after which an idle connection is not used again. Node's servers close theirs
#: after 5 s: a POST that crosses this would fail and end the session.
KEEP_ALIVE = 4.0


class AiohttpRequests(Requests):
    """By aiohttp.

    Args:
        session: The program's session, whose settings count where the options are
            silent; ``None`` for one of our own, made at the first request.
        options: The client's.
        owned: Whether :meth:`close` closes the program's session.
        unix_path: The path of the Unix socket where the server is.

    Raises:
        ValueError: The session is closed, is of another event loop, or has settings
            that an option contradicts.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None,
        options: HttpOptions,
        *,
        owned: bool = False,
        unix_path: str | None = None,
    ) -> None:
        super().__init__(options)
        self.unix_path = unix_path
        self._given = session is not None
        self._owned = owned or not self._given
        self._session = session
        self._context: SSLContext | None = None
        self._proxies: dict[tuple[str, str], str | None] = {}
        if session is not None:
            _check_aiohttp_session(session, options.proxy)
            self.unix_path = _unix_path(session, unix_path)
        if self.unix_path is not None and options.proxy:
            raise ValueError(
                f"proxy={shown_url(options.proxy)!r}, but the server is at the Unix "
                f"socket {self.unix_path!r}, which no proxy reaches; leave proxy= away"
            )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        timeout: float | None = None,
        begun: Callable[[Callable[[], int]], None] | None = None,
    ) -> Answer:
        import aiohttp

        if self._session is None:
            self._session = self._make_session(url)
        settings: dict[str, Any] = {"ssl": self._ssl(url)}
        if (proxy := self._chosen_proxy(url)) and not is_socks(proxy):
            settings["proxy"] = proxy
        if self._options.tls.server_hostname:
            settings["server_hostname"] = self._options.tls.server_hostname
        async with self._session.request(
            method,
            url,
            headers=headers,
            data=_body(body, begun),
            timeout=aiohttp.ClientTimeout(total=timeout),
            max_redirects=MAX_REDIRECTS,
            raise_for_status=False,
            **settings,
        ) as response:
            content = await self._read(response)
            return Answer(response.status, response.headers, content, str(response.url))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, which may not be larger than is allowed."""
        limit = self._options.max_http_buffer_size
        pieces: list[bytes] = []
        if (response.content_length or 0) > limit:
            response.close()
            raise BodyTooLargeError(limit)
        size = 0
        async for piece in response.content.iter_chunked(PIECE):
            size += len(piece)
            if size > limit:
                response.close()
                raise BodyTooLargeError(limit)
            pieces.append(piece)
        return b"".join(pieces)

    def _make_session(self, url: str) -> aiohttp.ClientSession:
        import aiohttp

        proxy = self._chosen_proxy(url)
        connector: aiohttp.BaseConnector
        if self.unix_path is not None:
            connector = aiohttp.UnixConnector(
                self.unix_path, keepalive_timeout=KEEP_ALIVE
            )
        elif proxy is not None and is_socks(proxy):
            from socketio_fast.clients.socks import SocksConnector

            connector = SocksConnector(proxy, keepalive_timeout=KEEP_ALIVE)
        else:
            connector = aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE)
        # Cookies of hosts that are addresses are kept too, and all as they came.
        jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=jar)
        # aiohttp sends a GET whose connection is lost again. The server may have
        # answered the first one, and its packets would be lost without a sign. There is
        # no public name for this.
        session._retry_connection = False
        return session

    def _ssl(self, url: str) -> SSLContext | bool:
        """What aiohttp takes; ``True`` for the settings of the session."""
        tls = self._options.tls
        if self._given:
            return tls.verify or True
        if url.startswith("https") or tls.verify or tls.websocket:
            return self._own_context()
        return True

    def _own_context(self) -> SSLContext:
        if self._context is None:
            self._context = self._options.tls.context()
        return self._context

    def _chosen_proxy(self, url: str) -> str | None:
        """The proxy that the options say; a session of the program has its own."""
        if self.unix_path is not None:
            return None
        if self._given and self._options.proxy is None:
            return None
        # Of a connection every request goes the same way; the environment is large.
        origin = urlsplit(url)[:2]
        if origin not in self._proxies:
            self._proxies[origin] = proxy_for(url, self._options.proxy)
        return self._proxies[origin]

    def _proxy_of(self, url: str) -> str | None:
        if proxy := self._chosen_proxy(url):
            return proxy
        session = self._session
        if not self._given or session is None:
            return None
        if proxy := _default_proxy(session):
            return proxy
        return proxy_for(url) if session.trust_env else None

    def cookies_for(self, url: str, header: str | None = None) -> str | None:
        kept = ""
        if self._session is not None:
            from yarl import URL

            jar = self._session.cookie_jar.filter_cookies(URL(http_url(url)))
            kept = "; ".join(f"{m.key}={m.coded_value}" for m in jar.values())
        return merged_cookies(header, kept)

    def _websocket_headers(self, url: str) -> dict[str, str]:
        if not self._given or self._session is None:
            return {}
        headers = without_own(self._session.headers)
        auth = self._session.auth
        if auth and not any(name.lower() == "authorization" for name in headers):
            headers["Authorization"] = auth.encode()
        return headers

    def _session_context(self, url: str) -> SSLContext:
        connector = self._session.connector if self._given and self._session else None
        found = getattr(connector, "_ssl", True)
        if found is False:
            return insecure_context()
        return found if isinstance(found, SSLContext) else self._own_context()

    async def close(self) -> None:
        if self._session is not None and self._owned:
            await self._session.close()


def _body(
    body: str | bytes | None, begun: Callable[[Callable[[], int]], None] | None
) -> Any:
    """What aiohttp takes as a body."""
    if body is None or begun is None:
        return body
    payload = _payload_class()(
        BytesIO(body.encode() if isinstance(body, str) else body)
    )
    payload.begun = begun
    return payload


@cache
def _payload_class() -> Any:
    import aiohttp

    class Payload(aiohttp.BytesIOPayload):
        """A body that tells how much of it has left, and by which connection."""

        begun: Callable[[Callable[[], int]], None]

        async def write_with_length(self, writer: Any, length: int | None) -> None:
            transport, body = writer.transport, self._value
            size = len(body.getbuffer())
            if transport is not None:
                self.begun(lambda: size - body.tell() + unread_bytes(transport))
            await super().write_with_length(writer, length)

    return Payload


def _default_proxy(session: aiohttp.ClientSession) -> str | None:
    """The ``proxy=`` and ``proxy_auth=`` of a session, with which it was made."""
    proxy = getattr(session, "_default_proxy", None)
    auth = getattr(session, "_default_proxy_auth", None)
    return proxy_of_websocket_options({"proxy": proxy, "proxy_auth": auth})


def _unix_path(session: aiohttp.ClientSession, wanted: str | None) -> str | None:
    """The path of the Unix socket that a session connects to, if it does."""
    import aiohttp

    connector = session.connector
    path = connector.path if isinstance(connector, aiohttp.UnixConnector) else None
    if wanted is not None and path != wanted:
        raise ValueError(
            f"the URL names the Unix socket {wanted!r}, and the aiohttp.ClientSession "
            "of http_session= has a connector of its own; make it with "
            "aiohttp.UnixConnector(path), or leave http_session= away"
        )
    return path


def _check_aiohttp_session(session: aiohttp.ClientSession, proxy: ProxyOption) -> None:
    if session.closed:
        raise ValueError(
            "the aiohttp.ClientSession of http_session= is closed; give an open one, "
            "or a function that makes one"
        )
    loop = getattr(session, "_loop", None)
    if loop is not None and loop is not asyncio.get_running_loop():
        raise ValueError(
            "the aiohttp.ClientSession of http_session= was made in another event "
            "loop; give a function that makes one, it is called in the client's loop"
        )
    if proxy and is_socks(proxy):
        raise ValueError(
            f"proxy={shown_url(proxy)!r} needs a connector of its own, and the "
            "aiohttp.ClientSession of http_session= has one; make the session with "
            "aiohttp_socks.ProxyConnector, or leave http_session= away"
        )
    if proxy is False and (session.trust_env or _default_proxy(session)):
        raise ValueError(
            "proxy=False, but the aiohttp.ClientSession of http_session= has a proxy, "
            "or takes one from the environment; make it without proxy= and trust_env="
        )
