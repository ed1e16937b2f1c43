from typing_extensions import disjoint_base

from socketio_fast._core.engine.deadlines import Timed

@disjoint_base
class RequestReceiver(Timed): ...
