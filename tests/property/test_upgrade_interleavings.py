"""Whatever the timing of an upgrade, every message arrives once and in order.

The client is a compliant one: it polls and posts until its probe is answered, then
lets what is on its way finish, says `5`, and speaks by WebSocket. Between any two of
its steps, and while one is on its way, the server sends.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from support.examples import examples
from support.raw import (
    BINARY,
    SEPARATOR,
    TEXT,
    Connection,
    WebSocket,
    connections,
    frame,
    polling,
    request,
    turns,
    upgrade_request,
    websocket,
    within,
)
from support.waiting import Changes

import socketio_fast.engineio

Message = str | bytes


def message(number: int) -> Message:
    """Every third is binary."""
    return str(number).encode() if number % 3 == 2 else str(number)


def to_packet(data: Message) -> str:
    """As it is written in a payload."""
    return (
        "4" + data if isinstance(data, str) else "b" + base64.b64encode(data).decode()
    )


def to_frame(data: Message) -> bytes:
    return frame(TEXT, "4" + data) if isinstance(data, str) else frame(BINARY, data)


class Application:
    """An Engine.IO application that numbers what it sends and keeps what it gets."""

    def __init__(self) -> None:
        self.eio = socketio_fast.engineio.AsyncServer()
        self.got: dict[str, list[Message]] = {}
        self.sent: dict[str, int] = {}
        self.changes = Changes()

        @self.eio.on("connect")
        async def connect(sid: str, environ: Any) -> None:
            self.got[sid] = []
            self.sent[sid] = 0

        @self.eio.on("message")
        async def on_message(sid: str, data: Message) -> None:
            self.got[sid].append(data)
            self.changes.note()

    async def send(self, sid: str, count: int) -> None:
        for _ in range(count):
            await self.eio.send(sid, message(self.sent[sid]))
            self.sent[sid] += 1

    async def received(self, sid: str, last: Message) -> None:
        await self.changes.until(lambda: last in self.got[sid], seconds=2)


class CompliantClient:
    def __init__(self, polls: Connection, posts: Connection, sid: str) -> None:
        self.polls = polls
        self.posts = posts
        self.sid = sid
        self.got: list[Message] = []
        self.sent = 0
        self.polled: asyncio.Future[None] | None = None

    def next(self, count: int) -> list[Message]:
        first, self.sent = self.sent, self.sent + count
        return [message(number) for number in range(first, self.sent)]

    async def post(self, count: int) -> None:
        payload = SEPARATOR.join(to_packet(data) for data in self.next(count))
        (await self.posts.post(polling(self.sid), payload)).ok("ok")

    async def poll(self) -> None:
        """Have a GET on its way."""
        if self.polled is None or self.polled.done():
            await self.paused()
            await self.polls.send(request("GET", polling(self.sid)))
            self.polled = asyncio.ensure_future(self._take())

    async def _take(self) -> None:
        response = (await self.polls.response()).ok()
        for packet in response.text.split(SEPARATOR):
            if packet[0] == "4":
                self.got.append(packet[1:])
            elif packet[0] == "b":
                self.got.append(base64.b64decode(packet[1:]))
            else:
                assert packet == "6", packet

    async def paused(self) -> None:
        """No GET is on its way any more."""
        if self.polled is not None:
            await within(self.polled)

    async def take_frames(self, ws: WebSocket, last: Message) -> None:
        """Messages, and nothing but messages, until the last that was sent."""
        while last not in self.got:
            packet = await within(ws.message(), seconds=2)
            if isinstance(packet, str):
                assert packet[0] == "4", packet
                packet = packet[1:]
            self.got.append(packet)


@dataclass
class Step:
    """What happens between two steps of the upgrade."""

    what: str
    count: int


# While polling is the client's transport it may do all of these; afterwards, only
# the server's sending and the passing of time are left.
by_server = st.builds(Step, st.just("send"), st.integers(1, 3)) | st.builds(
    Step, st.just("turns"), st.integers(1, 6)
)
by_both = (
    by_server
    | st.builds(Step, st.just("post"), st.integers(1, 3))
    | st.builds(Step, st.just("poll"), st.just(1))
)
any_steps = st.lists(by_both, max_size=4)
server_steps = st.lists(by_server, max_size=3)


@pytest.fixture
async def running(
    serve: Callable[..., Awaitable[Any]],
) -> tuple[Application, Any]:
    application = Application()
    return application, await serve(application.eio)


@examples(
    250,
    # a lost message is found by waiting, which is too slow to shrink
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    before=any_steps,
    connecting=any_steps,
    connected=any_steps,
    probing=any_steps,
    pausing=server_steps,
    upgrading=server_steps,
    upgraded=server_steps,
    probe_early=st.booleans(),
    at_once=st.integers(0, 3),
    later=st.integers(0, 3),
)
async def test_every_message_arrives_once_and_in_order(
    running: tuple[Application, Any],
    before: list[Step],
    connecting: list[Step],
    connected: list[Step],
    probing: list[Step],
    pausing: list[Step],
    upgrading: list[Step],
    upgraded: list[Step],
    probe_early: bool,
    at_once: int,
    later: int,
) -> None:
    application, server = running
    async with connections(server) as opened:
        polls, posts = await opened.connect(), await opened.connect()
        sid = await polls.open_session()
        client = CompliantClient(polls, posts, sid)

        async def run(steps: list[Step]) -> None:
            for step in steps:
                if step.what == "send":
                    await application.send(sid, step.count)
                elif step.what == "post":
                    await client.post(step.count)
                elif step.what == "poll":
                    # one that was answered is followed by another
                    await turns(1)
                    if client.polled is None or client.polled.done():
                        await client.poll()
                else:
                    await turns(step.count)

        await run(before)
        plain = await opened.connect()
        ws = WebSocket(plain.reader, plain.writer)
        probe = frame(TEXT, "2probe")
        await ws.send(upgrade_request(websocket(sid)) + (probe if probe_early else b""))
        await run(connecting)
        await ws.accepted()
        await run(connected)
        if not probe_early:
            await ws.send(probe)
        await run(probing)
        assert await ws.message() == "3probe"
        await run(pausing)
        await client.paused()  # by noop, where there is nothing else
        await ws.send(
            frame(TEXT, "5") + b"".join(to_frame(data) for data in client.next(at_once))
        )
        await run(upgrading)
        for data in client.next(later):
            await ws.send(to_frame(data))
            await run(upgraded)
        # what was sent last comes last: what is missing then is lost
        await application.send(sid, 1)
        (last,) = client.next(1)
        await ws.send(to_frame(last))

        await client.take_frames(ws, message(application.sent[sid] - 1))
        assert client.got == [message(n) for n in range(application.sent[sid])]
        await application.received(sid, last)
        assert application.got[sid] == [message(n) for n in range(client.sent)]
        await ws.silent(0.001)
