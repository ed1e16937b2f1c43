"""What a worker does, in numbers; and the worker's answer to who asks it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.observer import Observer
from socketio_fast._version import __version__
from socketio_fast.cluster.frames import Kind
from socketio_fast.cluster.mesh import Mesh

__all__ = ["Figures", "Status", "per_second"]

#: Seconds over which a worker that is asked averages its rates.
MEASURED = 1.0


@dataclass
class Figures:
    """What a worker does.

    Attributes:
        clients: Clients that are connected.
        connections: TCP connections that are open; ``None``: the host of a foreign
            server knows.
        memory: Resident memory in bytes.
        cpu: Seconds of CPU since its start.
        packets_in: Packets that clients have sent.
        packets_out: Packets that clients were sent.
    """

    clients: int
    connections: int | None
    memory: int
    cpu: float
    packets_in: int
    packets_out: int

    @classmethod
    def of(
        cls, engine: Engine, connections: int | None, counts: Observer | None
    ) -> Figures:
        """The figures of a server, which is this process's.

        Args:
            engine: Its engine.
            connections: TCP connections that are open, if that is known.
            counts: An observer of the engine, which counts packets; or ``None``.
        """
        times = os.times()
        return cls(
            clients=len(engine.sessions),
            connections=connections,
            memory=resident_memory(),
            cpu=times.user + times.system,
            packets_in=0 if counts is None else counts.packets_in,
            packets_out=0 if counts is None else counts.packets_out,
        )


def per_second(
    first: dict[str, Any], last: dict[str, Any], seconds: float
) -> dict[str, float]:
    """The rates between two figures, by their names for ``socketio-fast status``."""
    return {
        f"{name}_per_second": round(
            (last[name] - first[name]) / seconds if seconds else 0, 3
        )
        for name in ("packets_in", "packets_out", "cpu")
    }


def resident_memory() -> int:
    """The resident memory of this process in bytes; at its peak, where the system tells
    only that."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Status:
    """Tells who asks what this worker does. Who asks sends one end of a pair of sockets
    along, and gets an object of JSON.

    Args:
        mesh: The workers.
        engine: The engine of this one.
    """

    def __init__(self, mesh: Mesh, engine: Engine) -> None:
        self._mesh = mesh
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._started = time.monotonic()
        self._asked: dict[socket.socket, asyncio.TimerHandle] = {}
        # Counts packets while somebody asks.
        self._counting: Observer | None = None
        mesh.receive(Kind.STATUS, self._on_asked)

    def close(self) -> None:
        """Answer nobody any more."""
        for asker, timer in self._asked.items():
            timer.cancel()
            asker.close()
        self._asked.clear()
        self._count_no_more()

    def _on_asked(self, tag: str, payload: bytes, take: Callable[[], int]) -> None:
        asker = socket.socket(fileno=take())
        if self._counting is None:
            self._counting = Observer()
            self._engine.observe(self._counting)
        self._asked[asker] = self._loop.call_later(
            MEASURED, self._answer, asker, self._figures(), time.monotonic()
        )

    def _answer(
        self, asker: socket.socket, first: dict[str, Any], since: float
    ) -> None:
        del self._asked[asker]
        last = self._figures()
        now = time.monotonic()
        told = {
            "version": __version__,
            "worker": self._mesh.number,
            "pid": os.getpid(),
            "state": "draining" if self._engine.draining else "accepting",
            "age": round(now - self._started, 1),
            **{name: last[name] for name in ("clients", "connections", "memory")},
            **per_second(first, last, now - since),
        }
        with asker, contextlib.suppress(OSError):  # who has asked may have gone
            asker.setblocking(False)
            asker.send(json.dumps(told).encode())
        self._count_no_more()

    def _figures(self) -> dict[str, Any]:
        return vars(Figures.of(self._engine, None, self._counting))

    def _count_no_more(self) -> None:
        if not self._asked and self._counting is not None:
            self._engine.unobserve(self._counting)
            self._counting = None
