"""Workers start, die, are replaced and stop, and their clients are answered."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import time
from pathlib import Path

import pytest
from support.supervised import (
    APP,
    WAIT,
    Supervised,
    about,
    answering,
    gone,
    running,
    started,
)
from support.waiting import within

import socketio_fast as socketio


def url_of(server: Supervised) -> str:
    return f"http://127.0.0.1:{server.port}"


def descriptors_of(pid: int) -> int | None:
    """How many descriptors a process has; None if the system does not say."""
    directory = f"/proc/{pid}/fd"
    return len(os.listdir(directory)) if os.path.exists(directory) else None


async def test_all_workers_answer_on_a_port(folder: Path) -> None:
    with running(folder, "--workers", "3") as server:
        assert await answering(server.port) == set(server.workers().values())
        assert len(server.workers()) == 3
        told = [await about(server.port) for _ in range(10)]
        (directory,) = {each["cluster"].removeprefix("unix:") for each in told}
        assert {each["worker"] for each in told} <= {"0", "1", "2"}
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
        gone(directory)
        assert "Traceback" not in "\n".join(server.log.lines)


async def test_a_worker_that_is_killed_is_started_again_and_the_others_go_on(
    folder: Path,
) -> None:
    with running(folder, "--workers", "2") as server:
        before = server.workers()
        clients = [socketio.AsyncClient(reconnection=False) for _ in range(12)]
        try:
            pids = []
            for client in clients:
                await client.connect(url_of(server), transports=["websocket"])
                pids.append(await within(client.call("pid")))
            assert set(pids) == set(before.values())
            os.kill(before[1], signal.SIGKILL)
            # Connections in the queue of the dead worker wait for the next.
            assert before[1] not in await answering(server.port)
            server.log.wait_for(r"worker 1 .* accepts connections", count=2)
            for client, pid in zip(clients, pids, strict=True):
                if pid == before[0]:
                    assert await within(client.call("pid")) == pid
                else:
                    await within(client.wait())
            after = server.workers()
            assert after[0] == before[0]
            assert after[1] != before[1]
            assert await answering(server.port) == set(after.values())
            server.log.wait_for(rf"worker 1 \(pid {before[1]}\) was ended by SIGKILL")
        finally:
            for client in clients:
                await client.disconnect()


async def test_clients_by_polling_reach_their_worker(folder: Path) -> None:
    with running(folder, "--workers", "2") as server:
        clients = [socketio.AsyncClient(reconnection=False) for _ in range(12)]
        pids = []
        for client in clients:
            await client.connect(url_of(server), transports=["polling"])
            pids.append(await within(client.call("pid")))
        assert set(pids) == set(server.workers().values())
        for client, pid in zip(clients, pids, strict=True):
            assert await within(client.call("pid")) == pid
            await client.disconnect()


DYING = """
import os
import pathlib

if os.environ["SOCKETIO_FAST_WORKER"] == "1" and pathlib.Path("dying").exists():
    raise ValueError("dies young")
