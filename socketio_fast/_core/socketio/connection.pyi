from typing import final

from socketio_fast._core.socketio.contracts import Connection
from socketio_fast._core.socketio.hub import Hub
from socketio_fast._core.socketio.peer_lifecycle import Peer

@final
class ServerHub(Hub): ...

@final
class ConnectionHandler(Connection):
    @property
    def peers(self) -> list[Peer]: ...
