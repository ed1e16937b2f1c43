from collections.abc import Awaitable
from typing import Any, final

from typing_extensions import Self

from socketio_fast._core.socketio.contracts import Relay
from socketio_fast._core.socketio.hub import Hub

@final
class AdapterRelay(Relay):
    def __new__(
        cls,
        hub: Hub,
        adapter: Any,
        *,
        sends: bool = True,
        rooms: bool = False,
        clients: bool = False,
        shares_own: bool = False,
    ) -> Self: ...
    @property
    def hub(self) -> Hub: ...
    def check(self, room: Any) -> None: ...
    def emit(
        self,
        namespace: str,
        data: list[Any],
        to: Any,
        excepted: Any,
        skipped: Any,
        *,
        compress: bool = True,
        volatile: bool = False,
    ) -> Awaitable[Any] | None: ...
    def receive(
        self,
        namespace: str,
        text: bytes,
        data: list[Any],
        to: Any,
        compress: bool,
        volatile: bool,
    ) -> None: ...
    @property
    def takes_text(self) -> bool: ...
