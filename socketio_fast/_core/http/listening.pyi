import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, final

from socketio_fast._core.http.epoll import Sockets, Watched

def has_own_tls(context: ssl.SSLContext) -> bool: ...
def listen(
    group: Sockets,
    sock: socket.socket,
    factory: Callable[[], asyncio.Protocol],
    backlog: int = 100,
    context: ssl.SSLContext | None = None,
) -> ListeningSocket: ...
def adopt(group: Sockets, sock: socket.socket, protocol: asyncio.Protocol) -> None: ...

@final
class ListeningSocket(Watched):
    @property
    def socket(self) -> socket.socket | None: ...
    @property
    def sockets(self) -> Sequence[Any]: ...
    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...
