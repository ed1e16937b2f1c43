"""What several workers cost, from `results/apart/workers.json`."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from rendering.words import rate, small, table, times

TITLES = {
    "socketio_fast": "socketio_fast",
    "apart": "socketio_fast, processes that share the port alone",
    "node": "socket.io on Node.js, cluster",
}
# Whose single process is what a server is compared with.
ONE = {"apart": "socketio_fast"}

SCENARIOS = {
    "broadcast": "Broadcast to {connections} connections",
    "echo": "Echo, {connections} connections",
}


def workers_section(folder: Path) -> str:
    """The section of the page; nothing if nothing was measured."""
    path = folder / "apart" / "workers.json"
    if not path.exists():
        return ""
    results = json.loads(path.read_text())
    ways = [[way, small(median(found))] for way, found in results["handover"].items()]
    text = (
        "Workers of one machine, without a broker and without sticky sessions. The\n"
        "processes and the load share all cores, so that the CPU time tells more than\n"
        "the rate; it is that of all processes, with their connections. Node.js has\n"
        "@socket.io/cluster-adapter and @socket.io/sticky. Processes that share\n"
        "the port alone do not know each other: what these cost more than one process\n"
        f"is the machine's share. {results['date']}, Python {results['python']},\n"
        f"{results['rounds']} rounds, {results['seconds']:g} s each; "
        f"`results/apart/{path.name}`."
    )
    failed = [
        f"{row['failed']} of {TITLES[row['server']]} with {row['processes']} processes"
        for row in results["scenarios"]
        if row["failed"]
    ]
    if failed:
        text += (
            "\nRounds in which a client got no answer in 10 s were repeated: "
            f"{', '.join(failed)}."
        )
    return (
        "\n\n".join(
            [
                "\n## Several workers",
                text,
                scenario_rows(results["scenarios"]),
                "A POST, and an echo by WebSocket, of a client that has come to the\n"
                "worker of its session, and to the other one; both workers together:",
                table(["", "CPU µs"], ways),
            ]
        )
        + "\n"
    )


def scenario_rows(rows: list[dict[str, Any]]) -> str:
    """A table of scenarios: each server, with the rate and cost of one process."""
    medians = {
        (row["scenario"], row["server"], row["processes"]): (
            median(one["rate"] for one in row["rounds"]),
            median(one["cpu"] for one in row["rounds"]),
        )
        for row in rows
    }
    cells = []
    for row in rows:
        scenario, server = row["scenario"], row["server"]
        speed, cost = medians[scenario, server, row["processes"]]
        alone = medians.get((scenario, ONE.get(server, server), 1))
        title = SCENARIOS[scenario].format(**row)
        cells.append(
            [
                f"{title}: {TITLES[server]}",
                str(row["processes"]),
                f"{rate(speed)}/s",
                small(cost),
                "" if alone is None else times(cost / alone[1]),
            ]
        )
    head = ["", "processes", "messages/s", "CPU µs each", "of one process's"]
    return table(head, cells)
