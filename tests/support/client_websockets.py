"""A client's WebSocket without a network: picows speaks, and a test has the bytes of
the server."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable
from typing import Any

import picows

from socketio_fast._core.client.session import ClientSession
from socketio_fast._core.client.websocket import ClientWebSocket
from socketio_fast._core.protocol.deflate import Deflate
from support.client_core import Core, Owner, open_packet
from support.raw import masked
from support.sansio import Loop, Wire
from support.wire import BINARY, CLOSE, GUID, TEXT, server_frame

Frame = tuple[int, int, bytes]  # the opcode, the reserved bits, the payload


class _NoSocket:
    """What picows asks of a socket. Without a descriptor bytes go by the transport."""

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *args: int) -> None:
        pass

    def getsockopt(self, *args: int) -> int:
        return 0


class ClientWire(Wire):
    """The connection of a client, whose other end the test is."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return _NoSocket()
        return super().get_extra_info(name, default)


class ConnectingLoop(Loop):
    """A loop whose connections lead to the test."""

    start_tls = None

    async def create_connection(
        self, factory: Callable[[], Any], *args: Any, **options: Any
    ) -> tuple[ClientWire, Any]:
        protocol = factory()
        self.wire = ClientWire(self, protocol)
        return self.wire, protocol


class ServerEnd:
    """The server's end of a client's WebSocket, which it has accepted."""

    def __init__(
        self,
        loop: Loop,
        socket: ClientWebSocket,
        deflate: Deflate | None = None,
    ) -> None:
        assert isinstance(loop, ConnectingLoop)
        with loop.running():
            connecting = loop.create_task(
                picows.ws_connect(
                    lambda request, response: socket.listen(deflate),
                    "ws://server.test/socket.io/",
                    websocket_handshake_timeout=None,
                    enable_auto_pong=False,
                    use_aiofastnet=False,
                    logger_name=logging.LoggerAdapter(logging.getLogger("picows"), {}),
                )
            )
        loop.turn()
        self.loop = loop
        self.wire = loop.wire
        found = re.search(rb"Sec-WebSocket-Key: (\S+)\r\n", self.wire.take())
        assert found is not None
        accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
        self.wire.feed(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        connecting.result()

    def send(self, *frames: bytes) -> None:
        """These frames come in one read."""
        self.wire.feed(b"".join(frames))

    def text(self, *packets: bytes) -> None:
        self.send(*(server_frame(TEXT, packet) for packet in packets))

    def frames(self) -> list[Frame]:
        """The frames of the client since the last call."""
        data, found = self.wire.take(), []
        while data:
            size, at = data[1] & 0x7F, 2
            assert data[1] & 0x80, "a frame of the client that is not masked"
            if size > 125:
                width = 2 if size == 126 else 8
                size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
            assert data[0] & 0x80, "a fragment"
            body = data[at + 4 : at + 4 + size]
            assert len(body) == size, "a frame without its end"
            found.append(
                (data[0] & 15, data[0] >> 4 & 7, masked(body, data[at : at + 4]))
            )
            data = data[at + 4 + size :]
        return found

    def messages(self) -> list[bytes]:
        """The payloads of the client's messages since the last call."""
        return [data for opcode, _, data in self.frames() if opcode in (TEXT, BINARY)]

    def code(self) -> int | None:
        """The code of the client's close frame, of those since the last call; None:
        there is none."""
        for opcode, _, data in self.frames():
            if opcode == CLOSE:
                return int.from_bytes(data[:2], "big")
        return None

    def stop_reading(self) -> None:
        """The kernel takes nothing of what is written from now on."""
        self.wire.full = True

    def read_on(self) -> None:
        """The kernel takes all."""
        self.wire.full = False
        self.wire.drain()


class WebSocketCore(Core):
    """One client by WebSocket.

    Args:
        dialect: Flags of `Dialect`.
        deflate: The compression that the server has accepted.
        options: Of the engine.
    """

    def __init__(
        self, dialect: int = 0, deflate: Deflate | None = None, **options: Any
    ) -> None:
        self._dialect, self._deflate = dialect, deflate
        super().__init__(ConnectingLoop(), **options)

    def connect(self) -> None:
        self.owner = Owner()
        self.session = ClientSession(self.engine, self.owner, self._dialect)
        self.socket = ClientWebSocket(self.engine)
        self.session.begin(self.socket)
        self.server = ServerEnd(self.loop, self.socket, self._deflate)

    def open(self, **changes: Any) -> WebSocketCore:
        self.receive(open_packet(**changes))
        assert self.session.connected
        return self

    def receive(self, *packets: bytes) -> bool:
        self.server.text(*packets)
        return self.session.connected

    def sent(self) -> list[bytes]:
        return self.server.messages()
