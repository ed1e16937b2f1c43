"""Runs the benchmarks: `python benchmarks/run.py`.

Every measurement starts a server of its own on one core, and the load generator on
another. The servers take turns within a round, so that what the machine does meanwhile
falls on all of them alike.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import IO, Any, NamedTuple

import render
from catalogue import (
    BASELINE,
    BASELINE_CLIENT,
    BASELINE_SYNC_CLIENT,
    BUSY_PERCENT,
    CLIENT_SCENARIOS,
    CLIENTS,
    CLIENTS_SERVER,
    HERE,
    HOSTED,
    HOSTED_SCENARIOS,
    LATENCY,
    OUR_CLIENT,
    OUR_SYNC_CLIENT,
    OURS,
    SATURATION,
    SCENARIOS,
    SERVERS,
    SWEEPS,
    Client,
    Scenario,
    Server,
    Sweep,
)

LOAD = HERE / "load"
RESULTS = HERE / "results"
START_SECONDS = 20.0
BUILD_SECONDS = 900.0
OPEN_FILES = 20000


class BenchmarkError(Exception):
    """A server or the load generator failed; the message says how."""


class Plan(NamedTuple):
    """How a run measures."""

    servers: Sequence[Server]
    scenarios: Sequence[Scenario]
    sweeps: Sequence[Sweep]
    latency: bool
    rounds: int
    scale_rounds: int
    warmup: float
    seconds: float
    quick: bool
    server_core: int
    load_core: int
    python: str

    def phases(self) -> list[tuple[list[Scenario], int]]:
        """What is measured together, and in how many rounds."""
        scaled = [scenario for sweep in self.sweeps for scenario in sweep.scenarios]
        paced = list(LATENCY) if self.latency else []
        return [
            (list(self.scenarios), self.rounds),
            (paced, self.scale_rounds),
            (scaled, self.scale_rounds),
        ]


# --- the pieces of one measurement ---


def build_load() -> Path:
    """Compiles the load generator, unless it is newer than its sources.

    With TLS where OpenSSL's headers are, with compression where zlib's are.
    """
    binary = LOAD / "build" / "load"
    sources = sorted(LOAD.glob("*.c"))
    newest = max(path.stat().st_mtime for path in [*sources, *LOAD.glob("*.h")])
    if binary.exists() and binary.stat().st_mtime >= newest:
        return binary
    binary.parent.mkdir(exist_ok=True)
    command = [os.environ.get("CC", "cc"), "-std=c11", "-O2"]
    command += ["-Wall", "-Wextra", "-o", str(binary), *map(str, sources)]
    tls = ["-DLOAD_TLS", "-lssl", "-lcrypto"]
    deflate = ["-DLOAD_DEFLATE", "-lz"]
    try:
        for more in ([*tls, *deflate], tls, deflate):
            built = subprocess.run([*command, *more], capture_output=True)
            if built.returncode == 0:
                return binary
        subprocess.run(command, check=True)
    except FileNotFoundError:
        raise BenchmarkError(f"no C compiler: {command[0]} was not found") from None
    except subprocess.CalledProcessError:
        raise BenchmarkError("the load generator does not compile") from None
    return binary


def check_libraries(binary: Path, scenario: Scenario) -> None:
    """Fails where the load generator lacks a library that a scenario needs."""
    if "tls" in scenario.needs:
        check_library(binary, "--openssl")
        if shutil.which("openssl") is None:
            raise BenchmarkError("the command openssl makes a certificate: not found")
    if "deflate" in scenario.needs:
        check_library(binary, "--zlib")


def check_library(binary: Path, option: str) -> None:
    result = subprocess.run([binary, option], capture_output=True, text=True)
    if result.returncode != 0:
        raise BenchmarkError(f"the load generator was {result.stderr[6:].strip()}")


@contextlib.contextmanager
def certificate() -> Iterator[tuple[str, str]]:
    """Yields the files of a certificate for this run, and of its key."""
    with tempfile.TemporaryDirectory() as folder:
        files = f"{folder}/certificate.pem", f"{folder}/key.pem"
        command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]
        command += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-subj", "/CN=localhost", "-out", files[0], "-keyout", files[1]]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise BenchmarkError(f"openssl: {last_line(error.stderr)}") from None
        yield files


def build_server(server: Server) -> None:
    """Builds or installs what a server needs, unless that is newer than its sources."""
    if not server.build:
        return
    sources = [path for path in server.path.iterdir() if path.is_file()]
    newest = max(path.stat().st_mtime for path in sources)
    product = server.path / server.product
    if product.exists() and product.stat().st_mtime >= newest:
        return
    words = " ".join(server.build)
    print(f"building {server.name}: {words}", file=sys.stderr)
    try:
        result = subprocess.run(
            server.build,
            cwd=server.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
        )
    except FileNotFoundError:
        raise BenchmarkError(f"{server.build[0]} was not found") from None
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"`{words}` did not end") from None
    if result.returncode != 0:
        raise BenchmarkError(f"`{words}` failed: {last_line(result.stderr)}")
    # Builders keep what is up to date as it is, however old.
    os.utime(product)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def probe_versions(plan: Plan, server: Server) -> dict[str, str]:
    """Asks a server for its versions; fails where it cannot run here."""
    try:
        result = subprocess.run(
            server.arguments(plan.python, "--versions"),
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
    output = ""
    while time.monotonic() < deadline:
        log.seek(0)
        output = log.read()
        if found := re.search(r"^listening on \d+ pid (\d+)$", output, re.MULTILINE):
            return int(found[1])
        if process.poll() is not None:
            raise BenchmarkError(f"the server ended: {last_line(output)}")
        time.sleep(0.02)
    raise BenchmarkError(
        f"the server did not listen within {START_SECONDS:.0f} s: {last_line(output)}"
    )


@contextlib.contextmanager
def serving(
    plan: Plan, server: Server, *more: str
) -> Iterator[tuple[int, int, IO[str]]]:
    """Runs a server; yields its port, its process id and its output."""
    port = free_port()
    # Opened twice: who reads must not move the place where the server writes, whose
    # next line would then be written over the one that is looked for.
    with tempfile.NamedTemporaryFile("r") as log, open(log.name, "ab") as output:
        process = subprocess.Popen(
            server.arguments(plan.python, "--port", str(port), *more),
            stdin=subprocess.DEVNULL,
            stdout=output,
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
    plan: Plan, binary: Path, server: Server, scenario: Scenario, rate: float | None
) -> dict[str, Any]:
    """One measurement: what the load generator printed, or a client did."""
    if isinstance(server, Client):
        return measure_client(plan, server, scenario)
    with contextlib.ExitStack() as stack:
        more = []
        if "tls" in scenario.needs:
            files = stack.enter_context(certificate())
            more = ["--certificate", files[0], "--key", files[1]]
        if "deflate" in scenario.needs:
            more.append("--deflate")
        port, pid, log = stack.enter_context(serving(plan, server, *more))
        command = [str(binary), f"--port={port}", f"--pid={pid}"]
        command += [f"--warmup={plan.warmup}", f"--seconds={plan.seconds}"]
        command += scenario.arguments(quick=plan.quick)
        command += [] if rate is None else [f"--rate={rate:.0f}"]
        try:
            result = subprocess.run(
                command,
                capture_output=True,
                text=True,
                # Beyond the generator's own limits, which end it with a message.
                timeout=plan.warmup + plan.seconds + 300,
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


class Usage(NamedTuple):
    """What a process has used, by the clock and by /proc."""

    clock: float
    cpu: float
    resident: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        # Behind the name, which may have spaces: user and system are the 12th and 13th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return cls(
            time.monotonic(),
            ticks / os.sysconf("SC_CLK_TCK"),
            int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        )


def measure_client(plan: Plan, client: Client, scenario: Scenario) -> dict[str, Any]:
    """One measurement of a client: what it used between its two lines."""
    with (
        serving(plan, CLIENTS_SERVER) as (port, pid, _),
        tempfile.TemporaryFile("w+") as errors,
    ):
        options = [f"--mode={scenario.load}", f"--port={port}"]
        options += [f"--in-flight={scenario.in_flight}"]
        options += [f"--connections={scenario.connections}"]
        options += [f"--warmup={plan.warmup}", f"--seconds={plan.seconds}"]
        words = [word for option in options for word in option.split("=")]
        process = subprocess.Popen(
            client.arguments(plan.python, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {plan.load_core}),
        )
        # Ends a client that hangs; the line that is waited for is then missing.
        limit = threading.Timer(plan.warmup + plan.seconds + 60, process.kill)
        limit.start()
        try:
            with process:
                await_line(process, "begin", errors)
                before, server_before = Usage.of(process.pid), Usage.of(pid)
                count = int(await_line(process, "end ", errors)[4:])
                after, server_after = Usage.of(process.pid), Usage.of(pid)
                process.kill()
        finally:
            limit.cancel()
    seconds = after.clock - before.clock
    server_cpu = server_after.cpu - server_before.cpu
    return {
        "connections": scenario.connections,
        "messages": count,
        "messages_per_second": count / seconds,
        "opening_seconds": seconds,
        "client_cpu_seconds": after.cpu - before.cpu,
        "client_rss_before": before.resident,
        "client_rss_after": after.resident,
        "server_cpu_percent": 100 * server_cpu / seconds,
        "latency_us": None,
    }


def await_line(process: subprocess.Popen[str], start: str, errors: IO[str]) -> str:
    """The next line of a client, which is to begin like this."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith(start):
        process.kill()
        errors.seek(0)
        raise BenchmarkError(
            f"the client ended, or hung, before {start.strip()!r}: "
            + last_line(errors.read())
        )
    return line


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


