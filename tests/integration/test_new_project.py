"""socketio-fast new: the project runs, and its tests pass."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from support.processes import listening, python

import socketio_fast as socketio
from socketio_fast import __main__ as command
from socketio_fast.cli import run
from socketio_fast.doctor import Target, examine, problems_of


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects") / "chat-1"
    command.main(["new", str(folder)])
    return folder


def test_it_has_its_name_and_no_placeholders(project: Path) -> None:
    files = {
        str(each.relative_to(project)) for each in project.rglob("*") if each.is_file()
    }
    assert files >= {
        *("server.py", "static/index.html", "tests/test_server.py", "Dockerfile"),
        *("README.md", "requirements.txt", ".gitignore", ".dockerignore"),
    }
    for each in files:
        text = (project / each).read_text()
        assert "PROJECT_NAME" not in text
        assert "PACKAGE_VERSION" not in text
    assert (project / "README.md").read_text().startswith("# chat-1\n")
    assert socketio.__version__ in (project / "requirements.txt").read_text()


def test_its_tests_pass(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)  # those of plugins
    done = python(
        *("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"),
        *("-p", "no:benchmark", "-p", "no:xdist"),
        cwd=project,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^7 passed", done.stdout, re.M), done.stdout


async def test_it_runs(project: Path) -> None:
    """By the command of its README."""
    readme = (project / "README.md").read_text()
    (line,) = re.findall(r"^socketio-fast run .*", readme, re.M)
    words = [word for word in shlex.split(line)[1:] if word != "--reload"]
    with listening(
        *("-m", "socketio_fast", *words, "--port", "0"), cwd=project
    ) as server:
        match = re.search(r"http://127\.0\.0\.1:\d+", server.line)
        assert match
        client = socketio.AsyncSimpleClient()
        await client.connect(match[0], auth={"name": "ann"})
        assert await client.call("join", "lobby") == "joined"
        await client.call("say", ("lobby", "hello"))
        assert await client.receive(10) == ["said", "lobby", "ann", "hello"]
        await client.disconnect()
        target = Target(match[0], auth={"name": "bob"}, idle=False)
        assert not problems_of([each async for each in examine(target)])


def test_what_the_image_has_is_there(project: Path) -> None:
    text = (project / "Dockerfile").read_text()
    for copied in re.findall(r"^COPY (\S+) ", text, re.M):
        assert (project / copied).exists()
        assert f"!{copied}\n" in (project / ".dockerignore").read_text()


def test_the_command_of_the_image_is_understood(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (project / "Dockerfile").read_text()
    (words,) = re.findall(r"^CMD (\[.*\])$", text, re.M)
    found = []
    monkeypatch.setattr(run, "_execute", lambda command, options: found.append(options))
    program, *arguments = json.loads(words)
    command.main(arguments)
    assert program == "socketio-fast"
    assert (found[0].app, found[0].host, found[0].log_format) == (
        *("server:sio", "0.0.0.0", "json"),
    )


# --- where it cannot be -------------------------------------------------------------


def test_files_that_are_there_stay(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "server.py").write_text(before := "# mine\n" + project.name)
    with pytest.raises(SystemExit) as ended:
        command.main(["new", str(project)])
    assert ended.value.code == 1
    assert "has files already" in capsys.readouterr().err
    assert (project / "server.py").read_text() == before


@pytest.mark.parametrize("name", ["Chat", "a b", "-a", "é"])
def test_names(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["new", str(tmp_path / name)])
    assert ended.value.code == 2
    assert "small letters and digits expected" in capsys.readouterr().err
