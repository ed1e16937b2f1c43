"""Ten thousand clients come and go, and leave nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.processes import python

CYCLES = 10_000
# A leak of 100 bytes per connection is half a megabyte behind 5,000 of them; without
# one it has been 8 KB at most.
MEMORY = 400_000

# Seconds, beside other tests; alone it takes some ten.
TIMEOUT = 300.0

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.timeout(TIMEOUT + 10),
]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    program = Path(__file__).with_name("cycles.py")
    folder = tmp_path_factory.mktemp("leaks")
    done = python(str(program), str(CYCLES), cwd=folder, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "table", ["sessions", "peers", "rooms", "tasks", "connections", "deadlines"]
)
def test_tables_are_empty(result: dict[str, Any], table: str) -> None:
    assert result["after"][table] == 0


def test_files_are_closed(result: dict[str, Any]) -> None:
    assert result["after"]["files"] == result["before"]["files"]


def test_memory_does_not_grow(result: dict[str, Any]) -> None:
    """B3: memory does not grow."""
    assert result["after"]["memory"] - result["before"]["memory"] < MEMORY


def test_nothing_waits_for_the_garbage_collector(result: dict[str, Any]) -> None:
    """A closed connection leaves no cycles: memory is given back at once."""
    assert result["garbage"] == {}
