"""A whiteboard for several people, with their cursors.

python examples/whiteboard/server.py [--host HOST] [--port PORT]

A stroke is binary: pairs of 16-bit coordinates, as the page's `Uint16Array` has them.
Cursors are volatile: a client that is slow gets only the newest.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import socketio_fast as socketio

PAGE = Path(__file__).with_name("index.html")
MAX_STROKES = 2_000  # of each board; the oldest are forgotten
MAX_STROKE = 4 * 4_000  # bytes: 4,000 points
COLOR = re.compile(r"#[0-9a-f]{6}")
NAME = re.compile(r"[\w-]{1,32}")

Stroke = tuple[str, bytes]


def is_stroke(color: object, points: object) -> bool:
    return (
        isinstance(color, str)
        and COLOR.fullmatch(color) is not None
        and isinstance(points, bytes)
        and 0 < len(points) <= MAX_STROKE
        and len(points) % 4 == 0
    )


def is_position(x: object, y: object) -> bool:
    return all(type(n) is int and 0 <= n < 0x10000 for n in (x, y))


def create() -> socketio.AsyncServer:
    sio = socketio.AsyncServer()
    boards: defaultdict[str, deque[Stroke]] = defaultdict(
        lambda: deque(maxlen=MAX_STROKES)
    )

    @sio.of("/").use
    def choose_board(socket: socketio.Socket) -> None:
        auth = socket.handshake.auth
        board = auth.get("board") if isinstance(auth, dict) else None
        if not isinstance(board, str) or not NAME.fullmatch(board):
            raise socketio.exceptions.ConnectionRefusedError(
                "A board has a name of 1 to 32 letters, digits, - and _."
            )
        socket.data["room"] = f"board:{board}"
        socket.data["strokes"] = boards[board]

    @sio.of("/").on("connection")
    async def connection(socket: socketio.Socket) -> None:
        room, strokes = socket.data["room"], socket.data["strokes"]

        @socket.on("stroke")
        async def stroke(color: object, points: object) -> None:
            if is_stroke(color, points):
                strokes.append((color, points))
                await socket.to(room).emit("stroke", color, points)

        @socket.on("cursor")
        async def cursor(x: object, y: object) -> None:
            if is_position(x, y):
                await socket.to(room).volatile.emit("cursor", socket.id, x, y)

        @socket.on("clear")
        async def clear() -> None:
            strokes.clear()
            await sio.of("/").to(room).emit("clear")

        @socket.on("disconnect")
        async def disconnect(reason: str) -> None:
            await sio.of("/").to(room).emit("left", socket.id)

        await socket.join(room)
        await socket.emit("board", list(strokes))

    return sio


app = create()  # for `socketio-fast run server:app`


def main() -> None:
    parser = argparse.ArgumentParser(description="A whiteboard for several people.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    args = parser.parse_args()
    files: dict[str, Any] = {"/": str(PAGE)}
    socketio.run(app, host=args.host, port=args.port, static_files=files)


if __name__ == "__main__":
    main()
