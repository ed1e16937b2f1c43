from collections.abc import Callable
from typing import Any, final

@final
class CheckedHandler:
    def __init__(
        self,
        function: Callable[..., Any],
        handler: Callable[..., Any],
        arguments: Callable[[tuple[Any, ...]], list[Any]],
        decoders: list[Callable[[bytes], Any] | None],
        least: int,
        plain: Callable[[Any], Any],
    ) -> None: ...
    def __call__(self, *args: Any) -> Any: ...
    @property
    def __wrapped__(self) -> Callable[..., Any]: ...
