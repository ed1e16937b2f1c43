"""Runs the benchmarks: `python benchmarks/run.py`.

Every measurement starts a server of its own on one core, and the load generator on
another. The servers take turns within a round, so that what the machine does meanwhile
falls on all of them alike.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import Any

from catalogue import (
    BASELINE,
    BASELINE_CLIENT,
    BASELINE_SYNC_CLIENT,
    CLIENT_SCENARIOS,
    CLIENTS,
    HERE,
    HOSTED,
    HOSTED_SCENARIOS,
    OUR_CLIENT,
    OUR_SYNC_CLIENT,
    OURS,
    SATURATION,
    SCENARIOS,
    SERVERS,
    SWEEPS,
)
from harness.errors import BenchmarkError
from harness.guards import check
from harness.plan import Plan
from harness.results import RESULTS
from harness.rounds import run
from rendering.front import write_front
from rendering.page import write_readme
from rendering.tables import overview

OPEN_FILES = 20000


def names_of(text: str | None, known: Sequence[str], what: str) -> list[str] | None:
    """The names in an option, or None where it was not given."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise BenchmarkError(
                f"no {what} is called {name!r}; there are " + ", ".join(known)
            )
    return names


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure socketio_fast beside other Socket.IO servers.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"in two minutes, roughly: {OURS} and {BASELINE} only, nothing scaled",
    )
    parser.add_argument(
        "--hosted",
        action="store_true",
        help="inside other servers and in threads, beside python-socketio",
    )
    parser.add_argument(
        "--clients",
        action="store_true",
        help="the clients, all against our server; --servers then names clients",
    )
    parser.add_argument("--check", action="store_true", help="fail below the guards")
    parser.add_argument(
        "--only", metavar="A,B", help="scenarios, sweeps, or `latency`; see --list"
    )
    parser.add_argument("--servers", metavar="A,B", help="servers to run")
    parser.add_argument("--rounds", type=int, help="5; with --quick 3")
    parser.add_argument(
        "--scale-rounds", type=int, help="of sweeps and latency: 3, with --quick 1"
    )
    parser.add_argument("--warmup", type=float, help="seconds: 1; with --quick 0.3")
    parser.add_argument("--seconds", type=float, help="counted: 3; with --quick 1")
    parser.add_argument("--server-core", type=int, help="the last one")
    parser.add_argument("--load-core", type=int, help="the first one")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="runs the servers; has this package, and requirements.txt",
    )
    parser.add_argument(
        "--name", help="of the file in results/; `python-…` is shown on the page too"
    )
    parser.add_argument(
        "--render", metavar="NAME", help="only render README.md from results/NAME.json"
    )
    parser.add_argument("--list", action="store_true", help="what there is to run")
    return parser.parse_args()


def make_plan(options: argparse.Namespace) -> Plan:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError(
            "two cores are needed: one for the server, one for the load"
        )
    quick: bool = options.quick

    def either(value: Any, full: float, brief: float) -> Any:
        return value if value is not None else brief if quick else full

    if options.clients and options.hosted:
        raise BenchmarkError("--clients and --hosted are two runs")
    known = list(CLIENTS) if options.clients else [*SERVERS, *HOSTED]
    own = CLIENT_SCENARIOS if options.clients else SCENARIOS
    hosted = options.hosted
    servers = names_of(options.servers, [item.name for item in known], "server")
    if servers is None:
        servers = [OURS, BASELINE] if quick else [item.name for item in SERVERS]
        if options.clients:
            servers = [OUR_CLIENT, BASELINE_CLIENT]
            servers += [OUR_SYNC_CLIENT, BASELINE_SYNC_CLIENT]
            servers = servers if quick else [item.name for item in CLIENTS]
        if hosted:
            servers = [OURS, BASELINE, *(item.name for item in HOSTED)]
    only = names_of(
        options.only,
        [item.name for item in own]
        if options.clients
        else [*(item.name for item in (*SCENARIOS, *SWEEPS)), "latency"],
        "scenario or sweep",
    )
    if only is None:
        only = [item.name for item in own if item.quick or not quick]
        only += (
            []
            if quick or options.clients
            else [*(item.name for item in SWEEPS), "latency"]
        )
        only = list(HOSTED_SCENARIOS) if hosted else only
    latency = "latency" in only
    plan = Plan(
        servers=[item for item in known if item.name in servers],
        scenarios=[
            item
            for item in own
            if item.name in only or (latency and item is SATURATION)
        ],
        sweeps=[item for item in SWEEPS if item.name in only],
        latency=latency,
        rounds=either(options.rounds, 5, 3),
        scale_rounds=either(options.scale_rounds, 3, 1),
        warmup=either(options.warmup, 1.0, 0.3),
        seconds=either(options.seconds, 3.0, 1.0),
        quick=quick,
        server_core=either(options.server_core, cores[-1], cores[-1]),
        load_core=either(options.load_core, cores[0], cores[0]),
        python=options.python,
    )
    if min(plan.rounds, plan.scale_rounds) < 1 or plan.server_core == plan.load_core:
        raise BenchmarkError("at least one round, and two different cores")
    return plan


def allow_open_files() -> None:
    """Lets the servers have as many connections as are opened to them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def render(name: str) -> None:
    """Write the page, and the table of the project's README from a whole run."""
    write_readme(RESULTS, name, HERE / "README.md")
    if name == "full":
        write_front(RESULTS / "full.json", HERE.parent / "README.md")


def main() -> int:
    options = parse_arguments()
    if options.list:
        servers = (*SERVERS, *HOSTED, *CLIENTS)
        for item in (*SCENARIOS, *SWEEPS, *CLIENT_SCENARIOS, *servers):
            print(f"{item.name:23} {item.title}")
        print(f"{'latency':23} Echo at fixed rates, shares of {SATURATION.name}")
        return 0
    if options.render:
        known = sorted(file.stem for file in RESULTS.glob("*.json"))
        if options.render not in known:
            raise BenchmarkError(
                f"no results/{options.render}.json; there are {', '.join(known)}"
            )
        render(options.render)
        return 0
    plan = make_plan(options)
    allow_open_files()
    everything = not (options.quick or options.only or options.servers)
    whole = everything and not (options.hosted or options.clients)
    name = options.name or (
        "full"
        if whole
        else "clients"
        if options.clients and everything
        else "hosting"
        if options.hosted
        else "quick"
        if options.quick
        else "partial"
    )
    results = run(plan, name)
    print(overview(results))
    if whole:
        render(name)
    problems = [
        "round {round}: {scenario}, {server}: {error}".format(**failure)
        for failure in results["failures"]
    ]
    problems += check(results) if options.check else []
    for problem in problems:
        print(f"PROBLEM {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    # Ended from outside, it still ends the server that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"run.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
