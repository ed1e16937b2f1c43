"""socketio-fast connect at a terminal: its prompt."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import Terminal, make_server, terminal
from support.processes import environment
from support.threaded_servers import Running, running
from support.waiting import WAIT


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


@pytest.fixture
def prompt(server: Running, tmp_path: Path) -> Iterator[Terminal]:
    with terminal("connect", server.url, cwd=tmp_path) as prompt:
        prompt.until("connected to / as ")
        prompt.until(">")
        yield prompt


def test_what_arrives_is_shown_above_the_prompt(prompt: Terminal) -> None:
    prompt.type('back news hello {"a": 1} hex:00ff\r')
    prompt.until('news "hello" {"a": 1} hex:00ff')
    prompt.type("echo? 1 true\r")
    assert " ms) 1 true" in prompt.until("ack of echo (") + prompt.until("true")
    assert b"\x1b[1;36mnews" in prompt.raw
    assert b"\x1b[32mack of echo" in prompt.raw
    prompt.until(">")  # before that, the terminal itself reads what is typed
    prompt.type("\x04")
    assert prompt.status() == 0
    assert "Traceback" not in prompt.shown


def test_control_characters_of_a_server_do_not_reach_the_terminal(
    prompt: Terminal,
) -> None:
    arguments = '"\\u001b[2J\\u009b\\u202e" {"\\r\\n": 1}'
    prompt.type(f'back "\\u001b]0;title\\u0007" {arguments}\r')
    prompt.until("1}")  # as it is typed
    shown = prompt.until("\\u001b]0;title\\u0007 ") + prompt.until("1}")
    assert shown.endswith(arguments)
    assert b"\x1b]0;" not in prompt.raw
    assert b"\x1b[2J" not in prompt.raw
    for char in ("\x9b", "\u202e", "\x07"):
        assert char not in prompt.raw.decode()


def test_names_that_came_are_completed(prompt: Terminal) -> None:
    prompt.type('back zyzzyva 1\rback "a b?" 2\r')
    prompt.until("a b? 2")
    prompt.type("/walk\r")
    prompt.until("no such command")
    prompt.type("zyz\t")
    prompt.until("zyva")
    prompt.type("\x03")  # this line is discarded, and it goes on
    prompt.type('"a\t')
    prompt.until('b?"')
    prompt.type("\x03/he\t")
    prompt.until("lp")
    prompt.type("\r")
    prompt.until("event? argument ...")


def test_the_namespace_that_events_are_sent_in(server: Running, tmp_path: Path) -> None:
    arguments = (server.url, "-n", "/", "-n", "/chat")
    with terminal("connect", *arguments, cwd=tmp_path) as prompt:
        prompt.until("/chat connected as ")
        prompt.until("/>")
        prompt.type("back news\r")
        prompt.until(" / news")
        prompt.type("/namespace /c\t")
        prompt.until("hat")
        prompt.type("\r")
        prompt.until("/chat>")
        prompt.type("back news\r")
        prompt.until(" /chat news")
        prompt.type("/namespace /x\r")
        prompt.until("/x: no namespace of --namespace; there are /, /chat")
        prompt.until("/chat>")  # before, the terminal would take the next key itself
        prompt.type("\x04")
        assert prompt.status() == 0
    assert "Traceback" not in prompt.shown


def test_a_log_above_the_prompt(server: Running, tmp_path: Path) -> None:
    with terminal("connect", server.url, "-v", cwd=tmp_path) as prompt:
        prompt.until("connected to / as ")
        prompt.until(">")
        prompt.type("echo? 1\r")
        prompt.until('Emitting event "echo"')
        prompt.until("ms) 1")


def test_what_is_no_event(prompt: Terminal) -> None:
    for typed, told in (
        ("/walk", "/walk: no such command; there are /help, /namespace, /quit"),
        ('say {"a', "Unterminated string"),
        ("say hex:0", "'0': binary is an even number of digits"),
        ("say 'a b'", "text is in double quotes here"),
        ('"say"x', "a space expected"),
        ("connect 1", "connect"),
    ):
        prompt.type(typed + "\r")
        prompt.until(typed)
        prompt.until(told)
    prompt.type("/quit\r")
    assert prompt.status() == 0
    assert "Traceback" not in prompt.shown


def test_ctrl_c_in_an_empty_line(prompt: Terminal) -> None:
    prompt.type("\x03")
    assert prompt.status() == 130
    assert "Traceback" not in prompt.shown


def test_a_signal_leaves_the_terminal_as_it_was(
    server: Running, tmp_path: Path
) -> None:
    with terminal("connect", server.url, cwd=tmp_path) as prompt:
        before = prompt.modes()
        prompt.until(">")
        assert prompt.modes() != before
        prompt.process.send_signal(signal.SIGTERM)
        prompt.until("disconnected: client disconnect")
        assert prompt.process.wait(WAIT) == 143
        assert prompt.modes() == before


def test_history_of_the_last_time(server: Running, tmp_path: Path) -> None:
    for typed in ("echo? remembered\r", "\x1b[A\r"):
        with terminal("connect", server.url, cwd=tmp_path) as prompt:
            prompt.until(">")
            prompt.type(typed)
            prompt.until("ms)")
            prompt.until('"remembered"')
            prompt.until(">")
            prompt.type("\x04")
            assert prompt.status() == 0
    history = tmp_path / "socketio-fast" / "history"
    assert history.stat().st_mode & 0o777 == 0o600


def test_a_history_that_cannot_be_written(server: Running, tmp_path: Path) -> None:
    (tmp_path / "socketio-fast").write_text("a file")
    with terminal("connect", server.url, cwd=tmp_path) as prompt:
        prompt.until(">")
        prompt.type("echo? 1\r")
        prompt.until("ms) 1")


def test_the_prompt_goes_with_the_server(prompt: Terminal) -> None:
    prompt.type("kick\r")
    prompt.until("disconnected: server disconnect")
    assert prompt.status() == 1


def test_the_prompt_stays_while_the_server_is_away(tmp_path: Path) -> None:
    with (
        running(make_server) as server,
        terminal("connect", server.url, cwd=tmp_path) as prompt,
    ):
        prompt.until(">")
        server.stop()
        prompt.until("disconnected: transport error")
        prompt.until("connecting again, attempt 1")
        prompt.type("echo? kept\r")
        server.start()
        prompt.until("connected to / as ")
        prompt.until('ms) "kept"')


def test_no_colors(server: Running, tmp_path: Path) -> None:
    with terminal("connect", server.url, cwd=tmp_path, NO_COLOR="1") as prompt:
        prompt.until(">")
        prompt.type("back news\r")
        prompt.until("back news")
        prompt.until("news")
        assert b"\x1b[1;36mnews" not in prompt.raw


WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from socketio_fast.__main__ import main
main(sys.argv[2:])
"""


def test_without_prompt_toolkit(server: Running, tmp_path: Path) -> None:
    program = (sys.executable, "-c", WITHOUT, "prompt_toolkit")
    arguments = ["connect", server.url]
    with terminal(*arguments, cwd=tmp_path, program=program) as prompt:
        prompt.until(
            "socketio-fast: the prompt of connect (--json, --listen and a pipe need "
            "none) needs the package prompt_toolkit: pip install "
            '"socketio-fast[cli]"'
        )
        assert prompt.status() == 1
    for more, line in ((["--json"], '{"event": "echo", "ack": true}'), ([], "echo?")):
        done = subprocess.run(
            [*program, *arguments, *more],
            input=line,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=WAIT,
        )
        assert "echo" in done.stdout
        assert (done.returncode, done.stderr) == (0, "")
