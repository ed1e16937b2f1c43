"""Options of servers, and the tools that they bring."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, ClassVar

import pytest
from support.waiting import within

from compat.harness import Host, Record, Run, Server


class Loose:
    """JSON that is written with spaces, and read as ever."""

    @staticmethod
    def dumps(value: Any, **kwargs: Any) -> str:
        kwargs["separators"] = (" , ", " : ")
        return json.dumps(value, **kwargs)

    loads = staticmethod(json.loads)


async def test_json_of_its_own(run: Run) -> None:
    """P9: json of its own."""
    server = await run(json=Loose)
    ws = await server.raw.websocket("/socket.io/?EIO=4&transport=websocket")
    await ws.message()
    await ws.text("40")
    assert str(await ws.message()).startswith('40{"sid" : ')
    await server.sio.emit("news", {"key": "value"})
    assert await ws.message() == '42["news" , {"key" : "value"}]'


async def test_json_module(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("echo", lambda sid, *args: args)

    server = await run(app, json=json)
    client = await server.client()
    assert await client.call("echo", 2**70, "é", None) == (2**70, "é", None)
    assert await client.call("echo", b"bytes", {"x": b"y"}) == (b"bytes", {"x": b"y"})


async def test_json_that_knows_more(run: Run) -> None:
    class Sets:
        @staticmethod
        def dumps(value: Any, **kwargs: Any) -> str:
            kwargs.pop("default", None)
            return json.dumps(value, default=sorted, **kwargs)

        loads = staticmethod(json.loads)

    server = await run(json=Sets)
    client = await server.client()
    await server.sio.emit("news", {"set": {2, 1}})
    await client.receives("news", {"set": [1, 2]})


async def connected(server: Server, **options: Any) -> Any:
    client = server.new_client(**options)
    await client.connect()
    return client


async def test_msgpack(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("echo", lambda sid, *args: args)

    server = await run(app, serializer="msgpack")
    client = await connected(server, serializer="msgpack")
    args = ("text", 1, None, [1.5], {"a": True}, b"bytes")
    assert await client.call("echo", *args) == args
    await server.sio.emit("news", ("é", b"x", {"y": b"z"}))
    await client.receives("news", "é", b"x", {"y": b"z"})


async def test_msgpack_acknowledgements_of_the_client(run: Run) -> None:
    server = await run(serializer="msgpack")
    client = await connected(server, serializer="msgpack")
    client.answers["ask"] = {"a": b"b"}
    answer = await within(server.sio.call("ask", to=client.sid()), "call")
    assert answer == {"a": b"b"}


async def test_msgpack_refusal(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("connect", lambda sid, environ: False)

    server = await run(app, serializer="msgpack")
    client = server.new_client(serializer="msgpack")
    await client.sio.connect(server.url, transports=["websocket"], wait=False)
    await client.receives("connect_error", {"message": "Connection rejected by server"})


async def test_unknown_serializer(run: Run) -> None:
    with pytest.raises((KeyError, ValueError, AttributeError, TypeError)):
        await run(serializer="unknown")


async def test_packet_class_of_its_own(run: Run, host: Host) -> None:
    """P10: packet class of its own."""

    class Reversed(host.socketio.packet.Packet):
        uses_binary_events: ClassVar[bool] = False

        def encode(self) -> str:
            return str(super().encode())[::-1]

        def decode(self, encoded_packet: str) -> Any:
            return super().decode(encoded_packet[::-1])

    def app(sio: Any, record: Record) -> None:
        sio.on("echo", lambda sid, *args: args)
        record(sio.packet_class is Reversed)

    server = await run(app, serializer=Reversed)
    await server.recorded(True)
    ws = await server.raw.session(path="/socket.io/")
    await ws.text("4" + "0")
    assert str(await ws.message())[1:][::-1].startswith('0{"sid":"')
    await ws.text("4" + '27["echo",1]'[::-1])
    assert await ws.message() == "4" + "37[1]"[::-1]


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def logger_of(name: str) -> tuple[logging.Logger, list[str]]:
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    lines = Lines()
    logger.handlers = [lines]
    return logger, lines.lines


async def test_logger(run: Run) -> None:
    """S12: logger."""
    logger, lines = logger_of("compat.test_logger")

    def app(sio: Any, record: Record) -> None:
        sio.on("hello", lambda sid: "hi")
        record(sio.logger is logger)

    server = await run(app, logger=logger)
    await server.recorded(True)
    client = await server.client()
    await client.call("hello")
    await server.sio.emit("news", room="room")
    await server.sio.enter_room(client.sid(), "a")
    await server.sio.leave_room(client.sid(), "a")
    await server.sio.close_room("a")
    await server.sio.disconnect(client.sid())
    sid = client.sid() or lines[0].split()[3]
    assert 'received event "hello" from ' + sid + " [/]" in lines
    assert 'emitting event "news" to room [/]' in lines
    assert f"{sid} is entering room a [/]" in lines
    assert f"{sid} is leaving room a [/]" in lines
    assert "room a is closing [/]" in lines
    assert f"disconnecting {sid.lower()} [/]" in [line.lower() for line in lines]


async def test_engineio_logger(run: Run) -> None:
    logger, _ = logger_of("compat.test_engineio_logger")
    server = await run(engineio_logger=logger)
    await server.client()
    assert server.sio.eio.logger is logger


async def test_errors_of_handlers_are_logged(run: Run, host: Host) -> None:
    logger, lines = logger_of("compat.test_errors")

    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def fails(sid: str) -> None:
            raise ValueError("of the handler")

        sio.on("works", lambda sid: "works")

    server = await run(app, logger=logger)
    client = await server.client()
    await client.emit("fails")
    assert await client.call("works") == "works"
    logged = any("fails" in line and "failed" in line for line in lines)
    assert logged == host.outcome("errors-of-handlers-are-logged")


async def test_background_task(run: Run) -> None:
    """S13: background task."""

    def app(sio: Any, record: Record) -> None:
        async def task(a: int, b: int) -> None:
            await sio.sleep(0)
            record(a, b)

        @sio.event
        async def start(sid: str) -> None:
            task_ = sio.start_background_task(task, 1, b=2)
            assert isinstance(task_, asyncio.Task)

    server = await run(app)
    client = await server.client()
    await client.emit("start")
    await server.recorded(1, 2)


async def test_emit_from_a_background_task(run: Run) -> None:
    server = await run()
    client = await server.client()

    async def task() -> None:
        await server.sio.emit("tick")

    await server.sio.start_background_task(task)
    await client.receives("tick")


async def test_sleep(run: Run) -> None:
    server = await run()
    await server.sio.sleep(0.001)
    await server.sio.sleep()


async def test_is_asyncio_based(run: Run) -> None:
    server = await run()
    assert server.sio.is_asyncio_based() is True


async def test_async_mode(run: Run) -> None:
    server = await run(async_mode="asgi")
    assert server.sio.async_mode == server.sio.eio.async_mode == "asgi"


@pytest.mark.parametrize("mode", ["threading", "unknown"])
async def test_invalid_async_mode(run: Run, mode: str) -> None:
    with pytest.raises(ValueError):
        await run(async_mode=mode)


async def test_unknown_option(run: Run, host: Host) -> None:
    if host.outcome("unknown-option") == "ignored":
        await run(pingInterval=5)
    else:
        with pytest.raises(TypeError, match="pingInterval"):
            await run(pingInterval=5)


async def test_namespaces_as_text(run: Run, host: Host) -> None:
    server = await run(namespaces="/chat")
    await server.client(namespaces=["/chat"])
    client = server.new_client()
    await client.sio.connect(
        server.url, namespaces=["/ch"], transports=["websocket"], wait=False
    )
    assert (await client.heard())[1] == host.outcome("namespaces-as-text")


async def test_client_manager(run: Run, host: Host) -> None:
    manager = host.socketio.AsyncManager()
    server = await run(client_manager=manager)
    assert server.sio.manager is manager
    assert manager.server is server.sio
    client = await server.client()
    await manager.emit("news", 1, "/", room=client.sid())
    await client.receives("news", 1)


async def test_manager_of_its_own(run: Run, host: Host) -> None:
    """A1: manager of its own."""

    class Loud(host.socketio.AsyncManager):
        async def emit(self, event: str, data: Any, *args: Any, **kwargs: Any) -> Any:
            return await super().emit(event + "!", data, *args, **kwargs)

    server = await run(client_manager=Loud())
    client = await server.client()
    await server.sio.emit("news", 1)
    await client.receives("news!", 1)


async def test_manager_is_initialized(run: Run) -> None:
    server = await run()
    await server.client()
    assert server.sio.manager_initialized is True


async def test_ids_of_its_own(run: Run) -> None:
    """P13: ids of its own."""
    numbers = iter(range(100))

    def app(sio: Any, record: Record) -> None:
        sio.eio.generate_id = lambda: f"id{next(numbers)}"

    server = await run(app)
    client = await server.client()
    assert client.sio.eio.sid == "id0"
    assert client.sid() == "id1"


async def test_options_set_later(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.eio.ping_interval = 7
        sio.eio.ping_timeout = 3
        sio.eio.max_http_buffer_size = 1234
        sio.eio.cors_allowed_origins = ["http://example.org"]
        record(sio.eio.ping_interval, sio.eio.ping_timeout)

    server = await run(app)
    await server.recorded(7, 3)
    answer = await server.get(
        "/socket.io/?EIO=4&transport=polling", headers={"Origin": "http://example.org"}
    )
    packet = json.loads(answer.text[1:])
    assert packet["pingInterval"] == 7000
    assert packet["pingTimeout"] == 3000
    assert packet["maxPayload"] == 1234


async def test_ping_interval_set_later(run: Run) -> None:
    server = await run()
    server.sio.eio.ping_interval = 0.02
    ws = await server.wire()
    assert await ws.message() == "2"
    await ws.text("3")
    assert await ws.message() == "2"


async def test_shutdown(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("disconnect", lambda sid, reason: record(reason))
        sio.on("hello", lambda sid: record("hello"))

    server = await run(app)
    client = await server.client()
    await server.sio.shutdown()
    if host.outcome("shutdown") == "stay":
        await client.emit("hello")
        await server.recorded("hello")
    else:
        await server.recorded("server disconnect")


async def test_max_decode_packets(
    run: Run, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host.engineio.payload.Payload, "max_decode_packets", 50)

    def app(sio: Any, record: Record) -> None:
        sio.on("n", lambda sid, n: record(n))

    server = await run(app)
    base = "/socket.io/?EIO=4&transport=polling"
    sid = json.loads((await server.get(base)).text[1:])["sid"]
    body = "\x1e".join(["40", *(f'42["n",{n}]' for n in range(40))])
    assert (await server.http("POST", f"{base}&sid={sid}", data=body)).status == 200
    for n in range(40):
        await server.recorded(n)
