"""The public API for threads, as mypy sees it; checked, not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import assert_type

import socketio_fast as socketio
from socketio_fast import engineio, testing
from socketio_fast.admin import InstrumentedServer
from socketio_fast.serving.drain import DrainSummary
from socketio_fast.sockets import Handshake
from socketio_fast.sockets.blocking import (
    BroadcastOperator,
    RemoteSocket,
    Socket,
    SocketEmitter,
)

sio = socketio.Server()
assert_type(sio.namespaces, Sequence[str])
assert_type(sio.always_connect, bool)
assert_type(sio.validate_handlers, bool)
sio.always_connect = True  # type: ignore[assignment]
assert_type(sio.server_count(), int)
assert_type(sio.emit("news", {"a": 1}, to="room"), None)
assert_type(sio.send("text", skip_sid=["a"]), None)
assert_type(sio.call("question", to="sid", timeout=5), Any)
sio.call("question", too="sid")  # type: ignore[call-arg]
assert_type(sio.enter_room("sid", "room", namespace="/chat"), None)
assert_type(sio.get_session("sid"), dict[str, Any])
assert_type(sio.disconnect("sid", "/chat", True), None)
assert_type(sio.drain(rate=100), DrainSummary)
assert_type(sio.flushed("sid", below=5), None)
assert_type(sio.instrument(auth=False), InstrumentedServer)
assert_type(sio.to("room").except_("other"), BroadcastOperator)
assert_type(sio.local.volatile.timeout(5), BroadcastOperator)
assert_type(sio.fetch_sockets(), list[RemoteSocket])
assert_type(sio.to("room").emit_with_ack("question", 1), list[Any])
with sio.session("sid") as session:
    assert_type(session, dict[str, Any])

assert_type(sio.eio, engineio.Server)
assert_type(sio.eio.send("sid", b"data"), None)
sio.eio.send("sid", 5)  # type: ignore[arg-type]
assert_type(sio.eio.get_session("sid"), dict[str, Any])
assert_type(sio.eio.drain(), DrainSummary)


class Mine(socketio.Server):
    def disconnect(
        self, sid: str, namespace: str | None = None, ignore_queue: bool = False
    ) -> None:
        super().disconnect(sid, namespace, ignore_queue)

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        super().enter_room(sid, str(room), namespace)


class Chat(socketio.Namespace):
    def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        assert_type(self.enter_room(sid, "room"), None)
        assert_type(self.get_session(sid), dict[str, Any])
        assert_type(self.emit("news", room="room"), None)


class AsyncChat(socketio.AsyncNamespace):
    async def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        assert_type(await self.enter_room(sid, "room"), None)
        assert_type(await self.get_session(sid), dict[str, Any])
        await self.leave_room(sid)  # type: ignore[call-arg]

    async def disconnect(self, sid: str, namespace: str | None = None) -> None:
        await super().disconnect(sid, namespace)


manager = socketio.RedisManager()
assert_type(manager.can_disconnect("sid", "/"), bool)
assert_type(manager.host_id, str)
assert_type(manager.emit("news", 1), None)
assert_type(manager.close_room("room"), None)
assert_type(manager.disconnect("sid"), None)
socketio.Manager().close_room("room")  # type: ignore[call-arg]


class Loud(socketio.Manager):
    def emit(self, event: str, *args: Any, **kwargs: Any) -> None:
        super().emit(event, *args, **kwargs)


nsp = sio.of("/chat")
assert_type(nsp.params, dict[str, str])
assert_type(nsp.delete(), None)


@nsp.use
def middleware(socket: Socket) -> None:
    assert_type(socket.id, str)
    assert_type(socket.rooms, set[Any])
    assert_type(socket.handshake, Handshake)
    assert_type(socket.request, dict[str, Any])
    assert_type(socket.join(["a", "b"]), None)
    assert_type(socket.disconnect(close=True), None)
    assert_type(socket.broadcast, BroadcastOperator)
    assert_type(socket.timeout(5).volatile, SocketEmitter)
    assert_type(socket.emit("news", 1, callback=print), None)
    assert_type(socket.emit_with_ack("question"), Any)

    @socket.on_any
    def any_event(event: str, *args: Any) -> int:
        return len(args)

    assert_type(any_event("x"), int)
    socket.off_any(any_event)


def tested() -> None:
    with testing.SyncClock(sio) as clock, testing.client(sio) as client:
        assert_type(client.emit("order", 1), None)
        assert_type(client.call("order", timeout=1), Any)
        assert_type(client.received, list[testing.Event])
        assert_type(client.reason, str | None)
        assert_type(client.join("/chat", auth={"a": 1}), testing.SyncClient)
        assert_type(clock.now, float)

        @client.on("news")
        def news(text: str) -> int:
            return len(text)

        assert_type(news("x"), int)
