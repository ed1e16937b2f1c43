"""A whole run: every scenario in rounds, in which the servers take turns."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from catalogue import BUSY_PERCENT, SATURATION, Scenario, Server
from harness.building import build_load, build_server, check_libraries
from harness.errors import BenchmarkError
from harness.measuring import measure
from harness.peers import probe_versions
from harness.plan import Plan
from harness.progress import Progress
from harness.results import write_results
from rendering.summary import other_cpu, other_side


def run(plan: Plan, name: str) -> dict[str, Any]:
    """Measures everything, and writes the raw results after every round."""
    binary = build_load()
    servers, versions, skipped = available(plan)
    scenarios, dropped = possible(plan.scenarios, binary)
    plan = plan._replace(servers=servers, scenarios=scenarios)
    results: dict[str, Any] = {
        "environment": describe_machine(plan),
        "versions": versions,
        "skipped": skipped,
        "skipped_scenarios": dropped,
        "method": {
            "rounds": plan.rounds,
            "scale_rounds": plan.scale_rounds,
            "warmup_seconds": plan.warmup,
            "seconds": plan.seconds,
            "quick": plan.quick,
        },
        "scenarios": [scenario.name for scenario in plan.scenarios],
        "latency": plan.latency,
        "sweeps": [sweep.name for sweep in plan.sweeps],
        "runs": [],
        "failures": [],
    }
    progress = Progress(
        sum(
            rounds * len(takers(plan, scenario))
            for scenarios, rounds in plan.phases()
            for scenario in scenarios
        )
    )
    for scenarios, rounds in plan.phases():
        for number in range(1, rounds + 1):
            for scenario in scenarios:
                # Who goes first changes with the round.
                order = takers(plan, scenario)
                shift = number % len(order) if order else 0
                for server in [*order[shift:], *order[:shift]]:
                    take(plan, binary, results, progress, number, scenario, server)
            write_results(results, name)
    progress.write(f"measured in {time.monotonic() - progress.begun:.0f} s")
    return results


def take(
    plan: Plan,
    binary: Path,
    results: dict[str, Any],
    progress: Progress,
    number: int,
    scenario: Scenario,
    server: Server,
) -> None:
    """One measurement, put into the results."""
    place = {"round": number, "scenario": scenario.name, "server": server.name}
    label = f"round {number}: {scenario.name}, {server.name}"
    progress.show(label)
    try:
        rate = None if scenario.share is None else paced(results, scenario, server)
        report = measure(plan, binary, server, scenario, rate)
    except BenchmarkError as error:
        results["failures"].append({**place, "error": str(error)})
        progress.write(f"FAILED {label}: {error}")
    else:
        results["runs"].append({**place, **report})
        warn_if_busy(progress, label, report)
    progress.done += 1


def takers(plan: Plan, scenario: Scenario) -> list[Server]:
    """The servers that a scenario is for."""
    return [
        server
        for server in plan.servers
        if not any(need in server.lacks for need in scenario.needs)
    ]


def paced(results: dict[str, Any], scenario: Scenario, server: Server) -> float:
    """The rate of an open loop: a share of what this server reached in this run."""
    speeds = [
        run["messages_per_second"]
        for run in results["runs"]
        if run["scenario"] == SATURATION.name and run["server"] == server.name
    ]
    if not speeds:
        raise BenchmarkError(f"{SATURATION.name} was not measured: no rate to share")
    assert scenario.share is not None
    speed: float = median(speeds)
    return scenario.share * speed


def possible(
    scenarios: Sequence[Scenario], binary: Path
) -> tuple[list[Scenario], dict[str, str]]:
    """The scenarios that can run here, and why others cannot."""
    found = []
    dropped = {}
    for scenario in scenarios:
        try:
            check_libraries(binary, scenario)
        except BenchmarkError as error:
            dropped[scenario.name] = str(error)
            print(f"SKIPPED {scenario.name}: {error}", file=sys.stderr)
        else:
            found.append(scenario)
    return found, dropped


def available(
    plan: Plan,
) -> tuple[list[Server], dict[str, dict[str, str]], dict[str, str]]:
    """The servers that can run here, their versions, and why others cannot."""
    servers = []
    versions = {}
    skipped = {}
    for server in plan.servers:
        try:
            build_server(server)
            versions[server.name] = probe_versions(plan, server)
        except BenchmarkError as error:
            skipped[server.name] = str(error)
            print(f"SKIPPED {server.name}: {error}", file=sys.stderr)
        else:
            servers.append(server)
    if not servers:
        raise BenchmarkError("no server can run here; see benchmarks/requirements.txt")
    return servers, versions, skipped


def warn_if_busy(progress: Progress, label: str, report: dict[str, Any]) -> None:
    used = other_cpu(report)
    if used > BUSY_PERCENT:
        progress.write(
            f"WARNING {label}: {other_side(report)} used {used:.0f} % of its "
            "core, and may have been the limit"
        )


def describe_machine(plan: Plan) -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "cpu": model,
        "cores": os.cpu_count(),
        "server_core": plan.server_core,
        "load_core": plan.load_core,
        "kernel": f"{platform.system()} {platform.release()}",
    }
