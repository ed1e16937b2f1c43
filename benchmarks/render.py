"""Renders benchmarks/README.md from the raw results: no number is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path
from statistics import median
from typing import Any

import plots
from catalogue import (
    BUSY_PERCENT,
    CLIENT_SCENARIOS,
    CLIENTS,
    HOSTED,
    LATENCY,
    OURS,
    SATURATION,
    SCENARIOS,
    SERVERS,
    SWEEPS,
    Scenario,
    Server,
    Sweep,
)

# Distinct for the colour-blind too (Okabe and Ito), on white.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#7a4fb5")
PERCENTILES = ("p50", "p99", "p99.9")
# Below this share of the rate it should have, an open loop is an overload.
KEEPS_UP = 0.97
# Later than this at p99, the generator was not left alone.
LATE_US = 1000.0


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


# --- numbers as words ---


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


# --- the parts of the page ---


def title_of(name: str) -> str:
    servers = (*SERVERS, *HOSTED, *CLIENTS)
    return next(server.title for server in servers if server.name == name)


def measured_scenarios(results: dict[str, Any]) -> list[Scenario]:
    known = (*SCENARIOS, *CLIENT_SCENARIOS)
    return [item for item in known if item.name in results["scenarios"]]


def measured_sweeps(results: dict[str, Any]) -> list[Sweep]:
    return [item for item in SWEEPS if item.name in results.get("sweeps", ())]


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
    """Ours beside whoever is best: by the clock, and by CPU time."""
    cells = []
    for scenario in measured_scenarios(results):
        rows = summarize(results, scenario)
        ours = rows.pop(OURS, None)
        if ours is None or not rows:
            continue
        if scenario.measures_memory:
            least = min(rows.values(), key=lambda row: row.bytes_each)
            cell = [f"{rate(ours.bytes_each)} bytes", title_of(least.server)]
            cell += [f"{rate(least.bytes_each)} bytes", times(ours.memory_ratio(least))]
            cells.append([scenario.title, *cell, "", "", "", ""])
            continue
        fast = max(rows.values(), key=lambda row: row.speed)
        # No CPU time is known where a short run saw no message.
        known = [row for row in rows.values() if isfinite(row.cpu_us)]
        lean = min(known or [fast], key=lambda row: row.cpu_us)
        cell = [f"{rate(ours.speed)}/s", title_of(fast.server), f"{rate(fast.speed)}/s"]
        cell += [times(ours.clock_ratio(fast))]
        cell += [f"{small(ours.cpu_us)} µs", title_of(lean.server)]
        cell += [f"{small(lean.cpu_us)} µs", times(ours.cpu_ratio(lean))]
        cells.append([scenario.title, *cell])
    head = ["", "ours", "best other", "its", "we: faster by"]
    head += ["our CPU", "leanest other", "its", "we: leaner by"]
    return table(head, cells)


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


def pairs(results: dict[str, Any], scenario: Scenario) -> list[tuple[Row, Row]]:
    """Ours beside every other server."""
    rows = summarize(results, scenario)
    ours = rows.pop(OURS, None)
    return [] if ours is None else [(ours, row) for row in rows.values()]


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


# --- the charts ---


def colour_of(server: Server) -> str:
    return COLOURS[SERVERS.index(server) % len(COLOURS)]


def throughput_chart(results: dict[str, Any]) -> str:
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
    if any(not item.measures_memory for item in measured_scenarios(results)):
        found["throughput.svg"] = throughput_chart(results)
    if results.get("latency"):
        found["latency.svg"] = latency_chart(results)
    for sweep in measured_sweeps(results):
        found[f"{sweep.name}.svg"] = sweep_chart(results, sweep)
    return found


# --- the page ---

PAGE = """\
# Benchmarks

Rendered from `results/{source}` by `run.py`: no number on this page is typed.

{environment}

{versions}

{glance}
{throughput}
## Method

One machine, one core for the server ({server_core}) and another for the load
({load_core}). The load generator (`load/`) is a single thread of C over epoll. Each
measurement has a server process of its own, {warmup:g} s of warm-up and {seconds:g} s
that count, and the servers take turns within each of {rounds} rounds ({scale_rounds}
for latency and scaling). The tables give the median over the rounds, and the lowest and
highest.

