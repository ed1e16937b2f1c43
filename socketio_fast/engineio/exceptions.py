"""Errors with python-engineio's names."""

from __future__ import annotations

__all__ = [
    "ConnectionError",
    "ContentTooLongError",
    "EngineIOError",
    "QueueEmpty",
    "SocketIsClosedError",
    "UnknownPacketError",
]


class EngineIOError(Exception):
    """The base of all errors here."""


class ContentTooLongError(EngineIOError):
    """A message is longer than ``max_http_buffer_size``."""


class UnknownPacketError(EngineIOError):
    """A packet has a type that is not expected here."""


class QueueEmpty(EngineIOError):
    """Nothing is left to be sent."""


class SocketIsClosedError(EngineIOError):
    """The session is over."""


class ConnectionError(EngineIOError):
    """A connection could not be made."""
