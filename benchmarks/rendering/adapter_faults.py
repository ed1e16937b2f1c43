"""What faults cost by adapter, from `results/apart/adapter-faults.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rendering.words import table, with_section

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
MARK = "<!-- benchmarks/adapter_faults.py -->"


def faults_table(rows: list[dict[str, Any]]) -> str:
    """A row for each fault, a column for each adapter."""
    adapters = list(dict.fromkeys(row["adapter"] for row in rows))
    found = {(row["fault"], row["adapter"]): row for row in rows}
    faults = list(dict.fromkeys(row["fault"] for row in rows))
    cells = [
        [fault, *(_cell(found.get((fault, adapter))) for adapter in adapters)]
        for fault in faults
    ]
    return table(["", *adapters], cells)


def _cell(row: dict[str, Any] | None) -> str:
    """What never came, and what came twice or out of order."""
    if row is None:
        return ""
    counts = [row["between"], row["its"]]
    due, never, twice, disordered = (
        sum(count[key] for count in counts)
        for key in ("due", "never", "twice", "disordered")
    )
    text = f"{never:,} of {due:,}"
    if twice:
        text += f", {twice:,} twice"
    if disordered:
        text += f", {disordered:,} out of order"
    if own := row["own"]["never"] + row["own"]["twice"]:
        text += f", {own:,} wrong on the server itself"
    return text if row["recovered"] else f"{text}, not recovered"


def with_table(page: str, results: dict[str, Any]) -> str:
    """The page with the table between its marks."""
    return with_section(page, MARK, faults_table(results["rows"]))
