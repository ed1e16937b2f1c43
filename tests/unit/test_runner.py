"""Handlers run at once, and are indistinguishable from Tasks if they suspend."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Generator
from typing import Any

import pytest
from support.runners import Run, run, variable

from socketio_fast._core.engine.runner import Runner

__all__ = ["run"]


# --- handlers that do not suspend -----------------------------------------------


def test_a_function(run: Run) -> None:
    async def main(runner: Runner) -> None:
        assert runner.run(lambda a, b: a + b, 1, 2) == 3
        assert runner.tasks == set()

    run(main)


def test_a_coroutine_function_runs_at_once(run: Run) -> None:
    async def main(runner: Runner) -> None:
        seen: list[str] = []

        async def handler(value: str) -> str:
            seen.append(value)
            return value + "!"

        assert runner.run(handler, "a") == "a!"
        assert seen == ["a"]
        assert runner.tasks == set()

    run(main)


def test_a_handler_that_returns_the_coroutine_of_its_task_fails(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> Any:
            task = asyncio.current_task()
            assert task is not None
            return task.get_coro()

        with pytest.raises(TypeError, match="the coroutine of its Task"):
            runner.run(handler)
        assert runner.tasks == set()
        assert runner.run(lambda: 5) == 5

    run(main)


def test_what_it_raises_is_raised(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> None:
            raise ValueError("x")

        def function() -> None:
            raise KeyError("y")

        for _ in range(2):
            with pytest.raises(ValueError, match="x"):
                runner.run(handler)
            with pytest.raises(KeyError, match="y"):
                runner.run(function)
        assert runner.tasks == set()
        assert asyncio.current_task() in asyncio.all_tasks()

    run(main)


def test_current_task_from_the_first_line(run: Run) -> None:
    async def main(runner: Runner) -> None:
        outer = asyncio.current_task()

        async def handler() -> int:
            task = asyncio.current_task()
            assert isinstance(task, asyncio.Task)
            assert task is not outer
            assert not task.done()
            assert task.get_loop() is asyncio.get_running_loop()
            return id(task)

        def function() -> bool:
            return asyncio.current_task() not in (None, outer)

        assert isinstance(runner.run(handler), int)
        assert runner.run(function) is True
        assert asyncio.current_task() is outer

    run(main)


def test_current_task_outside_of_a_task(run: Run) -> None:
    """As when the loop calls the core: there is none before, and none after."""

    async def main(runner: Runner) -> None:
        seen: list[bool] = []
        done = asyncio.Event()

        def callback() -> None:
            seen.append(asyncio.current_task() is None)
            seen.append(runner.run(lambda: asyncio.current_task() is not None))
            seen.append(asyncio.current_task() is None)
            done.set()

        asyncio.get_running_loop().call_soon(callback)
        await done.wait()
        assert seen == [True, True, True]

    run(main)


def test_the_task_serves_the_next_handler_too(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> int:
            return id(asyncio.current_task())

        assert runner.run(handler) == runner.run(handler)

    run(main)


# --- handlers that suspend ------------------------------------------------------


def test_a_handler_that_suspends_becomes_a_task(run: Run) -> None:
    async def main(runner: Runner) -> None:
        seen: list[str] = []
        go = asyncio.Event()

        async def handler(value: str) -> str:
            seen.append("begun")
            await go.wait()
            seen.append("ended")
            return value

        task = runner.run(handler, "x")
        assert isinstance(task, asyncio.Task)
        assert seen == ["begun"]
        assert runner.tasks == {task}
        go.set()
        assert await task == "x"
        assert seen == ["begun", "ended"]
        assert runner.tasks == set()

    run(main)


def test_the_current_task_is_the_same_after_a_suspension(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> set[Any]:
            tasks = {asyncio.current_task()}
            for _ in range(3):
                await asyncio.sleep(0)
                tasks.add(asyncio.current_task())
            return tasks

        task = runner.run(handler)
        assert await task == {task}

    run(main)


def test_another_handler_has_another_task(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> Any:
            before = asyncio.current_task()
            await asyncio.sleep(0)
            return before

        first, second = runner.run(handler), runner.run(handler)
        assert first is not second
        assert await first is first
        assert await second is second

    run(main)


@pytest.mark.parametrize("how", ["sleep", "bare", "future", "done", "task", "gather"])
def test_every_kind_of_suspension(run: Run, how: str) -> None:
    async def main(runner: Runner) -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(0.001, future.set_result, "x")

        async def value() -> str:
            await asyncio.sleep(0)
            return "x"

        async def handler() -> str:
            if how == "sleep":
                return await asyncio.sleep(0.001, "x")
            if how == "bare":
                return await asyncio.sleep(0, "x")
            if how == "future":
                return str(await future)
            if how == "done":
                await asyncio.sleep(0)
                ready = loop.create_future()
                ready.set_result("x")
                return str(await ready)
            if how == "task":
                return await asyncio.create_task(value())
            return (await asyncio.gather(value(), value()))[1]

        assert await runner.run(handler) == "x"
        assert runner.tasks == set()

    run(main)


@pytest.mark.parametrize("suspends", [False, True])
def test_an_awaitable_that_is_not_a_coroutine(run: Run, suspends: bool) -> None:
    class Lazy:
        def __await__(self) -> Generator[Any, None, str]:
            if suspends:
                yield from asyncio.sleep(0).__await__()
            return "x"

    async def main(runner: Runner) -> None:
        result = runner.run(Lazy)
        assert (await result if suspends else result) == "x"

    run(main)


def test_a_handler_that_returns_a_future(run: Run) -> None:
    async def main(runner: Runner) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        task = runner.run(lambda: future)
        assert task is not future
        future.set_result("x")
        assert await task == "x"
        ready: asyncio.Future[str] = loop.create_future()
        ready.set_result("y")
        assert runner.run(lambda: ready) == "y"

    run(main)


def test_how_it_ended_is_told(run: Run) -> None:
    async def main(runner: Runner) -> None:
        told: list[tuple[Any, BaseException | None]] = []

        async def handler(error: BaseException | None) -> str:
            await asyncio.sleep(0)
            if error is not None:
                raise error
            return "x"

        def on_end(value: Any, error: BaseException | None) -> None:
            told.append((value, error))

        await runner.run(handler, None, on_end=on_end)
        error = ValueError("y")
        await runner.run(handler, error, on_end=on_end)
        assert told == [("x", None), (None, error)]
        assert runner.tasks == set()

    run(main)


# --- nothing sticks -------------------------------------------------------------


def test_context_variables_do_not_leak(run: Run) -> None:
    async def main(runner: Runner) -> None:
        def function() -> str:
            before = variable.get("unset")
            variable.set("function")
            return before

        async def coroutine() -> str:
            before = variable.get("unset")
            variable.set("coroutine")
            return before

        async def suspended() -> tuple[str, str]:
            before = variable.get("unset")
            variable.set("suspended")
            await asyncio.sleep(0)
            return before, variable.get()

        for _ in range(2):
            assert runner.run(function) == "unset"
            assert runner.run(coroutine) == "unset"
            assert await runner.run(suspended) == ("unset", "suspended")
        assert variable.get("unset") == "unset"

    run(main)


def test_context_variables_of_one_that_failed(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def fail() -> None:
            variable.set("failed")
            raise ValueError

        with pytest.raises(ValueError):
            runner.run(fail)
        assert runner.run(lambda: variable.get("unset")) == "unset"

    run(main)


def test_handlers_start_in_the_context_of_the_runner(run: Run) -> None:
    async def main(_: Runner) -> None:
        variable.set("outer")
        runner = Runner(asyncio.get_running_loop())
        variable.set("later")
        assert runner.run(variable.get) == "outer"

        async def handler() -> str:
            await asyncio.sleep(0)
            return variable.get()

        assert await runner.run(handler) == "outer"

    run(main)


def test_tasks_that_a_handler_starts_have_its_context(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def child() -> str:
            return variable.get("unset")

        async def handler() -> asyncio.Task[str]:
            variable.set("mine")
            return asyncio.create_task(child())

        async def wrapped() -> list[asyncio.Task[str]]:
            return [await handler()]

        (task,) = runner.run(wrapped)
        assert await task == "mine"

    run(main)


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_a_handler_that_keeps_its_task_sees_it_done(run: Run, kind: str) -> None:
    async def main(runner: Runner) -> None:
        kept: list[asyncio.Task[Any]] = []

        def function() -> str:
            task = asyncio.current_task()
            assert task is not None
            kept.append(task)
            return "result"

        async def coroutine() -> str:
            return function()

        handler: Any = function if kind == "function" else coroutine
        for _ in range(2):
            assert runner.run(handler) == "result"
        first, second = kept
        assert first is not second
        assert await asyncio.wait_for(first, 5) == "result"
        assert second.done()
        assert not asyncio.all_tasks() & set(kept)

    run(main)


def test_a_done_callback_is_called_for_its_handler(run: Run) -> None:
    async def main(runner: Runner) -> None:
        ended: list[asyncio.Task[Any]] = []

        async def handler() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.add_done_callback(ended.append)

        async def other() -> None:
            await asyncio.sleep(0)

        runner.run(handler)
        task = runner.run(other)
        await task
        await asyncio.sleep(0)
        assert len(ended) == 1
        assert ended[0] is not task

    run(main)


def test_a_weak_reference_does_not_see_the_next_handler(run: Run) -> None:
    async def main(runner: Runner) -> None:
        kept: list[weakref.ref[asyncio.Task[Any]]] = []

        async def handler() -> None:
            task = asyncio.current_task()
            assert task is not None
            kept.append(weakref.ref(task))

        async def other() -> bool:
            return any(asyncio.current_task() is ref() for ref in kept)

        runner.run(handler)
        assert runner.run(other) is False

    run(main)


def test_a_task_name_does_not_stick(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def name() -> str:
            task = asyncio.current_task()
            assert task is not None
            return task.get_name()

        async def handler() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.set_name("mine")

        runner.run(handler)
        assert runner.run(name) != "mine"

    run(main)


def test_an_attribute_does_not_stick(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler() -> None:
            task: Any = asyncio.current_task()
            task.user = "mine"

        async def other() -> bool:
            return hasattr(asyncio.current_task(), "user")

        runner.run(handler)
        assert runner.run(other) is False

    run(main)


# --- nesting --------------------------------------------------------------------


def test_a_handler_in_a_handler(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def inner() -> Any:
            variable.set("inner")
            return id(asyncio.current_task())

        async def outer() -> None:
            task = asyncio.current_task()
            variable.set("outer")
            assert runner.run(inner) != id(task)
            assert asyncio.current_task() is task
            assert variable.get() == "outer"
            with pytest.raises(ZeroDivisionError):
                runner.run(lambda: 1 / 0)
            assert asyncio.current_task() is task

        runner.run(outer)
        assert variable.get("unset") == "unset"

    run(main)


def test_a_handler_that_suspends_in_a_handler_that_suspends(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def inner() -> tuple[Any, Any]:
            before = asyncio.current_task()
            await asyncio.sleep(0)
            return before, asyncio.current_task()

        async def outer() -> tuple[Any, Any, Any]:
            before = asyncio.current_task()
            task = runner.run(inner)
            assert asyncio.current_task() is before
            result = await task
            return before, task, result

        task = runner.run(outer)
        before, nested, result = await task
        assert before is task
        assert result == (nested, nested)
        assert nested is not task
        assert runner.tasks == set()

    run(main)
