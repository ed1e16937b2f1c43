"""Clients connect and disconnect ten thousand times, and leave nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.processes import python

from .endurance import FULL, Held, held, times

#: Cycles of each of the twelve kinds, ten thousand together.
COUNT = times(840, 60)
WARM = 40

# Seconds, beside other tests; alone it takes a fifth.
TIMEOUT = times(900, 200)

KINDS = [
    f"with_{how} {transport} {client}"
    for how in ("asyncio", "threads")
    for transport in ("polling", "websocket", "upgrade")
    for client in ("again", "anew")
]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.timeout(TIMEOUT + 10),
]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = python(
        *("-m", "leaks.client_cycles", str(WARM), str(COUNT)),
        cwd=Path(__file__).parents[1],
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    both: dict[str, Any] = json.loads(done.stdout)
    assert sorted(both) == sorted(KINDS)
    return both


@pytest.mark.parametrize("kind", KINDS)
def test_clients_leave_nothing(found: dict[str, Any], kind: str) -> None:
    """Files, threads, Tasks, objects: of the same client, and of always another."""
    before, after = found[kind]
    Held(**after).check(Held(**before), COUNT)


@pytest.mark.skipif(not FULL, reason="needs more cycles than a process needs to settle")
def test_memory_does_not_grow(found: dict[str, Any]) -> None:
    """By less than 1 KB for each connection."""
    grown = {
        k: after["memory"] - before["memory"] for k, (before, after) in found.items()
    }
    print(grown)
    assert sum(grown.values()) < 1_000 * COUNT * len(KINDS)


def test_what_is_left_is_found() -> None:
    before = held()
    with open(__file__), pytest.raises(AssertionError, match="files"):
        held().check(before, COUNT)
    kept: list[list[Any]] = [[] for _ in range(2 * COUNT)]
    with pytest.raises(AssertionError, match="objects"):
        held().check(before, COUNT)
    assert kept
