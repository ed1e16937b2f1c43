"""Raw results as a row for each server of a scenario."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from statistics import median
from typing import Any

from catalogue import (
    CLIENT_SCENARIOS,
    CLIENTS,
    HOSTED,
    OURS,
    SCENARIOS,
    SERVERS,
    SWEEPS,
    Scenario,
    Sweep,
)


@dataclass(frozen=True)
class Row:
    """A server, or a client, in a scenario, over all rounds. For idle connections, the
    speed is that of opening them."""

    server: str
    connections: int
    speeds: list[float]
    bytes_each: float
    load_cpu: float
    cpu_us: float = nan
    latency: dict[str, float] = field(default_factory=dict)
    resident: float = nan
    rate: float = nan
    lateness_us: float = nan

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
    for server in (*SERVERS, *HOSTED, *CLIENTS):
        runs = [
            run
            for run in results["runs"]
            if run["server"] == server.name and run["scenario"] == scenario.name
        ]
        if runs:
            rows[server.name] = summarize_runs(server.name, scenario, runs)
    return rows


def side_of(run: dict[str, Any]) -> str:
    """What is measured, the server or the client."""
    return "client" if "client_cpu_seconds" in run else "server"


def other_side(run: dict[str, Any]) -> str:
    return "the server" if side_of(run) == "client" else "the load generator"


def other_cpu(run: dict[str, Any]) -> float:
    """How busy the other side was, in per cent of its core."""
    name = "server" if side_of(run) == "client" else "load"
    return float(run[f"{name}_cpu_percent"])


def summarize_runs(server: str, scenario: Scenario, runs: list[dict[str, Any]]) -> Row:
    side = side_of(runs[0])
    bytes_each = median(
        (run[f"{side}_rss_after"] - run[f"{side}_rss_before"]) / run["connections"]
        for run in runs
    )
    connections = runs[0]["connections"]
    load_cpu = max(other_cpu(run) for run in runs)
    if scenario.measures_memory:
        speeds = [run["connections"] / run["opening_seconds"] for run in runs]
        return Row(server, connections, speeds, bytes_each, load_cpu)
    heard = [run for run in runs if run["latency_us"] is not None]
    return Row(
        server,
        connections,
        [run["messages_per_second"] for run in runs],
        bytes_each,
        load_cpu,
        median(
            1e6 * ratio(run[f"{side}_cpu_seconds"], run["messages"]) for run in runs
        ),
        {
            name: median(run["latency_us"][name] for run in heard)
            for name in (heard[0]["latency_us"] if heard else ())
        },
        median(run[f"{side}_rss_after"] for run in runs),
        median(run.get("rate", nan) for run in runs),
        median(run.get("load_lateness_us", {}).get("p99", nan) for run in runs),
    )


def measured_scenarios(results: dict[str, Any]) -> list[Scenario]:
    known = (*SCENARIOS, *CLIENT_SCENARIOS)
    return [item for item in known if item.name in results["scenarios"]]


def measured_sweeps(results: dict[str, Any]) -> list[Sweep]:
    return [item for item in SWEEPS if item.name in results.get("sweeps", ())]


def pairs(results: dict[str, Any], scenario: Scenario) -> list[tuple[Row, Row]]:
    """Ours beside every peer."""
    rows = summarize(results, scenario)
    ours = rows.get(OURS)
    return [] if ours is None else [(ours, row) for row in peers_in(rows)]


def peers_in(rows: dict[str, Row]) -> list[Row]:
    """The rows of the servers that ours is ranked against."""
    apart = {OURS, *(server.name for server in SERVERS if not server.peer)}
    return [row for name, row in rows.items() if name not in apart]


def title_of(name: str) -> str:
    servers = (*SERVERS, *HOSTED, *CLIENTS)
    return next(server.title for server in servers if server.name == name)
