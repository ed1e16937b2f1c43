"""The change from polling to WebSocket on one session."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.raw import (
    PING,
    PONG,
    Client,
    Connection,
    WebSocket,
    close_frame,
    frame,
    polling,
    refused_upgrade,
    request,
    text,
    upgrade_request,
    websocket,
    within,
)

from integration.conftest import Start


async def session(client: Client) -> tuple[Connection, str]:
    connection = await client.connect()
    return connection, await connection.open_session()


async def probed(client: Client, sid: str) -> WebSocket:
    ws = await client.websocket(websocket(sid))
    await ws.text("2probe")
    assert await ws.message() == "3probe"
    return ws


async def upgraded(client: Client) -> tuple[WebSocket, str]:
    """A session that has changed over in the orderly way."""
    connection, sid = await session(client)
    ws = await probed(client, sid)
    await ws.text("5")
    await ws.echoes("upgraded")
    await connection.close()
    return ws, sid


async def lives_by_polling(client: Client, sid: str) -> None:
    connection = await client.connect()
    (await connection.post(polling(sid), "4by polling")).ok("ok")
    (await connection.get(polling(sid))).ok("4by polling")


# --- the orderly way ------------------------------------------------------------


async def test_probe_upgrade_and_messages(start: Start) -> None:
    echo, client = await start()
    _, sid = await session(client)
    ws = await probed(client, sid)
    await ws.text("5")
    await ws.echoes("hello")
    await ws.echoes(b"\x01\x02\x03\x04")
    assert echo.app.transport(sid) == "websocket"
    assert echo.sids == [sid]
    assert echo.ended == []


async def test_nothing_is_sent_before_the_probe(client: Client) -> None:
    _, sid = await session(client)
    ws = await client.websocket(websocket(sid))
    await ws.silent()


async def test_a_parked_get_is_released_by_noop(client: Client) -> None:
    connection, sid = await session(client)
    await connection.park(polling(sid))
    ws = await probed(client, sid)
    (await connection.response()).ok("6")
    await ws.text("5")
    await ws.echoes("hello")


async def test_a_get_that_comes_while_upgrading_is_released_by_noop(
    client: Client,
) -> None:
    connection, sid = await session(client)
    ws = await probed(client, sid)
    (await connection.get(polling(sid))).ok("6")
    await ws.text("5")
    await ws.echoes("hello")


async def test_probing_before_the_handshake_is_answered(client: Client) -> None:
    _, sid = await session(client)
    ws = await client.websocket(websocket(sid), after=text("2probe"))
    assert await ws.message() == "3probe"
    await ws.text("5")
    await ws.echoes("hello")


async def test_upgrading_and_speaking_in_one_segment(start: Start) -> None:
    echo, client = await start()
    _, sid = await session(client)
    ws = await client.websocket(websocket(sid))
    await ws.send(text("2probe") + text("5") + text("4one") + text("4two"))
    assert await ws.message() == "3probe"
    assert await ws.message() == "4one"
    assert await ws.message() == "4two"
    await echo.received("one", "two")


async def test_messages_go_by_polling_until_the_upgrade(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    ws = await probed(client, sid)
    (await connection.post(polling(sid), "4by polling")).ok("ok")
    (await connection.get(polling(sid))).ok("4by polling")
    assert echo.app.transport(sid) == "polling"
    await ws.text("5")
    await ws.echoes("by websocket")


async def test_what_waited_for_a_poll_goes_by_the_websocket(start: Start) -> None:
    echo, client = await start()
    _, sid = await session(client)
    ws = await probed(client, sid)
    await echo.app.send(sid, "one")
    await echo.app.send(sid, b"\x02")
    await echo.app.send(sid, "three")
    await ws.silent()
    await ws.text("5")
    assert await ws.message() == "4one"
    assert await ws.message() == b"\x02"
    assert await ws.message() == "4three"
    await ws.echoes("four")


async def test_only_the_applications_packets_come_afterwards(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.park(polling(sid))
    ws = await probed(client, sid)
    (await connection.response()).ok("6")
    await ws.text("5")
    await ws.silent(0.3)  # the reference's noops come every 0.1 s
    await echo.app.send(sid, "first")
    assert await ws.message() == "4first"


async def test_the_server_pings_by_websocket_afterwards(start: Start) -> None:
    _, client = await start(ping_interval=0.3, ping_timeout=5)
    ws, _ = await upgraded(client)
    assert await ws.message() == "2"
    await ws.text("3")
    assert await ws.message() == "2"


async def test_websocket_pings_are_answered_while_upgrading(client: Client) -> None:
    _, sid = await session(client)
    ws = await client.websocket(websocket(sid))
    await ws.send(frame(PING, b"hello"))
    got = await ws.frame()
    assert (got.opcode, got.payload) == (PONG, b"hello")
    await ws.text("2probe")
    assert await ws.message() == "3probe"


async def test_disconnect_after_the_upgrade(start: Start) -> None:
    echo, client = await start()
    ws, sid = await upgraded(client)
    await ws.send(close_frame(1000))
    await ws.fails_with(1000)
    assert await echo.disconnected(sid) == "transport close"


# --- other ways -----------------------------------------------------------------


async def test_an_upgrade_without_a_probe_is_accepted(client: Client) -> None:
    """Clients in the wild do so."""
    _, sid = await session(client)
    ws = await client.websocket(websocket(sid))
    await ws.text("5")
    await ws.echoes("hello")


async def test_an_upgrade_without_a_probe_releases_the_parked_get(
    client: Client,
) -> None:
    connection, sid = await session(client)
    await connection.park(polling(sid))
    ws = await client.websocket(websocket(sid))
    await ws.text("5")
    response = (await connection.response()).ok()
    assert response.text in ("6", "1")
    await ws.echoes("hello")


async def test_probing_twice_is_answered_twice(client: Client) -> None:
    _, sid = await session(client)
    ws = await probed(client, sid)
    await ws.text("2probe")
    assert await ws.message() == "3probe"
    await ws.text("5")
    await ws.echoes("hello")


@pytest.mark.parametrize("probe_first", [False, True])
@pytest.mark.parametrize(
    "packet",
    ["4hello", "2", "2prob", "2probes", "3probe", "3", "1", "6", "0", "", "abc"],
)
async def test_anything_else_closes_the_probe_and_the_session_lives(
    start: Start, packet: str, probe_first: bool
) -> None:
    echo, client = await start()
    _, sid = await session(client)
    ws = await (
        probed(client, sid) if probe_first else client.websocket(websocket(sid))
    )
    await ws.text(packet)
    await ws.ends()
    await lives_by_polling(client, sid)
    assert echo.got == ["by polling"]
    assert echo.ended == []


async def test_binary_closes_the_probe_and_the_session_lives(client: Client) -> None:
    _, sid = await session(client)
    ws = await client.websocket(websocket(sid))
    await ws.binary(b"2probe")
    await ws.ends()
    await lives_by_polling(client, sid)


async def test_a_violation_closes_the_probe_and_the_session_lives(
    client: Client,
) -> None:
    _, sid = await session(client)
    ws = await probed(client, sid)
    await ws.send(frame(3, b""))
    await ws.fails_with(1002)
    await lives_by_polling(client, sid)


@pytest.mark.parametrize("orderly", [False, True])
async def test_a_probe_that_goes_away_leaves_the_session(
    client: Client, orderly: bool
) -> None:
    _, sid = await session(client)
    ws = await probed(client, sid)
    if orderly:
        await ws.send(close_frame(1000))
        await ws.fails_with(1000)
    else:
        await ws.close()
    await lives_by_polling(client, sid)
    # and another may be tried
    again = await probed(client, sid)
    await again.text("5")
    await again.echoes("hello")


@pytest.mark.parametrize("probe_first", [False, True])
async def test_the_upgrade_timeout_closes_only_the_probe(
    start: Start, probe_first: bool
) -> None:
    """T5, E20: a probe that does not complete is freed."""
    echo, client = await start(upgrade_timeout=0.3)
    _, sid = await session(client)
    loop = asyncio.get_running_loop()
    started = loop.time()
    ws = await (
        probed(client, sid) if probe_first else client.websocket(websocket(sid))
    )
    await ws.ends()
    assert 0.25 < loop.time() - started < 2
    assert echo.ended == []
    await lives_by_polling(client, sid)
    again = await probed(client, sid)
    await again.text("5")
    await again.echoes("hello")


async def test_the_upgrade_timeout_ends_with_the_upgrade(start: Start) -> None:
    """T5: what has upgraded has no deadline."""
    _, client = await start(upgrade_timeout=0.2)
    ws, _ = await upgraded(client)
    await ws.silent(0.4)
    await ws.echoes("hello")


async def test_a_second_websocket_while_upgrading_is_closed(client: Client) -> None:
    _, sid = await session(client)
    ws = await probed(client, sid)
    await refused_upgrade(client.server, websocket(sid))
    await ws.text("5")
    await ws.echoes("hello")


async def test_a_second_websocket_before_the_probe_is_closed(client: Client) -> None:
    _, sid = await session(client)
    ws = await client.websocket(websocket(sid))
    await refused_upgrade(client.server, websocket(sid))
    await ws.text("2probe")
    assert await ws.message() == "3probe"
    await ws.text("5")
    await ws.echoes("hello")


async def test_a_second_websocket_after_the_upgrade_is_closed(client: Client) -> None:
    ws, sid = await upgraded(client)
    await refused_upgrade(client.server, websocket(sid))
    await ws.echoes("hello")


async def test_a_websocket_on_a_websocket_session_is_closed(start: Start) -> None:
    echo, client = await start()
    ws = await client.session()
    await echo.until(lambda: len(echo.sids) == 1)
    await refused_upgrade(client.server, websocket(echo.sids[0]))
    await ws.echoes("hello")


@pytest.mark.parametrize("body", [None, "4late"])
async def test_polling_after_the_upgrade_is_a_bad_request(
    start: Start, body: str | None
) -> None:
    echo, client = await start()
    ws, sid = await upgraded(client)
    connection = await client.connect()
    await connection.send(
        request("GET" if body is None else "POST", polling(sid), body)
    )
    (await connection.response()).error(3)
    await ws.echoes("hello")
    assert echo.got == ["upgraded", "hello"]


async def test_a_post_on_its_way_at_the_upgrade_is_not_lost(start: Start) -> None:
    """Its head came by polling's time, its body came after."""
    echo, client = await start()
    connection, sid = await session(client)
    whole = request("POST", polling(sid), "4on its way")
    await connection.send(whole[:-4])
    ws = await probed(client, sid)
    await ws.text("5")
    await ws.echoes("upgraded")
    await connection.send(whole[-4:])
    # either it is taken, or the client is told that it was not
    try:
        response = await connection.response()
    except (asyncio.IncompleteReadError, ConnectionError):
        response = None
    if response and response.status == 200:
        assert await ws.message() == "4on its way"
        assert echo.got == ["upgraded", "on its way"]
    else:
        assert response is None or response.refused(400)
        assert echo.got == ["upgraded"]
    await ws.echoes("still here")


