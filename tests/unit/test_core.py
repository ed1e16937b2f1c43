"""The package without its compiled half."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from support.processes import python

import socketio_fast
import socketio_fast.sockets as sockets
from socketio_fast._core import compiled
from socketio_fast._core.protocol import sio


def test_a_checkout_that_is_not_built_says_what_to_do(tmp_path: Path) -> None:
    source = Path(socketio_fast.__file__).parent
    copy = tmp_path / "socketio_fast"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.so", "*.pyd"))
    ended = python("-c", "import socketio_fast", cwd=tmp_path)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert last.startswith(
        f"ImportError: socketio_fast is not compiled for Python {version} in {copy}"
    )
    assert "pip install -e ." in last
    assert "run from another directory" in last


def test_there_is_one_list_of_reserved_events() -> None:
    assert sockets.RESERVED_EVENTS is sio.RESERVED_EVENTS


def test_all_compiled_modules_are_in_one_shared_object() -> None:
    assert {
        importlib.import_module(name).__spec__.origin for name in compiled.PLACES
    } == {compiled.__file__}
    folder = Path(compiled.__file__).parent
    # Others were found in vain: what is left of an earlier build.
    assert [path.name for path in folder.rglob(f"*{EXTENSION_SUFFIXES[0]}")] == [
        Path(compiled.__file__).name
    ]


def test_two_modules_of_one_name_are_two() -> None:
    ours = importlib.import_module("socketio_fast._core.engine.session")
    of_clients = importlib.import_module("socketio_fast._core.client.session")
    assert ours is not of_clients
    assert ours.__name__ == "socketio_fast._core.engine.session"
    assert of_clients.ClientSession.__module__ == of_clients.__name__


def test_a_module_that_is_not_there_is_not_found() -> None:
    name = "socketio_fast._core.engine.nothing"
    assert importlib.util.find_spec(name) is None
    assert compiled.Finder.find_spec(name) is None
    assert compiled.Finder.find_spec("socketio_fast._core.engine") is None
    with pytest.raises(ModuleNotFoundError, match=name):
        importlib.import_module(name)


def test_a_compiled_module_can_be_reloaded() -> None:
    assert importlib.reload(sio) is sio
    assert sockets.RESERVED_EVENTS is sio.RESERVED_EVENTS
