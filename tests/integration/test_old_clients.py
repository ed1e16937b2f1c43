"""Old clients over HTTP, on every host: JSONP, binary payloads, their headers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hosts import HOSTS

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
