from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.session import Session
from socketio_fast._core.http.request import Request

def scan_request(data: bytes) -> tuple[Request, bool, bytes, int] | None: ...
def judge(
    engine: Engine, request: Request, upgrade: bool = False
) -> tuple[int, bytes | None, bytes, Session | None]: ...
