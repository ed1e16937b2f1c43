import asyncio
from typing import Any, final

from typing_extensions import Self, disjoint_base

@disjoint_base
class Flusher: ...

@final
class Writer:
    def __new__(
        cls, flusher: Flusher, transport: asyncio.Transport, secure: bool = False
    ) -> Self: ...
    @property
    def transport(self) -> Any: ...
    @property
    def size(self) -> int: ...
    @property
    def paused(self) -> bool: ...
