"""Attempts of which the first that succeeds is taken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.waiting import until

from socketio_fast.clients.racing import first_of


class Attempt:
    """One that ends when it is told to."""

    def __init__(self) -> None:
        self.began = self.cancelled = False
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.began = True
        try:
            return await self.end
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def run(attempts: list[Attempt], delay: float = 60, **options: Any) -> Any:
    options.setdefault("drop", lambda result: None)
    return asyncio.ensure_future(first_of(attempts, delay, **options))


async def test_the_first_that_succeeds() -> None:
    one, two = Attempt(), Attempt()
    running = run([one, two], delay=0)
    await until(lambda: two.began)
    two.end.set_result("two")
    assert await running == (1, "two")
    assert one.cancelled


async def test_the_next_begins_when_one_has_failed() -> None:
    one, two = Attempt(), Attempt()
    failed: list[int] = []
    running = run([one, two], failed=lambda index, error: failed.append(index))
    await until(lambda: one.began)
    assert not two.began
    one.end.set_exception(OSError("one"))
    await until(lambda: two.began)
    two.end.set_result("two")
    assert await running == (1, "two")
    assert failed == [0]


async def test_all_fail() -> None:
    one, two = Attempt(), Attempt()
    one.end.set_exception(OSError("one"))
    two.end.set_exception(OSError("two"))
    with pytest.raises(OSError, match="two"):
        await run([one, two])


async def test_what_comes_too_late_is_dropped() -> None:
    one, two = Attempt(), Attempt()
    dropped: list[str] = []
    running = run([one, two], delay=0, drop=dropped.append)
    await until(lambda: one.began and two.began)
    one.end.set_result("one")
    two.end.set_result("two")
    assert await running == (0, "one")
    assert dropped == ["two"]


async def test_cancelled() -> None:
    one, two = Attempt(), Attempt()
    running = run([one, two], delay=0)
    await until(lambda: one.began and two.began)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert one.cancelled
    assert two.cancelled
