"""A game of several players: the server moves everything, 30 times a second.

python examples/game/server.py [--host HOST] [--port PORT]

Players collect the dot. They send what they press; only the server says where
everything is. It speaks MessagePack, in which numbers are small.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import socketio_fast as socketio

PAGE = Path(__file__).with_name("index.html")
RATE = 30  # steps per second
WIDTH, HEIGHT = 800, 500
SPEED = 260  # pixels per second
REACH = 22  # pixels


@dataclass
class Player:
    x: float
    y: float
    dx: int = 0
    dy: int = 0
    score: int = 0


class Game:
    """Where everything is. It knows nothing of Socket.IO."""

    def __init__(self, seed: int | None = None) -> None:
        self.random = random.Random(seed)
        self.players: dict[str, Player] = {}
        self.dot = self._somewhere()

    def _somewhere(self) -> tuple[float, float]:
        return self.random.uniform(20, WIDTH - 20), self.random.uniform(20, HEIGHT - 20)

    def add(self, name: str) -> None:
        self.players[name] = Player(*self._somewhere())

    def remove(self, name: str) -> None:
        del self.players[name]

    def steer(self, name: str, dx: object, dy: object) -> None:
        """A player presses keys: -1, 0 or 1 in each direction."""
        if dx in (-1, 0, 1) and dy in (-1, 0, 1):
            player = self.players[name]
            player.dx, player.dy = int(dx), int(dy)  # type: ignore[call-overload]

    def step(self, seconds: float) -> None:
        """Move everything by this time."""
        for player in self.players.values():
            way = SPEED * seconds / (2**0.5 if player.dx and player.dy else 1)
            player.x = min(max(player.x + player.dx * way, 0), WIDTH)
            player.y = min(max(player.y + player.dy * way, 0), HEIGHT)
            far = abs(player.x - self.dot[0]), abs(player.y - self.dot[1])
            if max(far) < REACH:
                player.score += 1
                self.dot = self._somewhere()

    def state(self) -> list[Any]:
        """What players see."""
        players = [
            (name, round(p.x), round(p.y), p.score) for name, p in self.players.items()
        ]
        return [*map(round, self.dot), players]


def create(game: Game) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(serializer="msgpack")

    @sio.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        game.add(sid)

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        game.remove(sid)

    @sio.event
    async def steer(sid: str, dx: object = None, dy: object = None) -> None:
        game.steer(sid, dx, dy)

    return sio


@asynccontextmanager
async def playing(sio: socketio.AsyncServer, game: Game) -> AsyncIterator[None]:
    """Let the game go on meanwhile."""

    async def play() -> None:
        clock = asyncio.get_running_loop().time
        before = due = clock()
        while True:
            due = max(due + 1 / RATE, clock())  # a late step is not made up for
            await asyncio.sleep(due - clock())
            now = clock()
            game.step(now - before)
            before = now
            # Whoever is slow does not want what is old.
            await sio.of("/").volatile.emit("state", *game.state())

    task = asyncio.create_task(play())
    try:
        yield
    finally:
        task.cancel()


async def serve(host: str, port: int) -> None:
    game = Game()
    sio = create(game)
    files: dict[str, Any] = {"/": str(PAGE)}
    async with (
        await socketio.serve(sio, host=host, port=port, static_files=files) as server,
        playing(sio, game),
    ):
        print(f"playing at {server.url}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A game of several players.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    args = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(args.host, args.port))


if __name__ == "__main__":
    main()