async def test_the_session_closes_while_upgrading(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    ws = await probed(client, sid)
    (await connection.post(polling(sid), "1")).ok("ok")
    await echo.disconnected(sid)
    await ws.ends()


async def test_the_server_disconnects_while_upgrading(start: Start) -> None:
    echo, client = await start()
    connection, sid = await session(client)
    await connection.park(polling(sid))
    ws = await client.websocket(websocket(sid))
    await echo.app.disconnect(sid)
    (await connection.response()).ok("1")
    await ws.ends()
    assert await echo.disconnected(sid) == "server disconnect"


async def test_the_upgrade_on_the_connection_that_polled(client: Client) -> None:
    connection, sid = await session(client)
    ws = WebSocket(connection.reader, connection.writer)
    await ws.send(upgrade_request(websocket(sid)) + text("2probe"))
    await ws.accepted()
    assert await ws.message() == "3probe"
    await ws.text("5")
    await ws.echoes("hello")


# --- what is offered ------------------------------------------------------------


async def upgrades(connection: Connection) -> list[str]:
    response = (await connection.get(polling())).ok()
    offered = json.loads(response.text[1:])["upgrades"]
    assert isinstance(offered, list)
    return offered


async def test_upgrades_are_offered(client: Client) -> None:
    assert await upgrades(await client.connect()) == ["websocket"]


async def test_upgrades_may_be_switched_off(start: Start) -> None:
    _, client = await start(allow_upgrades=False)
    assert await upgrades(await client.connect()) == []


@pytest.mark.parametrize("transports", [["polling"], "polling"])
async def test_polling_only(start: Start, transports: list[str] | str) -> None:
    echo, client = await start(transports=transports)
    connection = await client.connect()
    assert await upgrades(connection) == []
    await within(refused_upgrade(client.server, websocket()))
    await within(refused_upgrade(client.server, websocket(echo.sids[0])))
    (await connection.get(websocket())).error(0)
    await lives_by_polling(client, echo.sids[0])


@pytest.mark.parametrize("transports", [["websocket"], "websocket"])
async def test_websocket_only(start: Start, transports: list[str] | str) -> None:
    _, client = await start(transports=transports)
    connection = await client.connect()
    (await connection.get(polling())).error(0)
    (await connection.post(polling("x" * 20), "4a")).error(0)
    ws = await client.session()
    await ws.echoes("hello")


async def test_both_transports_in_a_list(start: Start) -> None:
    _, client = await start(transports=["websocket", "polling"])
    assert await upgrades(await client.connect()) == ["websocket"]
    await upgraded(client)
