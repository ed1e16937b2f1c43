from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any, final

from typing_extensions import Self

from socketio_fast._core.socketio.contracts import Relay
from socketio_fast._core.socketio.hub import Hub

OTHER: bytes

@final
class Remote:
    def __new__(cls, tag: str, send: Callable[[bytes], bool]) -> Self: ...
    @property
    def tag(self) -> str: ...
    @property
    def send(self) -> Callable[[bytes], bool]: ...
    def wants(self, namespace: str, rooms: Sequence[Any] | None) -> bool: ...

@final
class Unsent: ...

@final
class WorkerRelay(Relay):
    def __new__(
        cls,
        hub: Hub,
        kind: int,
        encoding: str,
        emit_plainly: Callable[..., None],
        dropped: Callable[[str], None],
    ) -> Self: ...
    @property
    def hub(self) -> Hub: ...
    @property
    def remotes(self) -> dict[str, Remote]: ...
    def joined(self, tag: str, send: Callable[[bytes], bool]) -> None: ...
    def left(self, tag: str) -> None: ...
    def state(self) -> bytes: ...
    def frame(self, payload: bytes) -> bytes: ...
    def check(self, room: Any) -> None: ...
    def expect(self, tag: str, namespace: str, rooms: list[Any]) -> None: ...
    def confirm(self, tag: str, namespace: str, rooms: list[Any]) -> None: ...
    def emit(
        self,
        namespace: str,
        data: list[Any],
        to: Any,
        skip: Any,
        skipped: Any,
        *,
        excepts: bool = False,
        compress: bool = True,
        volatile: bool = False,
    ) -> Future[Any] | None: ...
    def receive(self, tag: str, payload: bytes) -> bytes | None: ...
