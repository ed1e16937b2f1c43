"""Runs the benchmarks: `python benchmarks/run.py`.

Every measurement starts a server of its own on one core, and the load generator on
another. The servers take turns within a round, so that what the machine does meanwhile
falls on all of them alike.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import render
from catalogue import (
    BASELINE,
    BUSY_PERCENT,
    HERE,
    OURS,
    SCENARIOS,
    SERVERS,
    Scenario,
    Server,
)

LOAD = HERE / "load"
RESULTS = HERE / "results"
START_SECONDS = 20.0


class BenchmarkError(Exception):
    """A server or the load generator failed; the message says how."""


class Plan(NamedTuple):
    """How a run measures."""

    servers: Sequence[Server]
    scenarios: Sequence[Scenario]
    rounds: int
    warmup: float
    seconds: float
    quick: bool
    server_core: int
    load_core: int
    python: str

    def server_command(self, server: Server, *arguments: str) -> list[str]:
        return server.command(self.python, *arguments)


# --- the pieces of one measurement ---


def build_load() -> Path:
    """Compiles the load generator, unless it is newer than its sources."""
    binary = LOAD / "build" / "load"
    sources = sorted(LOAD.glob("*.c"))
    newest = max(path.stat().st_mtime for path in [*sources, *LOAD.glob("*.h")])
    if binary.exists() and binary.stat().st_mtime >= newest:
        return binary
    binary.parent.mkdir(exist_ok=True)
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O2"]
    command += ["-Wall", "-Wextra", "-o", str(binary), *map(str, sources)]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        raise BenchmarkError(f"no C compiler: {command[0]} was not found") from None
    except subprocess.CalledProcessError:
        raise BenchmarkError("the load generator does not compile") from None
    return binary


def environment() -> dict[str, str]:
    """The environment of a server: this checkout comes first."""
    paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def probe_versions(plan: Plan, server: Server) -> dict[str, str]:
    """Asks a server for its versions; fails where it cannot run here."""
    try:
        result = subprocess.run(
            plan.server_command(server, "--versions"),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(str(error)) from None
    if result.returncode != 0:
        raise BenchmarkError(last_line(result.stderr))
    versions: dict[str, str] = json.loads(result.stdout)
    return versions


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"


def wait_until_listening(process: subprocess.Popen[bytes], log: IO[str]) -> int:
    """The process that serves: what was started may only have launched it."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        log.seek(0)
        output = log.read()
        if found := re.search(r"^listening on \d+ pid (\d+)$", output, re.MULTILINE):
            return int(found[1])
        if process.poll() is not None:
            raise BenchmarkError(f"the server ended: {last_line(output)}")
        time.sleep(0.02)
    raise BenchmarkError(f"the server did not listen within {START_SECONDS:.0f} s")


@contextlib.contextmanager
def serving(plan: Plan, server: Server) -> Iterator[tuple[int, int, IO[str]]]:
    """Runs a server; yields its port, its process id and its output."""
    port = free_port()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            plan.server_command(server, "--port", str(port)),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, {plan.server_core}),
        )
        try:
            yield port, wait_until_listening(process, log), log
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def measure(
    plan: Plan, binary: Path, server: Server, scenario: Scenario
) -> dict[str, Any]:
    """One measurement: what the load generator printed."""
    with serving(plan, server) as (port, pid, log):
        command = [str(binary), f"--port={port}", f"--pid={pid}"]
        command += [f"--warmup={plan.warmup}", f"--seconds={plan.seconds}"]
        command += scenario.arguments(quick=plan.quick)
        try:
            result = subprocess.run(
                command,
                capture_output=True,
                text=True,
                # Beyond the generator's own limits, which end it with a message.
                timeout=plan.warmup + plan.seconds + 180,
                preexec_fn=lambda: os.sched_setaffinity(0, {plan.load_core}),
            )
        except subprocess.TimeoutExpired:
            raise BenchmarkError("the load generator did not end") from None
        if result.returncode != 0:
            log.seek(0)
            server_says = last_line(log.read())
            raise BenchmarkError(f"{last_line(result.stderr)} [server: {server_says}]")
    report: dict[str, Any] = json.loads(result.stdout)
    return report


# --- a whole run ---


