"""The Engine.IO server alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.raw import polling

from compat.harness import Host, Record, Run, Server


def echo(eio: Any, record: Record) -> None:
    @eio.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        record("connect", sid, environ["REQUEST_METHOD"])

    @eio.on("message")
    async def message(sid: str, data: Any) -> None:
        record("message", data)
        await eio.send(sid, data)

    @eio.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        record("disconnect", sid, reason)


async def start(run: Run, app: Any = echo, **options: Any) -> Server:
    return await run(app, path="engine.io", engine=True, **options)


@pytest.mark.parametrize("data", ["text", "é☃", "", b"bytes", b""], ids=repr)
async def test_echo(run: Run, data: Any) -> None:
    """E19: echo."""
    server = await start(run)
    ws = await server.raw.session()
    await server.next_record()
    await ws.echoes(data)
    await server.recorded("message", data)


@pytest.mark.parametrize(
    ("data", "wire"), [([1, "a"], '4[1,"a"]'), ({"a": 1}, '4{"a":1}')], ids=repr
)
async def test_json(run: Run, data: Any, wire: str) -> None:
    server = await start(run)
    ws = await server.raw.session()
    await server.next_record()
    await ws.text("4" + json.dumps(data))
    await server.recorded("message", data)
    assert await ws.message() == wire


@pytest.mark.parametrize("text", ["5", "1.5", "[1", "{x}", "word"])
async def test_what_is_not_taken_for_json(run: Run, text: str) -> None:
    server = await start(run)
    ws = await server.raw.session()
    await server.next_record()
    await ws.echoes(text)
    await server.recorded("message", text)


@pytest.mark.parametrize("text", ["true", '"x"', "null", "-1"])
async def test_json_that_is_no_array_or_object(run: Run, host: Host, text: str) -> None:
    server = await start(run)
    ws = await server.raw.session()
    await server.next_record()
    await ws.text("4" + text)
    parsed = host.outcome("engine-json-scalars") == "parsed"
    await server.recorded("message", json.loads(text) if parsed else text)


async def test_id(run: Run) -> None:
    server = await start(run)
    ws = await server.raw.websocket()
    packet = await ws.open_packet()
    await server.recorded("connect", packet["sid"], "GET")


async def test_by_polling(run: Run) -> None:
    server = await start(run)
    connection = await server.raw.connect()
    sid = await connection.open_session()
    (await connection.post(polling(sid), "4text\x1ebAQI=")).ok()
    assert (await connection.get(polling(sid))).ok().text == "4text\x1ebAQI="


@pytest.mark.parametrize("value", [None, True], ids=repr)
async def test_connect_accepts(run: Run, value: Any) -> None:
    def app(eio: Any, record: Record) -> None:
        eio.on("connect", lambda sid, environ: value)

    server = await start(run, app)
    await server.raw.session()


@pytest.mark.parametrize("pauses", [False, True])
async def test_connect_sends(run: Run, pauses: bool) -> None:
    def app(eio: Any, record: Record) -> None:
        @eio.on("connect")
        async def connect(sid: str, environ: Any) -> None:
            await eio.send(sid, "hi")
            if pauses:
                await eio.sleep(0.01)
            await eio.send(sid, b"\1")

    server = await start(run, app)
    ws = await server.raw.websocket()
    await ws.open_packet()
    assert await ws.message() == "4hi"
    assert await ws.message() == b"\1"
    answer = await server.get("/engine.io/?EIO=4&transport=polling")
    assert answer.text.split("\x1e")[1:] == ["4hi", "bAQ=="]


@pytest.mark.parametrize("value", [False, "why", {"a": 1}, 0], ids=repr)
async def test_connect_refuses(run: Run, host: Host, value: Any) -> None:
    def app(eio: Any, record: Record) -> None:
        eio.on("connect", lambda sid, environ: value)

    server = await start(run, app)
    answer = await server.get("/engine.io/?EIO=4&transport=polling")
    assert answer.status == host.outcome("engine-refusal")
    assert server.sio.sockets == {}


async def test_error_in_connect_refuses(run: Run, host: Host) -> None:
    def app(eio: Any, record: Record) -> None:
        @eio.on("connect")
        async def connect(sid: str, environ: Any) -> None:
            raise ValueError("of the handler")

    server = await start(run, app)
    answer = await server.get("/engine.io/?EIO=4&transport=polling")
    assert answer.status == host.outcome("engine-refusal")


async def test_error_in_message(run: Run) -> None:
    def app(eio: Any, record: Record) -> None:
        @eio.on("message")
        async def message(sid: str, data: Any) -> None:
            if data == "bad":
                raise ValueError("of the handler")
            await eio.send(sid, data)

    server = await start(run, app)
    ws = await server.raw.session()
    await ws.text("4bad")
    await ws.echoes("good")


async def test_disconnect_by_the_client(run: Run) -> None:
    server = await start(run)
    ws = await server.raw.session()
    _, sid, _ = await server.next_record()
    await ws.text("1")
    await server.recorded("disconnect", sid, "client disconnect")


async def test_disconnect_by_the_transport(run: Run) -> None:
    server = await start(run)
    ws = await server.raw.session()
    _, sid, _ = await server.next_record()
    await ws.close()
    await server.recorded("disconnect", sid, "transport close")


async def test_disconnect_by_the_server(run: Run, host: Host) -> None:
    server = await start(run)
    ws = await server.raw.session()
    _, sid, _ = await server.next_record()
    await server.sio.disconnect(sid)
    await server.recorded("disconnect", sid, "server disconnect")
    if host.outcome("engine-disconnect") == "packet":
        assert await ws.message() == "1"
    else:
        await ws.ends()


async def test_disconnect_of_all(run: Run) -> None:
    server = await start(run)
    sids = set()
    for _ in range(3):
        await server.raw.session()
        sids.add((await server.next_record())[1])
    await server.sio.disconnect()
    ended = [await server.next_record() for _ in range(3)]
    assert {sid for _, sid, _ in ended} == sids
    assert {reason for *_, reason in ended} == {"server disconnect"}


async def test_disconnect_handler_with_one_argument(run: Run) -> None:
    def app(eio: Any, record: Record) -> None:
        eio.on("disconnect", lambda sid: record("disconnect"))

    server = await start(run, app)
    ws = await server.raw.session()
    await ws.close()
    await server.recorded("disconnect")


async def test_unknown_event(run: Run) -> None:
    server = await start(run)
    with pytest.raises(ValueError):
        server.sio.on("unknown", print)


async def test_handlers_as_decorators(run: Run) -> None:
    def app(eio: Any, record: Record) -> None:
        def message(sid: str, data: Any) -> None:
            record(data)

        assert eio.on("message")(message) is message

    server = await start(run, app)
    ws = await server.raw.session()
    await ws.text("4x")
    await server.recorded("x")


async def test_send_to_nobody(run: Run) -> None:
    server = await start(run)
    await server.sio.send("nobody", "x")


async def test_sessions(run: Run) -> None:
    server = await start(run)
    await server.raw.session()
    _, sid, _ = await server.next_record()
    assert await server.sio.get_session(sid) == {}
    await server.sio.save_session(sid, {"a": 1})
    async with server.sio.session(sid) as session:
        session["b"] = 2
    assert await server.sio.get_session(sid) == {"a": 1, "b": 2}
    with pytest.raises(KeyError):
        await server.sio.get_session("nobody")


async def test_transport(run: Run) -> None:
    server = await start(run)
    await server.raw.session()
    _, sid, _ = await server.next_record()
    assert server.sio.transport(sid) == "websocket"
    await (await server.raw.connect()).open_session()
    _, sid, _ = await server.next_record()
    assert server.sio.transport(sid) == "polling"
    with pytest.raises(KeyError):
        server.sio.transport("nobody")


async def test_sockets(run: Run) -> None:
    server = await start(run)
    assert len(server.sio.sockets) == 0
    await server.raw.session()
    _, sid, _ = await server.next_record()
    assert list(server.sio.sockets) == [sid]
    socket = server.sio.sockets[sid]
    assert socket.sid == sid
    assert socket.connected
    assert not socket.closed
    assert not socket.upgrading


async def test_upgrade(run: Run) -> None:
    server = await start(run)
    connection = await server.raw.connect()
    sid = await connection.open_session()
    ws = await server.raw.websocket(f"/engine.io/?EIO=4&transport=websocket&sid={sid}")
    await ws.text("2probe")
    assert await ws.message() == "3probe"
    assert (await connection.get(polling(sid))).ok().text == "6"
    await ws.text("5")
    await server.next_record()
    await ws.text("4x")
    await server.recorded("message", "x")
    assert server.sio.transport(sid) == "websocket"
    assert server.sio.sockets[sid].upgraded


async def test_generate_id_replaced(run: Run) -> None:
    def app(eio: Any, record: Record) -> None:
        eio.generate_id = lambda: "my-own-id"
        echo(eio, record)

    server = await start(run, app)
    await server.raw.session()
    await server.recorded("connect", "my-own-id", "GET")


async def test_handlers_side_by_side(run: Run) -> None:
    gate = asyncio.Event()

    def app(eio: Any, record: Record) -> None:
        @eio.on("message")
        async def message(sid: str, data: Any) -> None:
            if data == "slow":
                await gate.wait()
            record(data)

    server = await start(run, app)
    ws = await server.raw.session()
    await ws.text("4slow")
    await ws.text("4fast")
    await server.recorded("fast")
    gate.set()
    await server.recorded("slow")


async def test_handlers_one_after_the_other(run: Run) -> None:
    gate = asyncio.Event()

    def app(eio: Any, record: Record) -> None:
        @eio.on("message")
        async def message(sid: str, data: Any) -> None:
            record("starts", data)
            if data == "slow":
                await gate.wait()
            record("ends", data)

    server = await start(run, app, async_handlers=False)
    ws = await server.raw.session()
    await ws.text("4slow")
    await ws.text("4fast")
    await server.recorded("starts", "slow")
    gate.set()
    await server.recorded("ends", "slow")
    await server.recorded("starts", "fast")
    await server.recorded("ends", "fast")


async def test_tools(run: Run) -> None:
    server = await start(run)
    eio = server.sio
    assert eio.is_asyncio_based()
    queue = eio.create_queue()
    with pytest.raises(eio.get_queue_empty_exception()):
        queue.get_nowait()
    event = eio.create_event()
    event.set()
    await event.wait()
    await eio.sleep(0)

    async def task(a: int, b: int) -> int:
        return a + b

    assert await eio.start_background_task(task, 1, b=2) == 3
    assert len({eio.generate_id() for _ in range(100)}) == 100


@pytest.mark.parametrize("packet", ["9", "2", "7hello"])
async def test_malformed_packets(run: Run, host: Host, packet: str) -> None:
    server = await start(run)
    ws = await server.raw.session()
    _, sid, _ = await server.next_record()
    await ws.text(packet)
    if host.outcome("malformed-engine-packets") == "ignored":
        await ws.echoes("still there")
    else:
        await ws.ends()
        await server.recorded("disconnect", sid, "transport error")


async def test_packet_without_a_type(run: Run, host: Host) -> None:
    server = await start(run)
    ws = await server.raw.session()
    _, sid, _ = await server.next_record()
    await ws.text("x")
    await ws.ends()
    await server.raw.session()
    if host.outcome("packet-without-a-type") == "disconnected":
        await server.recorded("disconnect", sid, "transport error")
    # Else the handler is called when the next ping was not answered.
    name, *_ = await server.next_record()
    assert name == "connect"
