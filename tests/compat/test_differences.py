"""The table of differences is neither longer nor shorter than what the tests show."""

from __future__ import annotations

import re
from pathlib import Path

from compat.differences import DIFFERENCES

HERE = Path(__file__).parent
MIGRATING = HERE.parent.parent / "docs" / "migrating.md"


def test_every_difference_is_shown_by_a_test() -> None:
    tests = "".join(file.read_text() for file in HERE.glob("test_*.py"))
    shown = set(re.findall(r'outcome\(\s*"([a-z0-9-]+)"', tests))
    assert shown == set(DIFFERENCES)


def test_every_difference_is_told_to_who_migrates() -> None:
    rows = [line for line in MIGRATING.read_text().splitlines() if line[:2] == "| "]
    told = {key for row in rows for key in re.findall(r"`([a-z0-9-]+)`", row)}
    assert set(DIFFERENCES) - told == set()
