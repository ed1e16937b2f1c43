"""The behaviours of the official Engine.IO v4 test suite, one test for each."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from support.http_clients import Http, cases, check_open_packet
from support.places import PLACES, SERVERS, StartWorkers, served
from support.suites import engineio_suite

PING_INTERVAL = 0.3
PING_TIMEOUT = 0.2


@pytest.fixture(params=SERVERS, ids=str)
async def server(
    request: pytest.FixtureRequest, workers: StartWorkers
) -> AsyncIterator[Http]:
    place, allow_eio3 = request.param
    options = {"allow_eio3": allow_eio3}
    async with served(place, workers, engineio_suite, Http, **options) as client:
        client.allow_eio3 = allow_eio3
        yield client


@pytest.fixture(params=PLACES)
async def suite(
    request: pytest.FixtureRequest, workers: StartWorkers
) -> AsyncIterator[Http]:
    """With the times of the suite, which most tests must not depend on."""
    times = {"ping_interval": PING_INTERVAL, "ping_timeout": PING_TIMEOUT}
    place = request.param
    async with served(place, workers, engineio_suite, Http, **times) as client:
        yield client


# --- handshake, by polling ------------------------------------------------------


async def test_polling_opens_a_session(suite: Http) -> None:
    status, content = await suite.request("GET", suite.query("polling", None))
    assert status == 200
    check_open_packet(content, upgrades=["websocket"])


async def test_polling_with_an_invalid_revision_fails(server: Http) -> None:
    if not server.allow_eio3:  # else it is revision 3
        assert await server.status("GET", "?transport=polling") == 400
    assert await server.status("GET", "?EIO=abc&transport=polling") == 400


async def test_polling_with_an_invalid_transport_fails(server: Http) -> None:
    assert await server.status("GET", "?EIO=4") == 400
    assert await server.status("GET", "?EIO=4&transport=abc") == 400


async def test_polling_with_an_invalid_method_fails(server: Http) -> None:
    assert await server.status("POST", "?EIO=4&transport=polling") == 400
    assert await server.status("PUT", "?EIO=4&transport=polling") == 400


# --- handshake, by WebSocket ----------------------------------------------------


async def test_websocket_opens_a_session(suite: Http) -> None:
    _, packet = await suite.session_socket()
    check_open_packet(packet, upgrades=[])


async def test_websocket_with_an_invalid_revision_fails(server: Http) -> None:
    if not server.allow_eio3:  # else it is revision 3
        await server.websocket_fails("?transport=websocket")
    await server.websocket_fails("?EIO=abc&transport=websocket")


async def test_websocket_with_an_invalid_transport_fails(server: Http) -> None:
    await server.websocket_fails("?EIO=4")
    await server.websocket_fails("?EIO=4&transport=abc")


# --- messages, by polling -------------------------------------------------------


async def test_polling_echoes_one_text_packet(server: Http) -> None:
    sid = await server.open_session()
    assert await server.push(sid, "4hello") == (200, "ok")
    assert await server.poll(sid) == (200, "4hello")


async def test_polling_echoes_several_text_packets(server: Http) -> None:
    sid = await server.open_session()
    assert await server.push(sid, "4test1\x1e4test2\x1e4test3") == (200, "ok")
    assert await server.poll(sid) == (200, "4test1\x1e4test2\x1e4test3")


async def test_polling_echoes_text_and_binary_packets(server: Http) -> None:
    """P1, T1: polling echoes text and binary packets."""
    sid = await server.open_session()
    assert await server.push(sid, "4hello\x1ebAQIDBA==") == (200, "ok")
    assert await server.poll(sid) == (200, "4hello\x1ebAQIDBA==")


async def test_polling_closes_upon_an_invalid_packet(server: Http) -> None:
    sid = await server.open_session()
    assert (await server.push(sid, "abc"))[0] == 400
    assert (await server.poll(sid))[0] == 400


async def test_polling_closes_upon_duplicate_polls(server: Http) -> None:
    sid = await server.open_session()
    first = await server.start_poll(sid)
    second = await server.start_poll(sid)
    assert await first.result() == (200, "1")
    assert (await second.result())[0] == 400
    assert (await server.poll(sid))[0] == 400


async def test_polling_closes_upon_a_cancelled_poll(server: Http) -> None:
    sid = await server.open_session()
    poll = await server.start_poll(sid)
    await poll.cancel()
    assert (await server.poll(sid))[0] == 400


# --- messages, by WebSocket -----------------------------------------------------


async def test_websocket_echoes_a_text_packet(server: Http) -> None:
    socket, _ = await server.session_socket()
    await socket.send("4hello")
    assert await socket.receive() == "4hello"


async def test_websocket_echoes_a_binary_packet(server: Http) -> None:
    """T3: websocket echoes a binary packet."""
    socket, _ = await server.session_socket()
    await socket.send(b"\x01\x02\x03\x04")
    assert await socket.receive() == b"\x01\x02\x03\x04"


async def test_websocket_closes_upon_an_invalid_packet(server: Http) -> None:
    socket, _ = await server.session_socket()
    await socket.send("abc")
    assert await socket.closed() == []


# --- heartbeat ------------------------------------------------------------------


async def test_polling_exchanges_pings_and_pongs(suite: Http) -> None:
    sid = await suite.open_session()
    for _ in range(3):
        assert await suite.poll(sid) == (200, "2")
        assert await suite.push(sid, "3") == (200, "ok")


async def test_polling_closes_upon_ping_timeout(suite: Http) -> None:
    begun = time.monotonic()
    sid = await suite.open_session()
    await suite.gone(sid)
    assert time.monotonic() - begun > PING_INTERVAL + PING_TIMEOUT - 0.01
    assert (await suite.poll(sid))[0] == 400


async def test_websocket_exchanges_pings_and_pongs(suite: Http) -> None:
    socket, _ = await suite.session_socket()
    for _ in range(3):
        assert await socket.receive() == "2"
        await socket.send("3")


async def test_websocket_closes_upon_ping_timeout(suite: Http) -> None:
    socket, _ = await suite.session_socket()
    assert await socket.closed() == ["2"]


# --- close ----------------------------------------------------------------------


async def test_polling_closes_when_asked(server: Http) -> None:
    sid = await server.open_session()
    poll = await server.start_poll(sid)
    assert await server.push(sid, "1") == (200, "ok")
    assert await poll.result() == (200, "6")
    assert (await server.poll(sid))[0] == 400


async def test_websocket_closes_when_asked(server: Http) -> None:
    socket, _ = await server.session_socket()
    await socket.send("1")
    assert await socket.closed() == []


# --- upgrade --------------------------------------------------------------------


async def test_upgrade_from_polling_to_websocket(server: Http) -> None:
    """T5: upgrade from polling to websocket."""
    sid = await server.open_session()
    socket = await server.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    assert await server.poll(sid) == (200, "6")
    await socket.send("5")
    await socket.send("4hello")
    assert await socket.receive() == "4hello"


async def test_http_requests_are_refused_after_the_upgrade(server: Http) -> None:
    sid = await server.open_session()
    socket = await server.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    assert (await server.poll(sid))[0] == 400
    await socket.send("4hello")
    assert await socket.receive() == "4hello"


async def test_a_second_websocket_is_refused_after_the_upgrade(server: Http) -> None:
    sid = await server.open_session()
    socket = await server.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    await server.websocket_fails(sid=sid)
    await socket.send("4hello")
    assert await socket.receive() == "4hello"


def test_the_suite_has_25_cases() -> None:
    """P14: the suite has 25 cases."""
    assert len(cases(globals())) == 25
