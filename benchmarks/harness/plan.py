"""How a run measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from catalogue import LATENCY, Scenario, Server, Sweep


class Plan(NamedTuple):
    """How a run measures."""

    servers: Sequence[Server]
    scenarios: Sequence[Scenario]
    sweeps: Sequence[Sweep]
    latency: bool
    rounds: int
    scale_rounds: int
    warmup: float
    seconds: float
    quick: bool
    server_core: int
    load_core: int
    python: str

    def phases(self) -> list[tuple[list[Scenario], int]]:
        """What is measured together, and in how many rounds."""
        scaled = [scenario for sweep in self.sweeps for scenario in sweep.scenarios]
        paced = list(LATENCY) if self.latency else []
        return [
            (list(self.scenarios), self.rounds),
            (paced, self.scale_rounds),
            (scaled, self.scale_rounds),
        ]
