"""What carries a session but for long-polling, and what it is to reach."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from socketio_fast.clients.contracts import Requests
from socketio_fast.options.logs import Logger

if TYPE_CHECKING:
    from socketio_fast._core.engine.engine import Engine
    from socketio_fast._core.protocol.deflate import Extension

__all__ = ["Carrier", "Target"]


@dataclass(frozen=True)
class Target:
    """What one attempt connects to, and how."""

    url: str
    headers: Mapping[str, str]
    path: str
    transports: Sequence[str]
    query: Mapping[str, str] = field(default_factory=dict)
    eio: int = 4
    force_base64: bool = False
    upgrade: bool = True
    timestamps: bool = True
    protocols: Sequence[str] = ()
    #: Seconds for the whole attempt, and for each request of long-polling.
    connect_timeout: float = 20.0
    request_timeout: float | None = 5.0
    #: Bytes of a message that may come.
    max_http_buffer_size: int = 100_000_000
    #: What is offered to the server; ``None``: no compression.
    deflate: Extension | None = None
    #: SHA-256 of the certificates that are accepted by WebTransport; none: those of
    #: authorities are.
    certificate_hashes: Sequence[bytes] = ()


class Carrier(ABC):
    """One connection that carries a session.

    Args:
        engine: The client's.
        requests: What the connection has in common with long-polling.
        target: What it connects to.
        logger: Where it is logged.
    """

    #: The transport, for the session.
    transport: Any

    def __init__(
        self, engine: Engine, requests: Requests, target: Target, logger: Logger
    ) -> None:
        self.engine = engine
        self.requests = requests
        self.target = target
        self.logger = logger

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether there is no connection any more."""

    @abstractmethod
    async def connect(self, url: str) -> None:
        """Connect to a URL.

        Raises:
            ConnectionFailedError: It was not connected, and nothing of it is left.
        """

    @abstractmethod
    def begin(self, sid: str | None) -> None:
        """Tell the server which session this is for; ``None``: for a new one."""

    @abstractmethod
    def abort(self) -> None:
        """End the connection now."""

    @abstractmethod
    async def ended(self) -> None:
        """Wait until nothing of it is open any more."""