def takers(plan: Plan, scenario: Scenario) -> list[Server]:
    """The servers that a scenario is for."""
    return [
        server
        for server in plan.servers
        if not any(need in server.lacks for need in scenario.needs)
    ]


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


def warn_if_busy(progress: Progress, label: str, report: dict[str, Any]) -> None:
    used = render.other_cpu(report)
    if used > BUSY_PERCENT:
        progress.write(
            f"WARNING {label}: {render.other_side(report)} used {used:.0f} % of its "
            "core, and may have been the limit"
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
    for scenario in (*SCENARIOS, *CLIENT_SCENARIOS):
        if scenario.guard is None or scenario.name not in results["scenarios"]:
            continue
        rows = render.summarize(results, scenario)
        ours, theirs = scenario.ours, scenario.theirs
        if ours not in rows or theirs not in rows:
            problems.append(f"{scenario.name}: {ours} and {theirs} are both needed")
            continue
        clock = rows[ours].clock_ratio(rows[theirs])
        cpu = rows[ours].cpu_ratio(rows[theirs])
        verdict = (
            f"{scenario.name}: {clock:.1f} times {theirs} by the clock, "
            f"{cpu:.1f} times by CPU time; at least {scenario.guard:.0f} wanted"
        )
        print(verdict, file=sys.stderr)
        if max(clock, cpu) < scenario.guard:
            problems.append(verdict)
    return problems


# --- the command line ---


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


def main() -> int:
    options = parse_arguments()
    if options.list:
        servers = (*SERVERS, *HOSTED, *CLIENTS)
        for item in (*SCENARIOS, *SWEEPS, *CLIENT_SCENARIOS, *servers):
            print(f"{item.name:23} {item.title}")
        print(f"{'latency':23} Echo at fixed rates, shares of {SATURATION.name}")
        return 0
    if options.render:
        render.write_readme(RESULTS, options.render, HERE / "README.md")
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
    print(render.overview(results))
    if whole:
        render.write_readme(RESULTS, name, HERE / "README.md")
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
