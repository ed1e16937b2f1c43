from collections.abc import Callable
from logging import Logger
from typing import Any, final

from typing_extensions import Self

from socketio_fast._core.engine.contracts import HandlerFactory, SessionHandler
from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.runner import Runner

@final
class Callbacks(HandlerFactory):
    connect: Callable[..., Any] | None
    message: Callable[..., Any] | None
    disconnect: Callable[..., Any] | None
    begun: Callable[[str, Any], object] | None
    def __new__(
        cls,
        *,
        logger: Logger,
        ordered: bool = False,
        read_text: Callable[[str], Any] | None = None,
    ) -> Self: ...
    @property
    def runner(self) -> Runner | None: ...
    @property
    def logger(self) -> Logger: ...
    @property
    def ordered(self) -> bool: ...
    def bind(self, engine: Engine) -> None: ...

@final
class CallbackHandler(SessionHandler): ...
