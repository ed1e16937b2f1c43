"""Engines, started once each. Those that are not installed skip their tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.brokers import Redis


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    if Redis.PROGRAM is None:
        pytest.skip("redis-server is not installed")
    broker = Redis(tmp_path_factory.mktemp("redis"))
    broker.start()
    yield broker
    broker.stop()
