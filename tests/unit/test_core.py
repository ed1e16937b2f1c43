"""The package without its compiled half."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from support.processes import python

import socketio_fast
import socketio_fast.sockets as sockets
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
