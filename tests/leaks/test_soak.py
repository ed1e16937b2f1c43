"""A short run of each kind of hostile peer; the long one is ``python -m``."""

from __future__ import annotations

import asyncio

import pytest

from .soak import KINDS, Result, run

SECONDS = 2
FEW = 20

# So many echoes in so many seconds, of ordinary clients; and the first test waits for
# all servers, which a busy machine starts slowly.
pytestmark = [pytest.mark.alone, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def results() -> dict[str, Result | BaseException]:
    """What each kind did; all at once, since they mostly wait."""

    async def run_all() -> list[Result | BaseException]:
        return await asyncio.gather(
            *(run(kind, SECONDS, FEW, FEW) for kind in KINDS), return_exceptions=True
        )

    return dict(zip(KINDS, asyncio.run(run_all()), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_peers_take_little_and_others_are_answered(
    results: dict[str, Result | BaseException], kind: str
) -> None:
    result = results[kind]
    if isinstance(result, BaseException):
        raise result
    # Beside the others, it says nothing of latencies.
    assert set(result.faults) <= {"latency"}, str(result)
    assert result.beside.sent