- **Correctness.** Every message is unlike every other, and the content of every reply
  is checked: a wrong, repeated or missing answer ends the measurement.
- **Closed loop** (the rows below): a fixed number of messages is in flight on every
  connection. Its latency is that of a server kept busy.
- **Open loop** (latency against load): messages go at a fixed rate, whatever comes
  back, and their latency counts from when they were due. A server that stalls is
  charged for all that had to wait (no coordinated omission). The rates are shares of
  what the same server reached in "{saturation}".
- **How long.** A closed loop is counted for the time above, or until every client has
  had its answers twice, whichever is later.
- **CPU time** is the server's, user and system, of all threads, from `/proc`.
- **Memory** is what the server's resident size grows by, or all of it in the chart.
- **Connections opened** count when the CONNECT to the namespace is answered; the
  client then leaves with a closing handshake.
- **TLS** is version 1.3, with AES-128-GCM, for every server that has it.
- **Compressed** is permessage-deflate without context takeover, of what the server
  sends, for every server that has it, at the level it has; what the clients send is
  not. The words are drawn from the radio alphabet.
- **Validated** is an object of a string, a list of strings and a number: by a
  `msgspec.Struct` as the handler's annotation (ours) or called by hand
  (python-socketio), by serde (Rust), by a check of the types in the handler elsewhere.
- The generator states its own CPU share, and how late it sent in an open loop; where it
  may have been the limit, that is listed under Doubts.

The applications, one file each and alike handler by handler, are in `servers/`, each
with the defaults of its library but for limits that a scenario exceeds, in release
builds, on one thread.

## Results

{tables}
{latency}{scaling}{interpreters}
## Where we lose

{losses}
{limits}
## Run it

Linux, two cores and a C compiler; for TLS also OpenSSL, its headers and its command,
for compression zlib's headers. A server whose toolchain (`npm`, `cargo`, `go`) is
missing or fails is skipped by name.

