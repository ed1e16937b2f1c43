"""Runners of handlers, on a real loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import pytest

from socketio_fast._core.engine.runner import Runner
from socketio_fast.event_loops import new_event_loop

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": new_event_loop,
}


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


Run = Callable[[Callable[[Runner], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "uvloop", "asyncio in debug mode"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run an async function with a Runner; a loop of each kind."""

    def start(main: Callable[[Runner], Awaitable[None]]) -> None:
        loop = LOOPS[request.param.split()[0]]()
        loop.set_debug(request.param.endswith("debug mode"))

        async def begin() -> None:
            await asyncio.wait_for(main(Runner(loop)), 50)

        try:
            loop.run_until_complete(begin())
        finally:
            loop.close()

    return start
