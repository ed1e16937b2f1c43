"""What all Engine.IO clients share: options and handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from socketio_fast.handlers.signatures import adapt
from socketio_fast.options.client import EngineClientConfig

__all__ = ["BaseClient", "Reason"]

F = TypeVar("F", bound=Callable[..., Any])


class Reason:
    """Why a client has lost its connection: what ``disconnect`` handlers get."""

    CLIENT_DISCONNECT = "client disconnect"
    SERVER_DISCONNECT = "server disconnect"
    TRANSPORT_ERROR = "transport error"


class BaseClient:
    """The base class of Engine.IO clients."""

    event_names: ClassVar[list[str]] = ["connect", "disconnect", "message"]
    reason: ClassVar[type[Reason]] = Reason

    def __init__(self) -> None:
        #: The handlers by event.
        self.handlers: dict[str, Callable[..., Any]] = {}

    #: The options.
    config: EngineClientConfig

    # Options as attributes, as in python-engineio.

    @property
    def handle_sigint(self) -> bool:
        """The option."""
        return self.config.handle_sigint

    @property
    def http(self) -> Any:
        """The session of ``http_session=``; ``None`` for the client's own."""
        session = self.config.http_session
        return None if callable(session) else session

    @property
    def request_timeout(self) -> float | None:
        """The option."""
        return self.config.request_timeout

    @property
    def ssl_verify(self) -> Any:
        """The option."""
        return self.config.ssl_verify

    @property
    def timestamp_requests(self) -> bool:
        """The option."""
        return self.config.timestamp_requests

    @property
    def websocket_extra_options(self) -> Mapping[str, Any]:
        """The option."""
        return self.config.websocket_extra_options or {}

    def is_asyncio_based(self) -> bool:
        """Whether handlers may be coroutine functions."""
        return False

    def on(self, event: str, handler: F | None = None) -> Any:
        """Register a handler, or decorate one.

        Args:
            event: ``connect`` without arguments; ``message`` with the data, ``str`` or
                ``bytes``, ``list`` or ``dict`` if it is JSON; ``disconnect`` with the
                reason, one of :class:`Reason`.
            handler: A function; of ``AsyncClient`` also a coroutine function.

        Raises:
            ValueError: There is no such event.
        """
        if event not in self.event_names:
            raise ValueError(
                f"Invalid event: {event!r}, one of {self.event_names} expected"
            )

        def register(function: F) -> F:
            adapted: Callable[..., Any] = function
            if event == "disconnect":
                adapted = adapt(function, event, ("reason",))
            self._set_handler(event, adapted)
            self.handlers[event] = function
            return function

        return register if handler is None else register(handler)

    def _set_handler(self, event: str, handler: Callable[..., Any]) -> None:
        raise NotImplementedError
