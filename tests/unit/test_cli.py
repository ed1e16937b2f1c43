"""python -m socketio_fast: what it says, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import Running, listening, python
from support.raw import polling, request

import socketio_fast
from socketio_fast import __main__ as command

APP = """
import asyncio, sys
import socketio_fast

sio = socketio_fast.AsyncServer(namespaces="*")
eio = socketio_fast.engineio.AsyncServer()

class Site:
    server = sio

@sio.event
async def connect(sid, environ):
    print("connected", flush=True)

@sio.event
async def ready(sid):
    print("ready", flush=True)

@sio.event
async def disconnect(sid, reason):
    print("disconnected:", reason, flush=True)
    if "slow" in sys.argv:
        await asyncio.sleep(3600)

not_an_app = 5
"""

posix = pytest.mark.skipif(os.name == "nt", reason="signals and sockets of POSIX")
pytestmark = posix


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "broken.py").write_text("import there_is_no_such_module\n")
    (tmp_path / "wrong.py").write_text("1 / 0\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> Any:
    return listening(
        "-m", "socketio_fast", "run", "app:sio", "--port", "0", *arguments, cwd=folder
    )


def port_of(server: Running) -> int:
    match = re.search(r":(\d+)/", server.line)
    assert match, server.line
    return int(match[1])


def ask(sock: socket.socket, target: str) -> bytes:
    """One request over a socket: the response."""
    with contextlib.closing(sock):
        sock.settimeout(10)
        head = request("GET", target, headers=[("Connection", "close")])
        sock.sendall(head)
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
        return data


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


# --- what it says ---------------------------------------------------------------


def test_version(folder: Path) -> None:
    done = python("-m", "socketio_fast", "--version", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        socketio_fast.__version__ + "\n",
        "",
    )


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: socketio-fast")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["run"], "the following arguments are required: module:app"),
        (["walk"], "invalid choice: 'walk'"),
        (["run", "app"], "'app': module:app expected"),
        (["run", ":sio"], "':sio': module:app expected"),
        (["run", "app:"], "'app:': module:app expected"),
        (["run", "app.py:sio"], "not a file; write app:sio"),
        (["run", "src/nowhere.py:sio"], "not a file; write src.nowhere:sio"),
        (["run", "nowhere:sio"], "'nowhere:sio': there is no module 'nowhere'"),
        (["run", "app.sub:sio"], "'app.sub:sio': there is no module 'app.sub'"),
        (["run", "nowhere.sub:sio"], "there is no module 'nowhere.sub'"),
        (["run", "app"], "'app': module:app expected, such as chat:sio for sio of"),
        (["run", "app:nothing"], "'app' has no 'nothing'; write app:sio"),
        (["run", "app:sio.x.y"], "'app:sio.x.y': 'app' has no 'sio.x.y'"),
        (["run", "app:sio", "--port", "x"], "invalid int value: 'x'"),
        (["run", "app:sio", "--static", "x"], "--static 'x': URL=FILE expected"),
        (["run", "app:sio", "--static", "x="], "--static 'x=': URL=FILE expected"),
    ],
)
def test_a_wrong_command_line(folder: Path, arguments: list[str], message: str) -> None:
    done = python("-m", "socketio_fast", *arguments, cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    *_usage, last = done.stderr.splitlines()
    assert re.match(r"socketio-fast( run)?: error: ", last)
    assert message in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["app:not_an_app"], "app is int: socketio_fast.AsyncServer, "),
        (["app:sio", "--path", "/"], "path='/': a path below / expected"),
        (["app:sio", "--host", "192.0.2.1"], "192.0.2.1"),
        (["app:sio", "--ssl-certfile", "none.pem"], "none.pem"),
        (["app:sio", "--uds", "no/such/folder/s"], "no/such/folder/s"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    folder: Path, arguments: list[str], message: str
) -> None:
    done = python("-m", "socketio_fast", "run", *arguments, "--port", "0", cwd=folder)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("socketio-fast: ")
    assert message in line


def test_a_port_that_is_taken_is_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = python(
            "-m", "socketio_fast", "run", "app:sio", "--port", port, cwd=folder
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("socketio-fast: ")
    assert "in use" in line


@pytest.mark.parametrize(
    ("module", "error"),
    [
        ("broken", "No module named 'there_is_no_such_module'"),
        ("wrong", "ZeroDivisionError"),
    ],
)
def test_errors_of_the_application_are_its_own(
    folder: Path, module: str, error: str
) -> None:
    done = python("-m", "socketio_fast", "run", f"{module}:sio", cwd=folder)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert error in done.stderr


# --- serving --------------------------------------------------------------------


def test_it_says_where_it_listens(folder: Path) -> None:
    with run(folder) as server:
        pid = server.process.pid
        assert re.fullmatch(
            rf"socketio_fast {re.escape(socketio_fast.__version__)} listening on "
            rf"http://127\.0\.0\.1:\d+/socket\.io/ \(pid {pid}\)\n",
            server.line,
        )


def test_it_serves(folder: Path) -> None:
    with run(folder) as server:
        answer = ask(connect(port_of(server)), polling(path="/socket.io/"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_path_a_host_and_an_attribute(folder: Path) -> None:
    with listening(
        *("-m", "socketio_fast", "run", "app:Site.server", "--port", "0"),
        *("--host", "localhost", "--path", "/my/path"),
        cwd=folder,
    ) as server:
        assert "/my/path/ (pid" in server.line
        answer = ask(connect(port_of(server)), polling(path="/my/path/"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_engine_io_alone(folder: Path) -> None:
    with listening(
        "-m", "socketio_fast", "run", "app:eio", "--port", "0", cwd=folder
    ) as server:
        assert "/engine.io/ (pid" in server.line


def test_static_files(folder: Path) -> None:
    (folder / "index.html").write_text("index")
    with run(folder, "--static", "/=index.html", "--static", "/x=.") as server:
        assert ask(connect(port_of(server)), "/").endswith(b"\r\n\r\nindex")
        assert b"not_an_app" in ask(connect(port_of(server)), "/x/app.py")


@pytest.mark.parametrize("wanted", [True, False])
def test_access_log(folder: Path, wanted: bool) -> None:
    with run(folder, *(["--access-log"] if wanted else [])) as server:
        ask(connect(port_of(server)), "/nothing?secret=1")
        server.signal()
        status, _, err = server.ended()
    assert status == 0
    line = r'^127\.0\.0\.1 - - \[.*\] "GET /nothing HTTP/1\.1" 404 9$'
    assert bool(re.search(line, err, re.M)) is wanted
    assert "secret" not in err


def test_proxy_protocol(folder: Path) -> None:
    """U9: the address is the one that the PROXY protocol has."""
    with run(folder, "--access-log", "--proxy-protocol") as server:
        connection = connect(port_of(server))
        connection.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 80\r\n")
        ask(connection, "/nothing")
        server.signal()
        status, _, err = server.ended()
    assert status == 0
    assert re.match(r'192\.0\.2\.7 - - \[.*\] "GET /nothing HTTP/1.1" 404 9$', err)


def test_unix_socket(folder: Path) -> None:
    path = folder / "s.sock"
    with run(folder, "--uds", "s.sock") as server:
        assert "listening on unix:s.sock/socket.io/ (pid" in server.line
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        answer = ask(sock, polling(path="/socket.io/"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        server.signal()
        assert server.ended() == (0, "", "")
    assert not path.exists()


def test_a_unix_socket_that_a_killed_server_left(folder: Path) -> None:
    with run(folder, "--uds", "s.sock") as server:
        server.process.kill()
        server.process.wait()
    assert (folder / "s.sock").exists()
    with run(folder, "--uds", "s.sock") as server:
        server.signal()
        assert server.ended()[0] == 0


@pytest.fixture
def certificate(folder: Path) -> ssl.SSLContext:
    """server.pem and key.pem; what trusts them."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (folder / "server.pem").write_bytes(chain)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize(
    "files",
    [["--ssl-certfile", "both.pem"],
     ["--ssl-certfile", "server.pem", "--ssl-keyfile", "key.pem"]],
)  # fmt: skip
def test_tls(folder: Path, certificate: ssl.SSLContext, files: list[str]) -> None:
    with run(folder, *files) as server:
        assert "listening on https://127.0.0.1:" in server.line
        plain = connect(port_of(server))
        sock = certificate.wrap_socket(plain, server_hostname="localhost")
        answer = ask(sock, polling(path="/socket.io/"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        server.signal()
        assert server.ended() == (0, "", "")


async def test_a_key_without_a_certificate_is_not_served_plainly(folder: Path) -> None:
    with pytest.raises(ValueError, match="ssl_certfile"):
        async with await socketio_fast.serve(
            socketio_fast.AsyncServer(), port=0, ssl_keyfile=folder / "key.pem"
        ):
            pass


# --- the end --------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(folder: Path, number: int) -> None:
    with run(folder) as server:
        server.signal(number)
        assert server.ended() == (0, "", "")


@contextlib.contextmanager
def joined(server: Running) -> Iterator[socket.socket]:
    """A client of Socket.IO by polling, whose next poll waits there."""
    with connect(port_of(server)) as sock:
        sock.sendall(request("GET", polling(path="/socket.io/")))
        sid = json.loads(read_response(sock)[1:])["sid"]
        target = polling(sid, path="/socket.io/")
        sock.sendall(request("POST", target, "40"))
        assert read_response(sock) == b"ok"
        sock.sendall(request("GET", target))
        assert read_response(sock).startswith(b"40{")
        # Behind the poll on the same connection: when it is heard, the poll waits.
        sock.sendall(request("GET", target) + request("POST", target, '42["ready"]'))
        assert server.next_line() == "connected\n"
        assert server.next_line() == "ready\n"
        yield sock


def read_response(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    match = re.search(rb"Content-Length: (\d+)", head)
    assert match
    while len(body) < int(match[1]):
        body += sock.recv(65536)
    return body[: int(match[1])]  # another response may follow


def test_clients_are_disconnected_first(folder: Path) -> None:
    with run(folder) as server, joined(server) as sock:
        server.signal()
        assert read_response(sock) == b"Service Unavailable"
        assert server.ended() == (0, "disconnected: server disconnect\n", "")


def test_a_handler_that_does_not_end_is_waited_for_and_then_cancelled(
    folder: Path,
) -> None:
    (folder / "slow.py").write_text("import sys\nsys.argv.append('slow')\nimport app\n")
    with (
        listening(
            *("-m", "socketio_fast", "run", "slow:app.sio", "--port", "0"),
            *("--shutdown-timeout", "0.2"),
            cwd=folder,
        ) as server,
        joined(server),
    ):
        server.signal()
        assert server.next_line() == "disconnected: server disconnect\n"
        status, out, _ = server.ended()
        assert (status, out) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clients_leave_in_stages(folder: Path, number: int) -> None:
    """S6: the signal begins a drain; the next one ends it at once."""
    arguments = ("--drain-rate", "0.01", "--shutdown-timeout", "3600")
    with run(folder, *arguments) as server, joined(server), joined(server):
        server.signal(number)
        assert server.next_line() == "disconnected: server disconnect\n"
        # One of them has gone, the next would in 100 s; nobody is let in.
        refused = ask(connect(port_of(server)), polling(path="/socket.io/"))
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: " in refused
        server.signal(number)
        status, out, err = server.ended()
        assert (status, out) == (0, "disconnected: server disconnect\n")
        assert "Traceback" not in err


def test_all_clients_leave_before_the_end(folder: Path) -> None:
    """S6: as many in a second as the option says."""
    with (
        run(folder, "--drain-rate", "1000") as server,
        joined(server) as first,
        joined(server) as second,
    ):
        server.signal()
        for sock in (first, second):
            assert read_response(sock) == b"Service Unavailable"
        assert server.ended() == (0, "disconnected: server disconnect\n" * 2, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_it_at_once(folder: Path, number: int) -> None:
    (folder / "slow.py").write_text("import sys\nsys.argv.append('slow')\nimport app\n")
    with (
        listening(
            *("-m", "socketio_fast", "run", "slow:app.sio", "--port", "0"),
            *("--shutdown-timeout", "3600"),
            cwd=folder,
        ) as server,
        joined(server),
    ):
        server.signal(number)
        assert server.next_line() == "disconnected: server disconnect\n"
        server.signal(number)
        status, out, err = server.ended()
        assert (status, out) == (0, "")
        assert "never awaited" not in err
        assert "was destroyed" not in err


def test_a_client_that_neither_reads_nor_goes_does_not_hold_it(folder: Path) -> None:
    with (
        run(folder, "--shutdown-timeout", "0.2") as server,
        connect(port_of(server)) as idle,
    ):
        idle.sendall(b"GET /socket.io/ HTTP/1.1\r\n")  # never a whole request
        ask(connect(port_of(server)), "/")  # accepted behind it
        server.signal()
        assert server.ended() == (0, "", "")


def test_nothing_is_accepted_any_more(folder: Path) -> None:
    (folder / "slow.py").write_text("import sys\nsys.argv.append('slow')\nimport app\n")
    with (
        listening(
            *("-m", "socketio_fast", "run", "slow:app.sio", "--port", "0"),
            cwd=folder,
        ) as server,
        joined(server),
    ):
        server.signal()
        assert server.next_line() == "disconnected: server disconnect\n"
        with pytest.raises(ConnectionRefusedError):
            connect(port_of(server))
        server.signal()
        assert server.ended()[0] == 0
