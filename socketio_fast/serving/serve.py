"""``serve()``: a server that listens on the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl as _ssl
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from socketio_fast._core.http.endpoint import Endpoint
from socketio_fast._core.http.http1 import Http1Connection
from socketio_fast.async_server import AsyncServer
from socketio_fast.engineio.async_server import AsyncServer as EngineServer
from socketio_fast.hosting.asgi import EngineASGIApp
from socketio_fast.hosting.checks import server_of, suggestion
from socketio_fast.hosting.common import bind, start
from socketio_fast.hosting.contracts import HostedEngine, HostedServer
from socketio_fast.options.amounts import whole
from socketio_fast.options.logs import choose_logger
from socketio_fast.serving.access_log import AccessLog
from socketio_fast.serving.descriptors import DescriptorWatch
from socketio_fast.serving.drain import check_rate, drain
from socketio_fast.serving.health import HealthPages
from socketio_fast.serving.listening import Acceptor, Listening
from socketio_fast.serving.proxy_protocol import ProxyListener
from socketio_fast.serving.static import served_files

if TYPE_CHECKING:
    from socketio_fast.hosting.other_app import OtherApplication
    from socketio_fast.hosting.webtransport import WebTransportServer

__all__ = ["RunningServer", "port_of", "serve"]

App = AsyncServer | EngineServer | EngineASGIApp

#: The servers that are served as they are.
SERVERS = (AsyncServer, EngineServer)

# The share of shutdown_timeout that draining may take. Connections close in the rest.
DRAIN_SHARE = 0.9

# Seconds that the first request of a connection may take, where the client is told
# nothing if it is late.
REQUEST_TIME = 1.0


async def serve(
    app: App,
    host: str | None = "127.0.0.1",
    port: int = 5000,
    *,
    path: str | None = None,
    uds: str | os.PathLike[str] | None = None,
    sock: socket.socket | Sequence[socket.socket] | None = None,
    ssl_certfile: str | os.PathLike[str] | None = None,
    ssl_keyfile: str | os.PathLike[str] | None = None,
    ssl_keyfile_password: str | None = None,
    ssl: _ssl.SSLContext | None = None,
    static_files: Mapping[str, str | Path | Mapping[str, Any]] | None = None,
    backlog: int = 2048,
    shutdown_timeout: float = 10,
    drain_rate: float | None = None,
    access_log: bool = False,
    proxy_protocol: bool = False,
    webtransport: bool = False,
    health: bool = False,
) -> RunningServer:
    """Serve an application on the running event loop.

    Example::

        async with await socketio.serve(sio, port=5000):
            await forever

    Args:
        app: A ``socketio_fast.AsyncServer`` or ``socketio_fast.engineio.AsyncServer``;
            or an ``ASGIApp`` of one, whose Engine.IO path is served like that server,
            and everything else by the application and files beside it, through
            uvicorn's protocols (the extra ``uvicorn``).
        host: The address to listen on; ``None`` for all.
        port: The TCP port; 0 for a free one.
        path: Where clients connect. ``None`` for ``/socket.io/``, or ``/engine.io/``
            with a server of Engine.IO alone.
        uds: A path for a Unix socket to listen on, instead of host and port. The file
            is removed at the end, unless another process has made a new one there.
        sock: A bound socket to listen on, or a list of them, instead of host and port.
        ssl_certfile: A PEM file of the certificate chain, for TLS.
        ssl_keyfile: The PEM file of the certificate's key, if that is in another file.
        ssl_keyfile_password: The password of the key.
        ssl: An ``ssl.SSLContext``, instead of the files.
        static_files: The files that other paths serve, see
            :class:`socketio_fast.serving.static.StaticFiles`. Without it, other paths
            get 404.
        backlog: The largest number of connections that the system holds before they are
            accepted.
        shutdown_timeout: The longest time in seconds that ``close()`` waits for
            handlers and connections.
        drain_rate: The number of clients that ``close()`` asks to leave each second,
            before it stops; ``float("inf")`` for all at once. ``None``: clients are
            closed at once, whatever they have under way.
        access_log: Whether requests are logged, by ``socketio_fast.access`` at INFO, in
            the common log format; a WebSocket when it has ended.
        proxy_protocol: Whether connections begin with a header of the PROXY protocol,
            version 1 or 2, by which a proxy names the client. Connections without it
            are closed. Only the proxy may be able to reach this port. It excludes TLS.
        webtransport: Whether WebTransport is served too, by HTTP/3 on the UDP port of
            the same number, with the certificate of ``ssl_certfile`` (the extra
            ``webtransport``). The server's ``transports`` must include it.
        health: Whether ``GET /healthz`` is answered by 200 while the event loop runs,
            and ``GET /readyz`` by 200 while new clients are taken, by 503 while the
            server drains or stops.

    Returns:
        The server, listening.

    Raises:
        OSError: It cannot listen there.
        ImportError: An ``ASGIApp`` is served, and uvicorn is not installed; or
            ``webtransport``, and aioquic is not.
        RuntimeError: The startup of the application beside it failed.
        TypeError: ``app`` is something else, or ``ssl`` is no ``ssl.SSLContext``.
        ValueError: ``path`` is not a path, ``port`` is no port, a key has no
            certificate, ``sock`` is an empty list, or ``drain_rate`` is not positive;
            an ``ASGIApp`` has its own ``path`` and ``static_files``;
            ``proxy_protocol`` with TLS; ``webtransport`` without ``ssl_certfile``, on a
            Unix socket, or for a server that does not have it in ``transports``;
            ``uds`` on Windows.
    """
    check_rate("drain_rate", drain_rate)
    port = port_of(port)
    _check_uds(uds)
    given = sock if sock is None or isinstance(sock, Sequence) else [sock]
    if given is not None and not given:
        raise ValueError("sock=[]: one bound socket at least expected")
    loop = asyncio.get_running_loop()
    other = None
    server: HostedServer
    if isinstance(app, EngineASGIApp):
        if path is not None or static_files is not None:
            raise ValueError("path and static_files are those of the ASGIApp")
        from socketio_fast.hosting.other_app import OtherApplication

        other = OtherApplication(app, access_log)
        server, location = app.engineio_server, app.engineio_path or "/"
    elif isinstance(found := server_of(app), SERVERS):
        server = found
        location = "/" + (path or found.default_path).strip("/") + "/"
        if location == "//":
            raise ValueError(f"path={path!r}: a path below / expected")
    else:
        raise TypeError(
            f"app is {type(app).__name__}: socketio_fast.AsyncServer, "
            "socketio_fast.engineio.AsyncServer or an ASGIApp of one expected"
            f"{suggestion(app)}"
        )
    if ssl is None and ssl_certfile is not None:
        for file in (ssl_certfile, ssl_keyfile):
            if file is not None:
                os.stat(file)  # raises an error that names the file, unlike OpenSSL
        ssl = _ssl.create_default_context(_ssl.Purpose.CLIENT_AUTH)
        ssl.load_cert_chain(ssl_certfile, ssl_keyfile, ssl_keyfile_password)
    elif ssl is None and ssl_keyfile is not None:
        raise ValueError("ssl_keyfile without ssl_certfile: both, or neither")
    if proxy_protocol and ssl is not None:
        raise ValueError(
            "proxy_protocol=True with TLS: the header comes before TLS, where nothing "
            "reads it; let the proxy end TLS"
        )
    start(server)
    eio = bind(server)
    http3 = None
    if webtransport:
        http3 = _http3(
            eio, location, uds, ssl_certfile, ssl_keyfile, ssl_keyfile_password
        )
    descriptors = DescriptorWatch(loop, eio.engine.logger)
    endpoint = Endpoint(
        eio.engine,
        loop,
        location,
        served_files(static_files, eio.logger) if other is None else other,
        AccessLog(choose_logger(True, "socketio_fast.access")) if access_log else None,
        ssl is not None,
        descriptors,
        None if eio.membership is None else eio.membership.handover,
    )
    if eio.membership is not None:
        eio.membership.handover.listen(endpoint)
    listener = ProxyListener(endpoint) if proxy_protocol else None
    factory: Callable[[], asyncio.Protocol]
    if listener is None:
        factory = partial(Http1Connection, endpoint)
    else:
        factory = listener.protocol
    if other is not None:
        await other.start()
    acceptor = Acceptor(loop, factory, ssl, backlog)
    servers: list[Listening] = []
    try:
        if given is not None and uds is None:
            await acceptor.accept_on(given, servers)
        else:
            await acceptor.listen(host, port, uds, servers)
        if http3 is not None:
            beside = given or servers[0].sockets
            await http3.listen(beside)
    except BaseException:
        for listening in servers:
            listening.close()
        if other is not None:
            await other.stop(0)
        raise
    return RunningServer(
        eio,
        endpoint,
        other,
        servers,
        uds,
        shutdown_timeout,
        server.unbind,
        listener,
        drain_rate,
        http3,
        descriptors=descriptors,
        acceptor=acceptor,
        health=HealthPages(eio.engine, _reaches_others(server)) if health else None,
    )


def _reaches_others(server: Any) -> Callable[[], bool]:
    """What says whether the client manager of a server reaches other servers."""
    manager = getattr(server, "manager", None)  # a server of Engine.IO has none
    return lambda: manager is None or manager.healthy


def _check_uds(uds: str | os.PathLike[str] | None) -> None:
    if uds is not None and sys.platform == "win32":
        raise ValueError(
            f"uds={os.fspath(uds)!r}: Python has no Unix sockets on Windows; write "
            "host= and port="
        )


def _http3(
    eio: HostedEngine,
    location: str,
    uds: str | os.PathLike[str] | None,
    certfile: str | os.PathLike[str] | None,
    keyfile: str | os.PathLike[str] | None,
    password: str | None,
) -> WebTransportServer:
    if uds is not None:
        raise ValueError(f"webtransport=True with uds={uds!r}: it goes by UDP")
    if certfile is None:
        raise ValueError(
            "webtransport=True without ssl_certfile: QUIC has TLS, and takes it from "
            "the files, not from an ssl.SSLContext"
        )
    if not eio.config.has_webtransport:
        raise ValueError(
            f"webtransport=True, and transports={eio.config.transports}: "
            '"webtransport" is to be in it'
        )
    from socketio_fast.hosting.webtransport import WebTransportServer

    return WebTransportServer(eio, location, certfile, keyfile, password)


class RunningServer:
    """A listening server, made by :func:`serve`. An async context manager."""

    def __init__(
        self,
        eio: HostedEngine,
        endpoint: Endpoint,
        other: OtherApplication | None,
        servers: list[Listening],
        uds: str | os.PathLike[str] | None,
        shutdown_timeout: float,
        unbind: Callable[[], Coroutine[Any, Any, None]] | None = None,
        listener: ProxyListener | None = None,
        drain_rate: float | None = None,
        http3: WebTransportServer | None = None,
        *,
        descriptors: DescriptorWatch,
        acceptor: Acceptor,
        health: HealthPages | None = None,
    ) -> None:
        self._eio = eio
        self._http3 = http3
        self._unbind = unbind
        self._listener = listener
        self._endpoint = endpoint
        self._other = other
        self._servers = servers
        self._uds = uds
        self._uds_identity = None if uds is None else _identity(uds)
        self._descriptors = descriptors
        self._acceptor = acceptor
        self._health = health
        self._timeout = shutdown_timeout
        self._drain_rate = drain_rate
        self._closed = False
        self.host: str = ""
        self.port: int = 0
        address = servers[0].sockets[0].getsockname()
        self._file = uds
        if isinstance(address, tuple):
            self.host, self.port = address[:2]
        elif uds is None:
            self._file = os.fsdecode(address)

    @property
    def url(self) -> str:
        """Where it listens, ``http://127.0.0.1:5000`` or ``unix:/path``."""
        if self._file is not None:
            return f"unix:{self._file}"
        scheme = "https" if self._endpoint.secure else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    async def close(self) -> None:
        """Accept no more connections, disconnect all clients and wait for handlers.

        With ``drain_rate`` clients are asked to leave in stages first. After
        ``shutdown_timeout`` seconds in all, handlers that still run are cancelled and
        connections that are still open are aborted.
        """
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        if self._health is not None:
            self._health.stop()
        self._take_no_more()
        if self._drain_rate is not None:
            # It still listens, because a client may poll on a new connection.
            await drain(self._eio.engine, self._drain_rate, DRAIN_SHARE * self._timeout)
        self._stop_listening()
        self._eio.engine.close_all(stopping=True)
        self._endpoint.connections.close_idle()
        self._acceptor.abort_handshakes()
        if self._http3 is not None:
            self._http3.stop()
        if self._listener is not None:
            self._listener.close()
        tasks = self._eio.handler_tasks()
        tasks -= {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=max(0, deadline - loop.time()))
            for task in tasks:
                task.cancel()
        connections = self._endpoint.connections
        await connections.wait_closed(max(0, deadline - loop.time()))
        if self._http3 is not None:
            await self._http3.wait_closed(max(0, deadline - loop.time()))
        self._eio.engine.drop_all()
        connections.abort_all()
        if self._http3 is not None:
            self._http3.close()
        if self._other is not None:
            await self._other.stop(max(0, deadline - loop.time()))
        if self._unbind is not None:
            await self._unbind()
        for server in self._servers:
            await server.wait_closed()
        if self._health is not None:
            self._health.close()
        self._eio.engine.reopen()

    def _take_no_more(self) -> None:
        """Have other workers send no new clients here."""
        membership = self._eio.membership
        if membership is not None:
            membership.handover.take_no_more()
        if self._http3 is not None:
            self._http3.take_no_more()

    def _stop_listening(self) -> None:
        # The file of a Unix socket is removed before the socket is closed: until then
        # no other file can have its inode. If another server has replaced the file, or
        # this process was forked from the one that made it, the file stays.
        made = self._uds_identity
        if self._uds is not None and made is not None and made == _identity(self._uds):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._uds)
        for server in self._servers:
            server.close()
        self._descriptors.close()

    async def _accept_from(
        self, sockets: Sequence[socket.socket]
    ) -> Callable[[], None]:
        """Accept connections of these sockets too.

        Returns:
            What stops that.
        """
        servers: list[Listening] = []
        await self._acceptor.accept_on(sockets, servers)
        self._servers += servers

        def stop() -> None:
            for server in servers:
                server.close()
                self._servers.remove(server)

        return stop

    async def _retire(self) -> None:
        """Like :meth:`close`, where another process accepts new connections."""
        self._take_no_more()
        self._stop_listening()
        # Connections that were accepted just now are idle until their request comes.
        await asyncio.sleep(min(REQUEST_TIME, (1 - DRAIN_SHARE) * self._timeout))
        await self.close()

    async def _abort(self) -> None:
        """Abort all connections at once; nothing more is sent or waited for."""
        self._closed = True
        self._stop_listening()
        if self._listener is not None:
            self._listener.close()
        self._eio.engine.drop_all()
        self._endpoint.connections.abort_all()
        self._acceptor.abort_handshakes()
        if self._http3 is not None:
            self._http3.close()
        await self._acceptor.all_ended()

    async def __aenter__(self) -> RunningServer:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _identity(path: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """Identifies a file and this process; ``None`` if there is no such file."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except (OSError, ValueError):  # ValueError: an abstract socket of Linux
        return None
    return found.st_dev, found.st_ino, os.getpid()


def port_of(port: Any) -> Any:
    """The number of a port that is given as a number, as text or as a service's name.

    Raises:
        ValueError: There is no such port.
    """
    if port is None:
        return None  # any that is free
    number = whole(port)
    if number is None and isinstance(port, str):
        if port.isdecimal():
            number = int(port)
        else:
            with contextlib.suppress(OSError, UnicodeError):
                number = socket.getservbyname(port, "tcp")
    if number is None or not 0 <= number <= 65535:
        raise ValueError(
            f"port={port!r:.80}: a number from 0 (any that is free) to 65535, or the "
            "name of a service, expected"
        )
    return number
