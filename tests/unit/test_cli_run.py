"""socketio-fast run: what it says when it listens, its variables, and how it logs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.logs import logging_as_it_was
from support.processes import listening
from support.supervised import started

import socketio_fast as socketio
from socketio_fast import __main__ as command
from socketio_fast.serving.announcing import Announcement, settings_of
from socketio_fast.serving.log_options import LogOptions

APP = """
import logging, os
import socketio_fast as socketio

logging.getLogger("app").info("imported as %s", os.environ.get("NAME"))
logging.getLogger("app").warning("NAME is %s", os.environ.get("NAME"))
sio = socketio.AsyncServer()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "variables").write_text("NAME='of the file'\nexport HOME=nowhere\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> Any:
    return listening(
        "-m", "socketio_fast", "run", "app:sio", "--port", "0", *arguments, cwd=folder
    )


# --- what it says -------------------------------------------------------------------


def test_it_shows_its_settings(folder: Path) -> None:
    with run(folder) as server:
        assert server.settings["transports"] == "polling, websocket"
        assert server.settings["workers"] == "1, in this process"
        assert server.settings["limits"].startswith("1,000,000 bytes a message, ")
        server.signal()
        assert server.ended()[:2] == (0, "")


def test_settings() -> None:
    limits = socketio.Limits(
        events=socketio.Rate(5, 20), connections_per_address=1000, exempt=["10.0.0.0/8"]
    )
    sio = socketio.AsyncServer(
        allow_upgrades=False,
        allow_eio3=True,
        max_http_buffer_size=5_000_000,
        limits=limits,
    )
    told = settings_of(sio.eio.config)
    assert told["transports"] == "polling, websocket, no upgrades, Engine.IO 3 too"
    size, files, *limited = told["limits"].split(", ")
    assert size == "5,000,000 bytes a message"
    assert files.endswith(" open files")
    assert limited == [
        "events 5/s (burst 20)",
        "connections_per_address 1,000",
        "exempt 10.0.0.0/8",
    ]


SETTINGS = {"transports": "polling", "limits": "none"}


def test_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    Announcement(verbose=True).make("http://a/socket.io/", SETTINGS, 4)
    assert capsys.readouterr().out == (
        f"socketio_fast {socketio.__version__} listening on http://a/socket.io/ "
        f"(pid {os.getpid()}, 4 workers)\n"
        "  transports  polling\n  workers     4\n  limits      none\n"
    )


def test_in_colour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    Announcement().make("http://a/socket.io/", SETTINGS)
    assert "\x1b[36mhttp://a/socket.io/\x1b[0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    Announcement().make("http://a/socket.io/", SETTINGS)
    assert "\x1b" not in capsys.readouterr().out


# --- variables ----------------------------------------------------------------------


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[dict[str, Any]]:
    """What run() is called with, in this process."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "app", raising=False)
    found: dict[str, Any] = {}
    monkeypatch.setattr(socketio, "run", lambda app, **options: found.update(options))
    before = dict(os.environ)
    with logging_as_it_was():
        yield found
    os.environ.clear()
    os.environ.update(before)
    sys.modules.pop("app", None)


def test_variables_of_a_file(loaded: dict[str, Any]) -> None:
    home = os.environ["HOME"]
    command.main(["run", "app:sio", "--env-file", "variables"])
    assert os.environ["NAME"] == "of the file"
    assert os.environ["HOME"] == home


def test_a_file_of_variables_that_is_missing(
    loaded: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["run", "app:sio", "--env-file", "none"])
    assert ended.value.code == 2
    assert "--env-file none: [Errno 2] No such file" in capsys.readouterr().err
    assert not loaded


# --- logs ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["loud", "INFO"])
def test_a_wrong_level(value: str) -> None:
    with pytest.raises(ValueError, match=f"log_level='{value}': one of debug, info"):
        socketio.run(socketio.AsyncServer(), log_level=value)


def test_a_wrong_format() -> None:
    with pytest.raises(ValueError, match="log_format='xml': one of text, json"):
        LogOptions(format="xml")


def test_the_level(loaded: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    command.main(["run", "app:sio", "--log-level", "info"])
    assert loaded["log_level"] == "info"
    logging.getLogger("socketio_fast.access").warning("as it is")
    lines = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"[\d-]+ [\d:,]+ INFO    app: imported as None", lines[0])
    assert lines[2] == "as it is"
    assert logging.getLogger("socketio_fast.server").isEnabledFor(logging.INFO)


def test_json_of_one_process(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose logger is not asked for has set the package's level."""
    with logging_as_it_was():
        logging.getLogger("socketio_fast").setLevel(logging.WARNING)
        LogOptions(format="json").apply()
        Announcement(as_json=True).make("http://a/socket.io/", SETTINGS)
    out, err = capfd.readouterr()
    told = json.loads(err)
    assert out == ""
    assert (told["level"], told["url"]) == ("INFO", "http://a/socket.io/")
    assert (told["workers"], told["pid"]) == (1, os.getpid())


def ask(url: str) -> None:
    with contextlib.suppress(OSError):
        try:
            urllib.request.urlopen(url).close()
        except urllib.error.HTTPError as error:
            error.close()


def test_json_of_workers(folder: Path) -> None:
    """Every line of stderr is JSON: of the supervisor and of its workers."""
    with started(
        *("-m", "socketio_fast", "run", "app:sio", "--port", "0", "--workers", "2"),
        *("--log-format", "json", "--access-log"),
        *("--env-file", "variables"),
        cwd=folder,
    ) as server:
        match = server.log.wait_for(r'"url":"(http://127\.0\.0\.1:\d+)/socket\.io/"')
        ask(f"{match[1]}/nothing")
        server.log.wait_for('"path":"/nothing"')
        server.signal(signal.SIGTERM)
        assert server.ended() == 0
        assert server.out.lines == []
        told = [json.loads(line) for line in server.log.lines]
    (listens,) = [each for each in told if each["logger"] == "socketio_fast.run"]
    assert (listens["workers"], listens["transports"]) == (2, "polling, websocket")
    (asked,) = [each for each in told if each["logger"] == "socketio_fast.access"]
    assert (asked["address"], asked["status"]) == ("127.0.0.1", 404)
    imported = [each["message"] for each in told if each["logger"] == "app"]
    assert imported == ["NAME is of the file"] * 2
