"""Old clients over HTTP, on every host: JSONP, binary payloads, their headers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from support.hosts import HOSTS

import socketio_fast
import socketio_fast.engineio


@pytest.fixture(params=HOSTS)
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Of a server that echoes."""
    eio = socketio_fast.engineio.AsyncServer(allow_eio3=True)

    @eio.on("message")
    async def message(sid: str, data: str | bytes) -> None:
        await eio.send(sid, data)

    async with HOSTS[request.param](eio) as url:
        yield url + "/engine.io/?transport=polling&EIO="


def payload(text: str) -> str:
    assert text.startswith("___eio[7](")
    assert text.endswith(");")
    decoded = json.loads(text[len("___eio[7](") : -2])
    assert isinstance(decoded, str)
    return decoded


@pytest.mark.parametrize("revision", [3, 4])
async def test_jsonp(url: str, revision: int) -> None:
    """T2: scripts come, forms go, in both revisions."""
    async with aiohttp.ClientSession() as session:
        url += f"{revision}&j=7"
        async with session.get(url) as response:
            assert response.headers["Content-Type"] == "text/javascript; charset=UTF-8"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            opened = payload(await response.text())
        url += "&sid=" + json.loads(opened[opened.index("{") :])["sid"]
        # The client has escaped newlines; the two characters are no newline.
        echoed = "4a\nb\\nc é</script>"
        length = f"{len(echoed)}:" if revision == 3 else ""
        form = {"d": length + r"4a\nb\\nc é</script>"}
        async with session.post(url, data=form) as response:
            assert (response.status, await response.text()) == (200, "ok")
        async with session.get(url) as response:
            text = await response.text()
        assert r"<\/script>" in text
        assert payload(text) == length + echoed


@pytest.mark.parametrize(("revision", "prefix"), [(3, "b4"), (4, "b")])
async def test_jsonp_of_base64_in_lines(url: str, revision: int, prefix: str) -> None:
    """Forms have line breaks as CR LF, and a client's own as an escape."""
    async with aiohttp.ClientSession() as session:
        url += f"{revision}&j=7"
        async with session.get(url) as response:
            opened = payload(await response.text())
        url += "&sid=" + json.loads(opened[opened.index("{") :])["sid"]
        echoed = f"{prefix}AQIDBA=="
        # "\\n" is one character of the payload, CR LF are two.
        length = f"{len(echoed) + 3}:" if revision == 3 else ""
        form = {"d": f"{length}{prefix}AQ\\nID\r\nBA=="}
        async with session.post(url, data=form) as response:
            assert (response.status, await response.text()) == (200, "ok")
        async with session.get(url) as response:
            length = f"{len(echoed)}:" if revision == 3 else ""
            assert payload(await response.text()) == length + echoed


async def test_the_open_packet_is_alone_in_the_answer_to_a_handshake() -> None:
    """Of revision 3: "/" is joined, and greets, by the next poll."""
    sio = socketio_fast.AsyncServer(allow_eio3=True)

    @sio.event
    async def connect(sid: str, environ: object) -> None:
        await sio.emit("hi", to=sid)

    async with HOSTS["compiled"](sio) as url, aiohttp.ClientSession() as session:
        url += "/socket.io/?transport=polling&EIO=3"
        async with session.get(url) as response:
            length, _, packet = (await response.text()).partition(":")
        assert len(packet) == int(length)
        opened = json.loads(packet[1:])
        assert opened["maxPayload"] == 1_000_000
        async with session.get(f"{url}&sid={opened['sid']}") as response:
            assert await response.text() == '2:408:42["hi"]'


@pytest.mark.parametrize(("revision", "prefix"), [(3, "b4"), (4, "b")])
async def test_attachments_are_text_by_websocket(
    url: str, revision: int, prefix: str
) -> None:
    """Of a client that says b64=1, which gets the same."""
    url = url.replace("polling", "websocket")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}{revision}&b64=1") as ws,
    ):
        assert (await ws.receive_str()).startswith('0{"sid"')
        await ws.send_str(f"{prefix}AQIDBA==\n")
        assert await ws.receive_str() == f"{prefix}AQIDBA=="
        await ws.send_str("4text")
        assert await ws.receive_str() == "4text"


async def test_a_binary_payload_is_posted(url: str) -> None:
    """P3: application/octet-stream, by a client that can send it."""
    async with aiohttp.ClientSession() as session:
        async with session.get(url + "3") as response:
            opened = await response.text()
        url += "3&sid=" + json.loads(opened.partition(":")[2][1:])["sid"]
        data = b"\x00\x06\xff4hello\x01\x03\xff\x04\x01\xff"
        headers = {"Content-Type": "application/octet-stream"}
        async with session.post(url, data=data, headers=headers) as response:
            assert response.status == 200
        async with session.get(url) as response:
            assert response.headers["Content-Type"] == "application/octet-stream"
            assert await response.read() == data


@pytest.mark.parametrize("agent", ["x;MSIE 9.0", "Trident/7.0", "Mozilla/5.0"])
async def test_the_filter_of_internet_explorer(url: str, agent: str) -> None:
    """E18: X-XSS-Protection: 0 for its user agent."""
    headers = {"User-Agent": agent}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(url + "3") as response,
    ):
        expected = None if agent == "Mozilla/5.0" else "0"
        assert response.headers.get("X-XSS-Protection") == expected
