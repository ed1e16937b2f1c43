"""A server with connection state recovery, and clients that come back."""

from __future__ import annotations

import json
from typing import Any

from socketio_fast import AsyncServer
from socketio_fast._core.socketio.recovery import Backlog
from support.sansio import Server, WebSocket


class Fixture:
    def __init__(self, recovery: Any = True, **options: Any) -> None:
        self.sio = AsyncServer(connection_state_recovery=recovery, **options)
        self.server = Server(self.sio)
        self.rooms = self.sio._hub.namespace("/").rooms

    @property
    def backlog(self) -> Backlog:
        backlog = self.sio._hub.namespace("/").recovery
        assert isinstance(backlog, Backlog)
        return backlog

    @property
    def counters(self) -> Any:
        return self.server.engine.counters

    def emit(self, *data: Any, to: Any = None, skip: Any = None) -> None:
        self.rooms.emit(list(data), to, skip)

    def client(self) -> Client:
        return Client(self)


class Client:
    """What the official client does, as far as recovery goes."""

    def __init__(self, f: Fixture) -> None:
        self.f = f
        self.sid = self.pid = self.offset = None
        self.recovered = False
        self.got: list[list[Any]] = []
        self.connect()

    def connect(self, **auth: Any) -> list[str | bytes]:
        """Connect (anew); returns the packets that came."""
        self.socket: WebSocket = self.f.server.websocket()
        if self.pid is not None:
            auth = {"pid": self.pid, "offset": self.offset, **auth}
            if self.offset is None:
                del auth["offset"]
        self.socket.text("40" + (json.dumps(auth) if auth else ""))
        return self.receive()

    def receive(self) -> list[str | bytes]:
        packets = self.socket.messages()
        for packet in packets:
            if not isinstance(packet, str) or packet[0] != "4":
                continue
            _, _, text = packet[1:].partition("-" if packet[1] == "5" else packet[1])
            if packet[1] == "0":
                reply = json.loads(text)
                self.recovered = reply["pid"] == self.pid
                self.sid, self.pid = reply["sid"], reply["pid"]
            elif packet[1] in "25" and text[0] == "[":
                event = json.loads(text)
                self.got.append(event)
                if isinstance(event[-1], str):
                    self.offset = event[-1]
        return packets

    def cut(self) -> None:
        """The connection is lost, with what has not been read of it."""
        self.socket.wire.lose()
        self.socket.wire.loop.turn()

    def events(self) -> list[list[Any]]:
        """Those that came since the last time, without offsets."""
        if not self.socket.wire.lost:
            self.receive()
        got, self.got = self.got, []
        return [event[:-1] for event in got]
