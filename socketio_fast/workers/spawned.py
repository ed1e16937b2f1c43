"""``python -m socketio_fast.workers.spawned DESCRIPTOR``: a worker in a fresh
interpreter. The supervisor starts it so."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import struct
import sys
from typing import Any

__all__ = ["receive_start", "send_start"]

_SIZE = struct.Struct("!I")


def send_start(sock: socket.socket, start: dict[str, Any]) -> None:
    """Send a fresh interpreter what it is to do.

    Args:
        sock: The supervisor's end of the connection, blocking.
        start: The fields of the ``Assignment``, with descriptors for sockets, and
            ``path``, ``argv``, ``place``, ``factory`` and ``logs``.
    """
    data = pickle.dumps(start)
    # If it has ended, the supervisor learns that from its exit code.
    with contextlib.suppress(OSError):
        sock.sendall(_SIZE.pack(len(data)) + data)


def receive_start(sock: socket.socket) -> dict[str, Any]:
    """What :func:`send_start` has sent."""
    (size,) = _SIZE.unpack(_exactly(sock, _SIZE.size))
    start: dict[str, Any] = pickle.loads(_exactly(sock, size))
    return start


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise SystemExit(1)  # the supervisor has ended
        data += chunk
    return bytes(data)


def main() -> None:
    """Work as the supervisor says."""
    # A terminal sends it to the supervisor too. The imports below take a while.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from socketio_fast.serving.program import load
    from socketio_fast.workers.worker_process import Assignment, work

    control = socket.socket(fileno=int(sys.argv[1]))
    start = receive_start(control)
    sys.path[:] = start.pop("path")
    sys.argv[:] = start.pop("argv")
    place, factory = start.pop("place"), start.pop("factory")
    start.pop("logs").apply()
    numbers = {number for slot in start["slots"] for number in slot}
    opened = {number: socket.socket(fileno=number) for number in numbers}
    slots = [[opened[number] for number in slot] for slot in start.pop("slots")]
    # Programs that the application starts are not to have them.
    for sock in (control, *opened.values()):
        sock.set_inheritable(False)
    # To say what they are: a copy would be blocking, and so would they.
    for sock in opened.values():
        sock.setblocking(False)
    os.set_inheritable(start["lifeline"], False)
    assignment = Assignment(control=control, slots=slots, **start)
    work(assignment, lambda: load(place, factory))


if __name__ == "__main__":
    main()
