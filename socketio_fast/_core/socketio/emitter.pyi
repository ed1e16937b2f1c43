from asyncio import Future
from collections.abc import Callable, Coroutine, Sequence
from types import CodeType, FrameType
from typing import Any, TypeVar, final, overload

from typing_extensions import Unpack, disjoint_base

from socketio_fast._core.socketio.hub import Hub
from socketio_fast.events import AnyEvent, Event, Ts

_T = TypeVar("_T")
_T2 = TypeVar("_T2")

@final
class EmitCall(Coroutine[Any, Any, None]):
    @property
    def cr_await(self) -> Any: ...
    @property
    def __name__(self) -> str: ...
    @property
    def __qualname__(self) -> str: ...
    @property
    def cr_code(self) -> CodeType: ...
    @property
    def cr_frame(self) -> FrameType | None: ...
    @property
    def cr_origin(self) -> None: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_suspended(self) -> bool: ...
    def __await__(self) -> EmitCall: ...
    def __iter__(self) -> EmitCall: ...
    def __next__(self) -> None: ...
    def send(self, value: Any) -> None: ...
    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> None: ...
    def close(self) -> None: ...
    def encode(self) -> Callable[[], Future[Any] | None] | None: ...

@disjoint_base
class Emitter:
    @property
    def _hub(self) -> Hub: ...
    def _bind_hub(self, hub: Hub) -> None: ...
    def _bind_manager(self, manager: Any) -> None: ...
    @overload
    def emit(
        self,
        event: Event[()],
        data: None = None,
        to: Any = None,
        room: Any = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, None]: ...
    @overload
    def emit(
        self,
        event: Event[_T],
        data: _T,
        to: Any = None,
        room: Any = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, None]: ...
    @overload
    def emit(
        self,
        event: Event[_T, _T2, Unpack[Ts]],
        data: tuple[_T, _T2, Unpack[Ts]],
        to: Any = None,
        room: Any = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, None]: ...
    @overload
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

class NamespaceEmitter:
    def emit(
        self,
        event: AnyEvent,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> Coroutine[Any, Any, None]: ...
