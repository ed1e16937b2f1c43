"""Findings for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from socketio_fast.doctor.findings import Finding, Level, problems_of

__all__ = ["as_json", "as_text", "summary"]

_STYLES: dict[Level, str] = {
    "ok": "\x1b[32m",
    "note": "\x1b[36m",
    "warning": "\x1b[33m",
    "problem": "\x1b[1;31m",
    "skipped": "\x1b[2m",
}
_BOLD = "\x1b[1m"
_DIM = "\x1b[2m"
_END = "\x1b[0m"

#: Columns of the names of levels and checks.
LEVEL, CHECK = 9, 18


def as_text(finding: Finding, *, colors: bool = False, width: int | None = None) -> str:
    """A finding in lines: one if all is well; else what it means and what to do.

    Args:
        finding: The finding.
        colors: Whether there are colours.
        width: Columns of the terminal, for sentences; ``None``: they are not wrapped.
    """

    def styled(style: str, text: str) -> str:
        return f"{style}{text}{_END}" if colors else text

    time = "" if finding.seconds is None else f"  ({finding.seconds * 1000:.0f} ms)"
    head = styled(_STYLES[finding.level], f"{finding.level:<{LEVEL}}")
    if finding.level in ("ok", "skipped"):
        check = f"{finding.check:<{CHECK}}"
        return f"{head}{check}{finding.tried}: {finding.came}{styled(_DIM, time)}\n"
    lines = [f"{head}{finding.check}: {finding.cause}{styled(_DIM, time)}"]
    sentences = {
        "tried": finding.tried,
        "came": finding.came,
        "meaning": finding.meaning,
        "remedy": finding.remedy.text,
    }
    told = {name: _wrapped(text, width) for name, text in sentences.items()}
    for proxy, text in finding.remedy.configuration.items():
        told[proxy] = text.splitlines()
    for name, shown in told.items():
        for number, line in enumerate(shown):
            label = f"{name if number == 0 else '':<{LEVEL}}"
            lines.append(f"{'':<{LEVEL}}{styled(_BOLD, label)}{line}")
    return "\n".join(lines) + "\n"


def _wrapped(text: str, width: int | None) -> list[str]:
    """Lines that fit beside their label, at least 40 columns wide."""
    if width is None:
        return text.splitlines()
    return textwrap.wrap(text, max(40, width - 2 * LEVEL), break_on_hyphens=False)


def summary(findings: Iterable[Finding]) -> str:
    """The last line."""
    problems = problems_of(findings)
    if not problems:
        return "No problem found.\n"
    causes = ", ".join(dict.fromkeys(each.cause for each in problems))
    return f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: {causes}\n"


def as_json(url: str, findings: Iterable[Finding]) -> str:
    """All findings as an object of JSON, in a line."""
    found = list(findings)
    told: dict[str, Any] = {
        "url": url,
        "problems": len(problems_of(found)),
        "findings": [asdict(each) for each in found],
    }
    return json.dumps(told, ensure_ascii=True) + "\n"
