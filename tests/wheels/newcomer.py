"""Does what the README and a new project say, as somebody who has only Python.

    python3 newcomer.py README.md

It runs where there is no compiler and nothing else is installed, in an empty
directory. pip has to find the wheel by `PIP_FIND_LINKS`. The commands and the three
files are those of README.md, as they stand there; the commands of the project are those
that `socketio-fast new` prints, and those of the project's own README.

Prints a line for each, and ends with 1 at the first that fails.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

URL = "http://127.0.0.1:5000"
ACTIVATE = ". .venv/bin/activate\n"

#: Seconds for anything. The machine may be busy.
TIMEOUT = 120


def main() -> int:
    # What begins in the background may ignore Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = [each for each in ("cc", "gcc", "clang", "tcc") if shutil.which(each)]
    assert not found, f"there is a compiler: {found}"
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    shell(block(text, "pip install socketio-fast"))
    print(shell(ACTIVATE + "socketio-fast --version").strip(), flush=True)
    files = dict(
        re.findall(r"^`([\w.]+)`.*?:\n\n```\w+\n(.*?)^```$", text, re.M | re.S)
    )
    assert files.keys() == {"server.py", "client.py", "index.html"}, files.keys()
    for name, content in files.items():
        Path(name).write_text(content, encoding="utf-8")
    for command in ("python server.py", "python client.py", "socketio-fast new chat"):
        assert f"`{command}`" in text, f"README.md does not say: {command}"
    with started("python server.py"):
        talk(files["index.html"])
        (doctor,) = re.findall(r"`(socketio-fast doctor [^`]*)`", text)
        shell(ACTIVATE + doctor)
    print("README.md: the server, the client and doctor", flush=True)
    try_project()
    print("ok", flush=True)
    return 0


def talk(page: str) -> None:
    """The page, and what the client prints."""
    with urllib.request.urlopen(URL, timeout=TIMEOUT) as response:
        assert response.read().decode() == page
    client = begin("python client.py")
    try:
        assert client.stdout is not None
        lines = [client.stdout.readline() for _ in range(2)]
        assert lines == ["hello\n", "ok\n"], lines
    finally:
        end(client)


def try_project() -> None:
    printed = shell(ACTIVATE + "socketio-fast new chat").rpartition("\n\n")[2]
    *commands, served = printed.splitlines()
    assert commands[0] == "cd chat", printed
    assert "pytest" in commands, printed
    shown = shell(ACTIVATE + "\n".join(commands))
    assert re.search(r"\b[1-9]\d* passed", shown), shown
    print("socketio-fast new: its tests pass", flush=True)
    # From its README: an environment of its own.
    readme = Path("chat", "README.md").read_text(encoding="utf-8")
    *install, again = block(readme, "pip install").splitlines()
    assert again == served, (again, served)
    with started("cd chat\n" + "\n".join(install) + f"\n{served}", activate=""):
        with urllib.request.urlopen(URL, timeout=TIMEOUT) as response:
            assert b"socket.io" in response.read()
        (doctor,) = re.findall(r"`(socketio-fast doctor [^`]*)`", readme)
        shell(f"{ACTIVATE}{doctor} --no-idle")
    print("socketio-fast new: it runs, and doctor finds nothing", flush=True)


def block(text: str, words: str) -> str:
    """The first block of commands that has these words."""
    for found in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S):
        if words in found:
            return str(found)
    raise AssertionError(f"no block of commands has: {words}")


def shell(script: str) -> str:
    """What a script has printed, which has to succeed."""
    done = subprocess.run(
        ["bash", "-euc", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=5 * TIMEOUT,
    )
    assert done.returncode == 0, (
        f"{script}\nended with {done.returncode}:\n{done.stdout}"
    )
    return done.stdout


def begin(script: str, activate: str = ACTIVATE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-euc", activate + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C is for it and all that it has started
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@contextlib.contextmanager
def started(script: str, activate: str = ACTIVATE) -> Iterator[None]:
    """A server that runs meanwhile, and ends by Ctrl-C without complaint."""
    server = begin(script, activate)
    try:
        wait_for(server)
        yield
    except BaseException:
        print(end(server), flush=True)
        raise
    shown = end(server)
    assert "Traceback" not in shown, shown


def wait_for(server: subprocess.Popen[str]) -> None:
    """Until the port is open."""
    until = time.monotonic() + 5 * TIMEOUT
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", 5000), TIMEOUT).close()
            return
        assert server.poll() is None, "the server has ended"
        assert time.monotonic() < until, "the server does not listen"
        time.sleep(0.2)


def end(process: subprocess.Popen[str]) -> str:
    """Press Ctrl-C. What it had printed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=TIMEOUT)[0]


if __name__ == "__main__":
    sys.exit(main())
