"""Numbers, tables and lists as Markdown."""

from __future__ import annotations

from math import isfinite


def rate(value: float) -> str:
    return f"{value:,.0f}"


def small(value: float) -> str:
    if not isfinite(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def milliseconds(microseconds: float) -> str:
    value = microseconds / 1000
    if not isfinite(value):
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.{1 if value >= 10 else 2}f}"


def times(value: float) -> str:
    if not isfinite(value):
        return "-"
    return f"{value:.2f} x" if value < 1.95 else f"{small(value)} x"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "|".join(["---", *["---:"] * (len(head) - 1)]) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def bullets(lines: list[str], otherwise: str) -> str:
    return "\n".join(f"- {line}" for line in lines) if lines else otherwise


def image(name: str, words: str) -> str:
    return f"![{words}](plots/{name})"


def with_section(page: str, begin: str, text: str) -> str:
    """The page with this text between a mark and the next ``<!-- end -->``."""
    end = "<!-- end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no lines {begin} and {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"
