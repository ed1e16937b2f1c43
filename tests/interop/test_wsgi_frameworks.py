"""Flask, Bottle and Django beside a sync Server, with the official client."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from support import wsgi_programs
from support.interop import WAIT
from support.wsgi_hosts import gunicorn, werkzeug

TESTS = Path(__file__).parents[1]

PROGRAMS = [
    ("flask_app", "werkzeug"),
    ("flask_app", "gunicorn"),
    ("bottle_app", "werkzeug"),
    ("bottle_app", "gunicorn"),
    ("django_app", "gunicorn"),
]


def served(program: str, host: str) -> AbstractContextManager[str]:
    if host == "gunicorn":
        return gunicorn(f"support.wsgi_programs:{program}()", TESTS)
    return werkzeug(getattr(wsgi_programs, program)())


async def get(url: str, session: requests.Session) -> str:
    response = await asyncio.to_thread(session.get, url, timeout=WAIT)
    assert response.status_code == 200
    return response.text


@pytest.mark.parametrize(("program", "host"), PROGRAMS)
async def test_pages_sessions_and_events(
    js: Any, transport: str, program: str, host: str
) -> None:
    with served(program, host) as url, requests.Session() as session:
        assert await get(f"{url}/login/ada", session) == "hello ada"
        cookies = "; ".join(f"{c.name}={c.value}" for c in session.cookies)
        client = await js(SimpleNamespace(url=url), extraHeaders={"Cookie": cookies})
        await client.connect()
        assert await client.emit_with_ack("who") == ["ada"]
        assert await client.emit_with_ack("join", "room") == [["room"]]
        await client.emit("say", "room", {"binary": b"\x00\x01"})
        assert await client.expect("said") == [{"binary": b"\x00\x01"}]
        assert await get(f"{url}/publish/room", session) == "done"
        assert await client.expect("said") == ["published"]
        other = await js(SimpleNamespace(url=url))
        await other.connect()
        assert await other.emit_with_ack("who") == ["nobody"]
        assert (await asyncio.to_thread(session.get, f"{url}/none")).status_code == 404
        await client.disconnect()
        await other.disconnect()
