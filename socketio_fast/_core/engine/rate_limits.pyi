from typing import final

from typing_extensions import Self, disjoint_base

from socketio_fast.options import limits

MAX_ABSENT: int

@disjoint_base
class Bucket: ...

@final
class Visitor:
    @property
    def address(self) -> str: ...
    @property
    def connections(self) -> int: ...

@final
class Limiter:
    @property
    def closes(self) -> bool: ...

@disjoint_base
class Limits:
    def __new__(cls, config: limits.Limits) -> Self: ...
    @property
    def config(self) -> limits.Limits: ...
    @property
    def visitors(self) -> dict[str, Visitor]: ...
    @property
    def handshakes(self) -> int: ...
