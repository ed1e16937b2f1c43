"""socketio-fast bench: what it measures, and what it says where it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import command, make_server, terminal
from support.processes import environment, run_fork
from support.scripted_servers import HttpProxy, Socks5Proxy
from support.threaded_servers import Running, running
from support.waiting import WAIT

import socketio_fast as socketio
from client.conftest import Listen
from socketio_fast.__main__ import main
from socketio_fast.cli.latencies import Latencies


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run it to the end."""
    return run_fork(
        ["-m", "socketio_fast", "bench", *arguments],
        cwd=cwd,
        env=environment(),
        timeout=WAIT,
    )


def check_latencies(found: dict[str, float]) -> None:
    assert list(found) == ["p50", "p90", "p99", "max"]
    assert 0 < found["p50"] <= found["p90"] <= found["p99"] <= found["max"]


def test_the_result_as_json(server: Running, tmp_path: Path) -> None:
    done = bench(server.url, "--json", "-c", "3", "-d", "0.5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["clients"], result["connected"]) == (3, 3)
    assert result["event"] == "echo"
    assert result["errors"] == {}
    assert result["acknowledged"] > 3
    assert 0.49 < result["seconds"] < WAIT
    # Those that come after the time do not count for the throughput.
    in_time = result["per_second"] * result["seconds"]
    assert 0 < in_time <= result["acknowledged"] * 1.01
    check_latencies(result["latency_ms"])
    check_latencies(result["connect_ms"])


@pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])
async def test_a_proxy(
    server: Running, listen: Listen, tmp_path: Path, kind: Any
) -> None:
    proxy = await listen(kind())
    scheme = "http" if kind is HttpProxy else "socks5"
    arguments = (
        *(server.url.replace("127.0.0.1", "server.test"), "--json", "-d", "0.3"),
        *("--proxy", f"{scheme}://127.0.0.1:{proxy.port}"),
    )
    done = await asyncio.to_thread(bench, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["acknowledged"] > 1
    assert any("server.test" in asked for asked in proxy.asked)


def test_several_namespaces(tmp_path: Path) -> None:
    """All are joined, and the event is sent in the first."""
    joined: set[str] = set()
    asked: set[str] = set()

    def make() -> Any:
        sio = socketio.AsyncServer(namespaces=["/", "/chat"])
        sio.on("connect", lambda name, sid, environ: joined.add(name), namespace="*")
        sio.on("echo", lambda name, sid, text: asked.add(name), namespace="*")
        return sio

    with running(make) as server:
        namespaces = ("-n", "/chat", "-n", "/")
        done = bench(server.url, *namespaces, "-d", "0.2", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"echo at {server.url} /chat\n")
    assert (joined, asked) == ({"/", "/chat"}, {"/chat"})


def test_a_rate(server: Running, tmp_path: Path) -> None:
    done = bench(
        *(server.url, "--json", "--clients", "4", "--rate", "20", "--duration", "1"),
        cwd=tmp_path,
    )
    assert 5 <= json.loads(done.stdout)["acknowledged"] <= 22


def test_what_is_sent(tmp_path: Path) -> None:
    came: list[Any] = []

    def make() -> Any:
        sio = make_server()

        @sio.on("sum", namespace="/chat")
        async def add(sid: str, *args: Any) -> None:
            came.append(args)

        return sio

    with running(make) as server:
        done = bench(
            *(server.url, "-n", "/chat", "-e", "sum", "--rate", "5", "-d", "0.3"),
            *("--data", 'a 1 {"b": 2} hex:00ff'),
            cwd=tmp_path,
        )
    assert done.returncode == 0
    assert set(map(repr, came)) == {repr(("a", 1, {"b": 2}, b"\x00\xff"))}


def test_a_table_without_a_terminal(server: Running, tmp_path: Path) -> None:
    done = bench(server.url, "-c", "2", "-d", "0.3", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    title, *rows = done.stdout.splitlines()
    assert title == f"echo at {server.url} /"
    names = [row[:26].strip() for row in rows]
    assert names[:3] == ["clients connected", "acknowledged", "a second"]
    for name in ("latency p50", "latency p99", "latency max", "connecting p90"):
        assert name in names


def test_at_a_terminal(server: Running, tmp_path: Path) -> None:
    with terminal("bench", server.url, "-d", "1", cwd=tmp_path) as shown:
        shown.until("s left, 1 clients, ")
        shown.until("0 errors")
        shown.until(f"echo at {server.url} /")
        shown.until("latency p99")
        assert shown.status() == 0


def test_without_rich(server: Running, tmp_path: Path) -> None:
    without = (
        "import sys\n"
        "sys.modules['rich'] = None\n"
        "from socketio_fast.__main__ import main\n"
        "main(sys.argv[1:])"
    )
    program = (sys.executable, "-c", without)
    with terminal("bench", server.url, cwd=tmp_path, program=program) as shown:
        shown.until(
            "socketio-fast: bench at a terminal (--json and a pipe need none) needs "
            'the package rich: pip install "socketio-fast[cli]"'
        )
        assert shown.status() == 1


def test_an_event_that_nobody_acknowledges(server: Running, tmp_path: Path) -> None:
    done = bench(
        *(server.url, "--json", "-e", "nobody", "--ack-timeout", "0.1", "-d", "0.5"),
        cwd=tmp_path,
    )
    result = json.loads(done.stdout)
    assert result["acknowledged"] == 0
    assert result["errors"]["no acknowledgement within 0.1 s"] >= 3
    assert done.returncode == 1
    assert done.stderr.startswith(
        "socketio-fast: no acknowledgement of 'nobody' came: has the server a handler "
        "for it in /, and does it acknowledge? --event NAME"
    )


def test_what_has_not_happened_has_no_duration(server: Running, tmp_path: Path) -> None:
    done = bench(server.url, "-n", "/refusing", cwd=tmp_path)
    assert "latency" not in done.stdout
    assert "connecting" not in done.stdout
    assert done.stdout.splitlines()[-1].endswith("failed to connect: /refusing 1")


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = bench(url, "--json", "-c", "3", cwd=tmp_path)
    result = json.loads(done.stdout)
    ((kind, count),) = result["errors"].items()
    assert "connection refused" in kind
    assert (count, result["connected"]) == (3, 0)
    assert done.stderr == f"socketio-fast: no client could connect: {kind}\n"
    assert done.returncode == 1


def test_a_refused_namespace(server: Running, tmp_path: Path) -> None:
    done = bench(server.url, "--json", "-n", "/refusing", cwd=tmp_path)
    ((kind, _),) = json.loads(done.stdout)["errors"].items()
    assert "/refusing" in kind
    assert done.returncode == 1


def test_clients_that_the_server_disconnects(server: Running, tmp_path: Path) -> None:
    done = bench(server.url, "--json", "-e", "kick", "--data", "", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert result["errors"] == {
        "the connection was lost before the acknowledgement": 1,
        "the server has disconnected the client": 1,
    }
    assert done.returncode == 1


def test_a_server_that_stops_meanwhile(tmp_path: Path) -> None:
    with (
        running(make_server) as server,
        command("bench", server.url, "--json", "-d", "2", cwd=tmp_path) as measuring,
    ):
        server.run(_first_echo(server))
        server.stop()
        result = json.loads(measuring.line())
        assert result["acknowledged"] >= 1
        assert sum(result["errors"].values()) >= 1
        assert (measuring.status(), measuring.errors()) == (0, "")


async def _first_echo(server: Running) -> None:
    came = asyncio.Event()

    @server.app.event
    async def echo(sid: str, *args: Any) -> Any:
        came.set()
        return args

    await asyncio.wait_for(came.wait(), WAIT)
    await asyncio.sleep(0)  # this one is acknowledged


def test_ctrl_c_ends_it_with_a_result(tmp_path: Path) -> None:
    with (
        running(make_server) as server,
        command("bench", server.url, "--json", "-d", "600", cwd=tmp_path) as measuring,
    ):
        server.run(_first_echo(server))
        measuring.process.send_signal(signal.SIGINT)
        assert json.loads(measuring.line())["acknowledged"] >= 1
        assert (measuring.status(), measuring.errors()) == (0, "")


def test_ctrl_c_while_it_connects(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with command("bench", url, "--json", cwd=tmp_path) as measuring:
            accepted, _ = silent.accept()
            with accepted:
                measuring.process.send_signal(signal.SIGINT)
                assert json.loads(measuring.line())["connected"] == 0
                assert measuring.status() == 1
            assert measuring.errors() == (
                "socketio-fast: it was ended before a client had connected\n"
            )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_program(tmp_path: Path, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with command("bench", url, "--json", cwd=tmp_path) as measuring:
            accepted, _ = silent.accept()
            with accepted:
                measuring.process.send_signal(number)
                if number == signal.SIGINT:
                    # The first one gives acknowledgements a second.
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        measuring.process.wait(0.3)
                    measuring.process.send_signal(number)
                assert (measuring.status(), measuring.errors()) == (128 + number, "")


def test_without_msgpack(server: Running, tmp_path: Path) -> None:
    without = (
        "import sys\n"
        "sys.modules['msgpack'] = None\n"
        "from socketio_fast.__main__ import main\n"
        "main(sys.argv[1:])"
    )
    for subcommand in ("bench", "connect"):
        done = subprocess.run(
            [sys.executable, "-c", without, subcommand, server.url, "--msgpack"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=WAIT,
            input="",
        )
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("socketio-fast: ")
        assert "msgpack" in line


def test_stdout_that_takes_nothing(server: Running, tmp_path: Path) -> None:
    with (
        open("/dev/full", "wb") as full,
        command("bench", server.url, "-d", "0.1", cwd=tmp_path, stdout=full) as done,
    ):
        assert done.status() == 1
        assert done.errors() == (
            "socketio-fast: stdout: [Errno 28] No space left on device\n"
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clients", "0"], "'0': a number from 1 on expected"),
        (["--clients", "x"], "'x': a number from 1 on expected"),
        (["--rate", "-1"], "'-1': a number above 0 expected"),
        (["--duration", "inf"], "'inf': seconds above 0 expected"),
        (["--data", "{"], "what begins with { is JSON"),
        (["--data", "hex:0"], "'0': binary is an even number of digits"),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "http://127.0.0.1:1", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


# --- percentiles ----------------------------------------------------------------


def test_percentiles_are_right_to_one_percent() -> None:
    chosen = random.Random(1)
    values = sorted(10 ** chosen.uniform(-5.5, 3) for _ in range(10_001))
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    for share in (0.0, 0.01, 0.5, 0.9, 0.99, 1.0):
        exact = values[round(share * (len(values) - 1))]
        assert latencies.percentile(share) == pytest.approx(exact, rel=0.0125)
    assert latencies.longest == values[-1]


def test_extreme_durations() -> None:
    latencies = Latencies()
    assert (latencies.percentile(0.5), latencies.longest) == (0.0, 0.0)
    for value in (0.0, 1e-9, 1e9):
        latencies.add(value)
    assert latencies.percentile(0.5) <= 1.1e-6
    assert (latencies.count, latencies.longest) == (3, 1e9)
