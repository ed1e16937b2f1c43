"""A slot of a supervisor: one worker accepts in it, another may take its place."""

from __future__ import annotations

import random
from collections.abc import Iterator

from socketio_fast.workers.worker import Worker

__all__ = ["LONGEST_DELAY", "MOMENT", "YOUNG", "Slot"]

#: Seconds that connections may wait for a worker that starts again. If it takes longer,
#: another one accepts them.
MOMENT = 0.2

#: Seconds before a worker is started again, doubled each time that it dies young.
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0

#: Seconds after which a worker is not young any more.
YOUNG = 30.0


class Slot:
    """The place of one worker.

    Args:
        number: Its number, from 0 on.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        #: Starts or accepts; ``None`` while the slot waits for the next one.
        self.current: Worker | None = None
        #: Starts, to take the place of the current one.
        self.incoming: Worker | None = None
        #: Those that do not accept any more, and let their clients go.
        self.draining: list[Worker] = []
        #: How many workers have died young, one after another.
        self.deaths = 0
        #: How many have been started.
        self.starts = 0
        #: The worker of another slot that accepts here.
        self.substitute: Worker | None = None
        #: When its worker may be replaced again, after an attempt that has failed.
        self.replaceable_from = 0.0

    def workers(self) -> Iterator[Worker]:
        """All processes of the slot."""
        for worker in (self.current, self.incoming):
            if worker is not None:
                yield worker
        yield from self.draining

    @property
    def accepts(self) -> bool:
        """Whether its current worker accepts connections."""
        return self.current is not None and self.current.state == "accepting"

    def delay_after(self, worker: Worker) -> float:
        """Seconds to wait before the next start, as this one has died."""
        if worker.state != "starting" and worker.age >= YOUNG:
            self.deaths = 0
        self.deaths += 1
        if self.deaths == 1:
            return 0.0
        delay: float = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (self.deaths - 2))
        return delay * random.uniform(0.9, 1)
