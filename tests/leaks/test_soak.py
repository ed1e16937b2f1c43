"""A short run of each kind of hostile peer; the long one is ``python -m``."""

from __future__ import annotations

import pytest

from .soak import KINDS, RATE, run

SECONDS = 2
CLIENTS = 20

# So many echoes in so many seconds, of ordinary clients.
pytestmark = pytest.mark.alone


@pytest.mark.parametrize("kind", KINDS)
async def test_hostile_peers_take_little_and_others_are_served(kind: str) -> None:
    result = await run(kind, SECONDS, peers=20, clients=CLIENTS)
    assert result.bounded, str(result)
    assert result.echoes >= 0.9 * CLIENTS * RATE * SECONDS
