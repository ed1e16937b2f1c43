"""Each module after the package alone: no cycle, no hidden order, no warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.processes import python

from meta.test_exports import PYTHON
from meta.test_layers import MODULES

NAMES = [
    *PYTHON,
    *(f"socketio_fast._core.{module}" for module in MODULES),
]

# Seconds of one core in all, which others may use too.
pytestmark = pytest.mark.timeout(300)

# Whatever module is imported, its package is imported first: from there on, each has a
# process of its own, which begins as a fresh one would go on. Packages of others are
# imported before: to import them in each process would take most of the time.
FOREIGN = [
    *("asyncio", "concurrent.futures", "ssl", "urllib.request", "uvloop", "picows"),
    *("aiohttp", "requests", "uvicorn", "sanic", "tornado", "pytest"),
    *("aioquic.asyncio", "redis.asyncio", "kombu", "aio_pika", "nats", "asyncpg"),
    *("pydantic", "msgspec", "msgpack", "fastapi", "prompt_toolkit", "rich.console"),
    *("opentelemetry.sdk", "prometheus_client", "watchfiles"),
]
PROGRAM = """
import os, json, sys, tempfile
import socketio_fast

told = {"": [0, sorted(sys.modules)]}

import contextlib, gc, importlib, traceback, warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for name in json.loads(sys.argv[2]):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
gc.freeze()

for name in json.loads(sys.argv[1]):
    if name in sys.modules:
        told[name] = [0, ""]
        continue
    with tempfile.TemporaryFile() as output:
        pid = os.fork()
        if not pid:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            try:
                exec(f"import {name}")
                gc.collect()  # warns of what is left open
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            finally:
                sys.stdout.flush()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        output.seek(0)
        told[name] = [status, output.read().decode()]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """For each name the status and the output of its process; for "" all modules that
    are there after the package was imported."""
    folder = tmp_path_factory.mktemp("imports")
    names = json.dumps(NAMES), json.dumps(FOREIGN)
    done = python("-c", PROGRAM, *names, cwd=folder, timeout=250)
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("name", NAMES)
def test_imports_alone(name: str, told: dict[str, Any]) -> None:
    assert told[name] == [0, ""]


def test_a_module_that_fails_to_import_is_seen(tmp_path: Path) -> None:
    names = ["wave", "not_there"]
    done = python("-c", PROGRAM, json.dumps(names), "[]", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert told["wave"] == [0, ""]
    assert told["not_there"][0] == 1
    assert "No module named 'not_there'" in told["not_there"][1]


#: Packages that are imported when a program uses what needs them.
PACKAGES = [
    *("uvloop", "picows", "socketio", "engineio", "pytest"),
    *("python_socks", "requests"),
    *("aiohttp", "sanic", "tornado", "uvicorn"),
    "aioquic",
    *("redis", "kombu", "aio_pika", "kafka", "zmq"),
    *("pydantic", "msgspec", "msgpack"),
]

#: Our own modules likewise, and what they would import of the standard library.
NOT_FOR_EACH_SERVER = [
    *(f"socketio_fast.{name}" for name in ("server", "admin", "testing", "alias")),
    *("socketio_fast.threads", "socketio_fast.hosting.wsgi"),
    "socketio_fast.clients",
    *("socketio_fast.hosting.webtransport", "socketio_fast.hosting.other_app"),
    "socketio_fast.webtransport",
    *("socketio_fast.managers.pubsub", "socketio_fast.managers.sync"),
    *("socketio_fast.handlers.models", "socketio_fast.serving.client_files"),
    *("socketio_fast.sockets.namespace", "socketio_fast.sockets.registry"),
    "concurrent.futures.thread",
]
NOT_FOR_THE_PACKAGE = [
    *("socketio_fast.async_server", "socketio_fast.base_server"),
    *("socketio_fast.engineio.async_server", "socketio_fast.sockets.socket"),
    *("socketio_fast.hosting", "socketio_fast.serving", "socketio_fast.managers"),
    *(
        "socketio_fast._core.engine.session",
        "asyncio",
        "ssl",
        "email",
        "http",
        "orjson",
    ),
]


def imported(program: str, names: list[str], tmp_path: Path) -> list[str]:
    """Which of these modules a program has imported."""
    text = f"import sys\n{program}\nprint(*[n for n in {names} if n in sys.modules])"
    done = python("-c", text, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_the_package_imports_nothing_that_is_not_used(tmp_path: Path) -> None:
    names = [*PACKAGES, *NOT_FOR_EACH_SERVER, *NOT_FOR_THE_PACKAGE]
    assert imported("import socketio_fast", names, tmp_path) == []


def test_a_server_imports_what_it_needs(tmp_path: Path) -> None:
    program = (
        "import asyncio, socketio_fast\n"
        "sio = socketio_fast.AsyncServer()\n"
        "@sio.event\n"
        "async def message(sid, data): ...\n"
        "async def main():\n"
        "    async with await socketio_fast.serve(sio, port=0): pass\n"
        "asyncio.run(main())"
    )
    assert imported(program, [*PACKAGES, *NOT_FOR_EACH_SERVER], tmp_path) == []


def test_all_names_import_no_packages_of_others(tmp_path: Path) -> None:
    assert imported("from socketio_fast import *", PACKAGES, tmp_path) == []


def test_requests_import_nothing_more(tmp_path: Path) -> None:
    """What answers a request is there before the first."""
    program = (
        "import asyncio, socketio_fast\n"
        "from urllib.request import urlopen\n"
        "sio = socketio_fast.AsyncServer()\n"
        "async def main():\n"
        "    async with await socketio_fast.serve(sio, port=0) as server:\n"
        "        url = server.url + '/socket.io/?EIO=4&transport=polling'\n"
        "        before = set(sys.modules)\n"
        "        answer = await asyncio.to_thread(lambda: urlopen(url).read())\n"
        "        global more\n"
        "        more = set(sys.modules) - before\n"
        "asyncio.run(main())\n"
        "assert not [n for n in more if n.startswith('socketio_fast')], more"
    )
    assert imported(program, [], tmp_path) == []
