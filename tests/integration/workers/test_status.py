"""socketio-fast status, and SIGUSR1: what workers do."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from support.processes import python
from support.supervised import about, running

import socketio_fast as socketio


async def test_what_workers_do_is_told(folder: Path) -> None:
    pidfile = folder / "pid"
    with running(folder, "--workers", "2", "--pidfile", str(pidfile)) as server:
        clients = [socketio.AsyncClient() for _ in range(3)]
        for client in clients:
            url = f"http://127.0.0.1:{server.port}"
            await client.connect(url, transports=["websocket"])
        directory = (await about(server.port))["cluster"]
        for where in (["--pidfile", str(pidfile)], [directory]):
            told = status(folder, *where)
            while sum(worker.get("clients", 0) for worker in told["workers"]) != 3:
                told = status(folder, *where)  # workers tell once a second
            workers = {each["worker"]: each for each in told["workers"]}
            assert told["pid"] == server.pid
            assert {n: each["pid"] for n, each in workers.items()} == server.workers()
            for each in workers.values():
                assert each["state"] == "accepting"
                assert each["connections"] >= each["clients"]
                assert each["memory"] > 10_000_000
                assert each["age"] > 0
                assert {"packets_in_per_second", "cpu_per_second"} <= set(each)
        server.signal(signal.SIGUSR1)
        server.log.wait_for(rf"supervisor {server.pid}, up \d+")
        head = server.log.wait_for(r"^worker +pid +state +age +clients").string
        assert head.endswith("out/s")
        for number, pid in server.workers().items():
            server.log.wait_for(rf"^ +{number} +{pid} +accepting +")
        done = python(
            *("-m", "socketio_fast", "status", "--pidfile", str(pidfile)), cwd=folder
        )
        # The width of columns depends on what is in them.
        assert head.split() in [line.split() for line in done.stdout.splitlines()]
        for client in clients:
            await client.disconnect()


def status(folder: Path, *arguments: str) -> dict[str, list[dict[str, int]]]:
    done = python(
        *("-m", "socketio_fast", "status", "--json", *arguments), cwd=folder, check=True
    )
    told: dict[str, list[dict[str, int]]] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pidfile", "none"], "No such file or directory: 'none'"),
        (["--pidfile", "empty"], "'empty': the number of a process expected"),
        (["--pidfile", "own"], "there is no server of process"),
        (["unix:/nowhere"], "No such file or directory"),
    ],
)
def test_where_there_is_no_supervisor(
    folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "empty").touch()
    (folder / "own").write_text(str(os.getpid()))
    done = python("-m", "socketio_fast", "status", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("socketio-fast: ")
    assert message in line
