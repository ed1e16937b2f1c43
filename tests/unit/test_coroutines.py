"""Waiting for something, also only so long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from socketio_fast.coroutines import Flag, within


async def test_what_ends_in_time() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert await within(answer(), 60) == 42
    assert await within(answer(), None) == 42


async def test_what_fails_in_time() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(fail(), 60)


@pytest.mark.parametrize("seconds", [0.001, 0, -1])
async def test_what_takes_too_long_is_cancelled(seconds: float) -> None:
    future = asyncio.get_running_loop().create_future()
    with pytest.raises(asyncio.TimeoutError):
        await within(future, seconds)
    assert future.cancelled()


async def test_what_ends_although_it_is_cancelled_has_its_result() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "after all"
        raise AssertionError

    assert await within(stubborn(), 0.001) == "after all"


async def test_who_waits_and_is_cancelled_cancels_it() -> None:
    future = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(within(future, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert future.cancelled()


@pytest.mark.parametrize("ends", ["result", "error"])
@pytest.mark.parametrize("ends_first", [True, False])
async def test_a_cancellation_at_the_end_is_not_lost(
    ends: str, ends_first: bool
) -> None:
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: told.append(context))
    future = loop.create_future()

    async def inner() -> None:
        await future

    task = asyncio.ensure_future(within(inner(), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    def end() -> None:
        if ends == "result":
            future.set_result(None)
        else:
            future.set_exception(ValueError("no"))

    if ends_first:
        end()
        await asyncio.sleep(0)  # inner() has ended, and who waits is to be woken
        task.cancel()
    else:
        task.cancel()
        end()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not told


async def test_a_flag_wakes_all_who_wait() -> None:
    flag = Flag()
    waiting = [asyncio.ensure_future(flag.wait()) for _ in range(2)]
    waiting.append(asyncio.ensure_future(flag.wait(60)))
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    flag.set()
    flag.clear()  # who was waiting has been told
    await asyncio.gather(*waiting)
    later = asyncio.ensure_future(flag.wait())
    await asyncio.sleep(0)
    assert not later.done()
    flag.set()
    await later
    await flag.wait()  # it stays set
    await flag.wait(0)


async def test_a_flag_is_waited_for_only_so_long() -> None:
    flag = Flag()
    await flag.wait(0.001)
    await flag.wait(0)
    assert not flag._waiting


@pytest.mark.parametrize("set_first", [True, False])
@pytest.mark.parametrize("seconds", [None, 60])
async def test_who_waits_for_a_flag_may_be_cancelled(
    set_first: bool, seconds: float | None
) -> None:
    flag = Flag()
    task = asyncio.ensure_future(flag.wait(seconds))
    await asyncio.sleep(0)
    if set_first:
        task.cancel()
        flag.set()
    else:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not flag._waiting
    flag.set()
