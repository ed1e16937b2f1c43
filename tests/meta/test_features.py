"""docs/features.md against the tests that prove it."""

from __future__ import annotations

from meta.features import DOCUMENT, parse, proved, rendered

TABLE = {
    row.number: row
    for line in DOCUMENT.read_text().splitlines()
    if (row := parse(line)) is not None
}


def test_the_table_names_the_tests_there_are() -> None:
    text = DOCUMENT.read_text()
    assert rendered(text) == text, "python -m tests.meta.features brings it up to date"


def test_what_is_there_is_proved() -> None:
    tests = proved()
    assert not [n for n, row in TABLE.items() if row.here == "yes" and n not in tests]


def test_what_is_proved_is_said_to_be_there() -> None:
    here = {number for number, row in TABLE.items() if row.here == "yes"}
    assert not {n for n in proved() if n[0] not in "DF"} - here


def test_every_row_is_one_thing_or_the_other() -> None:
    assert {row.here for row in TABLE.values()} == {"yes", "no"}
    assert len(TABLE) > 150
