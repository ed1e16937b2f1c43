"""socketio-fast status where workers have no supervisor."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from support.processes import python

from cluster.conftest import StartWorkers, Worker
from socketio_fast._core.engine.observer import Observer


async def status(directory: Path, *arguments: str) -> CompletedProcess[str]:
    """What the command prints, run elsewhere than in the directory."""
    return await asyncio.to_thread(
        python, "-m", "socketio_fast", "status", *arguments, cwd=directory.parent
    )


async def told(directory: Path) -> dict[int, dict[str, Any]]:
    """What the workers do, by their numbers."""
    done = await status(directory, "--json", "--cluster", f"unix:{directory}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["directory"] == str(directory)
    return {each["worker"]: each for each in found["workers"]}


def number_of(worker: Worker) -> int:
    membership = worker.echo.app.membership
    assert membership is not None
    return membership.mesh.number


async def test_workers_say_what_they_do(workers: StartWorkers, directory: Path) -> None:
    a, b = await workers(2)
    first, second, _ = [await a.client.session() for _ in range(3)]

    async def talk() -> None:
        while True:
            await first.echoes("hello")
            await second.echoes("hello")
            await asyncio.sleep(0.02)

    talking = asyncio.ensure_future(talk())
    found = await told(directory)
    talking.cancel()
    assert found.keys() == {number_of(a), number_of(b)}
    busy, idle = found[number_of(a)], found[number_of(b)]
    assert (busy["clients"], idle["clients"]) == (3, 0)
    for each in (busy, idle):
        assert each["pid"] == os.getpid()
        assert each["state"] == "accepting"
        assert each["memory"] > 10_000_000
        assert each["age"] > 0
        assert each["cpu_per_second"] > 0
    assert busy["packets_in_per_second"] == pytest.approx(80, abs=78)
    assert busy["packets_out_per_second"] == pytest.approx(80, abs=78)
    assert idle["packets_in_per_second"] == 0


async def test_packets_are_counted_while_somebody_asks(
    workers: StartWorkers, directory: Path
) -> None:
    a, b = await workers(2)
    own = Observer()
    b.echo.app.engine.observe(own)
    await told(directory)
    assert a.echo.app.engine.observer is None
    assert b.echo.app.engine.observer is own


async def test_the_table(workers: StartWorkers, directory: Path) -> None:
    a, b = await workers(2)
    await a.client.session()
    for arguments in (["--cluster", f"unix:{directory}"], [str(directory)]):
        done = await status(directory, *arguments)
        head, columns, *rows = done.stdout.splitlines()
        assert head.endswith(f", workers of unix:{directory}")
        assert columns.split()[:5] == ["worker", "pid", "state", "age", "clients"]
        assert {int(row.split()[0]) for row in rows} == {number_of(a), number_of(b)}


async def test_a_worker_that_does_not_answer(
    workers: StartWorkers, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await workers(2)
    membership = b.echo.app.membership
    assert membership is not None
    # As one whose event loop is blocked.
    asyncio.get_running_loop().remove_reader(membership.mesh._listener)
    found = await told(directory)
    assert found[number_of(a)]["state"] == "accepting"
    assert found[number_of(b)] == {
        "worker": number_of(b),
        "state": "does not answer",
    }


async def test_a_worker_that_was_killed_is_left_out(
    workers: StartWorkers, directory: Path
) -> None:
    (a,) = await workers(1)
    (directory / "0a0b0c.sock").touch()
    assert (await told(directory)).keys() == {number_of(a)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cluster", "unix:{0}"], "'unix:{0}': no worker has a socket there: name "),
        (["{0}"], "'unix:{0}': no worker has a socket there: name the directory "),
        (["--cluster", "unix:{0}/no"], "No such file or directory: name the directory"),
        (["--cluster", "{0}"], "--cluster='{0}': 'unix:' and the path of a directory"),
    ],
)
async def test_where_there_are_no_workers(
    directory: Path, arguments: list[str], message: str
) -> None:
    done = await status(directory, *(each.format(directory) for each in arguments))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("socketio-fast: ")
    assert message.format(directory) in line
