"""socketio-fast doctor as a command: its flags, what it prints, its exit codes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import make_server, terminal
from support.threaded_servers import Running, running

from socketio_fast.__main__ import main


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


def status(*arguments: str) -> int:
    try:
        main(["doctor", *arguments])
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


def test_a_server_that_is_well(
    server: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(server.url, "--no-idle") == 0
    *lines, empty, last = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {"ok", "skipped"}
    assert (empty, last) == ("", "No problem found.")


def test_a_problem(server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(server.url, "--path", "none") == 1
    out = capsys.readouterr().out
    assert "problem  polling: wrong-path" in out
    assert out.endswith("\n1 problem: wrong-path\n")
    assert "\x1b" not in out


def test_json(server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--no-idle", "--json", "-n", "/refusing", "--auth", '{"a": 1}')
    assert status(server.url.replace("//", "//ann:secret@"), *arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["url"], told["problems"]) == (server.url, 0)
    (refused, _) = [
        each for each in told["findings"] if each["cause"] == "namespace-refused"
    ]
    assert r"not you\u001b[31m" in refused["came"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://a", "--origin", "https://b/"], "no slash behind them"),
        (["http://a", "--origin", "b.example"], "a scheme and a host expected"),
        (["http://a", "--transport", "webtransport"], "invalid choice"),
        (["http://a", "--auth", "x"], "an object expected"),
        (["http://a", "--cacert", "none.pem"], "none.pem"),
        (["http://a", "--proxy", "ftp://x"], "the scheme of a proxy"),
        (["a"], "the URL of a server expected"),
    ],
)
def test_a_wrong_command_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(*arguments) == 2
    assert message in capsys.readouterr().err


def test_a_reader_that_has_gone(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert status(server.url, "--path", "none") == 1


def test_at_a_terminal(server: Running, tmp_path: Path) -> None:
    """In colour, and in lines that fit."""
    with terminal("doctor", server.url, "--path", "none", cwd=tmp_path) as prompt:
        prompt.until("1 problem: wrong-path")
        assert prompt.status() == 1
    assert b"\x1b[1;31mproblem" in prompt.raw
    assert "No Socket.IO server at /none/" in prompt.shown
