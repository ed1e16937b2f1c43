"""HTTP requests of clients: for long-polling, and what the WebSocket needs of them.

``http_session=`` decides which library makes the requests, and with which settings.
aiohttp is imported at the first request, requests not at all: who gives a session of it
has imported it.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ssl import CERT_NONE, SSLContext
from typing import TYPE_CHECKING, Any

from socketio_fast.clients.proxies import (
    ProxyOption,
    is_socks,
    proxy_for,
    proxy_of_websocket_options,
    proxy_url,
    shown_url,
)
from socketio_fast.clients.tls import (
    TlsOptions,
    insecure_context,
    requests_context,
)
from socketio_fast.clients.websocket_options import WebSocketExtras

if TYPE_CHECKING:
    import aiohttp
    import requests

__all__ = [
    "AiohttpRequests",
    "Answer",
    "BodyTooLargeError",
    "HttpOptions",
    "Requests",
    "RequestsRequests",
    "WebSocketOptions",
    "requests_for",
]

#: Redirects that are followed for one request, as aiohttp and browsers do about.
MAX_REDIRECTS = 10

#: Seconds after which an idle connection is not used again. Node's servers close theirs
#: after 5 s: a POST that crosses this would fail and end the session.
KEEP_ALIVE = 4.0

#: Bytes of a response that are read at a time.
PIECE = 65_536

#: Headers that a library sets for its own requests, not for a WebSocket's handshake.
_OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "cookie", "host"}
)


class BodyTooLargeError(Exception):
    """The body of a response is larger than ``max_http_buffer_size``.

    Args:
        limit: That option, in bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body of the response is larger than {limit} bytes")
        self.limit = limit


@dataclass(frozen=True)
class Answer:
    """A response, whole."""

    status: int
    #: Their names are compared without regard to case.
    headers: Mapping[str, str]
    body: bytes
    #: Where it is from, after redirects.
    url: str


@dataclass(frozen=True)
class WebSocketOptions:
    """What is to be used for a WebSocket to a URL."""

    #: Those of the session, which headers of ``connect()`` replace; without ``Cookie``,
    #: see :meth:`Requests.cookies_for`.
    headers: dict[str, str] = field(default_factory=dict)
    #: ``None`` for ws.
    ssl: SSLContext | None = None
    #: The name that the certificate must have; ``None``: the host of the URL.
    server_hostname: str | None = None
    proxy: str | None = None


@dataclass(frozen=True)
class HttpOptions:
    """The options of a client that its requests depend on."""

    tls: TlsOptions
    #: ``proxy=``.
    proxy: ProxyOption = None
    #: The proxy that ``websocket_extra_options`` have.
    websocket_proxy: str | None = None
    #: Bytes of a response's body, decompressed.
    max_http_buffer_size: int = 100_000_000
    #: What else ``websocket_extra_options`` have, for who opens the WebSocket.
    websocket: WebSocketExtras = field(default_factory=WebSocketExtras)

    @classmethod
    def of(
        cls,
        *,
        ssl_verify: bool | SSLContext = True,
        websocket_extra_options: Mapping[str, Any] | None = None,
        proxy: ProxyOption = None,
        max_http_buffer_size: int = 100_000_000,
    ) -> HttpOptions:
        """From the arguments of a client.

        Raises:
            ValueError: One of them is not what it should be.
        """
        extras = WebSocketExtras.of(websocket_extra_options)
        if proxy is not None and proxy is not False:
            proxy = proxy_url(proxy)
        return cls(
            TlsOptions.of(ssl_verify, websocket_extra_options),
            proxy,
            proxy_of_websocket_options(websocket_extra_options),
            max_http_buffer_size,
            extras,
        )


class Requests(ABC):
    """Makes the requests of one client to its server; keeps cookies and connections."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options

    @abstractmethod
    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Make a request, and read the whole response.

        Args:
            method: ``"GET"`` or ``"POST"``.
            url: Of http or https.
            headers: More headers. Cookies in them are sent beside those that are kept;
                of two with one name the one that is kept is sent.
            body: What is sent.
            timeout: Seconds for all of it; ``None`` for no limit.

        Raises:
            Exception: There is no response, or not the whole. ``failures`` says in
                words what the errors of the libraries mean.
        """

    @abstractmethod
    def cookies_for(self, url: str, header: str | None = None) -> str | None:
        """The ``Cookie`` header for a URL, also one of ws or wss.

        Args:
            url: What is to be requested.
            header: Cookies that the program sends itself. One that is kept replaces
                one of the same name.

        Returns:
            The header; ``None`` if there are no cookies.
        """

    @abstractmethod
    def websocket_options(self, url: str) -> WebSocketOptions:
        """What the options and the session say of a WebSocket to a URL of ws or wss."""

    @abstractmethod
    def _proxy_of(self, url: str) -> str | None:
        """The proxy by which a URL of http or https is reached; ``None`` for none."""

    def proxy_for(self, url: str) -> str | None:
        """The proxy by which a URL of http, https, ws or wss is reached, for errors."""
        if url.startswith("ws") and self._options.websocket_proxy:
            return self._options.websocket_proxy
        return self._proxy_of(http_url(url))

    @abstractmethod
    async def close(self) -> None:
        """Close the connections. A session that the program has made stays open."""


