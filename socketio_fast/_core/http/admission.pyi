from typing import Any, Protocol, final

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.http.request import Request

class _Environ(Protocol):
    def environ(self) -> dict[str, Any]: ...

@final
class Admission: ...

def hooked(engine: Engine, request: Request) -> bool: ...
async def consider(
    engine: Engine, request: Request, environ_source: _Environ, upgrade: bool
) -> Admission: ...
