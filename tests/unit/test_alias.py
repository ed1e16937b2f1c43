"""This package in the place of python-socketio, each time in a process of its own."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import engineio as python_engineio
import pytest
import socketio as python_socketio
from support.processes import TIMEOUT, environment, python

import socketio_fast

ROOT = Path(__file__).parents[2]
INSTALL = "from socketio_fast import alias; alias.install()\n"
MODULES = sorted(
    module.name
    for package in (python_socketio, python_engineio)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
)


def output(tmp_path: Path, program: str) -> str:
    """What a program prints; it must end well, and warn of nothing."""
    done = python("-c", program, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_there_are_modules_to_look_for() -> None:
    assert "socketio.async_server" in MODULES
    assert "engineio.async_drivers.asgi" in MODULES
    assert len(MODULES) > 50


def test_every_module_of_both_packages_is_there(tmp_path: Path) -> None:
    program = f"""{INSTALL}
import importlib, sys
for name in {MODULES!r}:
    module = importlib.import_module(name)
    assert module is sys.modules[name], name
    assert "site-packages/socketio/" not in (module.__file__ or ""), name
    assert "site-packages/engineio/" not in (module.__file__ or ""), name
print("socketio.server" in sys.modules)
"""
    assert output(tmp_path, program) == "True\n"


def test_they_are_the_same_module_objects(tmp_path: Path) -> None:
    program = f"""{INSTALL}
import engineio, engineio.async_drivers.asgi, engineio.base_server, socketio
import socketio.admin, socketio.async_server, socketio.exceptions, socketio_fast
import socketio_fast.admin, socketio_fast.base_server
from socketio import AsyncServer, packet
assert socketio is socketio_fast
assert engineio is socketio_fast.engineio
assert socketio.exceptions is socketio_fast.exceptions
assert socketio.admin is socketio_fast.admin
assert engineio.base_server is not socketio_fast.base_server
assert AsyncServer is socketio_fast.AsyncServer
assert isinstance(socketio.AsyncServer(), socketio_fast.AsyncServer)
assert callable(socketio.run)
assert socketio.__spec__.name == "socketio_fast"
assert socketio.admin.__spec__.name == "socketio_fast.admin"
assert packet.__name__ == "socketio_fast.packet"
"""
    assert output(tmp_path, program) == ""


def test_what_is_in_no_package_is_not_found(tmp_path: Path) -> None:
    program = f"""{INSTALL}
