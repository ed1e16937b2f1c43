"""A compiled module's tests are found by its name, and no file of tests is long."""

from __future__ import annotations

from pathlib import Path

import pytest

from meta.test_layers import ROOMS

TESTS = Path(__file__).parents[1]
LINES = 700

#: Modules that need others around them: where they are tested.
ELSEWHERE = {
    "exchange": "integration/test_polling.py",
    "foreign": "unit/test_flow_control.py",
    "listeners": "unit/test_socket_listeners.py",
    "send_queue": "integration/test_slow_consumers.py",
    "writer": "unit/test_http1.py",
}


@pytest.mark.parametrize("module", ROOMS)
def test_a_compiled_module_has_its_tests(module: str) -> None:
    assert (TESTS / ELSEWHERE.get(module, f"unit/test_{module}.py")).is_file()


def test_what_is_tested_elsewhere_is_there_and_not_here_too() -> None:
    for module in ELSEWHERE:
        assert module in ROOMS
        assert not (TESTS / f"unit/test_{module}.py").exists(), module


def test_no_file_is_long() -> None:
    lines = {
        str(path.relative_to(TESTS)): path.read_text().count("\n")
        for path in TESTS.rglob("*.py")
        if "node_modules" not in path.parts
    }
    assert lines
    assert {name: n for name, n in lines.items() if n > LINES} == {}
