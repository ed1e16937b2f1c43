"""The behaviours of the official Socket.IO v5 test suite, one test for each."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import pytest
from support.http_clients import Http, Socket, cases, check_open_packet
from support.places import PLACES, SERVERS, StartWorkers, served
from support.suites import socketio_suite

PING_INTERVAL = 0.3
PING_TIMEOUT = 0.2


@pytest.fixture(params=SERVERS, ids=str)
async def server(
    request: pytest.FixtureRequest, workers: StartWorkers
) -> AsyncIterator[Http]:
    place, allow_eio3 = request.param
    options = {"allow_eio3": allow_eio3}
    async with served(place, workers, socketio_suite, Http, **options) as client:
        client.allow_eio3 = allow_eio3
        yield client


@pytest.fixture(params=PLACES)
async def suite(
    request: pytest.FixtureRequest, workers: StartWorkers
) -> AsyncIterator[Http]:
    """With the times of the suite, which most tests must not depend on."""
    times = {"ping_interval": PING_INTERVAL, "ping_timeout": PING_TIMEOUT}
    place = request.param
    async with served(place, workers, socketio_suite, Http, **times) as client:
        yield client


@pytest.fixture(params=PLACES)
async def impatient(
    request: pytest.FixtureRequest, workers: StartWorkers
) -> AsyncIterator[Http]:
    """One that waits no longer for a handshake than for the first ping."""
    place, options = request.param, {"connect_timeout": 0.15}
    async with served(place, workers, socketio_suite, Http, **options) as client:
        yield client


async def joined(server: Http) -> Socket:
    """A WebSocket connected to the main namespace."""
    socket, _ = await server.session_socket()
    await socket.send("40")
    assert (await socket.receive()).startswith("40")
    assert await socket.receive() == '42["auth",{}]'
    return socket


async def accepted(socket: Socket, prefix: str) -> None:
    packet = await socket.receive()
    assert packet.startswith(prefix)
    answer = json.loads(packet[len(prefix) :])
    assert answer.keys() == {"sid"}
    assert isinstance(answer["sid"], str)


# --- Engine.IO: handshake, by polling -------------------------------------------


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


# --- Engine.IO: handshake, by WebSocket -----------------------------------------


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


# --- Engine.IO: heartbeat -------------------------------------------------------


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


# --- Engine.IO: close -----------------------------------------------------------


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


# --- Engine.IO: upgrade ---------------------------------------------------------


async def test_upgrade_from_polling_to_websocket(server: Http) -> None:
    sid = await server.open_session()
    socket = await server.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    # the suite stops here; that the session is now the WebSocket's is shown by
    await socket.send("40")
    await accepted(socket, "40")


async def test_http_requests_are_refused_after_the_upgrade(server: Http) -> None:
    sid = await server.open_session()
    socket = await server.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    assert (await server.poll(sid))[0] == 400


async def test_a_second_websocket_is_refused_after_the_upgrade(server: Http) -> None:
    sid = await server.open_session()
    socket = await server.websocket(sid=sid)
    await socket.send("2probe")
    assert await socket.receive() == "3probe"
    await socket.send("5")
    await server.websocket_fails(sid=sid)


# --- connect --------------------------------------------------------------------


async def test_connect_to_the_main_namespace(server: Http) -> None:
    socket, _ = await server.session_socket()
    await socket.send("40")
    await accepted(socket, "40")
    assert await socket.receive() == '42["auth",{}]'


async def test_connect_to_the_main_namespace_with_a_payload(server: Http) -> None:
    socket, _ = await server.session_socket()
    await socket.send('40{"token":"123"}')
    await accepted(socket, "40")
    assert await socket.receive() == '42["auth",{"token":"123"}]'


async def test_connect_to_a_custom_namespace(server: Http) -> None:
    socket, _ = await server.session_socket()
    await socket.send("40/custom,")
    await accepted(socket, "40/custom,")
    assert await socket.receive() == '42/custom,["auth",{}]'


async def test_connect_to_a_custom_namespace_with_a_payload(server: Http) -> None:
    socket, _ = await server.session_socket()
    await socket.send('40/custom,{"token":"abc"}')
    await accepted(socket, "40/custom,")
    assert await socket.receive() == '42/custom,["auth",{"token":"abc"}]'


async def test_connect_to_an_unknown_namespace_is_refused(server: Http) -> None:
    """N1: connect to an unknown namespace is refused."""
    socket, _ = await server.session_socket()
    await socket.send("40/random")
    assert await socket.receive() == '44/random,{"message":"Invalid namespace"}'


async def test_an_invalid_handshake_closes(server: Http) -> None:
    socket, _ = await server.session_socket()
    await socket.send("4abc")
    assert await socket.closed() == []


async def test_no_handshake_closes(impatient: Http) -> None:
    """S3: no handshake closes."""
    socket, _ = await impatient.session_socket()
    # before the first ping, so it is not the heartbeat that closes
    assert await socket.closed() == []


# --- disconnect -----------------------------------------------------------------


async def test_disconnect_from_the_main_namespace(suite: Http) -> None:
    socket = await joined(suite)
    await socket.send("41")
    assert await socket.receive() == "2"


async def test_disconnect_from_a_custom_namespace(suite: Http) -> None:
    socket = await joined(suite)
    assert await socket.receive() == "2"  # not answered
    await socket.send("40/custom")
    await accepted(socket, "40/custom,")
    assert await socket.receive() == '42/custom,["auth",{}]'
    await socket.send("41/custom")
    await socket.send('42["message","message to main namespace"]')
    assert await socket.receive() == '42["message-back","message to main namespace"]'


# --- messages -------------------------------------------------------------------

PLACEHOLDERS = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


async def test_text_message(server: Http) -> None:
    socket = await joined(server)
    await socket.send('42["message",1,"2",{"3":[true]}]')
    assert await socket.receive() == '42["message-back",1,"2",{"3":[true]}]'


async def test_message_with_attachments(server: Http) -> None:
    """P4, M14: message with attachments."""
    socket = await joined(server)
    await socket.send(f'452-["message",{PLACEHOLDERS}]')
    await socket.send(b"\x01\x02\x03")
    await socket.send(b"\x04\x05\x06")
    expected = f'452-["message-back",{PLACEHOLDERS}]'
    assert await socket.receive() == expected
    assert await socket.receive() == b"\x01\x02\x03"
    assert await socket.receive() == b"\x04\x05\x06"


async def test_text_message_with_an_ack(server: Http) -> None:
    socket = await joined(server)
    await socket.send('42456["message-with-ack",1,"2",{"3":[false]}]')
    assert await socket.receive() == '43456[1,"2",{"3":[false]}]'


async def test_message_with_attachments_and_an_ack(server: Http) -> None:
    socket = await joined(server)
    await socket.send(f'452-789["message-with-ack",{PLACEHOLDERS}]')
    await socket.send(b"\x01\x02\x03")
    await socket.send(b"\x04\x05\x06")
    assert await socket.receive() == f"462-789[{PLACEHOLDERS}]"
    assert await socket.receive() == b"\x01\x02\x03"
    assert await socket.receive() == b"\x04\x05\x06"


async def test_an_unknown_packet_type_closes(server: Http) -> None:
    socket = await joined(server)
    await socket.send("4abc")
    assert await socket.closed() == []


async def test_an_invalid_payload_closes(server: Http) -> None:
    """P6: an invalid payload closes."""
    socket = await joined(server)
    await socket.send("42{}")
    assert await socket.closed() == []


async def test_an_invalid_ack_id_closes(server: Http) -> None:
    socket = await joined(server)
    await socket.send('42abc["message-with-ack",1,"2",{"3":[false]}]')
    assert await socket.closed() == []


def test_the_suite_has_32_cases() -> None:
    """P14: the suite has 32 cases."""
    assert len(cases(globals())) == 32
