"""What 1 to 1,000 machines carry, from measured costs: the tables of docs/scaling.md.

    python benchmarks/simulate.py            # the tables
    python benchmarks/simulate.py --page     # into docs/scaling.md
    python benchmarks/simulate.py --check    # beside runs of 1, 2 and 4 processes

Clients of a room are put on random workers. For each message the CPU time is summed
that it costs the worker of its sender, those of its receivers, and the engine; a load
is carried while workers and engine are busy for at most `BUSY` of their time. Memory,
the network and what handlers do besides are not in it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from harness.results import APART, RESULTS
from rendering.words import table, with_section

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
MARK = "<!-- benchmarks/simulate.py -->"

#: The part of their time that workers and engines may be busy.
BUSY = 0.6
#: Cores of a machine, each with a worker.
CORES = 8
MACHINES = (1, 10, 100, 1000)
#: Messages that are drawn for each cell.
DRAWN = 300


@dataclass(frozen=True)
class Load:
    """What clients do.

    `room` is the number of clients that get a message, None for all there are; `rate`
    the messages that each client sends per second, or all of them together (`fixed`).
    """

    name: str
    room: int | None
    rate: float
    fixed: bool = False


LOADS = (
    Load("chat: rooms of 50, a message a minute from each", 50, 1 / 60),
    Load("one room of all, a message per second", None, 1.0, fixed=True),
    Load("game: rooms of 8, 20 updates per second from each", 8, 20.0),
)


@dataclass(frozen=True)
class Engine:
    """An adapter and its engine.

    `by_room`: whether a message comes only to servers with clients of its room.
    `shards`: whether several engines share the rooms, as many as are needed.
    """

    adapter: str
    by_room: bool = False
    shards: bool = False


ENGINES = (
    Engine("AsyncRedisManager"),
    Engine("RedisAdapter"),
    Engine("RedisStreamsAdapter"),
    Engine("PostgresAdapter"),
    Engine("NatsAdapter", by_room=True),
    Engine("ShardedRedisAdapter", by_room=True, shards=True),
)


class Costs:
    """CPU seconds: of a message of a client, of a delivery, and by adapter."""

    def __init__(self) -> None:
        runs = json.loads((RESULTS / "full.json").read_text())["runs"]
        self.message = _median(runs, "echo-8")
        self.results = json.loads((APART / "adapters.json").read_text())
        # With as many messages under way as when the costs of adapters were measured:
        # more of them at a time are cheaper each.
        alone = next(row for row in self.results["scaling"] if row["processes"] == 1)
        self.delivery = alone["cpu"] / 1e6 - self.message / alone["connections"]
        self.adapters = {
            name: {key: max(value, 0.0) / 1e6 for key, value in costs.items()}
            for name, costs in self.results["shares"].items()
        }


def _median(runs: list[dict[str, Any]], scenario: str) -> float:
    return median(
        run["server_cpu_seconds"] / run["messages"]
        for run in runs
        if run["server"] == "socketio_fast" and run["scenario"] == scenario
    )


def message_cost(
    costs: Costs, engine: Engine | None, room: int, workers: int, draw: random.Random
) -> tuple[float, float]:
    """CPU seconds of one message to so many clients: all workers', and the engine's."""
    spent = costs.message + room * costs.delivery
    if engine is None or workers == 1:
        return spent, 0.0
    if room > 100 * workers:
        having = workers  # each of them has some of so many
    else:
        having = len(Counter(draw.randrange(workers) for _ in range(room)))
    adapter = costs.adapters[engine.adapter]
    others = having - 1  # the sender is one of the room
    spent += adapter["publish"] + others * (adapter["receive"] - costs.delivery)
    if engine.by_room:
        reached = having
    else:
        reached = workers
        spent += (workers - having) * adapter["skip"]
    return spent, adapter["engine"] + reached * adapter["engine_each"]


def carried(
    costs: Costs, engine: Engine, load: Load, workers: int, draw: random.Random
) -> tuple[float, str]:
    """How many clients all workers carry, and what is busy first."""
    if load.room is None:
        return _carried_in_one_room(costs, engine, load, workers)
    drawn = [
        message_cost(costs, engine, load.room, workers, draw) for _ in range(DRAWN)
    ]
    of_workers = sum(one[0] for one in drawn) / DRAWN / workers
    of_engine = 0.0 if engine.shards else sum(one[1] for one in drawn) / DRAWN
    rate = BUSY / max(of_workers, of_engine)
    return rate / load.rate, "engine" if of_engine > of_workers else "workers"


def _carried_in_one_room(
    costs: Costs, engine: Engine, load: Load, workers: int
) -> tuple[float, str]:
    """The same where each message is for all: every worker receives it."""
    adapter = costs.adapters[engine.adapter]
    fixed = adapter["receive"] if workers > 1 else costs.message
    if load.rate * (adapter["engine"] + workers * adapter["engine_each"]) > BUSY:
        return 0, "engine"
    return workers * (BUSY / load.rate - fixed) / costs.delivery, "workers"


def rounded(number: float) -> str:
    """A number with two digits that count."""
    if number < 1:
        return "0"
    digits = len(f"{number:.0f}") - 2
    return (
        f"{round(number / 10**digits) * 10**digits:,}"
        if digits > 0
        else f"{number:.0f}"
    )


def tables(costs: Costs) -> str:
    """A table for each load: clients by adapter and number of machines."""
    parts = []
    for load in LOADS:
        rows = []
        for engine in ENGINES:
            if engine.adapter not in costs.adapters:
                continue
            cells = [engine.adapter]
            for machines in MACHINES:
                draw = random.Random(machines)
                count, first = carried(costs, engine, load, machines * CORES, draw)
                cells.append(f"{rounded(count)} ({first})")
            rows.append(cells)
        head = ["", *(f"{count:,} machine{'s' * (count > 1)}" for count in MACHINES)]
        parts.append(f"**{load.name.capitalize()}**\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def with_tables(page: str, rendered: str) -> str:
    """The page with these tables between its marks."""
    return with_section(page, MARK, rendered)


def check(costs: Costs) -> int:
    """Compare with what was measured; returns the number of rows that are far off."""
    far = 0
    draw = random.Random(1)
    for row in costs.results["scaling"]:
        engine = Engine(row["adapter"])
        spent, _ = message_cost(
            costs, engine, row["connections"], row["processes"], draw
        )
        expected = spent / row["connections"] * 1e6
        ratio = expected / row["cpu"]
        far += not 0.7 < ratio < 1.4
        print(
            f"{row['processes']} processes: {expected:.2f} µs a delivery expected, "
            f"{row['cpu']:.2f} measured"
        )
    return far


def main() -> None:
    """Print the tables, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with measured")
    parser.add_argument("--page", action="store_true", help="rewrite docs/scaling.md")
    options = parser.parse_args()
    costs = Costs()
    if options.check:
        sys.exit(check(costs) > 0)
    if options.page:
        PAGE.write_text(with_tables(PAGE.read_text(), tables(costs)))
        return
    print(tables(costs))


if __name__ == "__main__":
    main()
