"""The example of jobs: a worker of RQ emits by a real Redis."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.brokers import Redis
from support.example_programs import EXAMPLES, started
from support.processes import environment
from support.waiting import WAIT

import socketio_fast as socketio


async def test_a_worker_tells_the_client_how_far_it_is(redis: Redis) -> None:
    where = {"REDIS_URL": redis.url}
    with started("jobs", "python server.py", **where) as url:
        async with socketio.AsyncClient().connection(url) as socket:
            progress: list[float] = []
            counted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            socket.on("progress", progress.append)
            socket.on("counted", counted.set_result)
            for wrong in ("", 5, "x" * 100_001):
                assert "error" in await socket.timeout(WAIT).emit_with_ack(
                    "count", wrong
                )
            text = "one fish two fish " * 100
            answer = await socket.timeout(WAIT).emit_with_ack("count", text)
            assert answer.keys() == {"job"}
            await asyncio.to_thread(work, where)
            most = await asyncio.wait_for(counted, WAIT)
    assert most == [["fish", 200], ["one", 100], ["two", 100]]
    assert progress == [step / 20 for step in range(1, 21)]


def work(where: dict[str, str]) -> None:
    """Do what is in the queue, as the README says."""
    subprocess.run(
        [
            Path(sys.executable).with_name("rq"),
            "worker",
            "--burst",
            "-u",
            *where.values(),
        ],
        cwd=EXAMPLES / "jobs",
        env={**environment(EXAMPLES / "jobs"), **where, "PYTHONWARNINGS": "default"},
        capture_output=True,
        timeout=WAIT,
        check=True,
    )