def http_url(url: str) -> str:
    """A URL of ws or wss as one of http or https; others as they are."""
    return f"http{url[2:]}" if url.startswith(("ws:", "wss:")) else url


def merged_cookies(header: str | None, kept: str | None) -> str | None:
    """The program's cookies and those that are kept, which replace the program's."""
    cookies: dict[str, str] = {}
    for text in (header, kept):
        for cookie in (text or "").split(";"):
            if cookie := cookie.strip():
                cookies[cookie.partition("=")[0].strip()] = cookie
    return "; ".join(cookies.values()) or None


class AiohttpRequests(Requests):
    """By aiohttp.

    Args:
        session: The program's session, whose settings count where the options are
            silent; ``None`` for one of our own, made at the first request.
        options: The client's.
        owned: Whether :meth:`close` closes the program's session.

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
    ) -> None:
        super().__init__(options)
        self._given = session is not None
        self._owned = owned or not self._given
        self._session = session
        self._context: SSLContext | None = None
        if session is not None:
            _check_aiohttp_session(session, options.proxy)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        timeout: float | None = None,
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
            data=body,
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
        connector: aiohttp.TCPConnector
        if proxy is not None and is_socks(proxy):
            from socketio_fast.clients.socks import SocksConnector

            connector = SocksConnector(proxy, keepalive_timeout=KEEP_ALIVE)
        else:
            connector = aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE)
        # Cookies of hosts that are addresses are kept too, and all as they came.
        jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        return aiohttp.ClientSession(connector=connector, cookie_jar=jar)

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
        if self._given and self._options.proxy is None:
            return None
        return proxy_for(url, self._options.proxy)

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

    def websocket_options(self, url: str) -> WebSocketOptions:
        tls, headers = self._options.tls, {}
        if self._given and self._session is not None:
            headers = {
                name: value
                for name, value in self._session.headers.items()
                if name.lower() not in _OWN_HEADERS
            }
            auth = self._session.auth
            if auth and not any(n.lower() == "authorization" for n in headers):
                headers["Authorization"] = auth.encode()
        context = None
        if url.startswith("wss"):
            context = tls.websocket or tls.verify
            if context is None:
                context = self._session_context() if self._given else None
            context = context or self._own_context()
        return WebSocketOptions(
            headers, context, tls.server_hostname, self.proxy_for(url)
        )

    def _session_context(self) -> SSLContext | None:
        """What the connector of the program's session has; ``None`` for the default."""
        connector = self._session.connector if self._session else None
        found = getattr(connector, "_ssl", True)
        if found is False:
            return insecure_context()
        return found if isinstance(found, SSLContext) else None

    async def close(self) -> None:
        if self._session is not None and self._owned:
            await self._session.close()


def _default_proxy(session: aiohttp.ClientSession) -> str | None:
    """The ``proxy=`` and ``proxy_auth=`` of a session, with which it was made."""
    proxy = getattr(session, "_default_proxy", None)
    auth = getattr(session, "_default_proxy_auth", None)
    return proxy_of_websocket_options({"proxy": proxy, "proxy_auth": auth})


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


