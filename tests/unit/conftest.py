"""What the sans-IO tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from .sansio import Loop


@pytest.fixture(autouse=True)
def no_loop_runs_on() -> Iterator[None]:
    """A `Loop` runs until its test has ended."""
    yield
    if isinstance(asyncio._get_running_loop(), Loop):
        asyncio._set_running_loop(None)
