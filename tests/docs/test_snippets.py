"""Every Python snippet of README.md and docs/, run as it stands on its page."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import imported, run_fork

import socketio_fast as socketio
from docs.pages import ROOT, fences

SNIPPETS = [pytest.param(fence.text, id=str(fence)) for fence in fences("python")]
PROGRAMS = [p for p in SNIPPETS if "def test_" not in p.values[0]]
TESTS = [p for p in SNIPPETS if "def test_" in p.values[0]]

# What stands before each: servers are made, but serve nothing; clients connect to the
# server below, and end when they would wait.
PREAMBLE = """\
import os, socketio_fast
socketio_fast.run = lambda app, *args, **options: print("served", app)
socketio_fast.serve = None
_connect, _url = socketio_fast.AsyncClient.connect, os.environ["SERVER"]
socketio_fast.AsyncClient.connect = lambda self, url, *args, **options: _connect(
    self, _url, *args, **options
)
socketio_fast.AsyncClient.wait = socketio_fast.AsyncClient.disconnect
del os, socketio_fast
"""

SERVER = """
import asyncio, socketio_fast

sio = socketio_fast.AsyncServer(namespaces="*")

@sio.event
@sio.on("say", namespace="/chat")
async def say(sid, text):
    await sio.emit("said", {"from": sid, "text": text})
    return "ok"

async def main():
    async with await socketio_fast.serve(sio, host="127.0.0.1", port=0) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """What the clients of snippets connect to."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=Path(__file__).parent,  # not where a package may be that is not compiled
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    os.environ["SERVER"] = process.stdout.readline().strip()
    yield
    del os.environ["SERVER"]
    process.kill()
    process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What snippets look for where they run."""
    for name in ("index.html", "cert.pem", "key.pem", "ui/dist/index.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    client = tmp_path / "node_modules" / "socket.io-client" / "dist"
    client.mkdir(parents=True)
    (client / "socket.io.js").write_text("// the client")
    chat = tmp_path / "chat"
    chat.mkdir()
    (chat / "__init__.py").touch()
    (chat / "events.py").write_text(
        "import socketio_fast as socketio\nsio = socketio.Server()\n"
    )
    (tmp_path / "site_settings.py").write_text("SECRET_KEY = 'secret'\n")
    return tmp_path


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "ADMIN_PASSWORD": "a password",
        "DJANGO_SETTINGS_MODULE": "site_settings",
        "PYTHONWARNINGS": "ignore",
        "SECRET": "a secret of thirty-two bytes or more",
    }


@pytest.fixture(scope="module")
def imports() -> None:
    """What snippets import besides the package."""
    imported("django.conf", "django.core.wsgi", "fastapi", "flask")


@pytest.mark.parametrize("code", PROGRAMS)
def test_a_snippet_runs_as_it_stands(folder: Path, code: str, imports: None) -> None:
    (folder / "snippet.py").write_text(PREAMBLE + code)
    done = run_fork(["snippet.py"], cwd=folder, env=environment(), timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of all snippets of tests, which are a file each."""
    folder = tmp_path_factory.mktemp("snippets")
    for fence in fences("python"):  # what they import from files that pages show
        if (name := re.match(r"# (?!test_)(\w+\.py)\n", fence.text)) is not None:
            (folder / name[1]).write_text(fence.text)
    for number, snippet in enumerate(TESTS):
        (folder / f"test_snippet_{number}.py").write_text(str(snippet.values[0]))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=50,
    ).stdout


@pytest.mark.parametrize(
    "number", [pytest.param(i, id=str(p.id)) for i, p in enumerate(TESTS)]
)
def test_a_snippet_of_tests_passes(outcomes: str, number: int) -> None:
    found = re.findall(rf"^([A-Z]+) test_snippet_{number}\.py", outcomes, re.M)
    assert set(found) == {"PASSED"}, outcomes


@pytest.mark.timeout(150)
def test_what_handlers_of_snippets_name_is_there(tmp_path: Path) -> None:
    """Running a snippet defines its handlers; mypy looks into them."""
    pytest.importorskip("mypy")
    for fence in fences("python"):
        name = re.sub(r"\W", "_", str(fence))
        (tmp_path / f"{name}.py").write_text(fence.text)
    # The snippets have no annotations, where these would ask for some.
    unlike = ("assignment", "index", "method-assign", "var-annotated")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--check-untyped-defs"),
            *("--ignore-missing-imports", "--cache-dir", tmp_path / "cache"),
            *(f"--disable-error-code={code}" for code in unlike),
            *sorted(tmp_path.glob("*.py")),
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=140,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("code", SNIPPETS)
def test_the_package_has_one_name(code: str) -> None:
    assert not re.search(r"^import socketio_fast$", code, re.M)
    for name in re.findall(r"\bsocketio_fast\.(\w+)\(", code):
        assert name not in socketio.__all__, f"write socketio.{name}()"


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "socketio_fast").rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_examples_of_docstrings_have_that_name(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and (
            text := ast.get_docstring(node)
        ):
            example = re.search(r"Examples?::\n\n((?: +.*\n|\n)+)", text + "\n")
            assert example is None or "socketio_fast." not in example[1]


def test_there_are_snippets() -> None:
    assert len(PROGRAMS) > 30
    assert len(TESTS) > 4
