from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.http.request import Request

def origin_accepted(engine: Engine, request: Request) -> bool: ...
