"""The table of the project's README.md, from the raw results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from catalogue import BASELINE, OURS, SCENARIOS
from rendering.summary import measured_scenarios, summarize, title_of
from rendering.words import rate, small, table

#: Between these lines of the page nothing is typed.
BEGIN = "<!-- rendered by benchmarks/run.py -->"
END = "<!-- end -->"

ROWS = ("echo", "echo-8", "broadcast-500", "connect", "polling")
COLUMNS = (OURS, "rust", "bun", "node", BASELINE)


def write_front(results: Path, page: Path) -> None:
    """Write the table into the page.

    Raises:
        ValueError: The page has no place for it.
    """
    before, begun, rest = page.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise ValueError(f"{page}: no lines {BEGIN} and {END}")
    rendered = front(json.loads(results.read_text()))
    page.write_text(f"{before}{begun}\n{rendered}\n{ended}{after}")


def front(results: dict[str, Any]) -> str:
    """The table, and when and where it was measured."""
    rows = []
    for scenario in measured_scenarios(results):
        if scenario.name in ROWS:
            found = summarize(results, scenario)
            rows.append([scenario.title, *(_cell(found.get(n)) for n in COLUMNS)])
    idle = next(each for each in SCENARIOS if each.measures_memory)
    memory = summarize(results, idle)
    sizes = [f"{rate(memory[n].bytes_each)} B" if n in memory else "-" for n in COLUMNS]
    rows.append(["Memory of an idle connection", *sizes])
    return table(["", *map(title_of, COLUMNS)], rows)


def _cell(row: Any) -> str:
    return "-" if row is None else f"{rate(row.speed)}/s, {small(row.cpu_us)} µs"