"""


async def test_another_worker_accepts_for_one_that_keeps_dying(folder: Path) -> None:
    (folder / "app.py").write_text(DYING + APP)
    with running(folder, "--workers", "2") as server:
        before = server.workers()
        (folder / "dying").touch()
        os.kill(before[1], signal.SIGKILL)
        server.log.wait_for(r"worker 0 \(pid \d+\) accepts for slot 1")
        server.log.wait_for("ValueError: dies young")
        assert await answering(server.port) == {before[0]}
        (folder / "dying").unlink()
        server.signal(signal.SIGHUP)  # it is not to wait for its time
        server.log.wait_for(r"worker 1 .* accepts connections", count=2)
        server.log.wait_for(rf"pid {before[0]}\) ended with the exit code 0")
        assert await answering(server.port) == set(server.workers().values())


async def test_sighup_replaces_all_and_refuses_no_connection(folder: Path) -> None:
    with running(folder, "--workers", "2") as server:
        before = server.workers()
        descriptors = descriptors_of(server.pid)
        (folder / "app.py").write_text(APP.replace("VERSION = 1", "VERSION = 2"))
        done = asyncio.Event()
        answers: list[int] = []

        async def ask() -> None:
            while not done.is_set():
                answers.append((await about(server.port))["version"])

        askers = [asyncio.create_task(ask()) for _ in range(4)]
        server.signal(signal.SIGHUP)
        for worker in (0, 1):
            await asyncio.to_thread(
                server.log.wait_for,
                rf"worker {worker} \(pid {before[worker]}\) ended with the exit code 0",
            )
        done.set()
        await within(asyncio.gather(*askers))
        assert set(answers) == {1, 2}
        assert descriptors_of(server.pid) == descriptors
        after = server.workers()
        assert set(after.values()).isdisjoint(before.values())
        assert await answering(server.port) == set(after.values())
        # One after another.
        log = "\n".join(server.log.lines)
        first_ended = log.index(f"{before[0]}) ended")
        assert first_ended < log.index(f"worker 1 (pid {after[1]}) starts")
        new_accepts = log.index(f"{after[0]}) accepts connections")
        assert new_accepts < log.index(f"{before[0]}) drains")


async def test_if_the_new_worker_does_not_start_the_old_one_stays(
    folder: Path,
) -> None:
    with running(folder, "--workers", "2") as server:
        before = server.workers()
        (folder / "app.py").write_text("1 / 0\n")
        server.signal(signal.SIGHUP)
        server.log.wait_for(
            r"worker 0 .* could not start: .* imported; the one before stays"
        )
        server.log.wait_for("ZeroDivisionError")
        assert await answering(server.port) == set(before.values())
        (folder / "app.py").write_text(APP)
        server.signal(signal.SIGHUP)
        server.log.wait_for("ended with the exit code 0", count=2)
        assert set(server.workers().values()).isdisjoint(before.values())


async def test_a_worker_that_is_told_to_stop_is_replaced(folder: Path) -> None:
    with running(folder, "--workers", "2") as server:
        before = server.workers()
        os.kill(before[0], signal.SIGTERM)
        server.log.wait_for(r"worker 0 .* accepts connections", count=2)
        server.log.wait_for(rf"worker 0 \(pid {before[0]}\) ended with the exit code 0")
        assert await answering(server.port) == set(server.workers().values())


HANGING = """

@sio.event
async def disconnect(sid, reason):
    import asyncio
    print("waits", flush=True)
    await asyncio.sleep(3600)
