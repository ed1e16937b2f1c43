"""socketio-fast connect: a prompt, and lines of scripts."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import (
    COMMAND,
    command,
    lines_of,
    make_server,
    objects,
    of,
    run,
)
from support.processes import environment
from support.threaded_servers import Running, running
from support.waiting import WAIT

import socketio_fast as socketio


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


# --- scripts --------------------------------------------------------------------


def test_json_in_and_out(server: Running, tmp_path: Path) -> None:
    with command("connect", server.url, "--json", cwd=tmp_path) as script:
        connected = script.told()
        assert connected["type"] == "connect"
        assert connected["namespace"] == "/"
        assert connected["sid"]
        script.say(["back", "news", 1, {"data": {"$hex": "00ff"}}, None])
        event = script.told("event")
        assert (event["event"], event["args"]) == (
            "news",
            [1, {"data": {"$hex": "00ff"}}, None],
        )
        script.say({"event": "echo", "args": [1, [2]], "ack": True, "id": "x"})
        ack = script.told("ack")
        assert (ack["event"], ack["args"], ack["id"]) == ("echo", [1, [2]], "x")
        assert 0 < ack["ms"] < WAIT * 1000
        assert connected["time"] < event["time"] < ack["time"]
        script.end_input()
        assert script.told("disconnect")["reason"] == "client disconnect"
        assert script.line() == ""
        assert (script.status(), script.errors()) == (0, "")


def test_outstanding_acknowledgements_are_awaited_after_the_end_of_stdin(
    server: Running, tmp_path: Path
) -> None:
    text = lines_of({"event": "later", "ack": True}, {"event": "echo", "ack": True})
    done = run(server.url, "--json", cwd=tmp_path, text=text)
    acks = [(ack["event"], ack["args"]) for ack in of("ack", objects(done))]
    assert acks == [("echo", []), ("later", ["late"])]
    assert (done.returncode, done.stderr) == (0, "")


def test_the_order_of_lines_is_kept(server: Running, tmp_path: Path) -> None:
    values = [{"event": "back", "args": ["n", n], "ack": n % 3 == 0} for n in range(30)]
    text = lines_of(*values, {"event": "echo", "ack": True})
    done = run(server.url, "--json", cwd=tmp_path, text=text)
    found = [event["args"] for event in of("event", objects(done))]
    assert found == [[n] for n in range(30)]


def test_stdin_that_is_a_file_without_a_last_line_break(
    server: Running, tmp_path: Path
) -> None:
    (tmp_path / "lines").write_text('{"event": "echo", "args": ["ä"], "ack": true}')
    with (
        (tmp_path / "lines").open("rb") as file,
        command("connect", server.url, "--json", cwd=tmp_path, stdin=file) as script,
    ):
        assert script.told("ack")["args"] == ["ä"]
        assert script.status() == 0


WRONG_LINES = [
    ("{", "JSON expected"),
    ("5", '["event", argument, …] or {"event": …'),
    ("[]", '["event", argument, …] or {"event": …'),
    ('{"event": "a", "arg": 1}', '"arg": only "event", "args", "ack", "id" and "n'),
    ('{"args": []}', '"event": a name expected, not null'),
    ("[5]", '"event": a name expected, not 5'),
    ('{"event": "a", "args": 5}', '"args": a list expected, not 5'),
    ('{"event": "a", "ack": 1}', '"ack": true or false expected, not 1'),
    ('{"event": "a", "namespace": 1}', '"namespace": a name expected, not 1'),
    ('{"event": "a", "namespace": "/b"}', "/b: no namespace of --namespace; there"),
    ('["a", NaN]', "NaN is not JSON"),
    ('["a", {"$hex": "0"}]', "'0': binary is an even number of digits"),
    ("[" * 100_000, "nested too deeply"),
    ('["connect"]', "connect"),
]


def test_wrong_lines_are_told_and_the_next_one_is_read(
    server: Running, tmp_path: Path
) -> None:
    text = "".join(f"{line}\n" for line, _ in WRONG_LINES)
    text += lines_of({"event": "echo", "ack": True})
    done = run(server.url, "--json", cwd=tmp_path, text=text)
    errors = of("error", objects(done))
    assert [error["line"] for error in errors] == [*range(1, len(WRONG_LINES) + 1)]
    for error, (_, message) in zip(errors, WRONG_LINES, strict=True):
        assert message in error["message"]
    assert len(of("ack", objects(done))) == 1
    assert (done.returncode, done.stderr) == (4, "")


def test_stdin_that_is_no_text(server: Running, tmp_path: Path) -> None:
    with command("connect", server.url, cwd=tmp_path) as script:
        assert "connected" in script.line()
        assert script.process.stdin is not None
        script.process.stdin.write(b"echo \xff\n")
        script.end_input()
        assert script.status() == 4
        out = script.process.stdout
        assert out is not None
        assert b"line 1 of stdin: a line of stdin is not UTF-8" in out.read()


def test_an_acknowledgement_that_does_not_come(server: Running, tmp_path: Path) -> None:
    text = lines_of({"event": "nobody", "ack": True, "id": 3})
    done = run(
        server.url, "--json", "--ack-timeout", "0.1", cwd=tmp_path, text=text
    )  # fmt: skip
    (error,) = of("error", objects(done))
    assert "nobody" in error["message"]
    assert error["id"] == 3
    assert done.returncode == 4


def test_lines_of_a_pipe_are_as_at_the_prompt(server: Running, tmp_path: Path) -> None:
    text = 'back news hello 1 {"a": [2]} hex:00ff\n\necho? "x y"\n/walk\n/quit\necho\n'
    done = run(server.url, cwd=tmp_path, text=text)
    connected, *rest = (line[13:] for line in done.stdout.splitlines())
    assert connected.startswith("connected to / as ")
    assert 'news "hello" 1 {"a": [2]} hex:00ff' in rest
    assert any(r.startswith("ack of echo (") and r.endswith(') "x y"') for r in rest)
    assert any(r.startswith("line 4 of stdin: /walk: no such command;") for r in rest)
    assert (done.returncode, done.stderr) == (4, "")


# --- several namespaces ---------------------------------------------------------

BOTH = ("-n", "/", "-n", "/chat")


def test_several_namespaces(server: Running, tmp_path: Path) -> None:
    text = lines_of(
        ["back", "news", 1],
        {"event": "back", "args": ["news", 2], "namespace": "/chat"},
        {"event": "came_with", "ack": True},
        {"event": "came_with", "ack": True, "namespace": "/chat", "id": 4},
    )
    done = run(
        *(server.url, "--json", *BOTH),
        *("--auth", '{"for": "all"}', "--auth", '/chat={"for": "=chat"}'),
        cwd=tmp_path,
        text=text,
    )
    told = objects(done)
    connected = {each["namespace"]: each["sid"] for each in of("connect", told)}
    assert connected.keys() == {"/", "/chat"}
    assert len(set(connected.values())) == 2
    assert [e["namespace"] for e in of("upgrade", told)] == [None]
    assert [(e["namespace"], e["args"]) for e in of("event", told)] == [
        ("/", [1]),
        ("/chat", [2]),
    ]
    acks = {each["namespace"]: each for each in of("ack", told)}
    assert acks["/"]["args"][0] == {"for": "all"}
    assert acks["/chat"]["args"][0] == {"for": "=chat"}
    assert acks["/chat"]["id"] == 4
    assert {e["namespace"] for e in of("disconnect", told)} == {"/", "/chat"}
    assert (done.returncode, done.stderr) == (0, "")


def test_lines_show_the_namespace_where_there_are_several(
    server: Running, tmp_path: Path
) -> None:
    text = "back news 1\n/namespace /chat\nback news 2\n/namespace\n/namespace /x\n"
    done = run(server.url, *BOTH, cwd=tmp_path, text=text + "echo?\n")
    lines = [line[13:] for line in done.stdout.splitlines()]
    assert lines[0].startswith("/ connected as ")
    assert lines[1].startswith("/chat connected as ")
    assert "/, /chat: events are sent in /chat" in lines
    assert "line 5 of stdin: /x: no namespace of --namespace; there are /, /chat" in (
        lines
    )
    assert "/ news 1" in lines
    assert "/chat news 2" in lines
    assert any(line.startswith("/chat ack of echo (") for line in lines)
    assert "/chat disconnected: client disconnect" in lines
    assert (done.returncode, done.stderr) == (4, "")


def test_one_of_several_namespaces_is_refused(server: Running, tmp_path: Path) -> None:
    done = run(server.url, "-n", "/", "-n", "/refusing", cwd=tmp_path)
    assert '/refusing refused: not you\\u001b[31m {"a": 1}' in done.stdout
    assert (done.returncode, done.stderr) == (3, "")


def test_the_server_ends_one_of_several_namespaces(
    server: Running, tmp_path: Path
) -> None:
    """The others stay, and the end of stdin does not wait for this one."""
    with command("connect", server.url, "--json", *BOTH, cwd=tmp_path) as script:
        script.say(["kick"])
        left = script.told("disconnect")
        assert (left["namespace"], left["reason"]) == ("/", "server disconnect")
        script.say(["echo"])
        error = script.told("error")
        assert (error["namespace"], error["line"]) == ("/", 2)
        assert error["message"] == "echo: the server has ended the namespace /"
        script.say({"event": "echo", "ack": True, "namespace": "/chat"})
        script.told("ack")
        script.end_input()
        assert script.told("disconnect")["namespace"] == "/chat"
        assert (script.status(), script.errors()) == (4, "")


# --- how it ends ----------------------------------------------------------------


def test_who_reads_stdout_goes_while_stdin_is_open(
    server: Running, tmp_path: Path
) -> None:
    """``socketio-fast connect URL --json | head -1``: it ends without an event."""
    with command("connect", server.url, "--json", cwd=tmp_path) as script:
        assert script.told("connect")
        script.told("upgrade")
        assert script.process.stdout is not None
        script.process.stdout.close()
        script.process.stdout = None
        assert (script.status(), script.errors()) == (0, "")


def test_head_in_a_shell(server: Running, tmp_path: Path) -> None:
    program = " ".join([*COMMAND, "connect", server.url, "--json"])
    text = f'{program} | head -n 1; echo "${{PIPESTATUS[0]}}"'
    with subprocess.Popen(
        ["bash", "-c", text],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        assert shell.stderr is not None
        connected, status = shell.stdout.read().splitlines()
        assert json.loads(connected)["type"] == "connect"
        assert (status, shell.stderr.read()) == ("0", "")


def test_stdout_that_takes_nothing(server: Running, tmp_path: Path) -> None:
    with (
        open("/dev/full", "wb") as full,
        command("connect", server.url, cwd=tmp_path, stdout=full) as script,
    ):
        assert script.status() == 1
        assert script.errors() == (
            "socketio-fast: stdout: [Errno 28] No space left on device\n"
        )


def test_a_reader_that_is_slower_than_the_server(
    server: Running, tmp_path: Path
) -> None:
    """What it does not take at once waits, all of it and in order."""
    with command("connect", server.url, "--json", cwd=tmp_path) as script:
        for number in range(100):
            script.say(["back", "large", "x" * 10_000, number])
        script.say({"event": "echo", "ack": True})
        script.end_input()
        numbers = []
        while (line := script.line()) and (told := json.loads(line)):
            if told["type"] == "event":
                numbers.append(told["args"][1])
        assert numbers == list(range(100))
        assert script.status() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("blocked", [False, True])
def test_a_signal(server: Running, tmp_path: Path, number: int, blocked: bool) -> None:
    """Also while nobody reads what it writes."""
    with command("connect", server.url, "--json", cwd=tmp_path) as script:
        script.told("connect")
        if blocked:
            for _ in range(100):
                script.say(["back", "large", "x" * 10_000])
            script.say({"event": "echo", "ack": True})
            script.told("event")
        script.process.send_signal(number)
        assert (script.status(), script.errors()) == (128 + number, "")


def test_a_signal_while_it_connects(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with command("connect", url, cwd=tmp_path) as script:
            accepted, _ = silent.accept()
            with accepted:
                script.process.send_signal(signal.SIGINT)
                assert (script.status(), script.errors()) == (130, "")


def test_the_server_disconnects(server: Running, tmp_path: Path) -> None:
    with command("connect", server.url, "--json", cwd=tmp_path) as script:
        script.say({"event": "kick", "ack": True})
        assert script.told("disconnect")["reason"] == "server disconnect"
        error = script.told("error")
        assert error["event"] == "kick"
        assert "the connection was lost" in error["message"]
        assert (script.status(), script.errors()) == (1, "")


def test_a_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    with (
        running(make_server) as server,
        command("connect", server.url, "--json", cwd=tmp_path) as script,
    ):
        script.told("connect")
        script.told("upgrade")
        server.stop()
        assert script.told("disconnect")["reason"] == "transport error"
        assert script.told("reconnecting")["attempt"] == 1
        assert "connection refused" in script.told("connect_error")["message"]
        # What is sent meanwhile is kept, also when stdin ends.
        script.say({"event": "echo", "args": ["kept"], "ack": True})
        script.end_input()
        server.start()
        script.told("connect")
        assert script.told("ack")["args"] == ["kept"]
        assert (script.status(), script.errors()) == (0, "")


def test_several_namespaces_come_back(tmp_path: Path) -> None:
    with (
        running(make_server) as server,
        command("connect", server.url, "--json", *BOTH, cwd=tmp_path) as script,
    ):
        script.told("upgrade")
        server.stop()
        script.told("reconnecting")
        script.say({"event": "echo", "ack": True, "namespace": "/chat", "args": [1]})
        script.say({"event": "echo", "args": ["not asked for"]})
        script.end_input()
        server.start()
        assert {script.told("connect")["namespace"] for _ in "12"} == {"/", "/chat"}
        assert script.told("ack")["args"] == [1]
        assert (script.status(), script.errors()) == (0, "")


def test_a_namespace_that_is_refused_when_it_comes_back(tmp_path: Path) -> None:
    refuses: list[bool] = []

    def make() -> socketio.AsyncServer:
        sio = make_server()
        sio.on("connect", lambda sid, environ: not refuses, namespace="/chat")
        return sio

    with (
        running(make) as server,
        command(
            *("connect", server.url, "--json", "-n", "/chat"),
            *("--transport", "websocket"),
            cwd=tmp_path,
        ) as script,
    ):
        script.told("connect")
        server.stop()
        refuses.append(True)
        server.start()
        script.told("refused")
        assert (script.status(), script.errors()) == (3, "")


def test_listen_reads_no_stdin(server: Running, tmp_path: Path) -> None:
    with command(
        "connect", server.url, "--json", "--listen", cwd=tmp_path,
        stdin=subprocess.DEVNULL,
    ) as script:  # fmt: skip
        sid = script.told("connect")["sid"]
        server.run(server.app.emit("news", 1, to=sid))
        assert script.told("event")["args"] == [1]
        script.process.send_signal(signal.SIGINT)
        assert script.status() == 130


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_closed_descriptors(server: Running, tmp_path: Path, closed: str) -> None:
    text = f"{' '.join(COMMAND)} connect {server.url} {closed}"
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    assert (done.returncode, done.stderr) == (0, "")
