"""The errors of the package, with python-socketio's names where it has them.

::

    SocketIOError
    ├── ProtocolError             a peer broke a rule of a protocol
    │   └── PacketError           a malformed Engine.IO or Socket.IO packet; a
    │       │                     ValueError too
    │       └── LimitError        more than an option allows
    ├── ConnectionError
    │   ├── ConnectionFailedError    a client's attempt to connect has failed
    │   └── ConnectionRefusedError   raise it in a connect handler to refuse a client
    ├── InvalidPayloadError       arguments of a client are not what a handler takes; a
    │                             ValueError too
    ├── TimeoutError              no acknowledgement in time
    │   └── BroadcastTimeoutError    of some of the clients that were asked
    ├── BadNamespaceError
    ├── OfflineBufferError        too much waits for a connection already
    ├── RequestRefusedError       raise it in a hook to refuse an HTTP request
    └── DisconnectedError         the client has gone
        └── CallDisconnectedError    while an acknowledgement of it was awaited
"""

# This module imports nothing of the package: the compiled core imports it.

from __future__ import annotations

import builtins
from typing import Any

__all__ = [
    "BadNamespaceError",
    "BroadcastTimeoutError",
    "CallDisconnectedError",
    "ConnectionError",
    "ConnectionFailedError",
    "ConnectionRefusedError",
    "DisconnectedError",
    "InvalidPayloadError",
    "LimitError",
    "OfflineBufferError",
    "PacketError",
    "ProtocolError",
    "RequestRefusedError",
    "SocketIOError",
    "TimeoutError",
]


class SocketIOError(Exception):
    """The base of all errors here. They can be copied and pickled, subclasses too."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own calls the class with `args`, which need not be what it takes.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(cls: type[SocketIOError], args: tuple[Any, ...]) -> SocketIOError:
    """The error without what its attributes are, which come next."""
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class ProtocolError(SocketIOError):
    """A peer broke a rule; its connection is closed.

    Args:
        message: The rule and the value that broke it.
        code: The WebSocket close code (RFC 6455, section 7.4) that answers it;
            ``None`` closes without one.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class PacketError(ProtocolError, ValueError):
    """A malformed packet: Engine.IO revision 4 or Socket.IO revision 5.

    A ``ValueError`` too, which is what packet classes of python-socketio raise.
    """


class LimitError(PacketError):
    """More than an option allows."""


class ConnectionError(SocketIOError):
    """A connection could not be made."""


class ConnectionFailedError(ConnectionError):
    """A client's attempt to connect to a server has failed.

    Args:
        message: The URL, what was expected, what came, and what to do.
        data: The JSON that the server answered with, if it did: ``args[1]``.
        status: The status of the HTTP response, if there was one.
        retry_after: Seconds after which the server asks to be tried again.
    """

    def __init__(
        self,
        message: str,
        *data: Any,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, *data)
        self.status = status
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class ConnectionRefusedError(ConnectionError):
    """Raised by a connect handler: the client is refused.

    Args:
        *args: The message, then data for the client. The client gets
            ``{"message": str(args[0]), "data": …}`` in its ``connect_error`` event;
            ``data`` is left out with one argument, and a list with more than two.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.error_args: dict[str, Any] = {
            "message": str(args[0]) if args else "Connection rejected by server"
        }
        if len(args) > 1:
            self.error_args["data"] = args[1] if len(args) == 2 else args[1:]


class InvalidPayloadError(SocketIOError, ValueError):
    """What a client sent is not what the handler takes.

    Handlers with models as annotations raise it before they run, and others may: the
    client gets ``{"error": {"message": …, "details": …}}`` as the acknowledgement, or
    an ``error`` event ``{"event": …, "message": …, "details": …}`` if it asked for
    none.

    Args:
        details: What is wrong, for the client: dicts with ``loc``, the way there from
            the number of the argument on, and ``msg``.
        message: The whole of it, for the client.
    """

    def __init__(
        self, details: list[dict[str, Any]], message: str = "invalid payload"
    ) -> None:
        super().__init__(message, details)
        self.message = message
        self.details = details


class TimeoutError(SocketIOError, builtins.TimeoutError):
    """No acknowledgement in time. Also a builtin ``TimeoutError``."""


class BroadcastTimeoutError(TimeoutError):
    """Not all clients have acknowledged a broadcast.

    Args:
        event: Its name.
        missing: How many clients have not: in time, or because they have gone.
        responses: What the others answered, in the order it came.
        others: What else there is to say.
    """

    def __init__(
        self, event: str, missing: int, responses: list[Any], others: str = ""
    ) -> None:
        super().__init__(
            f"{missing} of {missing + len(responses)} clients did not acknowledge "
            f"{event!r}{others}"
        )
        self.missing = missing
        self.responses = responses


class BadNamespaceError(SocketIOError):
    """The namespace is not connected."""


class OfflineBufferError(SocketIOError):
    """Too much waits for a connection already: what was emitted now is not kept."""


class RequestRefusedError(SocketIOError):
    """Raised by ``allow_request`` or an engine's middleware: the request is refused.

    The client gets ``{"code": code, "message": message}``.

    Args:
        message: What the client is told.
        code: Engine.IO's number of the error; 4 is "Forbidden", 3 "Bad request".
        status: The HTTP status, 400 to 599.
        headers: More headers of the response, such as ``{"Retry-After": "5"}``.

    Raises:
        ValueError: The status is none of an error.
    """

    def __init__(
        self,
        message: str = "Forbidden",
        *,
        code: int = 4,
        status: int = 403,
        headers: dict[str, Any] | None = None,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(
                f"status={status!r}: one of an error, 400 to 599, expected"
            )
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.headers = headers


class DisconnectedError(SocketIOError):
    """The client has gone."""


class CallDisconnectedError(DisconnectedError, TimeoutError):
    """The client went while its acknowledgement was awaited.

    A ``TimeoutError`` too: that is what a program written for python-socketio, which
    waits for the rest of the timeout instead, is prepared for.
    """
