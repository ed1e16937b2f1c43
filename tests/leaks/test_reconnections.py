"""A connection that is cut again and again, at any byte: nothing is lost, nothing is
delivered twice, nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from support.interop import TRANSPORTS
from support.tcp_proxy import TO_CLIENT, TO_SERVER, TcpProxy
from support.waiting import until, within

import socketio_fast as socketio

from .endurance import FULL, settled, times

#: Reconnections of each test, which are made twice: with three transports and two ways,
#: two thousand together.
COUNT = times(170, 8)

#: Bytes after which a connection is cut, at most: a handshake by polling, the upgrade
#: and some events are about as many.
MOST = 5_000

#: Bytes that they may leave; a session that is left takes some 10,000.
MEMORY = 1_200_000

SEED = 1

FAST: dict[str, Any] = {
    "reconnection_delay": 0.001,
    "reconnection_delay_max": 0.004,
    "handle_sigint": False,
}

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.timeout(600 if FULL else 120),
]


class Cuts:
    """Cuts a client's connection at random until it has come back often enough."""

    def __init__(self, client: socketio.AsyncClient, network: TcpProxy) -> None:
        self.network = network
        self.random = random.Random(SEED)
        self.joined = 0
        client.on("connect", self._count)

    def _count(self) -> None:
        self.joined += 1

    async def until(
        self, count: int, traffic: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Cut until the client has come back so often. Every millisecond ``traffic``
        makes either side send something."""
        while self.joined <= count:
            self.network.cut_after(
                self.random.randrange(1, MOST),
                self.random.choice([TO_CLIENT, TO_SERVER]),
            )
            cuts = self.network.cuts
            while self.network.cuts == cuts:
                await traffic()
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def cut_connection(
    sio: socketio.AsyncServer, transport: str, **options: Any
) -> AsyncIterator[tuple[socketio.AsyncClient, Cuts]]:
    """A client of a server behind a network that cuts; all end with the block."""
    server = await socketio.serve(sio, host="127.0.0.1", port=0)
    async with server, TcpProxy(server.port) as network:
        client = socketio.AsyncClient(**FAST, **options)
        cuts = Cuts(client, network)
        await within(
            client.connect(
                network.url, transports=TRANSPORTS[transport], wait_timeout=20
            ),
            "connect",
        )
        yield client, cuts
        await within(client.disconnect(), "disconnect")


async def leaves_nothing(run: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Run it twice: the first time all is made that is made once. Where something of
    earlier tests has ended meanwhile, the second time is tried again."""
    await run(COUNT)
    before = await settled()
    await run(COUNT)
    after = await settled()
    for _ in range(2):
        if after.files >= before.files and after.threads >= before.threads:
            break
        before = after
        await run(COUNT)
        after = await settled()
    after.check(before, COUNT)
    if FULL:
        print(after.memory - before.memory, "bytes")
        assert after.memory - before.memory < MEMORY


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_with_retries_each_event_arrives_once_and_in_order(
    transport: str,
) -> None:
    """Those that come again have the id of the one before."""

    async def run(count: int) -> None:
        came: list[int] = []
        known: set[str] = set()
        sio = socketio.AsyncServer()

        @sio.event
        async def item(sid: str, number: int, id: str) -> None:
            if id not in known:
                known.add(id)
                came.append(number)

        options = {"retries": 1_000_000, "ack_timeout": 5, "retry_ids": True}
        async with cut_connection(sio, transport, **options) as (client, cuts):
            sent = acknowledged = 0

            def answered(*args: Any) -> None:
                nonlocal acknowledged
                acknowledged += 1

            async def send() -> None:
                nonlocal sent
                if sent - acknowledged < 20:
                    client.emit("item", sent, callback=answered)
                    sent += 1

            await cuts.until(count, send)
            await until(lambda: acknowledged == sent)
            assert came == list(range(sent))

    await leaves_nothing(run)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_with_recovery_each_event_arrives_once_and_in_order(
    transport: str,
) -> None:
    """What the server emits; the client has the same sid all the time."""

    async def run(count: int) -> None:
        came: list[int] = []
        sids: set[str | None] = set()
        sio = socketio.AsyncServer(connection_state_recovery=True)
        async with cut_connection(sio, transport) as (client, cuts):
            client.on("item", came.append)
            client.socket().on("connect", lambda: sids.add(client.get_sid()))
            sids.add(client.get_sid())
            sent = 0

            async def send() -> None:
                nonlocal sent
                if sent - len(came) < 200:
                    await sio.emit("item", sent)
                    sent += 1
                if client.connected:
                    client.emit("noise", "x" * 100)

            await send()
            await until(lambda: came == [0])  # by which it knows an offset
            await cuts.until(count, send)
            await until(lambda: len(came) >= sent)
            assert came == list(range(sent))
            assert len(sids) == 1

    await leaves_nothing(run)
