"""socketio-fast completion: the shells themselves complete by its scripts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from socketio_fast.__main__ import main

COMMANDS = [
    *("asyncapi", "bench", "completion", "connect", "doctor", "new", "run", "status"),
]

#: How a shell says what it completes, of the script ``$0`` and the words typed.
ASK = {
    "bash": """
        source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
        $(complete -p socketio-fast | sed -E 's/.*-F ([^ ]+) .*/\\1/')
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "fish": 'source $argv[1]; complete -C "$argv[2..-1]"',
}


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


@pytest.fixture
def script(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    main(["completion", shell])
    path = tmp_path / "_socketio-fast"
    path.write_text(capsys.readouterr().out)
    return path


def completed(shell: str, script: Path, *words: str) -> list[str]:
    done = subprocess.run(
        [shell, "-c", ASK[shell], str(script), *words],
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return sorted(line.partition("\t")[0] for line in done.stdout.splitlines())


def test_the_shell_understands_it(shell: str, script: Path) -> None:
    subprocess.run([shell, "-n", str(script)], check=True, timeout=30)


# That of zsh needs a terminal.
@pytest.mark.parametrize("shell", ["bash", "fish"], indirect=True)
def test_it_completes(shell: str, script: Path) -> None:
    assert completed(shell, script, "socketio-fast", "") == COMMANDS
    levels = completed(shell, script, "socketio-fast", "run", "--log-level", "")
    assert levels == ["critical", "debug", "error", "info", "warning"]
    (flag,) = completed(shell, script, "socketio-fast", "doctor", "--ori")
    assert flag == "--origin"
    (script.parent / "certificate.pem").touch()
    files = completed(shell, script, "socketio-fast", "doctor", "--cacert", "cer")
    assert files == ["certificate.pem"]


def test_the_package_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as ended:
        main(["completion", "bash"])
    assert ended.value.code == 1
    assert 'pip install "socketio-fast[cli]"' in capsys.readouterr().err
