"""What all workers have to show, asked of one of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable

from socketio_fast._core.engine.failures import log_failure
from socketio_fast.cluster.frames import Kind, split_head, with_head
from socketio_fast.cluster.identity import number_of
from socketio_fast.cluster.mesh import Mesh
from socketio_fast.options.logs import Logger

__all__ = ["Scrapes"]

#: Seconds in which another worker is to answer. A scrape of Prometheus may take 10.
PATIENCE = 2.0

# The number of a worker, its process, when it began, and what it shows.
_Shown = tuple[int, int, float, bytes]


class Scrapes:
    """Asks the other workers for what they show, and answers them.

    Args:
        mesh: The workers.
        logger: Where it is told that a worker does not answer.
    """

    def __init__(self, mesh: Mesh, logger: Logger) -> None:
        self._mesh = mesh
        self._began = time.monotonic()
        self._logger = logger
        #: Makes what this worker shows, in a thread: it may take some milliseconds.
        #: ``None``: it shows nothing.
        self.render: Callable[[], bytes] | None = None
        self._numbers = itertools.count()
        self._answering: set[asyncio.Task[None]] = set()
        self._awaited: dict[tuple[int, str], asyncio.Future[_Shown]] = {}
        mesh.receive(Kind.SCRAPE, self._on_frame)
        mesh.on_left.append(self._on_left)

    def close(self) -> None:
        """Ask and answer no longer."""
        for future in self._awaited.values():
            future.cancel()
        for task in self._answering:
            task.cancel()

    async def gather(self) -> dict[str, bytes]:
        """What all workers show, this one first, by their names.

        A worker that does not answer within 2 seconds is left out, which is logged. A
        name is the worker's number. While a worker is replaced, two have the same: the
        process id of the older one is behind the number, ``"0-1234"``.
        """
        number = next(self._numbers)
        loop = asyncio.get_running_loop()
        asked: dict[str, asyncio.Future[_Shown]] = {}
        for tag in self._mesh.others:
            if self._mesh.send(tag, Kind.SCRAPE, with_head({"ask": number}, b"")):
                asked[tag] = self._awaited[number, tag] = loop.create_future()
        found = [await asyncio.to_thread(self._own)]
        if asked:
            done, pending = await asyncio.wait(asked.values(), timeout=PATIENCE)
            for tag, future in asked.items():
                self._awaited.pop((number, tag), None)
                if future in done and not future.cancelled():
                    found.append(future.result())
                elif future in pending:
                    future.cancel()
                    self._logger.warning(
                        "worker %d has not told its metrics in %g s",
                        number_of(tag),
                        PATIENCE,
                    )
        newest: dict[int, float] = {}
        for worker, _, began, _ in found:
            newest[worker] = max(began, newest.get(worker, began))
        return {
            str(worker) if began == newest[worker] else f"{worker}-{pid}": shown
            for worker, pid, began, shown in found
            if shown
        }

    def _own(self) -> _Shown:
        shown = b"" if self.render is None else self.render()
        return number_of(self._mesh.tag), os.getpid(), self._began, shown

    def _on_frame(self, tag: str, payload: bytes, take: Callable[[], int]) -> None:
        head, shown = split_head(payload)
        if "ask" in head:
            task = asyncio.ensure_future(self._answer(tag, head["ask"]))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        future = self._awaited.get((head["answer"], tag))
        if future is not None and not future.done():
            future.set_result((head["worker"], head["pid"], head["began"], shown))

    async def _answer(self, tag: str, number: int) -> None:
        try:
            worker, pid, began, shown = await asyncio.to_thread(self._own)
            head = {"answer": number, "worker": worker, "pid": pid, "began": began}
            self._mesh.send(tag, Kind.SCRAPE, with_head(head, shown))
        except Exception as exc:
            log_failure(self._logger, exc, "metrics were not told to another worker")

    def _on_left(self, tag: str) -> None:
        for (_, other), future in list(self._awaited.items()):
            if other == tag:
                future.cancel()
