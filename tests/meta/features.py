"""The last column of docs/features.md: which tests prove a row.

A test proves the rows that its docstring begins with, ``E6: …`` or ``E6, E7: …``.
``python -m tests.meta.features`` writes the column.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "features.md"

ROWS = re.compile(r"([A-Z]\d+(?:, [A-Z]\d+)*)(?:[:.]|$)")


@dataclass
class Row:
    number: str
    feature: str
    here: str
    how: str
    tests: str

    def __str__(self) -> str:
        tests = f" {self.tests} " if self.tests else " "
        how = f" {self.how} " if self.how else " "
        return f"| {self.number} | {self.feature} | {self.here} |{how}|{tests}|"


def parse(line: str) -> Row | None:
    """A row of the document; None for another line."""
    if not re.match(r"\| [A-Z]\d+ \|", line):
        return None
    cells = [cell.strip() for cell in line.strip("|\n").split("|")]
    return Row(*cells)


@functools.cache
def proved() -> dict[str, list[str]]:
    """The numbers of rows, and the files of the tests that name them."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        if "node_modules" in path.parts:
            continue
        for docstring in docstrings(path):
            match = ROWS.match(docstring)
            for number in match[1].split(", ") if match else ():
                name = path.relative_to(TESTS).as_posix()
                if name not in found.setdefault(number, []):
                    found[number].append(name)
    return found


def docstrings(path: Path) -> Iterator[str]:
    """Those of a file's tests."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(
            node, (ast.FunctionDef, ast.AsyncFunctionDef)
        ) and node.name.startswith("test_"):
            yield ast.get_docstring(node) or ""


def rendered(text: str) -> str:
    """The document with its last column as it should be."""
    tests = proved()
    lines = []
    for line in text.splitlines():
        row = parse(line)
        if row is not None:
            names = ", ".join(f"`{name}`" for name in tests.get(row.number, ()))
            line = str(replace(row, tests=names))
        lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(rendered(DOCUMENT.read_text()))
