"""The option ``cluster``: where the workers of one machine find each other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

__all__ = ["CLUSTER", "WORKER", "check_cluster", "directory_of", "worker_number"]

#: The variables of the environment by which who starts workers tells them.
CLUSTER = "SOCKETIO_FAST_CLUSTER"
WORKER = "SOCKETIO_FAST_WORKER"

EXPECTED = "'unix:' and the path of a directory, or None, expected"


def check_cluster(label: str, given: Any) -> str | None:
    """Check the option.

    Raises:
        ValueError: It is not ``unix:`` and the path of a directory.
    """
    if given is None:
        return None
    if (
        not isinstance(given, str)
        or not given.removeprefix("unix:")
        or (not given.startswith("unix:"))
    ):
        raise ValueError(f"{label}={given!r:.200}: {EXPECTED}")
    if os.name == "nt":
        raise ValueError(
            f"{label}={given!r:.200}: Windows passes no connections between processes; "
            "start one process, or several behind a proxy with sticky sessions"
        )
    return given


def directory_of(cluster: str | None) -> Path | None:
    """The directory that an option names, or else the environment; ``None``: this
    process is the only one.

    Raises:
        ValueError: What the environment has is no such option.
    """
    found = cluster or check_cluster(CLUSTER, os.environ.get(CLUSTER) or None)
    return None if found is None else Path(found.removeprefix("unix:"))


def worker_number() -> int | None:
    """The number of this worker, by the environment; ``None``: it has none.

    Raises:
        ValueError: It is not 0 to 255.
    """
    given = os.environ.get(WORKER)
    if not given:
        return None
    if not given.isdecimal() or int(given) > 255:
        raise ValueError(f"{WORKER}={given!r:.20}: 0 to 255 expected")
    return int(given)
