from typing import Any, final

from typing_extensions import Self

from socketio_fast._core.socketio.contracts import ConnectionState, Recovery
from socketio_fast._core.socketio.hub import Namespace

@final
class Entry: ...

@final
class Kept: ...

@final
class ClientState(ConnectionState): ...

@final
class Backlog(Recovery):
    def __new__(
        cls,
        namespace: Namespace,
        *,
        duration: float,
        max_packets: int,
        max_bytes: int,
        max_sessions: int,
        kept: Kept,
        skip_middlewares: bool = True,
    ) -> Self: ...
    @property
    def namespace(self) -> Namespace: ...
    @property
    def duration(self) -> float: ...
    @property
    def max_packets(self) -> int: ...
    @property
    def max_bytes(self) -> int: ...
    @property
    def max_sessions(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    def away_in(self, room: Any) -> list[str]: ...
    @property
    def packets(self) -> int: ...
    @property
    def sessions(self) -> list[str]: ...
