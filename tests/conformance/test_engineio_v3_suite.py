"""P3: the behaviours of the official Engine.IO v3 test suite, one test for each."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import pytest
from support.http_clients import Http, cases
from support.places import PLACES, StartWorkers, served
from support.suites import engineio_suite

PING_INTERVAL = 0.3
PING_TIMEOUT = 0.2


class Http3(Http):
    """Requests of revision 3, which counts what is in a payload."""

    revision = 3

    async def open_session(self, *, binary: bool = False) -> str:
        url = self.query("polling", None) + ("" if binary else "&b64=1")
        _, content = await self.request("GET", url)
        sid = json.loads(split(content)[1][1:])["sid"]
        assert isinstance(sid, str)
        return sid

    async def poll_bytes(self, sid: str) -> tuple[int, str, bytes]:
        url = self.query("polling", sid)
        async with self.session.get(url) as response:
            return response.status, response.content_type, await response.read()


def split(payload: str) -> tuple[str, str]:
    length, _, packet = payload.partition(":")
    return length, packet


def check_open_packet(packet: str, upgrades: list[str]) -> None:
    assert packet.startswith("0")
    value = json.loads(packet[1:])
    assert isinstance(value.pop("sid"), str)
    # The suite knows no maxPayload, which the reference implementation sends by now.
    assert value == {
        "upgrades": upgrades,
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": 1_000_000,
    }


@pytest.fixture(params=PLACES)
async def server(
    request: pytest.FixtureRequest, workers: StartWorkers
) -> AsyncIterator[Http3]:
    place, options = request.param, {"allow_eio3": True}
    async with served(place, workers, engineio_suite, Http3, **options) as client:
        yield client


@pytest.fixture(params=PLACES)
async def suite(
    request: pytest.FixtureRequest, workers: StartWorkers
) -> AsyncIterator[Http3]:
    """With the times of the suite, which most tests must not depend on."""
    times = {"ping_interval": PING_INTERVAL, "ping_timeout": PING_TIMEOUT}
    place, options = request.param, {"allow_eio3": True, **times}
    async with served(place, workers, engineio_suite, Http3, **options) as client:
        yield client


# --- handshake, by polling ------------------------------------------------------


async def test_polling_opens_a_session(suite: Http3) -> None:
    status, content = await suite.request("GET", suite.query("polling", None))
    assert status == 200
    length, packet = split(content)
    assert int(length) == len(packet)
    check_open_packet(packet, upgrades=["websocket"])


async def test_polling_with_an_invalid_transport_fails(server: Http3) -> None:
    assert await server.status("GET", "?EIO=3") == 400
    assert await server.status("GET", "?EIO=3&transport=abc") == 400


async def test_polling_with_an_invalid_method_fails(server: Http3) -> None:
    assert await server.status("POST", "?EIO=3&transport=polling") == 400


# --- handshake, by WebSocket ----------------------------------------------------


async def test_websocket_opens_a_session(suite: Http3) -> None:
    _, packet = await suite.session_socket()
    check_open_packet(packet, upgrades=[])


async def test_websocket_with_an_invalid_revision_fails(server: Http3) -> None:
    # Without one it is 3 to the reference implementation, which the suite is not to.
    await server.websocket_fails("?EIO=abc&transport=websocket")


async def test_websocket_with_an_invalid_transport_fails(server: Http3) -> None:
    await server.websocket_fails("?EIO=3")
    await server.websocket_fails("?EIO=3&transport=abc")


# --- messages, by polling -------------------------------------------------------


async def test_polling_echoes_one_text_packet(server: Http3) -> None:
    sid = await server.open_session()
    assert await server.push(sid, "6:4hello") == (200, "ok")
    assert await server.poll(sid) == (200, "6:4hello")


async def test_polling_echoes_several_text_packets(server: Http3) -> None:
    sid = await server.open_session()
    assert await server.push(sid, "6:4test16:4test26:4test3") == (200, "ok")
    assert await server.poll(sid) == (200, "6:4test16:4test26:4test3")


async def test_polling_echoes_text_and_base64(server: Http3) -> None:
    sid = await server.open_session()
    assert await server.push(sid, "6:4hello10:b4AQIDBA==") == (200, "ok")
    assert await server.poll(sid) == (200, "6:4hello10:b4AQIDBA==")


async def test_polling_echoes_text_and_binary(server: Http3) -> None:
    sid = await server.open_session(binary=True)
    assert await server.push(sid, "6:4hello10:b4AQIDBA==") == (200, "ok")
    assert await server.poll_bytes(sid) == (
        200,
        "application/octet-stream",
        b"\x00\x06\xff4hello\x01\x05\xff\x04\x01\x02\x03\x04",
    )


async def test_polling_closes_upon_an_invalid_packet(server: Http3) -> None:
    sid = await server.open_session()
    assert (await server.push(sid, "abc"))[0] == 400
    assert (await server.poll(sid))[0] == 400


async def test_polling_closes_upon_duplicate_polls(server: Http3) -> None:
    sid = await server.open_session()
    first = await server.start_poll(sid)
    second = await server.start_poll(sid)
    assert await first.result() == (200, "1:1")
    assert (await second.result())[0] == 400
    assert (await server.poll(sid))[0] == 400


# --- messages, by WebSocket -----------------------------------------------------


async def test_websocket_echoes_a_text_packet(server: Http3) -> None:
    socket, _ = await server.session_socket()
    await socket.send("4hello")
    assert await socket.receive() == "4hello"


async def test_websocket_echoes_a_binary_packet(server: Http3) -> None:
    socket, _ = await server.session_socket()
    await socket.send(b"\x04\x01\x02\x03\x04")
    assert await socket.receive() == b"\x04\x01\x02\x03\x04"


async def test_websocket_closes_upon_an_invalid_packet(server: Http3) -> None:
    socket, _ = await server.session_socket()
    await socket.send("abc")
    assert await socket.closed() == []


# --- heartbeat ------------------------------------------------------------------


async def test_polling_exchanges_pings_and_pongs(suite: Http3) -> None:
    sid = await suite.open_session()
    for _ in range(3):
        assert await suite.push(sid, "1:2") == (200, "ok")
        assert await suite.poll(sid) == (200, "1:3")


async def test_polling_closes_upon_ping_timeout(suite: Http3) -> None:
    begun = time.monotonic()
    sid = await suite.open_session()
    await suite.gone(sid)
    assert time.monotonic() - begun > PING_INTERVAL + PING_TIMEOUT - 0.01
    assert (await suite.push(sid, "1:2"))[0] == 400


async def test_websocket_exchanges_pings_and_pongs(suite: Http3) -> None:
    socket, _ = await suite.session_socket()
    for _ in range(3):
        await socket.send("2")
        assert await socket.receive() == "3"


async def test_websocket_closes_upon_ping_timeout(suite: Http3) -> None:
    socket, _ = await suite.session_socket()
    assert await socket.closed() == []


# --- close ----------------------------------------------------------------------


async def test_polling_closes_when_asked(server: Http3) -> None:
    sid = await server.open_session()
    poll = await server.start_poll(sid)
    assert await server.push(sid, "1:1") == (200, "ok")
    assert await poll.result() == (200, "1:6")
    assert (await server.poll(sid))[0] == 400


async def test_websocket_closes_when_asked(server: Http3) -> None:
    socket, _ = await server.session_socket()
    await socket.send("1")
    assert await socket.closed() == []


# --- upgrade --------------------------------------------------------------------


async def test_upgrade_from_polling_to_websocket(server: Http3) -> None:
    sid = await server.open_session()
    socket = await server.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    assert await server.poll(sid) == (200, "1:6")
    await socket.send("5")
    await socket.send("4hello")
    assert await socket.receive() == "4hello"


async def test_http_requests_are_refused_after_the_upgrade(server: Http3) -> None:
    sid = await server.open_session()
    socket = await server.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    assert (await server.poll(sid))[0] == 400
    await socket.send("4hello")
    assert await socket.receive() == "4hello"


async def test_a_second_websocket_is_refused_after_the_upgrade(server: Http3) -> None:
    sid = await server.open_session()
    socket = await server.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    await server.websocket_fails(sid=sid)
    await socket.send("4hello")
    assert await socket.receive() == "4hello"


def test_the_suite_has_all_its_cases() -> None:
    assert len(cases(globals())) == 24
