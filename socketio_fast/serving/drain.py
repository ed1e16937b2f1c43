"""Draining: clients are asked to leave in stages, before the server stops.

A client whose connection a server closes connects again within seconds, to another
server behind the same address. If all do so at once, that one is overrun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.session import Session

__all__ = ["DrainSummary", "check_rate", "drain"]

# Seconds between two checks of clients that are busy.
INTERVAL = 0.05


@dataclass(frozen=True)
class DrainSummary:
    """How the clients of a server have left while it drained.

    Attributes:
        clients: Connections that were there at the beginning, or came after it because
            they had been admitted before.
        left: Those that ended by themselves, or were closed by others.
        closed: Those that were asked to leave.
        handlers: Handlers that had not ended when their client was closed. They run on,
            but it does not get what they answer.
        acks: Acknowledgements that those clients had not sent.
    """

    clients: int
    left: int
    closed: int
    handlers: int
    acks: int


def check_rate(name: str, rate: float | None) -> None:
    """Raise ValueError unless a rate is a number of clients per second, or ``None``."""
    if rate is not None and not rate > 0:
        raise ValueError(
            f"{name}={rate!r}: clients per second, or None for no such limit, expected"
        )


async def drain(
    engine: Engine, rate: float | None = None, timeout: float = 30
) -> DrainSummary:
    """Refuse new clients, and ask those that are connected to leave.

    Args:
        engine: The Engine.IO engine.
        rate: How many are asked each second; ``None`` for all at once.
        timeout: Seconds after which those that are left are closed.

    Raises:
        ValueError: ``rate`` is not positive, or ``timeout`` is negative.
    """
    check_rate("rate", rate)
    if not timeout >= 0:
        raise ValueError(f"timeout={timeout!r}: seconds expected")
    engine.drain()
    return await _Drain(engine, 0 if rate is None else 1 / rate, timeout).run()


class _Drain:
    """One call of drain()."""

    def __init__(self, engine: Engine, pause: float, timeout: float) -> None:
        self._engine = engine
        self._pause = pause
        self._clock = asyncio.get_running_loop().time
        self._turn = self._clock()  # when the next client may be asked
        self._deadline = self._turn + timeout
        self._clients = self._closed = self._handlers = self._acks = 0

    async def run(self) -> DrainSummary:
        # Clients that were admitted before may still connect meanwhile.
        while self._engine.draining and (sessions := self._open_sessions()):
            self._clients += len(sessions)
            while sessions:
                sessions = await self._ask(sessions)
        return DrainSummary(
            self._clients,
            self._clients - self._closed,
            self._closed,
            self._handlers,
            self._acks,
        )

    def _open_sessions(self) -> deque[Session]:
        return deque(s for s in self._engine.sessions.values() if not s.closed)

    async def _ask(self, sessions: deque[Session]) -> deque[Session]:
        """Ask clients that are not busy to leave; returns those that are."""
        busy: deque[Session] = deque()
        while sessions:
            session = sessions.popleft()
            if not session.closed:
                await self._until(self._turn)
            if session.closed:
                continue
            if session.settled or self._clock() >= self._deadline:
                self._close(session)
            else:
                busy.append(session)
        if busy:
            await self._until(self._clock() + INTERVAL)
        return busy

    def _close(self, session: Session) -> None:
        handlers, acks = session.under_way
        self._handlers += handlers
        self._acks += acks
        self._closed += 1
        # Turns that were missed while the loop was busy are caught up, up to INTERVAL.
        self._turn = max(self._turn, self._clock() - INTERVAL) + self._pause
        session.send_away()

    async def _until(self, when: float) -> None:
        """Wait, but not beyond the deadline."""
        delay = min(when, self._deadline) - self._clock()
        if delay > 0:
            await asyncio.sleep(delay)
