"""The official JavaScript client: the upgrade, reconnection, sizes, options."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.interop import (
    SETTLED,
    TRANSPORTS,
    Calls,
    record,
    record_disconnects,
    returning,
    slow_websockets,
    within,
)
from support.js_client import JSClient, Refused
from support.js_tests import fence

import socketio_fast
from interop.conftest import SERVES

#: The server's default for max_http_buffer_size, in bytes.
LIMIT = 1_000_000


#: Options of a client that comes back at once.
AT_ONCE = {
    "reconnectionDelay": 20,
    "reconnectionDelayMax": 100,
    "randomizationFactor": 0,
}


pytestmark = pytest.mark.parametrize("serve", SERVES, indirect=True)


# ------------------------------------------------------------------ upgrade


@pytest.mark.parametrize("pause", [0, 0.001, 0.004])
@pytest.mark.parametrize("slow", [0.01, 0.03])
async def test_nothing_is_lost_in_the_upgrade(serve, sio, pause, slow):
    up: list[list[Any]] = []
    down_sent = asyncio.get_running_loop().create_future()

    @sio.on("up")
    def _(sid, n, attachment=None):
        up.append([n] if attachment is None else [n, attachment])

    async def stream(sid):
        sent, before, left = 0, 0, 50
        while left:
            if sio.transport(sid) == "polling":
                before += 1
            else:
                left -= 1
            await sio.emit("down", numbered(sent), to=sid)
            sent += 1
            await asyncio.sleep(pause)
        down_sent.set_result((sent, before))

    @sio.event
    def connect(sid, environ):
        sio.start_background_task(stream, sid)

    @sio.event
    def arrived(sid):
        return len(up)

    def numbered(n):
        return (n,) if n % 5 else (n, bytes([n & 0xFF]))

    server = await serve(sio)
    async with (
        slow_websockets(server.port, slow) as url,
        JSClient(url, transports=TRANSPORTS["upgrade"]) as client,
    ):
        await client.socket()
        streaming = asyncio.ensure_future(client.stream_across_upgrade("up", after=50))
        await client["/"].connect()
        await client.settled()
        sent, before = await within(streaming, "stream to the server")
        assert 0 < before < sent
        assert await client.emit_with_ack("arrived") == [sent]
        assert up == [list(numbered(n)) for n in range(sent)]

        sent, before = await within(down_sent, "stream to the client")
        assert 0 < before < sent
        down = [await client.expect("down") for _ in range(sent)]
        assert down == [list(numbered(n)) for n in range(sent)]
        assert client.engines == 1
        await fence(sio, client)


async def test_an_answer_is_waited_for_across_the_upgrade(serve, sio):
    asked = Calls("slow")
    released = asyncio.Event()

    @sio.event
    async def slow(sid):
        asked.add(sio.transport(sid))
        await released.wait()
        return sio.transport(sid)

    sio.on("question", returning("yes"))
    server = await serve(sio)
    async with (
        slow_websockets(server.port, 0.02) as url,
        JSClient(url, transports=TRANSPORTS["upgrade"]) as client,
    ):
        socket = await client.socket()
        # Kept by the client until it is connected, then sent by polling.
        answer = asyncio.ensure_future(socket.emit_with_ack("slow"))
        await socket.connect()
        assert await asked.next() == ("polling",)
        await client.settled()
        # By WebSocket, so that the server has switched too.
        assert await client.emit_with_ack("question") == ["yes"]
        released.set()
        assert await answer == ["websocket"]


async def test_a_server_may_forbid_upgrades(serve):
    sio = socketio_fast.AsyncServer(allow_upgrades=False)
    sio.on("question", returning("yes"))
    server = await serve(sio)
    async with JSClient(server.url, transports=TRANSPORTS["upgrade"]) as client:
        await (await client.socket()).connect()
        for _ in range(5):
            assert await client.emit_with_ack("question") == ["yes"]
        assert await client.transport() == "polling"
        assert not client.upgraded.is_set()


# ------------------------------------------------------------- reconnection


async def test_the_client_reconnects_after_a_restart(js, serve, sio, transport):
    server = await serve(sio)
    client = await js(server, **AT_ONCE)
    await client.connect()
    first = client.sid
    await server.close()
    # Not "io server disconnect", after which the client would not come back.
    reason = await client.disconnected()
    if SETTLED[transport] == "polling":  # an error if it was between two polls
        assert reason in ("transport close", "transport error")
    else:
        assert reason == "transport close"

    restarted = socketio_fast.AsyncServer(cors_allowed_origins="*")

    @restarted.event
    async def connect(sid, environ):
        await restarted.save_session(sid, {"new": True})
        await restarted.enter_room(sid, "room")

    restarted.on("question", returning("yes"))
    await serve(restarted, port=server.port)
    assert await client["/"].reconnected() != first
    await client.settled()
    assert await restarted.get_session(client.sid) == {"new": True}
    assert await client.emit_with_ack("question") == ["yes"]
    await restarted.emit("event", b"again", room="room")
    assert await client.expect("event") == [b"again"]


async def test_what_was_emitted_while_offline_arrives(js, serve, sio):
    server = await serve(sio)
    client = await js(server, **AT_ONCE)
    await client.connect()
    await server.close()
    await client.disconnected()
    for n in range(20):
        await client.emit("offline", n, b"%d" % n)

    restarted = socketio_fast.AsyncServer(cors_allowed_origins="*")
    received = record(restarted, "offline")
    await serve(restarted, port=server.port)
    await client["/"].reconnected()
    got = await received.several(20)
    assert got == [(client.sid, n, b"%d" % n) for n in range(20)]


# --------------------------------------------------------------------- size


async def largest(client: JSClient, event: str, kind: str) -> Any:
    """The argument of the largest event that a server must still accept."""
    if kind == "text":
        text = "€" * ((LIMIT - len(f'42["{event}",""]')) // 3)
        return text + "x" * (LIMIT - len(f'42["{event}","{text}"]'.encode()))
    if await client.transport() == "websocket":
        return bytes(range(250)) * (LIMIT // 250)
    # One POST with both packets, the second as "b" and base64: four bytes for three.
    head = f'451-["{event}",{{"_placeholder":true,"num":0}}]\x1eb'
    return b"\xa5" * ((LIMIT - len(head)) // 4 * 3)


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_a_megabyte_reaches_the_server(js, serve, sio, kind):
    received = record(sio, "big")
    client = await js(await serve(sio))
    await client.connect()
    sent = await largest(client, "big", kind)
    await client.emit("big", sent)
    _, got = await received.next()
    # Not a bare comparison: pytest would show a difference of a megabyte.
    same = got == sent
    assert same
    assert client["/"].log == ["connect"]


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_more_than_a_megabyte_reaches_the_client(js, serve, sio, kind):
    sent = "€uro" * 700_000 if kind == "text" else bytes(range(256)) * 10_000
    client = await js(await serve(sio))
    await client.connect()
    await sio.emit("big", (sent, "after"), to=client.sid)
    got, after = await client.expect("big")
    same = got == sent
    assert same
    assert after == "after"


@pytest.mark.parametrize("kind", ["text", "binary"])
async def test_a_megabyte_in_answers(js, serve, sio, kind):
    @sio.event
    def echo(sid, value):
        return value

    client = await js(await serve(sio))
    await client.connect()
    sent = await largest(client, "echo", kind)
    sent = sent[: len(sent) - 10]  # the number of the acknowledgement
    (got,) = await client.emit_with_ack("echo", sent)
    same = got == sent
    assert same
    call = asyncio.ensure_future(sio.call("echo", sent, to=client.sid))
    answer = sent[: len(sent) - 10]
    (got,) = await client.expect_and_answer("echo", answer)
    same = (got, await within(call, "answer")) == (sent, answer)
    assert same


@pytest.mark.parametrize("kind", ["text", "multibyte", "binary", "far too large"])
async def test_too_large_a_message_ends_its_connection_only(
    js, serve, sio, transport, kind
):
    disconnected = record_disconnects(sio)
    received = record(sio, "big")
    sio.on("question", returning("still here"))
    server = await serve(sio)
    other, client = await js(server), await js(server, reconnection=False)
    await other.connect()
    await client.connect()
    await client.emit("big", await too_large(client, kind))

    end = await client["/"].next("disconnect")
    if kind == "far too large":
        # The answer may cross with megabytes that nobody is obliged to read.
        assert end["reason"] in ("transport close", "transport error")
    elif SETTLED[transport] == "polling":
        # The 413 is on one connection, the end of the parked poll on another.
        assert (end["reason"], end["status"]) in [
            ("transport error", 413),
            ("transport close", None),
        ]
    else:
        assert (end["reason"], end["code"]) == ("transport close", 1009)
    sid, reason = await disconnected.next()
    assert sid == client.sid
    assert reason != sio.reason.CLIENT_DISCONNECT
    assert received.empty

    assert await other.emit_with_ack("question") == ["still here"]
    newcomer = await js(server)
    await newcomer.connect()
    assert await newcomer.emit_with_ack("question") == ["still here"]


async def too_large(client: JSClient, kind: str) -> Any:
    if kind == "multibyte":  # too many bytes, though not too many characters
        return "€" * 400_000
    if kind == "far too large":
        return "x" * (8 * LIMIT)
    return await largest(client, "big", kind) + (
        "x" if kind == "text" else b"\xa5" * 100
    )


async def test_the_limit_is_an_option(js, serve):
    sio = socketio_fast.AsyncServer(max_http_buffer_size=3 * LIMIT)
    received = record(sio, "big")
    client = await js(await serve(sio))
    await client.connect()
    sent = b"\xa5" * (2 * LIMIT)
    await client.emit("big", sent)
    _, got = await received.next()
    same = got == sent
    assert same


# ------------------------------------------------------------------ options


async def test_a_transport_that_is_not_allowed_is_refused(js, serve, transport):
    other = {"polling": "websocket", "websocket": "polling", "upgrade": "websocket"}
    sio = socketio_fast.AsyncServer(transports=[other[transport]])
    client = await js(await serve(sio), reconnection=False)
    with pytest.raises(Refused) as refusal:
        await client.connect()
    expected = "websocket error" if transport == "websocket" else "xhr poll error"
    assert refusal.value.message == expected


async def test_a_handler_that_raises_does_not_end_the_connection(
    js, serve, sio, caplog
):
    @sio.event
    async def bad(sid):
        raise RuntimeError("the handler's own")

    sio.on("question", returning("still here"))
    client = await js(await serve(sio))
    await client.connect()
    await client.emit("bad")
    assert await client.emit_with_ack("question") == ["still here"]
    assert "the handler's own" in caplog.text


async def test_connections_do_not_wait_for_each_other(js, serve, sio):
    came = []
    meetings = [asyncio.Event() for _ in range(10)]

    @sio.event
    async def meet(sid, name, n):
        """Answered when all clients have asked."""
        came.append(n)
        if came.count(n) == 4:
            meetings[n].set()
        await meetings[n].wait()
        return name, n

    server = await serve(sio)
    clients = [await js(server) for _ in range(4)]
    await asyncio.gather(*(client.connect() for client in clients))
    assert len({client.sid for client in clients}) == 4

    async def talk(client, name):
        for n in range(len(meetings)):
            assert await client.emit_with_ack("meet", name, n) == [name, n]

    await asyncio.gather(*(talk(client, name) for name, client in enumerate(clients)))
