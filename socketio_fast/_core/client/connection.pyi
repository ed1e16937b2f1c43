from typing import final

from socketio_fast._core.client.peer import ClientPeer
from socketio_fast._core.client.session import ClientSession
from socketio_fast._core.socketio.contracts import Connection
from socketio_fast._core.socketio.hub import Hub

@final
class ClientHub(Hub):
    @property
    def connection(self) -> ClientConnection: ...
    def attach(self, idle: ClientSession) -> None: ...

@final
class ClientConnection(Connection):
    @property
    def peers(self) -> dict[str, ClientPeer]: ...
    def abandon(self, idle: ClientSession) -> None: ...