"""


async def test_a_second_signal_ends_it_at_once(folder: Path) -> None:
    (folder / "app.py").write_text(APP + HANGING)
    with running(folder, "--workers", "2", "--shutdown-timeout", "3600") as server:
        client = socketio.AsyncClient(reconnection=False)
        await client.connect(url_of(server), transports=["websocket"])
        server.signal(signal.SIGTERM)
        server.out.wait_for("waits")
        server.signal(signal.SIGINT)
        assert server.ended() == 128 + signal.SIGINT
        await client.disconnect()


async def test_it_stops_within_the_limit(folder: Path) -> None:
    (folder / "app.py").write_text(APP + HANGING)
    with running(folder, "--workers", "2", "--shutdown-timeout", "0.2") as server:
        client = socketio.AsyncClient(reconnection=False)
        await client.connect(url_of(server), transports=["websocket"])
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
        assert "waits" in server.out.lines
        await client.disconnect()


@pytest.mark.parametrize("blocked", [False, True])
async def test_a_supervisor_that_is_killed_leaves_no_worker(
    folder: Path, blocked: bool
) -> None:
    handler = "\n\n@sio.event\nasync def block(sid):\n    import time\n"
    handler += '    print("blocks", flush=True)\n    time.sleep(3600)\n'
    (folder / "app.py").write_text(APP + handler)
    with running(folder, "--workers", "2", "--shutdown-timeout", "0.1") as server:
        client = socketio.AsyncClient(reconnection=False)
        await client.connect(url_of(server), transports=["websocket"])
        if blocked:
            await client.emit("block")
            await asyncio.to_thread(server.out.wait_for, "blocks")
        directory = (await _any(server.port))["cluster"].removeprefix("unix:")
        server.signal(signal.SIGKILL)
        server.out.wait_for_end()
        server.log.wait_for(r"the supervisor has ended: worker \d \(pid \d+\) stops")
        await client.disconnect()
        gone(directory)


async def test_the_next_supervisor_removes_what_is_left(folder: Path) -> None:
    """All processes of the one before were killed at once."""
    with running(folder, "--workers", "2") as living:
        there = (await about(living.port))["cluster"].removeprefix("unix:")
        with running(folder, "--workers", "2") as server:
            directory = (await about(server.port))["cluster"].removeprefix("unix:")
            os.killpg(server.pid, signal.SIGKILL)
            server.out.wait_for_end()
            server.process.wait(WAIT)
            os.stat(directory)  # raises an error if it is not there
            with running(folder, "--workers", "2"):
                gone(directory)
        os.stat(there)
        assert await answering(living.port) == set(living.workers().values())


async def _any(port: int) -> dict[str, str]:
    """What some worker says, which is not blocked."""
    asked = {asyncio.ensure_future(about(port)) for _ in range(20)}
    done, left = await asyncio.wait(
        asked, return_when=asyncio.FIRST_COMPLETED, timeout=WAIT
    )
    for task in left:
        task.cancel()
    return done.pop().result()


async def test_a_worker_without_a_sign_of_life_is_replaced(folder: Path) -> None:
    with running(folder, "--workers", "2", "--worker-timeout", "3") as server:
        before = server.workers()
        os.kill(before[1], signal.SIGSTOP)
        server.log.wait_for(
            rf"worker 1 \(pid {before[1]}\) has given no sign of life for \d+ s, "
            r"and is killed \(worker_timeout\)"
        )
        server.log.wait_for(r"worker 1 .* accepts connections", count=2)
        assert await answering(server.port) == set(server.workers().values())


async def test_old_workers_are_replaced(folder: Path) -> None:
    with running(folder, "--workers", "2", "--max-worker-age", "3") as server:
        before = server.workers()
        for number in (0, 1):
            server.log.wait_for(
                rf"worker {number} \(.*\) is to be replaced: it is \d s"
            )
            server.log.wait_for(rf"pid {before[number]}\) ended with the exit code 0")


async def test_workers_with_much_memory_are_replaced(folder: Path) -> None:
    grow = "\n\n@sio.event\nasync def grow(sid):\n    global kept\n"
    grow += "    kept = bytearray(200 * 1024 * 1024)\n    return os.getpid()\n"
    (folder / "app.py").write_text(APP + grow)
    with running(folder, "--workers", "2", "--max-worker-memory", "200M") as server:
        client = socketio.AsyncClient(reconnection=False)
        await client.connect(url_of(server), transports=["websocket"])
        pid = await within(client.call("grow"))
        server.log.wait_for(
            rf"worker \d \(pid {pid}\) is to be replaced: it has 2\d\d MiB of memory"
        )
        server.log.wait_for(rf"worker \d \(pid {pid}\) ended with the exit code 0")
        await client.disconnect()
        assert pid not in await answering(server.port)


# --- how it does not start ------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "tracebacks"),
    [
        ("1 / 0\n", "the application could not be imported", 1),
        ("import there_is_none\n", "the application could not be imported", 1),
        ("app = 5\n", "app is int: socketio_fast.AsyncServer, ", 0),
        ("sio = 5\n", "'app:app': 'app' has no 'app'", 0),
        ("import os\nos._exit(7)\n", "ended with the exit code 7", 0),
    ],
)
def test_what_cannot_start_is_said_once(
    folder: Path, text: str, message: str, tracebacks: int
) -> None:
    (folder / "app.py").write_text(text)
    command = ("-m", "socketio_fast", "run", "app:app", "--port", "0", "--workers", "2")
    with started(*command, cwd=folder) as server:
        assert server.ended() == 1
        server.log.wait_for_end()
        log = server.log.lines
        assert sum(line.startswith("Traceback") for line in log) == tracebacks
        (said,) = [line for line in log if line.startswith("socketio-fast: ")]
        assert message in said
        assert server.out.lines == []


def test_a_signal_while_it_starts(folder: Path) -> None:
    (folder / "app.py").write_text(
        "import time\nprint('imports', flush=True)\ntime.sleep(3600)\n"
    )
    command = ("-m", "socketio_fast", "run", "app:app", "--port", "0", "--workers", "2")
    with started(*command, cwd=folder) as server:
        server.out.wait_for("imports")
        server.signal(signal.SIGTERM)
        assert server.ended() == 0


def test_its_file_with_the_process_id(folder: Path) -> None:
    pidfile = folder / "pid"
    with running(folder, "--workers", "2", "--pidfile", str(pidfile)) as server:
        assert pidfile.read_text() == f"{server.pid}\n"
        command = ("-m", "socketio_fast", "run", "app:app", "--port", "0")
        with started(*command, "--pidfile", str(pidfile), cwd=folder) as other:
            assert other.ended() == 1
            other.log.wait_for(
                f"socketio-fast: pidfile '.*': process {server.pid} runs"
            )
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
        gone(pidfile)
        pidfile.write_text(f"{server.pid}\n")  # of a process that has ended
        with running(folder, "--pidfile", str(pidfile)) as alone:
            assert pidfile.read_text() == f"{alone.pid}\n"
            alone.signal(signal.SIGTERM)
            assert alone.ended() == 0
        assert not pidfile.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_to_all_processes_at_once(folder: Path, number: int) -> None:
    """As systemd sends SIGTERM, and terminals SIGINT."""
    with running(folder, "--workers", "2") as server:
        begun = time.monotonic()
        os.killpg(server.pid, number)
        assert server.ended() == 0
        assert time.monotonic() - begun < 10
        server.log.wait_for_end()
        starts = [line for line in server.log.lines if line.endswith(" starts")]
        assert len(starts) == 2


BLOCKED = """
import asyncio
import time

