"""Connection state recovery: its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from socketio_fast._core.socketio.hub import Namespace
from socketio_fast._core.socketio.recovery import Backlog, Kept
from socketio_fast.options.declare import (
    as_options,
    check_options,
    number,
    option,
    seconds,
    switch,
    takes,
)

__all__ = ["RecoveryOptions", "choose_recovery"]


_number = number("a whole number above 0", 1)


@takes()
@dataclass(frozen=True)
class RecoveryOptions:
    """How clients that were cut off may go on where they were; docs/options.md.

    The maxima hold for all namespaces of a server together.

    Args:
        **options: See docs/options.md.

    Raises:
        ValueError: An option has a value that is not allowed.
    """

    max_disconnection_duration: float = option(
        120,
        "Seconds that a client may be away.",
        seconds("seconds above 0"),
        unit="s",
    )
    skip_middlewares: bool = option(
        True,
        "Whether a client that is recovered skips the middlewares of its namespace.",
        switch(),
    )
    max_packets: int = option(
        10_000, "The largest number of events that are kept.", _number
    )
    max_bytes: int = option(
        32 * 1024 * 1024,
        "The largest memory for these events, in bytes. An event counts as 512 bytes, "
        "its size, and 64 bytes for each binary attachment and room.",
        _number,
        unit="bytes",
    )
    max_sessions: int = option(
        10_000,
        "The largest number of clients that are away and waited for. A client in "
        "several namespaces counts in each.",
        _number,
    )

    def __post_init__(self) -> None:
        check_options(self, "connection_state_recovery: ")

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
    return as_options(RecoveryOptions, "connection_state_recovery", option)
