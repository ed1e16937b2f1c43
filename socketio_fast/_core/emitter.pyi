from collections.abc import Callable, Coroutine, Sequence
from typing import Any, final

from typing_extensions import disjoint_base

from socketio_fast._core.peer import Hub

@final
class Emission(Coroutine[Any, Any, None]):
    def __await__(self) -> Emission: ...
    def __iter__(self) -> Emission: ...
    def __next__(self) -> None: ...
    def send(self, value: Any) -> None: ...
    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> None: ...
    def close(self) -> None: ...

@disjoint_base
class Emitter:
    @property
    def _hub(self) -> Hub: ...
    def _bind_hub(self, hub: Hub) -> None: ...
    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, None]: ...
