from typing import final

from socketio_fast import limits

@final
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

@final
class Limits:
    def __init__(self, config: limits.Limits) -> None: ...
    @property
    def config(self) -> limits.Limits: ...
    @property
    def visitors(self) -> dict[str, Visitor]: ...
    @property
    def pending(self) -> int: ...
