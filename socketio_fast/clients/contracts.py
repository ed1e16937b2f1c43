"""What makes the requests of a client, whatever library it uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any
from urllib.parse import quote

from socketio_fast.clients.proxies import (
    ProxyOption,
    proxy_of_websocket_options,
    proxy_url,
)
from socketio_fast.clients.tls import TlsOptions
from socketio_fast.clients.websocket_options import WebSocketExtras

__all__ = [
    "PIECE",
    "Answer",
    "BodyTooLargeError",
    "HttpOptions",
    "Requests",
    "WebSocketOptions",
    "http_url",
    "merged_cookies",
    "merged_headers",
    "without_own",
]

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
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    #: ``None`` for ws.
    ssl: SSLContext | None = None
    #: The name that the certificate must have; ``None``: the host of the URL.
    server_hostname: str | None = None
    proxy: str | None = field(default=None, repr=False)
    #: For a proxy of https; ``None`` for others.
    proxy_ssl: SSLContext | None = None


@dataclass(frozen=True)
class HttpOptions:
    """The options of a client that its requests depend on."""

    tls: TlsOptions
    #: ``proxy=``.
    proxy: ProxyOption = field(default=None, repr=False)
    #: The proxy that ``websocket_extra_options`` have.
    websocket_proxy: str | None = field(default=None, repr=False)
    #: Bytes of a response's body, decompressed.
    max_http_buffer_size: int = 100_000_000
    #: What else ``websocket_extra_options`` have, for who opens the WebSocket.
    websocket: WebSocketExtras = field(default_factory=WebSocketExtras, repr=False)

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
        #: The path of the Unix socket where the server is; ``None``: the URL says it.
        self.unix_path: str | None = None

    @property
    def options(self) -> HttpOptions:
        """The options of the client."""
        return self._options

    @abstractmethod
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
        """Make a request, and read the whole response.

        Args:
            method: ``"GET"`` or ``"POST"``.
            url: Of http or https.
            headers: More headers. Cookies in them are sent beside those that are kept;
                of two with one name the one that is kept is sent.
            body: What is sent.
            timeout: Seconds for all of it; ``None`` for no limit.
            begun: Called when the body begins to leave, with a function that returns
                how many bytes of it the server has not taken yet.

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

    def websocket_options(self, url: str) -> WebSocketOptions:
        """What the options and the session say of a WebSocket to a URL of ws or wss.

        Raises:
            ValueError: The session has a proxy that is none, or a certificate that
                cannot be read.
        """
        proxy = self.proxy_for(url)
        through_tls = proxy is not None and proxy.startswith("https:")
        return WebSocketOptions(
            self._websocket_headers(url),
            self._websocket_context(url) if url.startswith("wss:") else None,
            self._options.tls.server_hostname,
            proxy,
            self._websocket_context(url) if through_tls else None,
        )

    def handshake_headers(
        self, url: str, headers: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """The headers of a WebSocket's handshake, with all cookies.

        Args:
            url: Of ws or wss.
            headers: Those of ``connect()``. They replace the session's, and those of
                ``websocket_extra_options`` replace both, whatever the case of a name.
        """
        own, extra = self._websocket_headers(url), self._options.websocket.headers
        merged = merged_headers(own, headers or {}, extra)
        given = [merged.pop(name) for name in [*merged] if name.lower() == "cookie"]
        if cookies := self.cookies_for(url, *given):
            merged["Cookie"] = cookies
        return merged

    def _websocket_context(self, url: str) -> SSLContext:
        tls = self._options.tls
        return tls.websocket or tls.verify or self._session_context(url)

    @abstractmethod
    def _websocket_headers(self, url: str) -> dict[str, str]:
        """The headers of the program's session."""

    @abstractmethod
    def _session_context(self, url: str) -> SSLContext:
        """What the program's session says of TLS, or the default."""

    @abstractmethod
    def _proxy_of(self, url: str) -> str | None:
        """The proxy by which a URL of http or https is reached; ``None`` for none."""

    def proxy_for(self, url: str) -> str | None:
        """The proxy by which a URL of http, https, ws or wss is reached."""
        if self.unix_path is not None:
            return None
        if url.startswith("ws") and self._options.websocket_proxy:
            return self._options.websocket_proxy
        return self._proxy_of(http_url(url))

    def way_to(self, url: str) -> str | None:
        """By what a URL is reached, for errors: the URL of a proxy or of a Unix socket;
        ``None``: by its host."""
        if self.unix_path is not None:
            return f"unix://{quote(self.unix_path)}"
        return self.proxy_for(url)

    @abstractmethod
    async def close(self) -> None:
        """Close the connections. A session that the program has made stays open."""


def http_url(url: str) -> str:
    """A URL of ws or wss as one of http or https; others as they are."""
    return f"http{url[2:]}" if url.startswith(("ws:", "wss:")) else url


def without_own(headers: Mapping[str, Any]) -> dict[str, str]:
    """The headers but for those that a library sets for its own requests."""
    return {
        name: str(value)
        for name, value in headers.items()
        if name.lower() not in _OWN_HEADERS
    }


def merged_headers(*headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of which the last of each name counts; names have no case."""
    found: dict[str, tuple[str, str]] = {}
    for some in headers:
        found |= {name.lower(): (name, value) for name, value in some.items()}
    return dict(found.values())


def merged_cookies(header: str | None, kept: str | None) -> str | None:
    """The program's cookies and those that are kept, which replace the program's."""
    cookies: dict[str, str] = {}
    for text in (header, kept):
        for cookie in (text or "").split(";"):
            if cookie := cookie.strip():
                cookies[cookie.partition("=")[0].strip()] = cookie
    return "; ".join(cookies.values()) or None
