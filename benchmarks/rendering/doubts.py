"""Where others are ahead of us, and what a run could not measure well."""

from __future__ import annotations

from math import nan
from typing import Any

from catalogue import BUSY_PERCENT, CLIENT_SCENARIOS, LATENCY
from rendering.summary import (
    Row,
    measured_scenarios,
    measured_sweeps,
    pairs,
    ratio,
    summarize,
    title_of,
)
from rendering.words import milliseconds, table, times

# Later than this at p99, the generator was not left alone.
LATE_US = 1000.0


def losses(results: dict[str, Any]) -> str:
    """Every comparison in which another server is ahead of ours."""
    found: list[list[str]] = []

    def compare(where: str, row: Row, what: str, value: float) -> None:
        if value < 1:
            by = times(1 / value) if value > 0 else "all of it"
            found.append([where, title_of(row.server), what, by])

    for scenario in measured_scenarios(results):
        for ours, row in pairs(results, scenario):
            if scenario.measures_memory:
                value = ours.memory_ratio(row)
                compare(scenario.title, row, "memory per connection", value)
                continue
            value = ours.clock_ratio(row)
            compare(scenario.title, row, f"{scenario.unit} per second", value)
            compare(scenario.title, row, "CPU time", ours.cpu_ratio(row))
            compare(scenario.title, row, "p99 latency", p99_ratio(ours, row))
    for scenario in LATENCY if results.get("latency") else ():
        for ours, row in pairs(results, scenario):
            if max(row.lateness_us, ours.lateness_us) <= LATE_US:
                what = "p99 latency, each at its own rate"
                compare(scenario.title, row, what, p99_ratio(ours, row))
    for sweep in measured_sweeps(results):
        for size, scenario in zip(sweep.sizes, sweep.scenarios, strict=True):
            for ours, row in pairs(results, scenario):
                where = f"{sweep.title}: at {size:,}"
                compare(where, row, "CPU time", ours.cpu_ratio(row))
    if not found:
        return "In no row of this run."
    return table(["where", "who is ahead", "in what", "by"], found)


def p99_ratio(ours: Row, other: Row) -> float:
    return ratio(other.latency.get("p99", nan), ours.latency.get("p99", nan))


def limits(results: dict[str, Any]) -> list[str]:
    """Where the generator may have been the limit, and what failed or was left out."""
    found = []
    for scenario in measured_scenarios(results):
        for row in summarize(results, scenario).values():
            if row.load_cpu > BUSY_PERCENT:
                limit = "server" if scenario in CLIENT_SCENARIOS else "load generator"
                found.append(
                    f"{scenario.title}, {title_of(row.server)}: the {limit} "
                    f"used up to {row.load_cpu:.0f} % of its core, and may have been "
                    "the limit."
                )
    paced = [
        row
        for scenario in (LATENCY if results.get("latency") else ())
        for row in summarize(results, scenario).values()
    ]
    late = [row for row in paced if row.lateness_us > LATE_US]
    if late:
        found.append(
            f"Latency against load: in {len(late)} of {len(paced)} measurements the "
            f"load generator sent more than {milliseconds(LATE_US)} ms late (p99), "
            "because something else ran on its core. They are not compared."
        )
    for name, why in results["skipped"].items():
        found.append(f"{title_of(name)} was not measured: {why}.")
    for name, why in results.get("skipped_scenarios", {}).items():
        found.append(f"{name} was not measured: {why}.")
    for failure in results["failures"]:
        found.append(
            f"{failure['scenario']}, {title_of(failure['server'])}, round "
            f"{failure['round']} failed: {failure['error']}"
        )
    return found
