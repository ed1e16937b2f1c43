"""The public API, as mypy sees it; checked, not run."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pydantic
from typing_extensions import assert_type

import socketio_fast
import socketio_fast as socketio
from socketio_fast import exceptions, packet, testing
from socketio_fast.msgpack_packet import MsgPackPacket
from socketio_fast.sockets.blocking import Socket as ThreadSocket
from socketio_fast.sockets.namespace import ParentNamespace, SocketNamespace
from socketio_fast.sockets.socket import Socket

sio = socketio.AsyncServer(
    logger=logging.getLogger("app"),
    async_handlers=True,
    namespaces=["/", "/chat"],
    connect_timeout=45,
    max_attachments=10,
    engineio_logger=False,
    ping_interval=(25, 5),
    cors_allowed_origins="*",
)


socketio.AsyncServer(ping_interva=25)  # type: ignore[call-arg]
socketio.Server(ping_timeout="20")  # type: ignore[arg-type]
socketio.Server(max_atachments=1)  # type: ignore[call-arg]
socketio.Server(slow_consumer="panic")  # type: ignore[arg-type]
socketio.engineio.Server(allow_eio3=1)  # type: ignore[arg-type]

assert_type(sio.eio.max_buffer_bytes, int)
assert_type(sio.eio.ping_interval, float | tuple[float, float])
sio.eio.slow_consumer = "panic"  # type: ignore[assignment]

by_msgpack = socketio.AsyncServer(serializer="msgpack", json=json)
assert_type(by_msgpack.packet_class, type[Any])
socketio.AsyncServer(serializer=MsgPackPacket.configure(dumps_default=str))
socketio_fast.engineio.AsyncServer(json=json)
assert_type(packet.Packet(packet.EVENT, ["a"]).data_is_binary(b"x"), bool)
payload = socketio_fast.engineio.payload.Payload(
    [socketio_fast.engineio.packet.Packet(4, {"a": 1})]
)
assert_type(payload.encode(), str)


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: Any) -> bool | None:
    if auth is None:
        raise exceptions.ConnectionRefusedError("no token", {"code": 1})
    async with sio.session(sid) as session:
        assert_type(session, dict[str, Any])
        session["name"] = auth["name"]
    return None


def get_name(session: dict[str, Any]) -> str:
    return str(session["name"])


@sio.event
async def whoami(sid: str, name: str = socketio.Depends(get_name)) -> str:
    return name


sio.dependency_overrides[get_name] = lambda: "ada"
socketio.Depends("get_name")  # type: ignore[arg-type]


@sio.event(namespace="/chat")
def disconnect(sid: str, reason: str) -> None:
    if reason == sio.reason.CLIENT_DISCONNECT:
        logging.info("%s has left", sid)


@sio.on("message", namespace="/chat")
async def message(sid: str, text: str, data: bytes) -> tuple[str, int]:
    await sio.emit("message", (text, data), room="room", skip_sid=sid)
    await sio.emit("message", {"text": text}, to=[sid, "room"], namespace="/chat")
    await sio.emit("question", to=sid, callback=lambda *args: print(args))
    await sio.send(text, skip_sid=[sid])
    return "got it", len(data)


class Chat(socketio.AsyncNamespace):
    async def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        await self.enter_room(sid, "room")
        assert_type(self.rooms(sid), list[Any])

    def on_chat(self, sid: str, text: str) -> str:
        return text


sio.register_namespace(Chat("/chat"))
assert_type(sio.async_mode, str)
sio.handlers["/"]["message"] = message
del sio.handlers["/"]["message"]


def on_anything(event: str, sid: str, *args: Any) -> None: ...


sio.on("*", on_anything)


async def use(sid: str) -> None:
    await sio.enter_room(sid, "room")
    await sio.leave_room(sid, "room", namespace="/chat")
    await sio.close_room("room")
    assert_type(sio.rooms(sid), list[Any])
    assert_type(sio.transport(sid), str)
    assert_type(sio.get_environ(sid), dict[str, Any] | None)
    assert_type(await sio.get_session(sid), dict[str, Any])
    await sio.save_session(sid, {"a": 1})
    try:
        print(await sio.call("question", {"a": 1}, to=sid, timeout=5))
    except exceptions.CallDisconnectedError:
        return
    except exceptions.TimeoutError as exc:
        print(exc)
    await sio.disconnect(sid)
    task = sio.start_background_task(use, sid)
    assert_type(task, asyncio.Task[Any])
    await sio.sleep(1)
    await sio.shutdown()


eio = socketio_fast.engineio.AsyncServer(async_mode="asgi", max_http_buffer_size=5)


@eio.on("message")
async def echo(sid: str, data: str | bytes) -> None:
    await eio.send(sid, data)
    async with eio.session(sid) as session:
        assert_type(session, dict[str, Any])
    await eio.disconnect(sid)
    await eio.disconnect()


nsp = sio.of("/chat")
assert_type(nsp, SocketNamespace)
assert_type(sio.of(re.compile("^/room-")), ParentNamespace)
assert_type(sio.of(lambda name, auth: True), ParentNamespace)


@nsp.use
async def middleware(socket: Socket) -> None:
    if not socket.handshake.auth:
        raise exceptions.ConnectionRefusedError("no", {"code": 1})


@nsp.on("connection")
async def connection(socket: Socket) -> None:
    assert_type(socket.id, str)
    assert_type(socket.data, dict[str, Any])
    assert_type(socket.nsp.sockets[socket.id], Socket)

    @socket.on("message")
    async def message(text: str, *more: bytes) -> tuple[str, int]:
        return text, len(more)

    assert_type(await message("x"), tuple[str, int])

    @socket.on("disconnect")
    async def disconnect(reason: str) -> None: ...

    @socket.on("disconnect")  # type: ignore[type-var]
    async def too_many(reason: str, more: int) -> None: ...

    await socket.join(["a", "b"])
    socket.compress(False).emit("x", 1, callback=print)
    print(await socket.timeout(5).emit_with_ack("q"))
    await socket.disconnect(close=True)


@nsp.on("connection")  # type: ignore[type-var]
def not_of_a_socket(socket: int) -> None: ...


moved = socketio.Event[str, float]("moved")
joined = socketio.Event[dict[str, int]]("joined")
cleared = socketio.Event[()]("cleared")


@sio.on(moved)
async def on_moved(sid: str, piece: str, x: float) -> None:
    await sio.emit(moved, (piece, x), to="room")
    await sio.emit(joined, {"a": 1})
    await sio.emit(cleared)
    await sio.emit(moved, (1, x))  # type: ignore[arg-type]
    await sio.emit(moved, piece)  # type: ignore[arg-type]
    await sio.emit(joined, {"a": "b"})  # type: ignore[misc]
    await sio.emit(cleared, 1)  # type: ignore[arg-type]
    await sio.to("room").emit(moved, piece, x)
    await sio.to("room").emit(cleared)
    await sio.to("room").emit(moved, piece)  # type: ignore[misc]
    await sio.to("room").emit_with_ack(moved, x, piece)  # type: ignore[misc]
    async for sid, _ in sio.to("room").acks(moved, piece, x):
        await sio.call(moved, (piece, x), to=sid)
    await nsp.emit(joined, {"a": 1})
    await nsp.emit(joined, 1)  # type: ignore[misc]


@sio.on(moved)  # type: ignore[arg-type]
async def wrongly_moved(sid: str, piece: int) -> None: ...


@nsp.on("connection")
async def typed(socket: Socket) -> None:
    @socket.on(moved)
    async def on_moved(piece: str, x: float) -> bool:
        socket.emit(moved, piece, x, callback=print)
        socket.volatile.emit(moved, piece, "x")  # type: ignore[misc]
        await socket.broadcast.emit(cleared, 1)  # type: ignore[misc]
        return True

    @socket.once(moved)  # type: ignore[arg-type]
    async def wrong(piece: str) -> None: ...

    socket.off(moved, on_moved)


def typed_with_threads(socket: ThreadSocket) -> None:
    @socket.on(moved)
    def on_moved(piece: str, x: float) -> bool:
        socket.emit(moved, piece, x, callback=print)
        socket.volatile.emit(moved, piece, "x")  # type: ignore[misc]
        return True

    @socket.once(moved)  # type: ignore[arg-type]
    def wrong(piece: str) -> None: ...


async def main() -> None:
    server = await socketio.serve(
        sio,
        "127.0.0.1",
        0,
        path="/socket.io/",
        static_files={"/": Path("index.html"), "/lib": {"filename": "lib.js"}},
        ssl=ssl.create_default_context(),
    )
    assert_type(server, socketio.RunningServer)
    assert_type(server.url, str)
    assert_type(server.port, int)
    await server.close()
    async with await socketio.serve(eio, uds="s.sock") as running:
        assert_type(running, socketio.RunningServer)


def errors(error: exceptions.ProtocolError) -> int | None:
    assert_type(error.code, int | None)
    return error.code


if __name__ == "__main__":
    assert_type(socketio.__version__, str)
    socketio.run(sio, "0.0.0.0", 5000, access_log=True)


cluster = socketio.AsyncServer(
    client_manager=socketio.AsyncRedisManager("redis://", redis_options={"db": 1})
)
writer = socketio.RedisManager(write_only=True, logger=logging.getLogger("app"))


def write(sid: str) -> None:
    writer.emit("news", {"a": b"1"}, room="room", skip_sid=[sid])
    writer.enter_room(sid, "/", "room")
    writer.disconnect(sid)
    assert_type(writer.lost_messages, int)
    assert_type(writer.host_id, str)


class Loud(socketio.AsyncManager):
    async def emit(self, event: str, *args: Any, **kwargs: Any) -> None:
        logging.info("emitting %s", event)
        await super().emit(event, *args, **kwargs)


loud = socketio.AsyncServer(Loud())


async def look() -> None:
    for sid, eio_sid in loud.manager.get_participants("/", "room"):
        assert_type(loud.manager.sid_from_eio_sid(eio_sid, "/"), str | None)
        print(loud.manager.rooms["/"]["room"][sid])


@dataclass
class Point:
    x: float


class Order(pydantic.BaseModel):
    product: str


class Tag(msgspec.Struct):
    name: str


@sio.event
async def order(sid: str, order: Order, tags: list[Tag] | None = None) -> Point:
    assert_type(order.product, str)
    return Point(1.0)


@sio.event
async def refused(sid: str, point: Point) -> None:
    raise exceptions.InvalidPayloadError([{"loc": [0], "msg": "no"}], "not now")


async def tested() -> None:
    async with testing.Clock() as clock, testing.client(sio, auth={"a": 1}) as client:
        assert_type(client, testing.Client)
        assert_type(client.received, list[testing.Event])
        await client.emit("order", {"product": "tea"})
        await clock.advance(45)


def tested_with_threads(server: socketio.Server) -> None:
    with testing.SyncClock(server) as clock, testing.client(server) as client:
        assert_type(client, testing.SyncClient)
        clock.advance(45)
