"""What adapters cost, from `results/apart/adapters.json`."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from rendering.words import rate, small, table, times

TITLES = {
    "socketio_fast": "socketio_fast",
    "node": "socket.io on Node.js",
    "python-socketio": "python-socketio",
}


def adapters_section(folder: Path) -> str:
    """The section of the page; nothing if nothing was measured."""
    path = folder / "apart" / "adapters.json"
    if not path.exists():
        return ""
    results = json.loads(path.read_text())
    connections = results["rows"][0]["connections"]
    text = (
        f"Broadcasts to {connections} clients of two servers, which share two cores\n"
        "with the engine and the load, so that the CPU time tells more than the rate.\n"
        "It is that of both servers, for each delivery, with their connections.\n"
        f"{results['date']}, Python {results['python']}, "
        f"{results['rounds']} rounds, {results['seconds']:g} s each;\n"
        f"`results/apart/{path.name}`."
    )
    return (
        "\n\n".join(
            [
                "\n## Several machines",
                text,
                adapters_table(results["rows"]),
                "What a message costs in CPU µs, apart from most of its deliveries:\n"
                "the server that publishes it, beyond what it costs without an\n"
                "adapter; a server that receives it for one client, and for nobody;\n"
                "the engine, for a message and for each server that receives it.",
                shares_table(results["shares"]),
            ]
        )
        + "\n"
    )


def adapters_table(rows: list[dict[str, Any]]) -> str:
    """A table of adapters: each package, compared with ours by CPU time."""
    ours = {
        row["adapter"]: median(one["cpu"] for one in row["rounds"])
        for row in rows
        if row["package"] == "socketio_fast" and row["rounds"]
    }
    cells = []
    for row in rows:
        if not row["rounds"]:
            continue
        middle = {
            key: median(one[key] for one in row["rounds"])
            for key in ("rate", "cpu", "engine")
        }
        latency = {
            key: median(one["latency"][key] for one in row["rounds"])
            for key in ("p50", "p99")
        }
        own = ours.get(row["adapter"])
        cells.append(
            [
                f"{row['adapter']}: {TITLES[row['package']]}",
                f"{rate(middle['rate'])}/s",
                small(middle["cpu"]),
                "" if own is None else times(middle["cpu"] / own),
                small(middle["engine"]),
                f"{latency['p50'] / 1000:.1f}",
                f"{latency['p99'] / 1000:.1f}",
            ]
        )
    return table(
        [
            *("", "deliveries/s", "CPU µs each", "of ours", "engine's µs"),
            *("p50 ms", "p99 ms"),
        ],
        cells,
    )


def shares_table(shares: dict[str, dict[str, float]]) -> str:
    """What a message costs, by adapter."""
    keys = ("publish", "receive", "skip", "engine", "engine_each")
    return table(
        ["", "publish", "receive", "skip", "engine, a message", "engine, each server"],
        [[name, *(small(cost[key]) for key in keys)] for name, cost in shares.items()],
    )
