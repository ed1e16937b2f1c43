"""The tables of the page, and the text for the terminal."""

from __future__ import annotations

from math import isfinite, nan
from typing import Any

from catalogue import FLOOR, OURS, SERVERS, Scenario, Sweep
from rendering import plots
from rendering.summary import (
    Row,
    measured_scenarios,
    peers_in,
    ratio,
    summarize,
    title_of,
)
from rendering.words import milliseconds, rate, small, table, times

PERCENTILES = ("p50", "p99", "p99.9")
# Below this share of the rate it should have, an open loop is an overload.
KEEPS_UP = 0.97


def scenario_table(scenario: Scenario, rows: dict[str, Row]) -> str:
    """The servers of a scenario, each beside ours."""
    ours = rows.get(scenario.ours)
    cells = []
    for name, row in rows.items():
        spread = f"{rate(min(row.speeds))} to {rate(max(row.speeds))}"
        cell = [title_of(name)]
        if scenario.measures_memory:
            cell += [rate(row.connections), rate(row.bytes_each)]
            cell += [rate(row.speed), spread]
            ratios = [] if ours is None else [ours.memory_ratio(row)]
        else:
            cell += [rate(row.speed), spread, small(row.cpu_us)]
            cell += [milliseconds(row.latency.get(p, nan)) for p in PERCENTILES]
            ratios = (
                [] if ours is None else [ours.clock_ratio(row), ours.cpu_ratio(row)]
            )
        cell += ["" if row is ours else times(value) for value in ratios]
        cells.append(cell)
    if scenario.measures_memory:
        head = ["server", "connections", "bytes each", "opened/s", "range"]
        head += [] if ours is None else ["we use less by"]
    else:
        head = ["server", f"{scenario.unit}/s", "range", "CPU µs each"]
        head += ["p50 ms", "p99 ms", "p99.9 ms"]
        head += [] if ours is None else ["we are faster by", "by CPU time"]
    return table(head, cells)


def glance_table(results: dict[str, Any]) -> str:
    """Ours beside whoever is best, by the clock and by CPU time, and the floor."""
    cells = []
    has_floor = FLOOR in results["versions"]
    for scenario in measured_scenarios(results):
        rows = summarize(results, scenario)
        ours = rows.get(OURS)
        others = peers_in(rows)
        if ours is None or not others:
            continue
        if scenario.measures_memory:
            least = min(others, key=lambda row: row.bytes_each)
            cell = [f"{rate(ours.bytes_each)} bytes", title_of(least.server)]
            cell += [f"{rate(least.bytes_each)} bytes", times(ours.memory_ratio(least))]
            cell += ["", "", "", ""]
        else:
            fast = max(others, key=lambda row: row.speed)
            # No CPU time is known where a short run saw no message.
            known = [row for row in others if isfinite(row.cpu_us)]
            lean = min(known or [fast], key=lambda row: row.cpu_us)
            cell = [f"{rate(ours.speed)}/s", title_of(fast.server)]
            cell += [f"{rate(fast.speed)}/s", times(ours.clock_ratio(fast))]
            cell += [f"{small(ours.cpu_us)} µs", title_of(lean.server)]
            cell += [f"{small(lean.cpu_us)} µs", times(ours.cpu_ratio(lean))]
        if has_floor:
            cell += above_the_floor(ours, rows.get(FLOOR), scenario)
        cells.append([scenario.title, *cell])
    head = ["", "ours", "best other", "its", "we: faster by"]
    head += ["our CPU", "leanest other", "its", "we: leaner by"]
    head += ["of the floor's rate", "of its CPU"] if has_floor else []
    return table(head, cells)


def above_the_floor(ours: Row, floor: Row | None, scenario: Scenario) -> list[str]:
    """Which share of the floor's rate ours has, and how many times its CPU time."""
    if floor is None or scenario.measures_memory:
        return ["", ""]
    return [
        f"{100 * ours.clock_ratio(floor):.0f} %",
        times(ratio(ours.cpu_us, floor.cpu_us)),
    ]


def cost(row: Row) -> str:
    return f"{small(row.cpu_us)} ({plots.brief(row.speed)}/s)"


def sweep_table(results: dict[str, Any], sweep: Sweep) -> str:
    """CPU time of a message at every size, and how it grows."""
    cells = []
    for server in SERVERS:
        rows = [summarize(results, item).get(server.name) for item in sweep.scenarios]
        if not any(rows):
            continue
        cell = [server.title]
        for row in rows:
            cell.append("-" if row is None else cost(row))
        known = [row for row in rows if row is not None]
        growth = ratio(known[-1].cpu_us, known[0].cpu_us)
        cell.append("" if len(known) < len(rows) else times(growth))
        cells.append(cell)
    sizes = [f"{size:,}" for size in sweep.sizes]
    return table([f"{sweep.axis}:", *sizes, "last / first"], cells)


def latency_table(results: dict[str, Any], scenario: Scenario) -> str:
    cells = []
    for name, row in summarize(results, scenario).items():
        reached = rate(row.speed) + ("" if keeps_up(row) else ", overloaded")
        cell = [title_of(name), rate(row.rate), reached]
        cell += [milliseconds(row.latency.get(p, nan)) for p in PERCENTILES]
        cells.append([*cell, milliseconds(row.lateness_us)])
    head = ["server", "messages/s wanted", "reached", "p50 ms", "p99 ms", "p99.9 ms"]
    return table([*head, "generator late, p99 ms"], cells)


def keeps_up(row: Row) -> bool:
    return row.speed >= KEEPS_UP * row.rate


def client_table(scenario: Scenario, rows: dict[str, Row]) -> str:
    """The clients of a scenario, each beside ours."""
    ours = rows.get(scenario.ours)
    cells = []
    for name, row in rows.items():
        spread = f"{rate(min(row.speeds))} to {rate(max(row.speeds))}"
        if scenario.measures_memory:
            cell = [rate(row.bytes_each), rate(row.speed), spread]
            ratios = [] if ours is None else [ours.memory_ratio(row)]
        else:
            cell = [rate(row.speed), spread, small(row.cpu_us)]
            ratios = (
                [] if ours is None else [ours.clock_ratio(row), ours.cpu_ratio(row)]
            )
        cell += ["" if row is ours else times(value) for value in ratios]
        cells.append([title_of(name), *cell])
    if scenario.measures_memory:
        head = ["client", "bytes each", "opened/s", "range"]
        head += [] if ours is None else ["we use less by"]
    else:
        head = ["client", f"{scenario.unit}/s", "range", "CPU µs each"]
        head += [] if ours is None else ["we are faster by", "by CPU time"]
    return table(head, cells)


def overview(results: dict[str, Any]) -> str:
    """All scenarios in a few lines of text, for the terminal."""
    lines = []
    for scenario in measured_scenarios(results):
        lines.append(scenario.title)
        rows = summarize(results, scenario)
        for name, row in rows.items():
            if scenario.measures_memory:
                what = f"{rate(row.bytes_each):>10} bytes each of {row.connections:,}"
                what += f", {rate(row.speed)} opened/s"
            else:
                what = f"{rate(row.speed):>10} {scenario.unit}/s"
                what += f", {small(row.cpu_us)} CPU µs each"
            ours = rows.get(scenario.ours)
            if ours is not None and row is not ours and not scenario.measures_memory:
                clock, cpu = ours.clock_ratio(row), ours.cpu_ratio(row)
                what += f" (ours: {times(clock)}, by CPU time {times(cpu)})"
            lines.append(f"  {title_of(name):28} {what}")
    return "\n".join(lines)
