"""Fan-out: one event to many clients, until every fake transport has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes import SERVERS

TEXT = "x" * 32
FRAME = b'\x81\x2a42["b","' + TEXT.encode() + b'"]'
PACKET = f'42["b","{TEXT}"]'


@pytest.mark.parametrize("implementation", SERVERS)
@pytest.mark.parametrize("recipients", [10, 1000, 10000])
def bench_fan_out(
    benchmark: Any,
    loop: asyncio.AbstractEventLoop,
    implementation: str,
    recipients: int,
) -> None:
    benchmark.group = f"Fan-out to {recipients}"
    server = SERVERS[implementation](loop)
    loop.run_until_complete(server.connect(recipients))

    async def emit() -> int:
        server.tally.count = 0
        await server.sio.emit("b", TEXT)
        await server.tally.reach(recipients)
        return server.tally.count

    assert benchmark(lambda: loop.run_until_complete(emit())) == recipients
    assert server.tally.last in (FRAME, PACKET)
    loop.run_until_complete(server.close())
