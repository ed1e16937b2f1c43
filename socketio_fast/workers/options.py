"""How many workers there are, and what becomes of them: options of ``run()``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from socketio_fast.cluster.identity import MAX_WORKERS
from socketio_fast.options.amounts import real, whole

__all__ = ["SupervisorOptions", "cores", "worker_count"]


@dataclass(frozen=True)
class SupervisorOptions:
    """What ``run()`` is told of workers; its docstring has the meanings.

    Raises:
        ValueError: A value is not what is expected.
    """

    workers: int = 1
    reload: bool = False
    reload_dirs: Sequence[str | os.PathLike[str]] | None = None
    pidfile: str | os.PathLike[str] | None = None
    max_worker_age: float | None = None
    max_worker_memory: int | None = None
    worker_timeout: float | None = None

    def __post_init__(self) -> None:
        for name, unit in (
            ("max_worker_age", "seconds"),
            ("max_worker_memory", "bytes"),
            ("worker_timeout", "seconds"),
        ):
            value = getattr(self, name)
            if value is None:
                continue
            number = real(value)
            if number is None or not 0 < number < float("inf"):
                raise ValueError(
                    f"{name}={value!r:.80}: {unit} above 0, or None for no limit, "
                    "expected"
                )
        if isinstance(self.reload_dirs, (str, os.PathLike)):
            raise ValueError(
                f"reload_dirs={self.reload_dirs!r:.80}: a list of directories expected"
            )

    @property
    def supervised(self) -> bool:
        """Whether a supervisor is needed: one process alone does none of this."""
        return (
            self.workers > 1
            or self.reload
            or self.max_worker_age is not None
            or self.max_worker_memory is not None
            or self.worker_timeout is not None
        )


def worker_count(value: Any) -> int:
    """The number of workers that the option ``workers`` means.

    Raises:
        ValueError: It is neither ``"auto"`` nor a number from 1 to 256.
    """
    if value == "auto":
        return cores()
    number = whole(value)
    if number is None or not 1 <= number <= MAX_WORKERS:
        raise ValueError(
            f"workers={value!r:.80}: a number from 1 to {MAX_WORKERS}, or 'auto' for "
            "one on each core, expected"
        )
    return number


def cores() -> int:
    """The cores that this process may use, by its affinity and its control group."""
    if sys.platform == "linux":
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _quota()
    if quota is not None:
        count = min(count, int(quota + 0.5))
    return max(1, min(count, MAX_WORKERS))


def _quota(root: str = "/sys/fs/cgroup") -> float | None:
    """The cores that the control group of a container allows; ``None``: all."""
    try:
        quota, period = Path(root, "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None  # "max", or no such group
