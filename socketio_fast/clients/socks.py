"""aiohttp by SOCKS proxies. Imported where one is used."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from python_socks.async_.asyncio import Proxy

__all__ = ["SocksConnector"]


class _NoResolver(AbstractResolver):
    """Leaves the names of hosts as they are: the proxy resolves them."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=host, port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


class SocksConnector(aiohttp.TCPConnector):
    """Connects by a SOCKS proxy.

    Args:
        proxy: Its URL, as ``proxies.proxy_url()`` returns it.
        **options: As ``aiohttp.TCPConnector`` has them.
    """

    def __init__(self, proxy: str, **options: Any) -> None:
        super().__init__(resolver=_NoResolver(), use_dns_cache=False, **options)
        self._proxy = Proxy.from_url(proxy)

    # aiohttp has no public way to connect a socket otherwise. The method and its
    # arguments have been the same since 3.9; aiohttp-socks overrides it likewise.
    async def _wrap_create_connection(
        self,
        *args: Any,
        addr_infos: list[Any],
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
        **options: Any,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        host, port = addr_infos[0][4][:2]
        sock = await self._proxy.connect(host, port)
        try:
            return await asyncio.get_running_loop().create_connection(
                *args, **options, sock=sock
            )
        except BaseException:
            sock.close()
            raise
