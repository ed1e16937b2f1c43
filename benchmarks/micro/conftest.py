"""Micro-benchmarks: `pytest benchmarks/micro`.

Each does the same work in socketio_fast and in python-socketio or python-engineio, and
asserts the result of both. Which is which stands in the name of the line.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def loop() -> Iterator[Any]:
    """An event loop of uvloop's, closed at the end."""
    import uvloop

    loop = uvloop.new_event_loop()
    yield loop
    loop.close()
    # Ten thousand clients are not collected within what the next benchmark measures.
    gc.collect()
