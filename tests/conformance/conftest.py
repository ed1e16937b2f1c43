from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.places import StartWorkers
from support.supervised import Supervised, started

TESTS = Path(__file__).parents[1]

PROGRAM = """
import sys

sys.path.append({tests!r})

import socketio_fast
from support import suites

app = suites.in_worker(suites.{suite}(**{options!r}))
socketio_fast.run(app, port=0, workers=4)
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The servers of the suites end a session whose ping waits for 0.2 seconds."""
    for item in items:
        if "suite" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.prompt)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartWorkers]:
    """Starts four workers when a test of the module first asks for them."""
    with ExitStack() as stack:

        @functools.cache
        def start(suite: str, **options: Any) -> Supervised:
            folder = tmp_path_factory.mktemp(suite)
            text = PROGRAM.format(tests=str(TESTS), suite=suite, options=options)
            (folder / "program.py").write_text(text)
            server = stack.enter_context(started("program.py", cwd=folder))
            server.wait_until_listening()
            return server

        yield start
