"""Renders benchmarks/README.md from the raw results: no number is typed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from statistics import median
from typing import Any

from catalogue import BUSY_PERCENT, OURS, SCENARIOS, SERVERS, Scenario


@dataclass(frozen=True)
class Row:
    """A server in a scenario, over all rounds. For idle connections, the speed is that
    of opening them."""

    server: str
    connections: int
    speeds: list[float]
    bytes_each: float
    load_cpu: float
    cpu_us: float = nan
    latency: dict[str, float] = field(default_factory=dict)

    @property
    def speed(self) -> float:
        return median(self.speeds)

    def clock_ratio(self, other: Row) -> float:
        return ratio(self.speed, other.speed)

    def cpu_ratio(self, other: Row) -> float:
        return ratio(other.cpu_us, self.cpu_us)

    def memory_ratio(self, other: Row) -> float:
        return ratio(other.bytes_each, self.bytes_each)


def ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else nan


def summarize(results: dict[str, Any], scenario: Scenario) -> dict[str, Row]:
    """A row for every server that has results in this scenario."""
    rows = {}
    for server in SERVERS:
        runs = [
            run
            for run in results["runs"]
            if run["server"] == server.name and run["scenario"] == scenario.name
        ]
        if runs:
            rows[server.name] = summarize_runs(server.name, scenario, runs)
    return rows


def summarize_runs(server: str, scenario: Scenario, runs: list[dict[str, Any]]) -> Row:
    bytes_each = median(
        (run["server_rss_after"] - run["server_rss_before"]) / run["connections"]
        for run in runs
    )
    connections = runs[0]["connections"]
    load_cpu = max(run["load_cpu_percent"] for run in runs)
    if scenario.measures_memory:
        speeds = [run["connections"] / run["opening_seconds"] for run in runs]
        return Row(server, connections, speeds, bytes_each, load_cpu)
    return Row(
        server,
        connections,
        [run["messages_per_second"] for run in runs],
        bytes_each,
        load_cpu,
        median(1e6 * ratio(run["server_cpu_seconds"], run["messages"]) for run in runs),
        {
            name: median(run["latency_us"][name] for run in runs)
            for name in runs[0]["latency_us"]
        },
    )


# --- numbers as words ---


def rate(value: float) -> str:
    return f"{value:,.0f}"


def small(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def milliseconds(microseconds: float) -> str:
    value = microseconds / 1000
    return f"{value:.0f}" if value >= 100 else f"{value:.{1 if value >= 10 else 2}f}"


def times(value: float) -> str:
    return f"{small(value)} x"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + "|".join(["---", *["---:"] * (len(head) - 1)]) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


# --- the parts of the page ---


def title_of(name: str) -> str:
    return next(server.title for server in SERVERS if server.name == name)


def measured_scenarios(results: dict[str, Any]) -> list[Scenario]:
    return [item for item in SCENARIOS if item.name in results["scenarios"]]


def scenario_table(scenario: Scenario, rows: dict[str, Row]) -> str:
    """The servers of a scenario, each beside ours."""
    ours = rows.get(OURS)
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
            cell += [milliseconds(row.latency[p]) for p in ("p50", "p99", "p99.9")]
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


def losses(results: dict[str, Any]) -> list[str]:
    """Every comparison in which another server is ahead of ours."""
    found = []
    for scenario in measured_scenarios(results):
        rows = summarize(results, scenario)
        ours = rows.pop(OURS, None)
        if ours is None:
            continue
        for name, row in rows.items():
            if scenario.measures_memory:
                ratios = {"memory per connection": ours.memory_ratio(row)}
            else:
                ratios = {
                    f"{scenario.unit} per second": ours.clock_ratio(row),
                    f"CPU time for {scenario.unit}": ours.cpu_ratio(row),
                    "p99 latency": ratio(row.latency["p99"], ours.latency["p99"]),
                }
            for what, value in ratios.items():
                if value < 1:
                    found.append(
                        f"{scenario.title}: {title_of(name)} is ahead in {what}, "
                        f"by {times(1 / value) if value > 0 else 'all of it'}."
                    )
    return found


def limits(results: dict[str, Any]) -> list[str]:
    """Where the generator may have been the limit, and what failed or was left out."""
    found = []
    for scenario in measured_scenarios(results):
        for row in summarize(results, scenario).values():
            if row.load_cpu > BUSY_PERCENT:
                found.append(
                    f"{scenario.title}, {title_of(row.server)}: the load generator "
                    f"used up to {row.load_cpu:.0f} % of its core, and may have been "
                    "the limit."
                )
    for name, why in results["skipped"].items():
        found.append(f"{title_of(name)} was not measured: {why}.")
    for failure in results["failures"]:
        found.append(
            f"{failure['scenario']}, {title_of(failure['server'])}, round "
            f"{failure['round']} failed: {failure['error']}"
        )
    return found


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
            if name != OURS and OURS in rows and not scenario.measures_memory:
                clock, cpu = rows[OURS].clock_ratio(row), rows[OURS].cpu_ratio(row)
                what += f" (ours: {times(clock)}, by CPU time {times(cpu)})"
            lines.append(f"  {title_of(name):28} {what}")
    return "\n".join(lines)


PAGE = """\
# Benchmarks

