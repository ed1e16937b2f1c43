"""Renders benchmarks/README.md from the raw results: no number is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from catalogue import FLOOR, HOSTED, LATENCY, OURS, SATURATION, SERVERS
from rendering.adapters import adapters_section
from rendering.charts import charts
from rendering.doubts import limits, losses
from rendering.summary import measured_scenarios, measured_sweeps, summarize, title_of
from rendering.tables import (
    client_table,
    glance_table,
    latency_table,
    scenario_table,
    sweep_table,
)
from rendering.words import bullets, image, rate, small, table, times
from rendering.workers import workers_section

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
{floor}
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
python benchmarks/workers.py --page # several workers
python benchmarks/run.py --list     # what there is
pytest benchmarks/micro             # the compiled parts alone
```
"""

FLOOR_TEXT = """\
- **The floor** is a server in C (`servers/floor/`) that does what a scenario needs on
  the wire and nothing else: it knows the generator's packets by their first bytes,
  parses no JSON and validates no UTF-8. Nobody can use it, and nobody is ranked against
  it; it shows what the machine can do.
"""


def write_readme(folder: Path, name: str, target: Path) -> None:
    """Renders the page, and the charts beside it."""
    source = folder / f"{name}.json"
    results = json.loads(source.read_text())
    plots_folder = target.parent / "plots"
    plots_folder.mkdir(exist_ok=True)
    for file, picture in charts(results).items():
        (plots_folder / file).write_text(picture)
    target.write_text(readme(results, source.name, extra_sections(folder)))


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
        floor=FLOOR_TEXT if FLOOR in results["versions"] else "",
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


def extra_sections(folder: Path) -> str:
    """What was measured apart from the main run."""
    parts = (
        *(workers_section, adapters_section, clients_section),
        *(hosting_section, interpreters_section),
    )
    return "".join(part(folder) for part in parts)


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
