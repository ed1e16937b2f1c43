"""What asyncio and its debuggers see of handlers, and programs that change asyncio."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import pytest
from support.processes import python
from support.runners import Run, run, variable

from socketio_fast._core.engine.runner import Runner

__all__ = ["run"]


# --- what asyncio sees ----------------------------------------------------------


def test_all_tasks_never_shows_one_that_does_not_run(run: Run) -> None:
    async def main(runner: Runner) -> None:
        mine = {asyncio.current_task()}
        others = asyncio.all_tasks() - mine  # wait_for()'s caller

        async def quick() -> None:
            pass

        async def slow() -> None:
            await asyncio.sleep(0)

        assert asyncio.all_tasks() - mine == others
        runner.run(quick)
        assert asyncio.all_tasks() - mine == others
        task = runner.run(slow)
        assert asyncio.all_tasks() - mine == {*others, task}
        await task
        assert asyncio.all_tasks() - mine == others

    run(main)


def test_call_soon_of_the_loop_is_left_as_it_was(run: Run) -> None:
    async def main(runner: Runner) -> None:
        loop = asyncio.get_running_loop()
        runner.run(lambda: 1)
        assert "call_soon" not in vars(loop)

    run(main)


def test_a_suspended_handler_shows_where_it_is(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler_with_a_name() -> None:
            await asyncio.sleep(0)

        task = runner.run(handler_with_a_name)
        assert "handler_with_a_name" in repr(task)
        assert asyncio.iscoroutine(task.get_coro())
        await task

    run(main)


def test_nothing_is_left_of_ten_thousand_handlers(run: Run) -> None:
    async def main(runner: Runner) -> None:
        async def handler(suspend: bool) -> None:
            variable.set("x")
            if suspend:
                await asyncio.sleep(0)

        for _ in range(1000):
            runner.run(handler, False)
            await runner.run(handler, True)
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(1000):
            runner.run(handler, False)
            await runner.run(handler, True)
        gc.collect()
        assert len(gc.get_objects()) - before < 50
        assert runner.tasks == set()

    run(main)


PROGRAM = """
import asyncio, sys
from socketio_fast._core.engine.runner import Runner

async def quick(): pass
async def slow(): await asyncio.sleep(3600)

async def main():
    runner = Runner(asyncio.get_running_loop())
    runner.run(quick)
    runner.run(slow)
    runner.run(quick)

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main(), debug=sys.argv[2] == "debug")
else:
    asyncio.run(main(), debug=sys.argv[2] == "debug")
print("ended")
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("mode", ["plain", "debug"])
def test_a_program_ends_without_a_word(loop: str, mode: str, tmp_path: Path) -> None:
    """Neither the spare Task nor the one that waits is complained about."""
    done = python("-X", "dev", "-c", PROGRAM, loop, mode, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


# --- programs that change asyncio -----------------------------------------------------


NESTED = """
import asyncio
import warnings
{before}
from socketio_fast._core.engine.runner import Runner
{after}


async def later(value):
    await asyncio.sleep(0)
    return value


async def at_once(value):
    return value, asyncio.get_event_loop().run_until_complete(later(1))


async def suspended(value):
    return await later(value), asyncio.get_event_loop().run_until_complete(later(2))


async def main():
    task = asyncio.current_task()
    runner = Runner(asyncio.get_running_loop())
    assert runner.run(at_once, "a") == ("a", 1)
    assert await runner.run(suspended, "b") == ("b", 2)
    assert asyncio.current_task() is task
    print("done")


asyncio.run(main())
"""


APPLY = """
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    __import__("nest_asyncio").apply(asyncio.new_event_loop())
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="nest_asyncio is of before")
@pytest.mark.parametrize("first", [True, False])
def test_loops_that_nest(first: bool, tmp_path: Path) -> None:
    before, after = (APPLY, "") if first else ("", APPLY)
    program = NESTED.format(before=before, after=after)
    assert python("-c", program, cwd=tmp_path, check=True).stdout == "done\n"


CALL = """
import asyncio, warnings
import socketio_fast
from socketio_fast import testing
{apply}
async def main():
    sio = socketio_fast.AsyncServer()
    async with testing.client(sio) as client:
        client.on("ask", lambda: 42)
        print(await sio.call("ask", to=client.sid, timeout=5))

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="nest_asyncio is of before")
def test_calls_where_loops_have_been_made_to_nest_since(tmp_path: Path) -> None:
    """Futures of such loops are not those that there were at the import."""
    program = CALL.format(apply=APPLY)
    assert python("-c", program, cwd=tmp_path, check=True).stdout == "42\n"