Rendered from `results/{source}` by `run.py`: no number on this page is typed.

{environment}

{versions}

## Method

One machine, one core for the server ({server_core}) and another for the load
({load_core}). The load generator (`load/`) is a single thread of C over epoll: it keeps
a fixed number of messages in flight on every connection (a closed loop), makes each
message unlike every other, and checks the content of every reply. Each measurement has
a server process of its own, {warmup:g} s of warm-up and {seconds:g} s that count, and
the servers take turns within each of {rounds} rounds. The tables give the median over
the rounds, and the lowest and highest. CPU time is the server's, user and system, from
`/proc`; memory is what its resident size grows by. The latency of a closed loop is that
of a server kept busy. The applications, one file each and alike line by line, are in
`servers/`.

## Results

{tables}

## Where we lose

{losses}
{limits}
## Run it

Linux, two cores and a C compiler:

```
pip install -r benchmarks/requirements.txt
python benchmarks/run.py            # everything; rewrites this page
python benchmarks/run.py --quick    # a look, in two minutes
python benchmarks/run.py --only echo,broadcast-500 --rounds 9
```
"""


def bullets(lines: list[str], otherwise: str) -> str:
    return "\n".join(f"- {line}" for line in lines) if lines else otherwise


def readme(results: dict[str, Any], source: str) -> str:
    machine, method = results["environment"], results["method"]
    tables = [
        f"### {scenario.title}\n\n{scenario_table(scenario, rows)}"
        for scenario in measured_scenarios(results)
        if (rows := summarize(results, scenario))
    ]
    versions = [
        f"{title_of(name)}: " + ", ".join(f"{k} {v}" for k, v in found.items())
        for name, found in results["versions"].items()
    ]
    doubts = limits(results)
    return PAGE.format(
        source=source,
        environment=(
            f"{machine['date']}: {machine['cpu']}, {machine['cores']} cores, "
            f"{machine['kernel']}."
        ),
        versions=bullets(versions, ""),
        server_core=machine["server_core"],
        load_core=machine["load_core"],
        warmup=method["warmup_seconds"],
        seconds=method["seconds"],
        rounds=method["rounds"],
        tables="\n\n".join(tables),
        losses=bullets(losses(results), "In no row of this run."),
        limits=f"\n## Doubts\n\n{bullets(doubts, '')}\n" if doubts else "",
    )


def write_readme(source: Path, target: Path) -> None:
    results = json.loads(source.read_text())
    target.write_text(readme(results, source.name))
