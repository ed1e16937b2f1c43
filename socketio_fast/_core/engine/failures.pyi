from asyncio import AbstractEventLoop
from typing import Any

def log_failure(
    logger: Any,
    error: BaseException,
    message: str,
    args: tuple[Any, ...] = (),
    fields: dict[str, Any] | None = None,
) -> int: ...
def defer_exit(loop: AbstractEventLoop | None, error: BaseException) -> int: ...
def contain(
    loop: AbstractEventLoop | None,
    logger: Any,
    error: BaseException,
    message: str,
    args: tuple[Any, ...] = (),
) -> int: ...
def ends_task(error: BaseException) -> bool: ...
