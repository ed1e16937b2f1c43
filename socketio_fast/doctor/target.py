"""The server that is examined, and how clients reach it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from socketio_fast.clients.contracts import http_url
from socketio_fast.clients.proxies import ProxyOption, proxy_for, shown_url
from socketio_fast.clients.tls import SslVerify, TlsOptions
from socketio_fast.clients.urls import engine_url, unix_path

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """What to examine.

    Raises:
        ValueError: The URL is no server's, or that of the proxy is none.
    """

    #: Of http, https, ws, wss or unix.
    url: str
    #: Where the server has Engine.IO.
    path: str = "socket.io"
    #: The revision of Engine.IO that clients speak, 3 or 4.
    eio: int = 4
    #: The origin of a page whose scripts connect, ``"https://app.example.com"``.
    origin: str | None = None
    namespace: str = "/"
    #: What the connect handler gets.
    auth: Any = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The transports that clients use.
    transports: tuple[str, ...] = ("polling", "websocket")
    ssl_verify: SslVerify = True
    proxy: ProxyOption = field(default=None, repr=False)
    #: Seconds that each step may take.
    timeout: float = 10.0
    #: Seconds for what a server answers at once; what takes longer is held back.
    patience: float = 5.0
    #: Whether to wait for a ping of the server, to see who closes idle connections.
    idle: bool = True
    #: Requests, each on its own connection, by which sticky sessions are tried.
    attempts: int = 10

    def __post_init__(self) -> None:
        self.engine_url("polling")
        _ = self.proxy_url

    @cached_property
    def unix_path(self) -> str | None:
        """The path of the Unix socket where the server is."""
        return unix_path(self.url)

    @cached_property
    def parts(self) -> Any:
        """The URL, split, with the scheme http or https."""
        return urlsplit(http_url(self.url))

    @property
    def secure(self) -> bool:
        """Whether TLS is used."""
        return bool(self.parts.scheme == "https")

    @property
    def host(self) -> str:
        """The name or the address of the server."""
        return self.parts.hostname or "localhost"

    @property
    def port(self) -> int:
        """Its TCP port."""
        return self.parts.port or (443 if self.secure else 80)

    @property
    def shown(self) -> str:
        """The URL for people: without credentials and query."""
        return shown_url(self.url)

    @property
    def server_origin(self) -> str:
        """The origin of the server itself."""
        netloc = self.parts.netloc.rpartition("@")[2]
        return f"{self.parts.scheme}://{netloc}"

    @cached_property
    def proxy_url(self) -> str | None:
        """The proxy by which clients of this machine reach it."""
        if self.unix_path is not None:
            return None
        return proxy_for(urlunsplit(self.parts), self.proxy)

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What the client says of TLS."""
        return TlsOptions.of(self.ssl_verify).context()

    def engine_url(
        self,
        transport: str,
        *,
        sid: str | None = None,
        path: str | None = None,
        eio: int | None = None,
    ) -> str:
        """The URL of a request to Engine.IO, of http or https."""
        return http_url(
            engine_url(
                self.url,
                self.path if path is None else path,
                transport,
                eio=eio or self.eio,
                sid=sid,
                query=self.query,
            )
        )

    @property
    def shown_path(self) -> str:
        """The path of Engine.IO."""
        stripped = self.path.strip("/")
        return f"/{stripped}/" if stripped else "/"