import app
import socketio_fast as socketio
from socketio_fast.workers import supervisor

supervisor.SILENT = 2


@app.sio.event
async def block_for_long(sid):
    print("blocks", flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    socketio.run(app.app, port=0, workers=2, shutdown_timeout=0.1)
"""


async def test_what_blocks_a_worker_is_shown(folder: Path) -> None:
    (folder / "program.py").write_text(BLOCKED)
    with started("program.py", cwd=folder) as server:
        server.wait_until_listening()
        client = socketio.AsyncClient(reconnection=False)
        await client.connect(url_of(server), transports=["websocket"])
        pid = await within(client.call("pid"))
        await client.emit("block_for_long")
        await asyncio.to_thread(
            server.log.wait_for,
            rf"\(pid {pid}\) has given no sign of life for \d s: something blocks",
        )
        server.log.wait_for(r'File ".*program\.py", line \d+ in block_for_long')
        # The supervisor's end is noticed all the same, in forked processes too.
        server.signal(signal.SIGKILL)
        server.out.wait_for_end()
        await client.disconnect()


def test_a_terminal_that_hangs_up_stops_it(folder: Path) -> None:
    program = (
        "import fcntl, os, signal, sys, termios\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # who runs tests may ignore it
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    command = ("-m", "socketio_fast", "run", "app:app", "--port", "0", "--workers", "2")
    master, slave = os.openpty()
    with started("-c", program, *command, cwd=folder, stdin=slave) as server:
        os.close(slave)
        server.wait_until_listening()
        server.signal(signal.SIGHUP)  # from an operator
        server.log.wait_for("SIGHUP: the workers are replaced")
        server.log.wait_for("ended with the exit code 0", count=2)
        os.close(master)
        server.log.wait_for("SIGHUP: the workers drain")
        assert server.ended() == 0
