"""Messages between the supervisor and a worker, over a pair of sockets.

A message is a line of JSON. The worker sends events: ``accepting``, ``beat``,
``leaving``, ``failed``. The supervisor sends orders: ``stop``, ``retire``, ``quit``,
``listen`` and ``unlisten``.
"""

from __future__ import annotations

import json
import socket
from typing import Any

__all__ = ["Channel"]

Message = dict[str, Any]


class Channel:
    """One end of the connection.

    Args:
        sock: The socket of this end. It becomes non-blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._received = bytearray()
        self._unsent = bytearray()

    def fileno(self) -> int:
        """The descriptor, for selectors."""
        return self._sock.fileno()

    def send(self, message: Message, *, droppable: bool = False) -> None:
        """Send a message, as far as the peer reads; the next call sends the rest.

        Args:
            message: What JSON can say.
            droppable: Whether it is left out while an earlier one has not been sent.
        """
        self._flush()
        if droppable and self._unsent:
            return
        self._unsent += json.dumps(message).encode() + b"\n"
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()  # the peer has ended, which is noticed elsewhere

    def receive(self) -> tuple[list[Message], bool]:
        """The messages that have arrived, and whether the peer has closed."""
        closed = False
        try:
            while data := self._sock.recv(65536):
                self._received += data
            closed = True
        except BlockingIOError:
            pass
        except OSError:
            closed = True
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        return [json.loads(line) for line in lines], closed

    def close(self) -> None:
        """Close this end."""
        self._sock.close()
