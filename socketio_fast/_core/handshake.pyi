from collections.abc import Iterable
from typing import Any, final

from typing_extensions import Self

from socketio_fast._core.session import Engine, Session

@final
class Request:
    def __new__(
        cls,
        method: str,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        peer: Any = None,
        server: Any = None,
        scheme: str = "http",
        http_version: str = "1.1",
    ) -> Self: ...
    @property
    def method(self) -> str: ...
    @property
    def target(self) -> bytes: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def headers(self) -> list[tuple[bytes, bytes]]: ...
    @property
    def peer(self) -> Any: ...
    @property
    def server(self) -> Any: ...
    @property
    def scheme(self) -> str: ...
    @property
    def http_version(self) -> str: ...
    def header(self, name: bytes) -> bytes | None: ...
    def environ(self) -> dict[str, Any]: ...

@final
class Admission: ...

def make_request(
    method: str,
    target: bytes,
    headers: Iterable[tuple[bytes, bytes]] = (),
    **more: Any,
) -> Request: ...
def judge(
    engine: Engine, request: Request, upgrade: bool = False
) -> tuple[int, bytes | None, bytes, Session | None]: ...
