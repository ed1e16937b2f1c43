"""What Flask-SocketIO needs of python-socketio's private parts, by public ones."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

__all__ = ["CHANGES"]

#: What is changed in which module, when it has been loaded.
CHANGES: dict[str, Callable[[ModuleType], None]] = {}
