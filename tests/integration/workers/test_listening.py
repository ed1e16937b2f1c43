"""Where supervised workers listen: ports, Unix sockets, sockets that are given."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import environment
from support.supervised import answering, gone, running, started

#: Whether the kernel has IPv6.
IPV6 = Path("/proc/net/if_inet6").exists()

RUN = ("-m", "socketio_fast", "run", "app:app")


async def test_a_unix_socket(folder: Path) -> None:
    path = folder / "s"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    with running(folder, "--workers", "2", "--uds", str(path)) as server:
        assert f"listening on unix:{path}/socket.io/ " in server.out.lines[0]
        # Any worker may accept any of them.
        assert await answering(path) <= set(server.workers().values())
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
    assert not path.exists()


async def test_a_unix_socket_while_clients_drain(folder: Path) -> None:
    path = folder / "s"
    options = ("--uds", str(path), "--drain-rate", "1")
    with running(folder, "--workers", "2", *options) as server:
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
    gone(path)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sockets_of_systemd(folder: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        # As systemd does: descriptors from 3 on, and variables for this process.
        program = (
            "import os, sys\n"
            "os.dup2(int(sys.argv[1]), 3)\n"
            "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}\n"
            "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])\n"
        )
        command = ("-c", program, str(given.fileno()), *RUN, "--workers", workers)
        number = given.fileno()
        with started(*command, cwd=folder, pass_fds=(number,)) as server:
            given.close()
            server.wait_until_listening()
            assert server.port == port
            pids = await answering(port)
            assert pids <= (set(server.workers().values()) or {server.pid})
            server.signal(signal.SIGTERM)
            assert server.ended() == 0


def test_a_descriptor_of_systemd_that_is_no_socket(folder: Path) -> None:
    program = (
        "import os, sys\n"
        "os.dup2(os.open(os.devnull, os.O_RDONLY), 3)\n"
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    with started("-c", program, *RUN, "--workers", "2", cwd=folder) as server:
        assert server.ended() == 1
        server.log.wait_for("socketio-fast: LISTEN_FDS=1: descriptor 3 is no socket")


@pytest.mark.parametrize("by", ["one process", "workers"])
async def test_a_port_that_is_taken(folder: Path, by: str) -> None:
    command = (*RUN, "--workers", "2", "--port")
    if by == "one process":
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with started(*command, str(port), cwd=folder) as server:
                assert server.ended() == 1
                server.log.wait_for("^socketio-fast: .*address already in use")
        return
    with running(folder, "--workers", "2") as first:
        with started(*command, str(first.port), cwd=folder) as server:
            assert server.ended() == 1
            server.log.wait_for("^socketio-fast: .*address already in use")
        assert await answering(first.port) == set(first.workers().values())


async def test_all_addresses_have_one_port(folder: Path) -> None:
    with running(folder, "--workers", "2", "--host", "") as server:
        line = server.out.lines[0]
        port = int(line.partition("/socket.io/")[0].rpartition(":")[2])
        assert await answering(port) == set(server.workers().values())
        if IPV6:
            with socket.create_connection(("::1", port), timeout=10):
                pass


PROGRAM = """
import atexit
import socket

import app
import socketio_fast as socketio

if __name__ == "__main__":
    atexit.register(print, "the end", flush=True)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        socketio.run(app.app, workers=2, sock=sock)
"""


async def test_a_program_with_a_socket_and_an_object(folder: Path) -> None:
    (folder / "program.py").write_text(PROGRAM)
    with started("program.py", cwd=folder) as server:
        server.wait_until_listening()
        assert await answering(server.port) <= set(server.workers().values())
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
        # What the program does at its end is done once.
        assert server.out.lines.count("the end") == 1
        server.log.wait_for_end()
        assert "Traceback" not in "\n".join(server.log.lines)


THREADS = """
import os

import socketio_fast as socketio

sio = socketio.Server()


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b'{"pid": %d}' % os.getpid()]


@sio.event
def pid(sid):
    return os.getpid()


if __name__ == "__main__":
    socketio.run(socketio.WSGIApp(sio, wsgi), port=0, workers=2)
"""


async def test_a_server_for_threads(folder: Path) -> None:
    (folder / "program.py").write_text(THREADS)
    with started("program.py", cwd=folder) as server:
        server.wait_until_listening()
        before = server.workers()
        assert await answering(server.port) == set(before.values())
        os.kill(before[0], signal.SIGTERM)
        server.log.wait_for(rf"pid {before[0]}\) ended with the exit code 0")
        server.log.wait_for("accepts connections", count=3)
        assert await answering(server.port) == set(server.workers().values())
        server.signal(signal.SIGTERM)
        assert server.ended() == 0


async def test_a_factory_and_its_arguments(folder: Path) -> None:
    text = (folder / "app.py").read_text()
    text += "\n\ndef make():\n    import sys\n    print(sys.argv, flush=True)\n"
    (folder / "app.py").write_text(text + "    return app\n")
    program = (
        "import socketio_fast\n"
        'if __name__ == "__main__":\n'
        '    socketio_fast.run("app:make", port=0, factory=True, workers=2)\n'
    )
    (folder / "program.py").write_text(program)
    with started("program.py", "one", cwd=folder) as server:
        server.wait_until_listening()
        assert server.out.lines[:2] == ["['program.py', 'one']"] * 2
        assert await answering(server.port) == set(server.workers().values())


def test_a_program_without_the_line_about_main(folder: Path) -> None:
    (folder / "main.py").write_text(
        "import socketio_fast\n"
        "app = socketio_fast.AsyncServer()\n"
        'socketio_fast.run("main:app", port=0, workers=2)\n'
    )
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 1
    assert 'write it below if __name__ == "__main__":' in done.stderr
