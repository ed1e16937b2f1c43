"""docs/migrating.md tells of every difference that the tests know of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from compat.differences import DIFFERENCES

MIGRATING = Path(__file__).parents[2] / "docs" / "migrating.md"


def rows_of_differences() -> Iterator[list[str]]:
    """The rows of those tables that are of differences."""
    told = False
    for line in MIGRATING.read_text().splitlines():
        told = line.startswith("|") and (told or line.startswith("| difference |"))
        if told and line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


ROWS = list(rows_of_differences())


@pytest.mark.parametrize("key", DIFFERENCES)
def test_every_difference_has_a_row(key: str) -> None:
    assert [row for row in ROWS if f"`{key}`" in row[0]]


def test_every_row_says_why_and_what_to_do() -> None:
    for row in ROWS:
        assert len(row) == 3, row
        assert all(row), row


def test_no_key_is_told_twice() -> None:
    keys = [
        key
        for row in ROWS
        for key in re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", row[0].split(": ")[0])
    ]
    assert sorted(keys) == sorted(set(keys))
