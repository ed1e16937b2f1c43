"""Each module alone in a fresh interpreter: no cycle, no hidden order, no warning."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.processes import python

from meta.test_exports import PYTHON
from meta.test_layers import ROOMS


@pytest.mark.parametrize(
    "name",
    [*PYTHON, *(f"socketio_fast._core.{ROOMS[module]}.{module}" for module in ROOMS)],
)
def test_imports_alone(name: str, tmp_path: Path) -> None:
    done = python("-c", f"import {name}", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "name",
    [
        *("uvloop", "picows", "socketio", "engineio", "pytest"),
        *("aiohttp", "sanic", "tornado", "uvicorn"),
        "aioquic",
        *("redis", "kombu", "aio_pika", "kafka", "zmq"),
    ],
)
def test_what_is_not_imported_unless_it_is_used(name: str, tmp_path: Path) -> None:
    program = f"import sys, socketio_fast; print({name!r} in sys.modules)"
    done = python("-c", program, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