class Progress:
    """A line about what is being measured, with the time that is left."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.begun = time.monotonic()
        self.live = sys.stderr.isatty()

    def show(self, what: str) -> None:
        left = ""
        if self.done:
            each = (time.monotonic() - self.begun) / self.done
            minutes, seconds = divmod(round(each * (self.total - self.done)), 60)
            left = f", {minutes}:{seconds:02} left"
        self.write(f"[{self.done + 1}/{self.total}{left}] {what}", keep=not self.live)

    def write(self, line: str, *, keep: bool = True) -> None:
        clear = "\r\x1b[K" if self.live else ""
        print(clear + line, end="\n" if keep else "", file=sys.stderr, flush=True)


def run(plan: Plan, name: str) -> dict[str, Any]:
    """Measures everything, and writes the raw results after every round."""
    binary = build_load()
    servers, versions, skipped = available(plan)
    results: dict[str, Any] = {
        "environment": describe_machine(plan),
        "versions": versions,
        "skipped": skipped,
        "method": {
            "rounds": plan.rounds,
            "warmup_seconds": plan.warmup,
            "seconds": plan.seconds,
            "quick": plan.quick,
        },
        "scenarios": [scenario.name for scenario in plan.scenarios],
        "runs": [],
        "failures": [],
    }
    progress = Progress(plan.rounds * len(plan.scenarios) * len(servers))
    for number in range(1, plan.rounds + 1):
        # Who goes first changes with the round.
        shift = number % len(servers)
        order = [*servers[shift:], *servers[:shift]]
        for scenario, server in itertools.product(plan.scenarios, order):
            place = {"round": number, "scenario": scenario.name, "server": server.name}
            label = f"round {number}: {scenario.name}, {server.name}"
            progress.show(label)
            try:
                report = measure(plan, binary, server, scenario)
            except BenchmarkError as error:
                results["failures"].append({**place, "error": str(error)})
                progress.write(f"FAILED {label}: {error}")
            else:
                results["runs"].append({**place, **report})
                warn_if_busy(progress, label, report)
            progress.done += 1
        write_results(results, name)
    progress.write(f"measured in {time.monotonic() - progress.begun:.0f} s")
    return results


def warn_if_busy(progress: Progress, label: str, report: dict[str, Any]) -> None:
    used = report["load_cpu_percent"]
    if used > BUSY_PERCENT:
        progress.write(
            f"WARNING {label}: the load generator used {used:.0f} % of its core, "
            "and may have been the limit"
        )


def available(
    plan: Plan,
) -> tuple[list[Server], dict[str, dict[str, str]], dict[str, str]]:
    """The servers that can run here, their versions, and why others cannot."""
    servers = []
    versions = {}
    skipped = {}
    for server in plan.servers:
        try:
            versions[server.name] = probe_versions(plan, server)
        except BenchmarkError as error:
            skipped[server.name] = str(error)
            print(f"SKIPPED {server.name}: {error}", file=sys.stderr)
        else:
            servers.append(server)
    if not servers:
        raise BenchmarkError("no server can run here; see benchmarks/requirements.txt")
    return servers, versions, skipped


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


def write_results(results: dict[str, Any], name: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")


def check(results: dict[str, Any]) -> list[str]:
    """What falls behind the guards, in words."""
    problems = [
        f"{name} was skipped: {why}" for name, why in results["skipped"].items()
    ]
    for scenario in SCENARIOS:
        if scenario.guard is None or scenario.name not in results["scenarios"]:
            continue
        rows = render.summarize(results, scenario)
        if OURS not in rows or BASELINE not in rows:
            problems.append(f"{scenario.name}: {OURS} and {BASELINE} are both needed")
            continue
        clock = rows[OURS].clock_ratio(rows[BASELINE])
        cpu = rows[OURS].cpu_ratio(rows[BASELINE])
        verdict = (
            f"{scenario.name}: {clock:.1f} times {BASELINE} by the clock, "
            f"{cpu:.1f} times by CPU time; at least {scenario.guard:.0f} wanted"
        )
        print(verdict, file=sys.stderr)
        if max(clock, cpu) < scenario.guard:
            problems.append(verdict)
    return problems


# --- the command line ---


def chosen(text: str | None, known: Sequence[Any], what: str) -> list[Any]:
    if text is None:
        return list(known)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in [item.name for item in known]:
            raise BenchmarkError(
                f"no {what} is called {name!r}; there are "
                + ", ".join(item.name for item in known)
            )
    return [item for item in known if item.name in names]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure socketio_fast beside other Socket.IO servers.",
    )
    parser.add_argument("--quick", action="store_true", help="in two minutes, roughly")
    parser.add_argument("--check", action="store_true", help="fail below the guards")
    parser.add_argument("--only", metavar="A,B", help="scenarios to run")
    parser.add_argument("--servers", metavar="A,B", help="servers to run")
    parser.add_argument("--rounds", type=int, help="5; with --quick 3")
    parser.add_argument("--warmup", type=float, help="seconds: 1; with --quick 0.3")
    parser.add_argument("--seconds", type=float, help="counted: 3; with --quick 1")
    parser.add_argument("--server-core", type=int, help="the last one")
    parser.add_argument("--load-core", type=int, help="the first one")
    parser.add_argument("--python", default=sys.executable, help="runs the servers")
    parser.add_argument("--name", help="of the file in results/")
    parser.add_argument(
        "--render", metavar="NAME", help="only render README.md from results/NAME.json"
    )
    parser.add_argument("--list", action="store_true", help="scenarios and servers")
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

    plan = Plan(
        servers=chosen(options.servers, SERVERS, "server"),
        scenarios=chosen(options.only, SCENARIOS, "scenario"),
        rounds=either(options.rounds, 5, 3),
        warmup=either(options.warmup, 1.0, 0.3),
        seconds=either(options.seconds, 3.0, 1.0),
        quick=quick,
        server_core=either(options.server_core, cores[-1], cores[-1]),
        load_core=either(options.load_core, cores[0], cores[0]),
        python=options.python,
    )
    if plan.rounds < 1 or plan.server_core == plan.load_core:
        raise BenchmarkError("at least one round, and two different cores")
    return plan


def main() -> int:
    options = parse_arguments()
    if options.list:
        for item in (*SCENARIOS, *SERVERS):
            print(f"{item.name:16} {item.title}")
        return 0
    if options.render:
        render.write_readme(RESULTS / f"{options.render}.json", HERE / "README.md")
        return 0
    plan = make_plan(options)
    whole = not (options.quick or options.only or options.servers)
    name = options.name or (
        "full" if whole else "quick" if options.quick else "partial"
    )
    results = run(plan, name)
    print(render.overview(results))
    if whole:
        render.write_readme(RESULTS / f"{name}.json", HERE / "README.md")
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
