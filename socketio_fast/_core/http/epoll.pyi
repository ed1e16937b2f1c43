import asyncio
from typing import Any, Final, final

from typing_extensions import Self, disjoint_base

from socketio_fast._core.engine.writer import SocketTransportBase

AVAILABLE: Final[bool]

def open_sockets(
    loop: asyncio.AbstractEventLoop, before: Sockets | None = None
) -> Sockets | None: ...

@disjoint_base
class Watched(SocketTransportBase): ...

@final
class Sockets:
    def __new__(cls, loop: asyncio.AbstractEventLoop) -> Self: ...
    def close_if_unused(self) -> int: ...
    def fileno(self) -> int: ...
    @property
    def loop(self) -> Any: ...
    @property
    def closed(self) -> bool: ...
    @property
    def open(self) -> int: ...
