"""Real engines of adapters, as the tests start them."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))


@contextlib.contextmanager
def engine(name: str, **options: Any) -> Iterator[Any]:
    """A real engine.

    Args:
        name: ``"redis"``, ``"sentinel"`` (a Redis and its replica), ``"cluster"`` (of
            Redis, with replicas), ``"postgres"`` or ``"nats"``.
        **options: Of the configuration of Redis; ``config`` of NATS.
    """
    with tempfile.TemporaryDirectory(prefix="sf") as folder:
        broker = _made(name, Path(folder), options)
        try:
            broker.start()
            yield broker
        finally:
            getattr(broker, "end", broker.stop)()


def _made(name: str, folder: Path, options: dict[str, Any]) -> Any:
    from support import brokers

    if name == "postgres":
        return brokers.Postgres()  # its directory is another user's
    if name == "nats":
        return brokers.NATS(folder, **options)
    if name == "sentinel":
        return brokers.MasterAndReplica.made(folder, **options)
    if name == "cluster":
        return brokers.RedisCluster(folder, replicas=True, **options)
    return brokers.Redis(folder, **options)


def manager_of(package: str, name: str, url: str) -> Any:
    """The client manager of a server."""
    if package == "python-socketio":
        import socketio

        return getattr(socketio, name)(url)
    import socketio_fast

    home: Any = socketio_fast
    return getattr(home if name.endswith("Manager") else home.adapters, name)(url)
