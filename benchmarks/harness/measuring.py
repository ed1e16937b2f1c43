"""One measurement: a server under load, or a client."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from catalogue import CLIENTS_SERVER, Client, Scenario, Server
from harness.building import certificate
from harness.errors import BenchmarkError, last_line
from harness.peers import Usage, await_line, serving
from harness.plan import Plan


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