```
pip install -e . -r tests/requirements.txt -r benchmarks/requirements.txt
python benchmarks/run.py            # everything; rewrites this page
python benchmarks/run.py --quick    # a look, in two minutes
python benchmarks/run.py --only echo,broadcast-500 --rounds 9
python benchmarks/run.py --only latency,room-size --servers socketio_fast,bun
python benchmarks/run.py --clients  # the clients
python benchmarks/run.py --list     # what there is
pytest benchmarks/micro             # the compiled parts alone
```
"""


def bullets(lines: list[str], otherwise: str) -> str:
    return "\n".join(f"- {line}" for line in lines) if lines else otherwise


def image(name: str, words: str) -> str:
    return f"![{words}](plots/{name})"


def latency_section(results: dict[str, Any]) -> str:
    if not results.get("latency"):
        return ""
    parts = ["\n## Latency against load", image("latency.svg", "Latency against load")]
    for scenario in LATENCY:
        parts.append(f"### {scenario.title}\n\n{latency_table(results, scenario)}")
    return "\n\n".join(parts) + "\n"


def scaling_section(results: dict[str, Any]) -> str:
    sweeps = measured_sweeps(results)
    if not sweeps:
        return ""
    parts = [
        "\n## Scaling",
        "CPU µs per message or, in rooms, per recipient; behind it, how many a second.",
    ]
    for sweep in sweeps:
        picture = image(f"{sweep.name}.svg", sweep.title)
        parts += [f"### {sweep.title}", sweep_table(results, sweep), picture]
    return "\n\n".join(parts) + "\n"


def readme(results: dict[str, Any], source: str, interpreters: str) -> str:
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
        glance=glance_table(results),
        throughput=(
            f"\n{image('throughput.svg', 'Throughput of every server')}\n"
            if "throughput.svg" in charts(results)
            else ""
        ),
        server_core=machine["server_core"],
        load_core=machine["load_core"],
        warmup=method["warmup_seconds"],
        seconds=method["seconds"],
        rounds=method["rounds"],
        scale_rounds=method["scale_rounds"],
        saturation=SATURATION.title,
        tables="\n\n".join(tables),
        latency=latency_section(results),
        scaling=scaling_section(results),
        interpreters=interpreters,
        losses=losses(results),
        limits=f"\n## Doubts\n\n{bullets(doubts, '')}\n" if doubts else "",
    )


def interpreters_section(folder: Path) -> str:
    """What shorter runs on other interpreters gave, from `python-….json`."""
    parts = []
    for path in sorted(folder.glob("python-*.json")):
        results = json.loads(path.read_text())
        versions = results["versions"][OURS]
        parts += [
            f"### Python {versions['Python']}",
            f"{results['environment']['date']}, {results['method']['rounds']} rounds, "
            f"{results['method']['seconds']:g} s each; `results/{path.name}`.",
            glance_table(results),
        ]
    if not parts:
        return ""
    text = (
        "An interpreter built without profile-guided optimisation, as pyenv builds\n"
        "one unless told otherwise, is slower than a distribution's of that version."
    )
    return "\n\n".join(["\n## Other interpreters", text, *parts]) + "\n"


def hosting_section(folder: Path) -> str:
    """What a run inside other servers gave, from `hosting.json`."""
    path = folder / "hosting.json"
    if not path.exists():
        return ""
    results = json.loads(path.read_text())
    parts = []
    for scenario in measured_scenarios(results):
        rows = summarize(results, scenario)
        cells = []
        for server in (*SERVERS, *HOSTED):
            row = rows.get(server.name)
            if row is None:
                continue
            other = rows.get(server.against)
            cell = [server.title, f"{rate(row.speed)}/s", small(row.cpu_us)]
            if other is None:
                cell += ["", ""]
            else:
                cell += [times(row.clock_ratio(other)), times(row.cpu_ratio(other))]
            cells.append(cell)
        head = ["", f"{scenario.unit}/s", "CPU µs each"]
        head += ["faster than python-socketio by", "by CPU time"]
        parts.append(f"### {scenario.title}\n\n{table(head, cells)}")
    text = (
        "Each beside python-socketio in the same kind of server: ASGIApp on uvicorn,\n"
        "Server (whose handlers run in threads) on Werkzeug's threads. "
        f"{results['environment']['date']},\n{results['method']['rounds']} rounds, "
        f"{results['method']['seconds']:g} s each; `results/{path.name}`."
    )
    return (
        "\n\n".join(["\n## Inside other servers, and in threads", text, *parts]) + "\n"
    )


def clients_section(folder: Path) -> str:
    """What a run of the clients gave, from `clients.json`."""
    path = folder / "clients.json"
    if not path.exists():
        return ""
    results = json.loads(path.read_text())
    text = (
        "All against our server, on a core of its own, over WebSocket, one connection\n"
        "but where it says otherwise; CPU time and memory are the client's, which has\n"
        "the other core. Every answer is checked. A flood is asked for by the client,\n"
        "512 broadcasts at a time. "
        f"{results['environment']['date']}, {results['method']['rounds']} rounds,\n"
        f"{results['method']['seconds']:g} s each; `results/{path.name}`."
    )
    versions = [
        f"{title_of(name)}: " + ", ".join(f"{k} {v}" for k, v in found.items())
        for name, found in results["versions"].items()
    ]
    parts = ["\n## Clients", text, bullets(versions, "")]
    for scenario in measured_scenarios(results):
        if rows := summarize(results, scenario):
            parts.append(f"### {scenario.title}\n\n{client_table(scenario, rows)}")
    if doubts := limits(results):
        parts.append("Doubts about these:\n\n" + bullets(doubts, ""))
    return "\n\n".join(parts) + "\n"


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


def write_readme(folder: Path, name: str, target: Path) -> None:
    """Renders the page, and the charts beside it."""
    source = folder / f"{name}.json"
    results = json.loads(source.read_text())
    plots_folder = target.parent / "plots"
    plots_folder.mkdir(exist_ok=True)
    for file, picture in charts(results).items():
        (plots_folder / file).write_text(picture)
    target.write_text(readme(results, source.name, extra_sections(folder)))


def extra_sections(folder: Path) -> str:
    """What was measured apart from the main run."""
    parts = (clients_section, hosting_section, interpreters_section)
    return "".join(part(folder) for part in parts)
