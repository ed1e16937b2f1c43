import concurrent.futures
from asyncio import Future
from typing import Any, final

from typing_extensions import Self

@final
class Reply:
    number: int | None
    def __new__(cls, future: Future[Any] | concurrent.futures.Future[Any]) -> Self: ...
    @property
    def future(self) -> Future[Any]: ...
    def __call__(self, *args: Any) -> None: ...
    def give_up(self, error: Exception) -> None: ...

@final
class AckCollector: ...

@final
class PendingAcks: ...
