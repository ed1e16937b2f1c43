"""How far ahead `--check` asks us to be."""

from __future__ import annotations

import sys
from typing import Any

from catalogue import CLIENT_SCENARIOS, SCENARIOS
from rendering.summary import summarize


def check(results: dict[str, Any]) -> list[str]:
    """What falls behind the guards, in words."""
    problems = [
        f"{name} was skipped: {why}" for name, why in results["skipped"].items()
    ]
    for scenario in (*SCENARIOS, *CLIENT_SCENARIOS):
        if scenario.guard is None or scenario.name not in results["scenarios"]:
            continue
        rows = summarize(results, scenario)
        ours, theirs = scenario.ours, scenario.theirs
        if ours not in rows or theirs not in rows:
            problems.append(f"{scenario.name}: {ours} and {theirs} are both needed")
            continue
        clock = rows[ours].clock_ratio(rows[theirs])
        cpu = rows[ours].cpu_ratio(rows[theirs])
        verdict = (
            f"{scenario.name}: {clock:.1f} times {theirs} by the clock, "
            f"{cpu:.1f} times by CPU time; at least {scenario.guard:.0f} wanted"
        )
        print(verdict, file=sys.stderr)
        if max(clock, cpu) < scenario.guard:
            problems.append(verdict)
    return problems
