"""SIGINT (Ctrl-C) ends the connections of clients for threads."""

from __future__ import annotations

import signal
import threading
import weakref
from typing import Any, Protocol

__all__ = ["disconnect_at_sigint"]


class Connected(Protocol):
    """A client."""

    def disconnect(self) -> object:
        """Disconnect, or do nothing if there is no connection."""


_clients: weakref.WeakSet[Any] = weakref.WeakSet()
#: The handler before ours, once ours is there.
_before: Any = None


def disconnect_at_sigint(client: Connected) -> None:
    """Disconnect this client at SIGINT, before what SIGINT does otherwise.

    The first call sets a handler, if it is made in the main thread. Nothing happens if
    the process ignores SIGINT, or if a handler that is not of Python is there.
    """
    global _before
    _clients.add(client)
    if _before is None and threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGINT)
        if before not in (None, signal.SIG_IGN):
            _before = before
            signal.signal(signal.SIGINT, _disconnect_all)


def _disconnect_all(number: int, frame: Any) -> Any:
    for client in list(_clients):
        client.disconnect()
    if callable(_before):
        return _before(number, frame)
    signal.signal(number, signal.SIG_DFL)
    return signal.raise_signal(number)
