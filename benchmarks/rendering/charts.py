"""The charts of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from catalogue import LATENCY, SERVERS, Server, Sweep
from rendering import plots
from rendering.summary import Row, measured_scenarios, measured_sweeps, summarize
from rendering.tables import PERCENTILES
from rendering.words import rate

# Distinct for the colour-blind too (Okabe and Ito), on white. The floor is grey.
COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#7a4fb5"),
    "#999999",
)


def colour_of(server: Server) -> str:
    return COLOURS[SERVERS.index(server) % len(COLOURS)]


def throughput_chart(results: dict[str, Any]) -> str | None:
    """None for a run without servers: one of clients, or of memory alone."""
    panels = []
    for scenario in measured_scenarios(results):
        if scenario.measures_memory:
            continue
        rows = summarize(results, scenario)
        bars = [
            plots.Bar(
                server.label,
                colour_of(server),
                rows[server.name].speed,
                min(rows[server.name].speeds),
                max(rows[server.name].speeds),
            )
            for server in SERVERS
            if server.name in rows
        ]
        if bars:
            panels.append(
                plots.BarPanel(scenario.label, f"{scenario.unit} per second", bars)
            )
    if not panels:
        return None
    return plots.bar_chart(
        "Throughput on one core: median, lowest and highest", panels, rate
    )


def servers_in(results: dict[str, Any]) -> list[Server]:
    return [server for server in SERVERS if server.name in results["versions"]]


def sweep_series(
    results: dict[str, Any], sweep: Sweep, value: Callable[[Row], float]
) -> list[plots.Series]:
    series = []
    for server in servers_in(results):
        points = []
        for size, scenario in zip(sweep.sizes, sweep.scenarios, strict=True):
            row = summarize(results, scenario).get(server.name)
            if row is not None:
                points.append((float(size), value(row)))
        series.append(plots.Series(server.label, colour_of(server), points))
    return series


def sweep_chart(results: dict[str, Any], sweep: Sweep) -> str:
    """What a message costs at every size; for connections, what they hold too."""
    unit = f"CPU µs per {sweep.unit}"
    cost = plots.Panel(
        f"CPU time per {sweep.unit}",
        sweep.axis,
        unit,
        sweep_series(results, sweep, lambda row: row.cpu_us),
    )
    if sweep.name != "connections":
        return plots.line_chart(f"{unit} against {sweep.axis}", [cost])
    memory = plots.Panel(
        "Memory of the server, under this load",
        sweep.axis,
        "resident MiB",
        sweep_series(results, sweep, lambda row: row.resident / 2**20),
    )
    return plots.line_chart("Memory and CPU time against connections", [memory, cost])


def latency_chart(results: dict[str, Any]) -> str:
    panels = []
    for percentile in PERCENTILES:
        series = []
        for server in servers_in(results):
            rows = [summarize(results, item).get(server.name) for item in LATENCY]
            points = [
                (row.rate, row.latency[percentile] / 1000)
                for row in rows
                if row is not None and percentile in row.latency
            ]
            series.append(plots.Series(server.label, colour_of(server), points))
        panels.append(plots.Panel(percentile, "messages/s", "latency, ms", series))
    return plots.line_chart(
        "Latency against load: echo at 10, 25, 50, 75 and 90 % of each saturation",
        panels,
    )


def charts(results: dict[str, Any]) -> dict[str, str]:
    """File names and pictures."""
    found = {}
    if throughput := throughput_chart(results):
        found["throughput.svg"] = throughput
    if results.get("latency"):
        found["latency.svg"] = latency_chart(results)
    for sweep in measured_sweeps(results):
        found[f"{sweep.name}.svg"] = sweep_chart(results, sweep)
    return found
