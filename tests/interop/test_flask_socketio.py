"""Flask-SocketIO on this package, as docs/sync.md says that it can be done."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from interop_support import WAIT
from js_client import Refused
from wsgi_hosts import gunicorn

TESTS = Path(__file__).parents[1]


async def get(url: str, session: Any = requests) -> Any:
    return await asyncio.to_thread(session.get, url, timeout=WAIT)


async def test_a_program_of_flask_socketio(js: Any) -> None:
    with gunicorn("flask_socketio_program:app", TESTS) as url:
        with requests.Session() as session:
            await get(f"{url}/login/ada", session)
            cookie = "; ".join(f"{c.name}={c.value}" for c in session.cookies)
        client = await js(SimpleNamespace(url=url), extraHeaders={"Cookie": cookie})
        await client.connect(auth={"a": 1})
        assert await client.expect("welcome") == [["ada", {"a": 1}]]
        data = [1, {"b": b"\x00"}]
        assert await client.emit_with_ack("count", data) == [data, 1, True]
        assert await client.emit_with_ack("count", 2) == [2, 2, True]
        assert await client.expect("counted") == [data]
        assert await client.expect("counted") == [2]
        await client.emit("json", {"x": 1})
        assert await client.expect("json") == [{"x": 1}]
        asked = asyncio.ensure_future(client.emit_with_ack("ask"))
        assert await client.expect_and_answer("question", 21) == [20]
        assert await asked == [21]
        assert await client.emit_with_ack("fail") == ["failed"]
        chat = await client.connect("/chat")
        assert await chat.emit_with_ack("say", "hello") == ["said"]
        assert await chat.expect("said") == ["hello"]
        await client.emit("leave")
        assert await client.disconnected() == "io server disconnect"
        await chat.disconnect()
        gone = (await get(f"{url}/gone/2")).json()
        assert gone == [[2, "server disconnect"], ["chat", "client disconnect"]]


async def test_a_client_that_flask_socketio_refuses(js: Any) -> None:
    with gunicorn("flask_socketio_program:app", TESTS) as url:
        client = await js(SimpleNamespace(url=url))
        with pytest.raises(Refused, match="not you"):
            await client.connect(auth={"refuse": True})
