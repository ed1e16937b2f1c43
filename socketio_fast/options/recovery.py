"""Connection state recovery: its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from socketio_fast._core.socketio.hub import Namespace
from socketio_fast._core.socketio.recovery import Backlog, Kept
from socketio_fast.options.amounts import real, whole

__all__ = ["RecoveryOptions", "choose_recovery"]


@dataclass(frozen=True)
class RecoveryOptions:
    """How clients that were cut off may go on where they were.

    What is kept is bounded for all namespaces of a server together.

    Args:
        max_disconnection_duration: Seconds that a client may be away (120).
        skip_middlewares: Whether one that is recovered does not pass the middlewares of
            its namespace again (``True``).
        max_packets: Events that are kept, at most (10,000).
        max_bytes: Memory for them, at most, in bytes (32 MiB): an event is counted as
            512 bytes, its size, and 64 bytes for each binary attachment and room.
        max_sessions: Clients that are away and waited for, at most (10,000):
            one in several namespaces counts in each.

    Raises:
        ValueError: An option has a value that is not allowed.
    """

    max_disconnection_duration: float = 120
    skip_middlewares: bool = True
    max_packets: int = 10_000
    max_bytes: int = 32 * 1024 * 1024
    max_sessions: int = 10_000

    def __post_init__(self) -> None:
        given = self.max_disconnection_duration
        duration = real(given)
        if duration is None or not 0 < duration < float("inf"):
            raise _wrong("max_disconnection_duration", given, "seconds above 0")
        object.__setattr__(self, "max_disconnection_duration", duration)
        if not isinstance(self.skip_middlewares, bool):
            raise _wrong("skip_middlewares", self.skip_middlewares, "True or False")
        for name in ("max_packets", "max_bytes", "max_sessions"):
            value = getattr(self, name)
            number = whole(value)
            if number is None or number < 1:
                raise _wrong(name, value, "a whole number above 0")
            object.__setattr__(self, name, number)

    def new_backlog(self, kept: Kept, namespace: Namespace) -> Backlog:
        """What keeps the events and clients of a namespace.

        Args:
            kept: What all namespaces of the server share.
            namespace: The namespace.
        """
        return Backlog(
            namespace,
            duration=self.max_disconnection_duration,
            max_packets=self.max_packets,
            max_bytes=self.max_bytes,
            max_sessions=self.max_sessions,
            kept=kept,
            skip_middlewares=self.skip_middlewares,
        )


def choose_recovery(option: Any) -> RecoveryOptions | None:
    """The options of ``connection_state_recovery``; ``None`` for no recovery.

    Args:
        option: ``None`` or ``False``, ``True`` for the defaults, or a mapping.

    Raises:
        ValueError: It is something else, or has an option that is not there, or one
            with a value that is not allowed.
    """
    if option is None or option is False:
        return None
    if option is True:
        return RecoveryOptions()
    if not isinstance(option, Mapping):
        raise ValueError(
            f"connection_state_recovery={option!r}: True, False or a dict expected"
        )
    names = [field.name for field in fields(RecoveryOptions)]
    for name in option:
        if name not in names:
            near = get_close_matches(str(name), names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"connection_state_recovery has no {name!r}{hint}")
    return RecoveryOptions(**option)


def _wrong(name: str, value: Any, expected: str) -> ValueError:
    return ValueError(
        f"connection_state_recovery: {name}={value!r}, {expected} expected"
    )
