"""Ports for programs that have to be told one."""

from __future__ import annotations

import random
import socket

#: Below those that Linux gives to clients, and to whoever asks for any: one of theirs
#: may be taken again before the program listens on it.
PORTS = range(10_000, 32_000)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
