"""Faults among messages: nothing comes twice or out of order, and the clients of the
workers that nothing happens to lose nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.processes import python

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "worker_faults.py"

#: Seconds of a run, on a busy machine.
WAIT = 150.0

pytestmark = pytest.mark.timeout(WAIT + 10)


async def counted(fault: str, seconds: float = 2) -> dict[str, Any]:
    """What the benchmark counts."""
    arguments = (str(SCRIPT), "--json", "--only", fault, "--seconds", str(seconds))
    done = await asyncio.to_thread(
        python, *arguments, cwd=SCRIPT.parent, check=False, timeout=WAIT
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    for way in ("sent", "sent_by_broken", "others", "its_own", "flood"):
        assert (result[way]["twice"], result[way]["disordered"]) == (0, 0), (
            way,
            result,
        )
    assert result["others"]["never"] == 0, result
    assert result["sent"]["never"] == 0, result
    assert result["its_own"]["never"] == 0, result
    return result


async def test_a_worker_that_is_killed() -> None:
    result = await counted("kill -9 of a worker")
    assert result["broken"] > 0
    assert result["others"]["due"] > 0


async def test_a_worker_that_stops_and_goes_on() -> None:
    result = await counted("SIGSTOP of a worker, then SIGCONT")
    assert result["broken"] == 0
    assert result["its_own"]["due"] > 0


async def test_a_worker_that_does_not_read_what_is_sent_to_it() -> None:
    result = await counted("the same, and 40 MB for its clients")
    assert result["broken"] == 0
    assert 0 < result["flood"]["never"] < result["flood"]["due"]


async def test_a_worker_that_can_open_nothing() -> None:
    """Only who comes loses anything."""
    result = await counted("a worker out of descriptors")
    assert result["broken"] == 0
    assert result["its_own"]["due"] > 0
    assert result["more"]["newcomers"].keys() != {"200"}


async def test_a_supervisor_that_is_killed() -> None:
    result = await counted("kill -9 of the supervisor")
    assert result["broken"] >= 12


async def test_a_reload() -> None:
    result = await counted("SIGHUP: a reload")
    assert result["sent"]["due"] > 0
