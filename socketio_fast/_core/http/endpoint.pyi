import asyncio
from collections.abc import Coroutine
from logging import Logger
from typing import Any, Protocol, final

from typing_extensions import Self, disjoint_base

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.http.connections import Connections
from socketio_fast._core.http.request import Request

class _EnvironSource(Protocol):
    def environ(self) -> dict[str, Any]: ...

class _Body(Protocol):
    def __len__(self) -> int: ...
    async def read(self, size: int) -> bytes: ...
    def close(self) -> None: ...

class _Descriptors(Protocol):
    @property
    def few_from(self) -> int: ...
    def seen(self, number: int) -> None: ...

@disjoint_base
class OtherServer:
    def __init__(self, takes_connections: bool = False) -> None: ...
    @property
    def takes_connections(self) -> bool: ...
    async def handle(
        self, request: Request
    ) -> tuple[int, bytes, bytes | _Body, bytes] | None: ...
    def take_over(
        self,
        transport: asyncio.Transport,
        data: bytes,
        proxied_addresses: tuple[Any, Any] | None,
        endpoint: Endpoint,
    ) -> None: ...
    def environ_source(self, request: Request, websocket: bool) -> _EnvironSource: ...

class _Taker(Protocol):
    def take_over(
        self,
        transport: asyncio.Transport,
        data: bytes,
        proxied_addresses: tuple[Any, Any] | None,
        endpoint: Endpoint,
    ) -> None: ...

@disjoint_base
class OtherWorkers:
    def __init__(self, tag: str) -> None: ...
    def owner(self, sid: str) -> _Taker | None: ...

@final
class Endpoint:
    def __new__(
        cls,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        path: str,
        other: OtherServer | None = None,
        access_log: Logger | None = None,
        secure: bool = False,
        descriptors: _Descriptors | None = None,
        workers: OtherWorkers | None = None,
        scheme: str | None = None,
    ) -> Self: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def connections(self) -> Connections: ...
    @property
    def path(self) -> str: ...
    @property
    def secure(self) -> bool: ...
    @property
    def scheme(self) -> str: ...
    def behind_tls(self) -> Endpoint: ...
    @property
    def patience(self) -> float: ...
    def owns(self, path: str) -> bool: ...
    def takes(self, data: bytes) -> bool: ...
    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None: ...
