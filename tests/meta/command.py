"""The tables of docs/command.md: ``python -m tests.meta.command`` writes them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from socketio_fast.__main__ import make_parser

DOCUMENT = Path(__file__).parents[2] / "docs" / "command.md"


def subcommands() -> dict[str, argparse.ArgumentParser]:
    """The parsers of the subcommands."""
    (found,) = (
        action
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(found.choices)


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        assert action.help, action.dest
        names = ", ".join(action.option_strings)
        value = action.metavar or action.dest.upper()
        if action.choices is not None:
            value = "|".join(map(str, action.choices))
        shown = str(value) if action.nargs != 0 else ""
        flag = f"{names} {shown}".strip().replace("|", r"\|")
        told = parser._get_formatter()._expand_help(action)
        yield f"| `{flag}` | {told} |\n"


def table(parser: argparse.ArgumentParser) -> str:
    """The arguments and flags of a subcommand."""
    return "| | |\n|---|---|\n" + "".join(_rows(parser))


def rendered(text: str) -> str:
    """docs/command.md with its tables as they should be."""
    for name, parser in subcommands().items():
        mark = f"<!-- {name} -->\n"
        before, found, after = text.partition(mark)
        assert found, f"docs/command.md has no {mark.strip()}"
        after = re.sub(r"\A(?:\|.*\n)*", "", after)
        text = f"{before}{mark}{table(parser)}{after}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(DOCUMENT.read_text()))
