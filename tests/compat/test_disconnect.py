"""The end of connections, and the reason that is given."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compat.harness import Host, Record, Run


def recording(sio: Any, record: Record) -> None:
    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        record("disconnect", sid, reason)

    @sio.on("disconnect", namespace="/a")
    async def disconnect_a(sid: str, reason: str) -> None:
        record("disconnect /a", sid, reason)

    @sio.event
    async def hello(sid: str) -> str:
        return "hello"


async def test_by_the_client(run: Run) -> None:
    server = await run(recording)
    ws = await server.wire()
    await ws.text("41")
    await server.recorded("disconnect", ws.sid, "client disconnect")


async def test_by_the_client_of_one_namespace(run: Run) -> None:
    server = await run(recording)
    ws = await server.wire("40/a,")
    await ws.text("40")
    await ws.message()
    await ws.text("41/a,")
    await server.recorded("disconnect /a", ws.sid, "client disconnect")
    await ws.text('421["hello"]')
    assert await ws.message() == '431["hello"]'


async def test_by_the_engine_of_the_client(run: Run) -> None:
    server = await run(recording)
    ws = await server.wire()
    await ws.text("1")
    await server.recorded("disconnect", ws.sid, "client disconnect")


@pytest.mark.parametrize("how", ["close", "frame"])
async def test_by_the_transport(run: Run, how: str) -> None:
    server = await run(recording)
    ws = await server.wire()
    if how == "close":
        await ws.close()
    else:
        await ws.say_goodbye()
    await server.recorded("disconnect", ws.sid, "transport close")


async def test_by_the_server(run: Run) -> None:
    server = await run(recording)
    ws = await server.wire()
    await server.sio.disconnect(ws.sid)
    await server.recorded("disconnect", ws.sid, "server disconnect")
    assert await ws.message() == "41"


async def test_by_the_server_by_polling(run: Run) -> None:
    server = await run(recording)
    client = await server.client(transports=["polling"])
    sid = client.sid()
    await server.sio.disconnect(sid)
    await server.recorded("disconnect", sid, "server disconnect")
    await client.receives("disconnect", "server disconnect")


async def test_by_the_server_of_one_namespace(run: Run) -> None:
    server = await run(recording)
    ws = await server.wire("40/a,")
    await ws.text("40")
    await ws.message()
    await server.sio.disconnect(ws.sid, namespace="/a")
    await server.recorded("disconnect /a", ws.sid, "server disconnect")
    assert await ws.message() == "41/a,"
    await ws.text('421["hello"]')
    assert await ws.message() == '431["hello"]'


async def test_by_the_server_leaves_the_connection(run: Run) -> None:
    server = await run(recording)
    ws = await server.wire()
    await server.sio.disconnect(ws.sid)
    assert await ws.message() == "41"
    await ws.text("40")
    assert (await ws.message()).startswith('40{"sid":"')


async def test_by_the_server_ignoring_the_queue(run: Run) -> None:
    server = await run(recording)
    ws = await server.wire()
    await server.sio.disconnect(ws.sid, ignore_queue=True)
    await server.recorded("disconnect", ws.sid, "server disconnect")


async def test_of_nobody(run: Run) -> None:
    server = await run(recording)
    await server.sio.disconnect("nobody")
    await server.sio.disconnect("nobody", namespace="/unknown")
    server.nothing_recorded()


async def test_twice(run: Run) -> None:
    server = await run(recording)
    ws = await server.wire()
    await server.sio.disconnect(ws.sid)
    await server.sio.disconnect(ws.sid)
    await server.recorded("disconnect", ws.sid, "server disconnect")
    server.nothing_recorded()


async def test_all_namespaces_of_a_connection(run: Run) -> None:
    server = await run(recording)
    ws = await server.wire()
    first = ws.sid
    await ws.text("40/a,")
    await ws.message()
    await ws.close()
    name, sid, reason = await server.next_record()
    assert (name, sid, reason) == ("disconnect", first, "transport close")
    name, sid, reason = await server.next_record()
    assert (name, reason) == ("disconnect /a", "transport close")


async def test_handler_is_awaited(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            await asyncio.sleep(0)
            record("handler")

    server = await run(app)
    ws = await server.wire()
    await server.sio.disconnect(ws.sid)
    await server.recorded("handler")


async def test_what_was_emitted_before_arrives(run: Run) -> None:
    server = await run()
    client = await server.client()
    await server.sio.emit("bye", to=client.sid())
    await server.sio.disconnect(client.sid())
    await client.receives("bye")
    await client.receives("disconnect", "server disconnect")


@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_handler_with_one_argument(run: Run, kind: str) -> None:
    def app(sio: Any, record: Record) -> None:
        async def coroutine(sid: str) -> None:
            record(sid)

        def plain(sid: str) -> None:
            record(sid)

        sio.on("disconnect", coroutine if kind == "coroutine" else plain)

    server = await run(app)
    ws = await server.wire()
    await ws.close()
    await server.recorded(ws.sid)


@pytest.mark.parametrize("kind", ["varargs", "default"])
async def test_handler_signatures(run: Run, kind: str) -> None:
    def app(sio: Any, record: Record) -> None:
        def varargs(*args: Any) -> None:
            record(*args)

        def default(sid: str, reason: str = "none") -> None:
            record(sid, reason)

        sio.on("disconnect", varargs if kind == "varargs" else default)

    server = await run(app)
    ws = await server.wire()
    await ws.close()
    await server.recorded(ws.sid, "transport close")


async def test_type_error_in_the_handler(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str, reason: str = "left out") -> None:
            record(reason)
            raise TypeError("of the handler")

    server = await run(app, namespaces=["/", "/fence"])
    ws = await server.wire()
    await ws.text("41")
    await server.recorded("client disconnect")
    await ws.text("40/fence,")
    await ws.message()
    if host.outcome("type-error-in-disconnect") == "called twice":
        await server.recorded("left out")
    server.nothing_recorded()


async def test_error_in_the_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            record("disconnect")
            raise ValueError("of the handler")

    server = await run(app)
    first = await server.wire()
    await first.close()
    await server.recorded("disconnect")
    await server.wire()


async def test_error_in_the_handler_of_a_disconnect_by_the_server(
    run: Run, host: Host
) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            raise ValueError("of the handler")

    server = await run(app)
    ws = await server.wire()
    if host.outcome("error-in-disconnect") == "raised":
        with pytest.raises(ValueError, match="of the handler"):
            await server.sio.disconnect(ws.sid)
    else:
        await server.sio.disconnect(ws.sid)


async def test_emit_in_the_handler_reaches_the_others(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str) -> None:
            await sio.emit("left", sid)

    server = await run(app)
    client, ws = await server.client(), await server.wire()
    await ws.close()
    await client.receives("left", ws.sid)


async def test_emit_to_a_room_in_the_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str) -> None:
            await sio.emit("left", sid, room="room", skip_sid=sid)

    server = await run(app)
    client, ws = await server.client(), await server.wire()
    for sid in (client.sid(), ws.sid):
        await server.sio.enter_room(sid, "room")
    await ws.text("41")
    await client.receives("left", ws.sid)


async def test_disconnect_in_an_event_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def leave(sid: str) -> str:
            await sio.emit("bye", to=sid)
            await sio.disconnect(sid)
            record("done")
            return "ignored"

        sio.on("disconnect", lambda sid, reason: record(reason))

    server = await run(app)
    client = await server.client()
    await client.emit("leave")
    await server.recorded("server disconnect")
    await server.recorded("done")
    await client.receives("bye")
    await client.receives("disconnect", "server disconnect")


async def test_disconnect_in_the_disconnect_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def disconnect(sid: str, reason: str) -> None:
            await sio.disconnect(sid)
            record(reason)

    server = await run(app)
    ws = await server.wire()
    await ws.text("41")
    await server.recorded("client disconnect")
    server.nothing_recorded()


async def test_disconnect_another_client_in_a_handler(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def kick(sid: str, other: str) -> None:
            await sio.disconnect(other)

    server = await run(app)
    first, second = await server.client(), await server.client()
    await first.emit("kick", second.sid())
    await second.receives("disconnect", "server disconnect")


async def test_disconnect_in_the_connect_handler(run: Run, host: Host) -> None:
    def app(sio: Any, record: Record) -> None:
        @sio.event
        async def connect(sid: str, environ: Any) -> None:
            await sio.disconnect(sid)
            record("connected")

        sio.on("disconnect", lambda sid, reason: record(reason))

    server = await run(app)
    ws = await server.wire(None)
    await ws.text("40")
    await server.recorded("connected")
    answer, *recorded = host.outcome("disconnect-in-connect")
    assert (await ws.message()).startswith(answer)
    for reason in recorded:
        await server.recorded(reason)


async def test_events_after_the_end_are_dropped(run: Run, host: Host) -> None:
    server = await run(recording)
    ws = await server.wire()
    await ws.text("41")
    await ws.text('421["hello"]')
    await server.recorded("disconnect", ws.sid, "client disconnect")
    await ws.text("40")
    if host.outcome("event-without-namespace") == "ignored":
        assert (await ws.message()).startswith('40{"sid":"')
    else:
        await ws.ends()


async def test_callbacks_end_with_the_client(run: Run) -> None:
    server = await run()
    client, other = await server.client(), await server.client()
    calls: list[Any] = []
    await server.sio.emit("ask", to=client.sid(), callback=calls.append)
    await server.sio.disconnect(client.sid())
    await server.sio.emit("end", to=other.sid())
    await other.receives("end")
    assert calls == []


async def test_ping_timeout(run: Run) -> None:
    server = await run(recording, ping_interval=0.2, ping_timeout=0.3)
    ws = await server.wire()
    assert await ws.message() == "2"
    # It is not silent, which python-socketio may call "transport close".
    await ws.text('42["unknown"]')
    await server.recorded("disconnect", ws.sid, "ping timeout")


async def test_pongs_keep_a_client(run: Run) -> None:
    server = await run(recording, ping_interval=0.02, ping_timeout=2)
    ws = await server.wire()
    for _ in range(3):
        assert await ws.message() == "2"
        await ws.text("3")
    server.nothing_recorded()


async def test_reasons_have_names(run: Run) -> None:
    """K8: reasons have names."""
    server = await run()
    reason = server.sio.reason
    assert reason.SERVER_DISCONNECT == "server disconnect"
    assert reason.CLIENT_DISCONNECT == "client disconnect"
    assert reason.PING_TIMEOUT == "ping timeout"
    assert reason.TRANSPORT_CLOSE == "transport close"
    assert reason.TRANSPORT_ERROR == "transport error"


async def test_new_connection_after_the_end(run: Run) -> None:
    server = await run(recording)
    for _ in range(3):
        ws = await server.wire()
        await ws.close()
        await server.recorded("disconnect", ws.sid, "transport close")


async def test_engine_disconnect_of_one(run: Run) -> None:
    server = await run(recording)
    client = await server.client()
    sid = client.sid()
    await server.sio.eio.disconnect(client.sio.eio.sid)
    await server.recorded("disconnect", sid, "server disconnect")


async def test_polling_client_closes(run: Run) -> None:
    server = await run(recording)
    connection = await server.raw.connect()
    sid = await connection.open_session(path="/socket.io/")
    target = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
    (await connection.post(target, "40")).ok()
    (await connection.get(target)).ok()
    (await connection.post(target, "41")).ok()
    name, _, reason = await server.next_record()
    assert (name, reason) == ("disconnect", "client disconnect")