import importlib
for name in ("socketio.nothing", "engineio.nothing"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as exc:
        print(exc)
"""
    assert output(tmp_path, program) == (
        "No module named 'socketio.nothing'\nNo module named 'engineio.nothing'\n"
    )


def test_metadata_is_of_what_is_installed(tmp_path: Path) -> None:
    program = f"""{INSTALL}
import importlib.metadata, socketio
print(importlib.metadata.version("python-socketio"))
"""
    assert output(tmp_path, program).startswith("5.")


def test_to_install_it_again_changes_nothing(tmp_path: Path) -> None:
    program = f"{INSTALL}{INSTALL}import sys; print(len(sys.meta_path))"
    once = f"{INSTALL}import sys; print(len(sys.meta_path))"
    assert output(tmp_path, program) == output(tmp_path, once)


@pytest.mark.parametrize("name", ["socketio", "engineio"])
def test_too_late(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").touch()
    program = f"""
import {name}
try:
    from socketio_fast import alias; alias.install()
except RuntimeError as exc:
    print(exc)
import sys
assert sys.modules["{name}"] is {name}
"""
    said = output(tmp_path, program)
    file = tmp_path / f"{name}.py"
    assert said.startswith(f"{name} has been imported already, from {file}")
    assert "before anything that imports it" in said


CLIENTS = """
import engineio, socketio, socketio.client, socketio_fast, sys
from engineio import AsyncClient as EngineClient
from socketio import AsyncClient, AsyncSimpleClient, Client, SimpleClient
from socketio.async_namespace import AsyncClientNamespace
from socketio.base_client import BaseClient
from socketio.namespace import ClientNamespace
assert socketio.client.Client is Client is socketio_fast.Client
assert socketio.SimpleClient is SimpleClient is socketio_fast.SimpleClient
assert AsyncSimpleClient is socketio_fast.AsyncSimpleClient
assert engineio.Client is socketio_fast.engineio.Client
assert EngineClient is socketio_fast.engineio.AsyncClient
assert issubclass(Client, BaseClient) and issubclass(AsyncClient, BaseClient)
base = socketio.base_namespace.BaseClientNamespace
assert issubclass(AsyncClientNamespace, base)
client = Client()
client.register_namespace(ClientNamespace("/chat"))
try:
    with SimpleClient() as client:
        client.connect("http://127.0.0.1:9", wait_timeout=1)
except socketio.exceptions.ConnectionError as exc:
    print("refused")
"""


def test_client_classes_are_of_this_package(tmp_path: Path) -> None:
    assert output(tmp_path, INSTALL + CLIENTS) == "refused\n"


def without_python_socketio(tmp_path: Path, program: str) -> Any:
    """Run with all that is installed but python-socketio and python-engineio."""
    installed = Path(python_socketio.__path__[0]).parent
    packages = tmp_path / "packages"
    packages.mkdir()
    for path in installed.iterdir():
        if path.name.partition("-")[0] not in (
            *("socketio", "engineio", "python_socketio", "python_engineio"),
        ):
            (packages / path.name).symlink_to(path)
    # This package may be installed there, too, or be a checkout's.
    own = Path(socketio_fast.__file__).parents[1]
    places = [packages] if own == installed else [packages, own]
    return subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": os.pathsep.join(map(str, places))},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    ).stdout


def test_client_classes_without_python_socketio(tmp_path: Path) -> None:
    assert without_python_socketio(tmp_path, INSTALL + CLIENTS) == "refused\n"


# The command.

PROGRAM = """
import os, sys
print(sys.argv, __name__, __file__, __package__)
print(sys.path[0] == os.path.dirname(__file__))
import __main__
assert __main__.__dict__ is globals()
print(sorted(name for name in globals() if not name.startswith("__")))
exec(sys.argv[1])
"""


@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "sys.exit()",
        "sys.exit(3)",
        "sys.exit('failed')",
        "1 / 0",
        "import nothing_of_that_name",
        "exec('x = (')",
        "sys.excepthook = lambda *error: print(error[1]); 1 / 0",
        "import atexit; atexit.register(print, 'at exit')",
    ],
)
@pytest.mark.parametrize("start", [["program.py"], ["-m", "program"]])
def test_the_command_runs_a_program_as_python_does(
    start: list[str], ending: str, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    expected = python(*start, ending, "--option", cwd=tmp_path)
    done = python("-m", "socketio_fast.alias", *start, ending, "--option", cwd=tmp_path)
    assert done.stdout == expected.stdout
    assert done.stderr == expected.stderr
    assert done.returncode == expected.returncode


@pytest.mark.parametrize(
    "arguments", [["nothing.py"], ["-m", "nothing"], ["broken.py"], ["directory"]]
)
def test_the_command_fails_as_python_does(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = (")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "__main__.py").write_text(
        "import sys; print(__file__, sys.argv, sys.path[0]); raise SystemExit(4)"
    )
    expected = python(*arguments, cwd=tmp_path)
    done = python("-m", "socketio_fast.alias", *arguments, cwd=tmp_path)
    assert expected.returncode
    absolute = expected.stderr.replace(str(tmp_path / arguments[0]), arguments[0])
    assert done.stdout == expected.stdout
    assert done.stderr.replace(str(tmp_path / arguments[0]), arguments[0]) == absolute
    assert done.returncode == expected.returncode


def test_a_program_of_the_command_gets_this_package(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import socketio; print(socketio.__name__)")
    for start in (["program.py"], ["-m", "program"]):
        done = python("-m", "socketio_fast.alias", *start, cwd=tmp_path)
        assert (done.stdout, done.stderr) == ("socketio_fast\n", "")


@pytest.mark.parametrize("arguments", [[], ["-m"], ["-c", "1"], ["--help"]])
def test_the_command_says_how_it_is_used(arguments: list[str], tmp_path: Path) -> None:
    done = python("-m", "socketio_fast.alias", *arguments, cwd=tmp_path)
    assert "usage: python -m socketio_fast.alias" in done.stdout + done.stderr
    assert done.returncode == (0 if arguments == ["--help"] else 2)


# The environment variable.

SITE = f"import site; site.addsitedir({str(ROOT)!r})\n"


@pytest.mark.parametrize(
    ("value", "name"),
    [("1", "socketio_fast.engineio"), ("0", "engineio"), (None, "engineio")],
)
def test_the_environment_variable(value: str | None, name: str, tmp_path: Path) -> None:
    env = environment()
    env.pop("SOCKETIO_FAST_ALIAS", None)
    if value is not None:
        env["SOCKETIO_FAST_ALIAS"] = value
    program = f"""{SITE}
import sys
print("socketio_fast" in sys.modules)
import engineio
print(engineio.__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.stdout == f"{value == '1'}\n{name}\n", done.stderr


def test_processes_of_a_program_of_the_command_get_it_too(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        f"""
import subprocess, sys
child = {SITE + "import socketio; print(socketio.__name__)"!r}
subprocess.run([sys.executable, "-c", child], check=True)
"""
    )
    done = python("-m", "socketio_fast.alias", "program.py", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("socketio_fast\n", "")


def test_the_wheel_has_what_reads_the_variable(tmp_path: Path) -> None:
    pytest.importorskip("Cython")  # which builds the package
    program = """
import runpy, sys, setuptools
from pathlib import Path
import Cython.Build
Cython.Build.cythonize = lambda *args, **options: []
sys.argv = ["setup.py", "-q", "build_py", "--build-lib", sys.argv[1]]
runpy.run_path("setup.py", run_name="__main__")
"""
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
    )
    built = (tmp_path / "socketio_fast_alias.pth").read_text()
    assert built == (ROOT / "socketio_fast_alias.pth").read_text()
    assert len(built.splitlines()) == 1