class RequestsRequests(Requests):
    """By requests, each request in a thread of its own.

    A thread lasts as long as its request, and the program's end does not wait for it.

    Args:
        session: The program's session.
        options: The client's.
        owned: Whether :meth:`close` closes the session.

    Raises:
        ValueError: ``ssl_verify`` is a context, which requests does not take.
    """

    def __init__(
        self, session: requests.Session, options: HttpOptions, *, owned: bool = False
    ) -> None:
        super().__init__(options)
        self._session = session
        self._owned = owned
        verify = options.tls.verify
        if verify is not None and verify.verify_mode != CERT_NONE:
            raise ValueError(
                "ssl_verify is an ssl.SSLContext, which a requests.Session does not "
                "take; set `verify` and `cert` of the session, or leave http_session= "
                "away"
            )

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
        timeout: float | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        for name in [name for name in sent if name.lower() == "cookie"]:
            if cookies := self.cookies_for(url, sent.pop(name)):
                sent["Cookie"] = cookies
        data = body.encode() if isinstance(body, str) else body

        def send() -> Answer:
            settings: dict[str, Any] = {"proxies": self._proxies()}
            if self._options.tls.verify is not None:
                settings["verify"] = False
            with self._session.request(
                method,
                url,
                headers=sent,
                data=data,
                timeout=timeout,
                stream=True,
                **settings,
            ) as response:
                return self._read(response)

        return await asyncio.wait_for(_in_thread(send), timeout)

    def _read(self, response: requests.Response) -> Answer:
        limit = self._options.max_http_buffer_size
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise BodyTooLargeError(limit)
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_content(PIECE):
            size += len(piece)
            if size > limit:
                raise BodyTooLargeError(limit)
            pieces.append(piece)
        body = b"".join(pieces)
        return Answer(response.status_code, response.headers, body, response.url)

    def _proxies(self) -> dict[str, Any]:
        """What the options say of proxies, as requests takes it."""
        proxy = self._options.proxy
        if proxy is None:
            return {}
        if proxy is False:
            return {"http": None, "https": None, "all": None}
        # Of socks5 requests would resolve the names of hosts itself.
        proxy = proxy.replace("socks5://", "socks5h://")
        return {"http": proxy, "https": proxy}

    def _settings(self, url: str) -> Mapping[str, Any]:
        """What the session would use for a URL: verify, cert, proxies."""
        settings: Mapping[str, Any] = self._session.merge_environment_settings(
            url, self._proxies(), None, None, None
        )
        return settings

    def _proxy_of(self, url: str) -> str | None:
        import requests.utils

        proxy = requests.utils.select_proxy(url, self._settings(url)["proxies"])
        return proxy_url(proxy, "the proxy of http_session=: ") if proxy else None

    def cookies_for(self, url: str, header: str | None = None) -> str | None:
        import requests

        request = requests.Request("GET", http_url(url)).prepare()
        kept = requests.cookies.get_cookie_header(self._session.cookies, request)
        return merged_cookies(header, kept)

    def websocket_options(self, url: str) -> WebSocketOptions:
        import requests

        asked = http_url(url)
        prepared = self._session.prepare_request(requests.Request("GET", asked))
        headers = {
            name: str(value)
            for name, value in prepared.headers.items()
            if name.lower() not in _OWN_HEADERS
        }
        tls, context = self._options.tls, None
        if url.startswith("wss"):
            context = tls.websocket or tls.verify
            if context is None:
                settings = self._settings(asked)
                context = requests_context(settings["verify"], settings["cert"])
        return WebSocketOptions(
            headers, context, tls.server_hostname, self.proxy_for(url)
        )

    async def close(self) -> None:
        if self._owned:
            self._session.close()


def _in_thread(function: Callable[[], Answer]) -> Awaitable[Answer]:
    """Run a function in a daemon thread; what it returns or raises."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Answer] = loop.create_future()

    def deliver(answer: Answer | None, error: BaseException | None) -> None:
        if result.done():
            return  # nobody waits for it any longer
        if error is not None:
            result.set_exception(error)
        elif answer is not None:
            result.set_result(answer)

    def run() -> None:
        answer, error = None, None
        try:
            answer = function()
        except BaseException as raised:
            error = raised
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(deliver, answer, error)
            except RuntimeError:
                if not loop.is_closed():
                    raise

    threading.Thread(target=run, name="socketio_fast request", daemon=True).start()
    return result


async def requests_for(http_session: Any, options: HttpOptions) -> Requests:
    """What makes the requests of a client, for one connection.

    Call it in the client's event loop, when the client connects.

    Args:
        http_session: ``http_session=`` of the client: ``None``, an
            ``aiohttp.ClientSession``, a ``requests.Session``, or a function (also a
            coroutine function) without arguments that returns one of these. Such a
            function is called at each connection, and what it returns is closed with
            the connection; a session that was given itself never is.
        options: The client's.

    Raises:
        ValueError: It is something else, or the session cannot be used.
    """
    session, owned = http_session, False
    if session is not None and _kind(session) is None and callable(session):
        session, owned = session(), True
        if inspect.isawaitable(session):
            session = await session
    if session is None:
        return AiohttpRequests(None, options)
    kind = _kind(session)
    if kind is None:
        told = f"a function that returned {session!r}" if owned else repr(session)
        raise ValueError(
            f"http_session={told}: an aiohttp.ClientSession, a requests.Session, or a "
            "function that returns one of them expected"
        )
    return kind(session, options, owned=owned)


def _kind(session: Any) -> type[AiohttpRequests] | type[RequestsRequests] | None:
    # Who has a session has imported its library.
    if (library := sys.modules.get("aiohttp")) is not None and isinstance(
        session, library.ClientSession
    ):
        return AiohttpRequests
    if (library := sys.modules.get("requests")) is not None and isinstance(
        session, library.Session
    ):
        return RequestsRequests
    return None
