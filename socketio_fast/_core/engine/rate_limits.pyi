from typing import final

from typing_extensions import Self

from socketio_fast.options import limits

MAX_ABSENT: int

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

class Limits:
    def __new__(cls, config: limits.Limits) -> Self: ...
    @property
    def config(self) -> limits.Limits: ...
    @property
    def visitors(self) -> dict[str, Visitor]: ...
    @property
    def handshakes(self) -> int: ...
