from asyncio import Future
from collections.abc import Callable
from typing import Any, final

from typing_extensions import Self

from socketio_fast._core.peer import Membership, Namespace, Peer

@final
class Rooms(Membership):
    events: Any
    def __new__(cls, namespace: Namespace) -> Self: ...
    @property
    def namespace(self) -> Namespace: ...
    @property
    def rooms(self) -> dict[Any, dict[Peer, None]]: ...
    def enter(self, sid: str, room: Any) -> None: ...
    def leave(self, sid: str, room: Any) -> None: ...
    def close(self, room: Any) -> None: ...
    def of(self, sid: str) -> list[Any]: ...
    def members(self, room: Any) -> list[str]: ...
    def participants(self, room: Any) -> list[tuple[str, str]]: ...
    def emit(
        self,
        data: list[Any],
        to: Any = None,
        skip: Any = None,
        callback: Callable[..., Any] | None = None,
        compress: bool = True,
        volatile: bool = False,
    ) -> Future[Any] | None: ...
    def ask(
        self,
        data: list[Any],
        to: Any,
        skip: Any,
        collector: Any,
        compress: bool = True,
    ) -> list[tuple[Peer, int]]: ...
