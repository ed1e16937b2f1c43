"""What breaks the protocol."""

from __future__ import annotations

from typing import Any

import pytest

from compat.harness import Host, Record, Run


def app(sio: Any, record: Record) -> None:
    sio.on("hello", lambda sid, *args: "hello")
    sio.on("disconnect", lambda sid, reason: record(reason))


MALFORMED = [
    "4",
    "4abc",
    "49",
    "42",
    "42{}",
    "42abc",
    '42["hello"',
    "42[]",
    "42[null]",
    "42[{}]",
    '42"hello"',
    "43",
    "431",
    "431{}",
    "44",
    '44{"message":"x"}',
    '45-["hello"]',
    "41{}",
]


@pytest.mark.parametrize("packet", MALFORMED)
async def test_malformed_packets(run: Run, host: Host, packet: str) -> None:
    server = await run(app)
    ws = await server.wire()
    await ws.text(packet)
    if host.outcome("malformed-packets") == "ignored":
        if packet == "41{}":
            await server.recorded("client disconnect")
            return
        await ws.text('427["hello"]')
        assert await ws.message() == '437["hello"]'
    else:
        await ws.ends()
        await server.recorded("transport error")


async def test_binary_without_a_packet(run: Run, host: Host) -> None:
    server = await run(app)
    ws = await server.wire()
    await ws.binary(b"unexpected")
    if host.outcome("malformed-packets") == "ignored":
        await ws.text('427["hello"]')
        assert await ws.message() == '437["hello"]'
    else:
        await ws.ends()


async def test_acknowledgement_without_a_number(run: Run) -> None:
    server = await run(app)
    ws = await server.wire()
    await ws.text("43[]")
    await ws.text('427["hello"]')
    assert await ws.message() == '437["hello"]'


async def test_text_while_attachments_are_awaited(run: Run, host: Host) -> None:
    server = await run(app)
    ws = await server.wire()
    await ws.text('451-7["hello",{"_placeholder":true,"num":0}]')
    await ws.text('428["hello"]')
    if host.outcome("text-among-attachments") == "taken for one":
        assert await ws.message() == '437["hello"]'
    else:
        await ws.ends()


async def test_more_than_10_attachments(run: Run, host: Host) -> None:
    """P7: more than 10 attachments."""
    server = await run(app)
    ws = await server.wire()
    holders = ",".join(f'{{"_placeholder":true,"num":{n}}}' for n in range(11))
    await ws.text(f'4511-7["hello",{holders}]')
    if host.outcome("attachments") == "any number":
        for _ in range(11):
            await ws.binary(b"x")
        assert await ws.message() == '437["hello"]'
    else:
        await ws.ends()


@pytest.mark.parametrize("packet", ['42/unknown,["hello"]', "41/unknown,"])
async def test_packets_for_a_namespace_that_is_not_joined(
    run: Run, host: Host, packet: str
) -> None:
    server = await run(app)
    ws = await server.wire()
    await ws.text(packet)
    if host.outcome("event-without-namespace") == "ignored":
        await ws.text('427["hello"]')
        assert await ws.message() == '437["hello"]'
    else:
        await ws.ends()


async def test_events_before_connecting(run: Run, host: Host) -> None:
    server = await run(app)
    ws = await server.wire(None)
    await ws.text('427["hello"]')
    if host.outcome("event-without-namespace") == "ignored":
        await ws.text("40")
        assert (await ws.message()).startswith("40{")
    else:
        await ws.ends()


async def test_disconnect_while_attachments_are_awaited(run: Run) -> None:
    server = await run(app)
    ws = await server.wire()
    await ws.text('451-7["hello",{"_placeholder":true,"num":0}]')
    await ws.close()
    await server.recorded("transport close")
    again = await server.wire()
    await again.text('427["hello"]')
    assert await again.message() == '437["hello"]'


async def test_two_clients_send_attachments_at_once(run: Run) -> None:
    def app(sio: Any, record: Record) -> None:
        sio.on("file", lambda sid, data: data)

    server = await run(app)
    first, second = await server.client(), await server.client()
    for n in range(10):
        await first.emit("file", b"first")
        assert await second.call("file", b"second %d" % n) == b"second %d" % n


@pytest.mark.parametrize("header", ["websocket", "WebSocket", "WEBSOCKET"])
async def test_upgrade_header_in_any_case(run: Run, header: str) -> None:
    server = await run(app)
    ws = await server.raw.websocket(
        "/socket.io/?EIO=4&transport=websocket", upgrade=header
    )
    await ws.open_packet()
    await ws.text("40")
    assert str(await ws.message()).startswith("40")
