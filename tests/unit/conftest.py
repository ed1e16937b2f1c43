"""Fixtures of the unit tests."""

from __future__ import annotations

import pytest
from support.sansio import Wire


@pytest.fixture(params=["bytes", "buffer"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are given bytes, as asyncio does it, or what lies in the buffer of
    `SocketTransport`."""
    monkeypatch.setattr(Wire, "in_place", request.param == "buffer")
