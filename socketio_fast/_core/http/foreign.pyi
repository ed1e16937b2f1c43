from asyncio import BaseTransport
from collections.abc import Callable
from typing import Protocol, final

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.queued_messages import QueuedMessages
from socketio_fast._core.http.admission import Admission
from socketio_fast._core.http.connections import Connections
from socketio_fast._core.http.exchange import Exchange
from socketio_fast._core.http.request import Request

class _EnvironSource(Protocol):
    def environ(self) -> dict[str, object]: ...

_Headers = list[tuple[bytes, bytes]]

@final
class ForeignExchange(Exchange):
    def __init__(
        self,
        engine: Engine,
        request: Request,
        environ_source: _EnvironSource,
        answer: Callable[[int, _Headers, bytes], object],
        polling_only: bool = False,
        admission: Admission | None = None,
    ) -> None: ...
    def begin(self) -> bool: ...
    def finish(self, body: bytes) -> None: ...
    def lost(self) -> None: ...
    def respond(
        self, status: int, content_type: bytes, body: bytes, headers: bytes
    ) -> int: ...

@final
class ForeignWebSocket(QueuedMessages):
    def __init__(
        self,
        engine: Engine,
        request: Request,
        environ_source: _EnvironSource,
        admission: Admission | None = None,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> _Headers: ...
    @property
    def body(self) -> bytes | None: ...
    @property
    def subprotocol(self) -> str | None: ...
    def begin(self, wake: Callable[[], object]) -> None: ...
    def fail(self, exc: Exception) -> None: ...
    def go_away(self) -> int: ...
    def refuse(self) -> int: ...

def adopt_connection(
    engine: Engine,
    request: Request,
    environ_source: _EnvironSource,
    transport: BaseTransport,
    secure: bool,
    connections: Connections,
    admission: Admission | None = None,
) -> tuple[int, _Headers, bytes] | None: ...
