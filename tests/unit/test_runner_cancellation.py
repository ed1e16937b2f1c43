"""Handlers that are cancelled: which of them, when, and what they may do."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from support.runners import Run, run

from socketio_fast._core.engine.runner import Runner

__all__ = ["run"]


timeouts = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="asyncio.timeout is of 3.11"
)


# --- cancellation ---------------------------------------------------------------


def test_cancelled_while_it_waits(run: Run) -> None:
    async def main(runner: Runner) -> None:
        seen: list[str] = []

        async def handler() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        task = runner.run(handler)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled"]
        assert task.cancelled()
        assert runner.tasks == set()

    run(main)


@pytest.mark.parametrize("how", ["event", "sleep", "bare"])
def test_cancelled_before_its_task_has_begun(run: Run, how: str) -> None:
    async def main(runner: Runner) -> None:
        seen: list[str] = []

        async def handler() -> None:
            try:
                if how == "event":
                    await asyncio.Event().wait()
                else:
                    await asyncio.sleep(0 if how == "bare" else 10)
                seen.append("went on")
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        task = runner.run(handler)
        task.cancel()  # in the same pass of the loop
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled"]
        assert task.cancelled()

    run(main)


def test_a_cancellation_that_is_caught(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                return "saved"
            return "not reached"

        for later in (False, True):
            task = runner.run(handler)
            if later:
                await asyncio.sleep(0)
            task.cancel()
            assert await task == "saved"

    run(main)


@pytest.mark.parametrize("kind", ["coroutine", "function"])
def test_a_handler_that_cancels_itself_and_ends(run: Run, kind: str) -> None:
    """Nothing of it sticks to the next handler."""

    async def main(runner: Runner) -> None:
        async def coroutine() -> str:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            return "ended"

        def function() -> str:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            return "ended"

        async def harmless() -> str:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return "harmless"

        handler: Any = coroutine if kind == "coroutine" else function
        assert runner.run(handler) == "ended"
        assert await runner.run(harmless) == "harmless"
        await asyncio.sleep(0)
        assert runner.tasks == set()

    run(main)


def test_a_handler_that_cancels_itself_and_waits(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(10)

        task = runner.run(handler)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert runner.tasks == set()

    run(main)


def test_cancelled_error_raised_at_once(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            runner.run(handler)
        assert runner.run(lambda: 1) == 1

    run(main)


@timeouts
def test_timeout_in_a_handler(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> str:
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.Event().wait()
            except TimeoutError:
                return "timeout"
            return "not reached"

        assert await runner.run(handler) == "timeout"

    run(main)


@timeouts
def test_timeout_that_is_over_before_it_begins(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> str:
            try:
                async with asyncio.timeout(-1):
                    await asyncio.Event().wait()
            except TimeoutError:
                return "timeout"
            return "not reached"

        assert await runner.run(handler) == "timeout"

    run(main)


@timeouts
def test_timeout_around_nothing_that_suspends(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> str:
            async with asyncio.timeout(10):  # noqa: ASYNC100
                return "x"

        for _ in range(3):
            assert runner.run(handler) == "x"

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is of 3.11")
def test_task_group_in_a_handler(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def value(number: int) -> int:
            await asyncio.sleep(0)
            return number

        async def handler() -> list[int]:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(value(n)) for n in range(3)]
            return [task.result() for task in tasks]

        assert await runner.run(handler) == [0, 1, 2]

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is of 3.11")
def test_task_group_that_fails_in_a_handler(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def fail() -> None:
            raise ValueError("x")

        async def handler() -> str:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    await asyncio.Event().wait()
            except Exception as exc:
                return type(exc).__name__
            return "not reached"

        assert await runner.run(handler) == "ExceptionGroup"

    run(main)
