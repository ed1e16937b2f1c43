"""Clients when their process forks, and when it ends."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from contextlib import suppress
from typing import Any

# It stops the event loops at exit: what is registered later, here, is called before.
from socketio_fast.threads.loop import EXIT_TIMEOUT

__all__ = ["disconnect_at_exit", "forget_after_fork"]

_forgetful: weakref.WeakSet[Any] = weakref.WeakSet()
_leaving: weakref.WeakSet[Any] = weakref.WeakSet()


def forget_after_fork(client: Any) -> None:
    """Call the client's ``_forget()`` in each process that is forked from now on: its
    connection is the parent's."""
    _forgetful.add(client)


def disconnect_at_exit(client: Any) -> None:
    """Call the client's ``_leave(timeout)`` when the process ends."""
    _leaving.add(client)


def _in_child() -> None:
    for client in list(_forgetful):
        client._forget()


def _at_exit() -> None:
    deadline = time.monotonic() + EXIT_TIMEOUT
    for client in list(_leaving):
        with suppress(Exception):
            client._leave(max(0.0, deadline - time.monotonic()))


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
