"""Engines, started once each. Those that are not installed skip their tests."""

from __future__ import annotations

from support.engines import (  # noqa: F401
    mortal_nats,
    mortal_postgres,
    mortal_redis,
    nats,
    nats_cluster,
    postgres,
    redis,
    redis_cluster,
    replicated_cluster,
    replicated_redis,
)
