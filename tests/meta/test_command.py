"""docs/command.md has each flag of each subcommand, and their exit codes."""

from __future__ import annotations

import re

import pytest

from meta import command

TEXT = command.DOCUMENT.read_text()


def test_the_tables_are_those_of_the_parsers() -> None:
    assert command.rendered(TEXT) == TEXT, "run python -m tests.meta.command"


@pytest.mark.parametrize("name", command.subcommands())
def test_each_subcommand_has_its_section(name: str) -> None:
    section = re.search(rf"^## {name}\n(.+?)(?=^## |\Z)", TEXT, re.M | re.S)
    assert section
    assert "exit code" in section[1].lower()
