"""The options of Socket.IO servers, beside those of the Engine.IO server below."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from socketio_fast.handlers.names import check_namespace
from socketio_fast.options.config import AsyncHandlers, check_async_handlers
from socketio_fast.options.declare import (
    check_options,
    number,
    option,
    seconds,
    size,
    switch,
    takes,
)

if TYPE_CHECKING:
    from socketio_fast.managers.base import BaseManager
    from socketio_fast.options.logs import AnyLogger

__all__ = ["ServerConfig"]


def _namespaces(label: str, given: Any) -> Sequence[str]:
    if given is None:
        return ["/"]
    if isinstance(given, str):
        return given if given == "*" else [check_namespace(given)]
    if not isinstance(given, Iterable):
        raise ValueError(
            f"{label}={given!r}: None, '*', a name or a list of names expected"
        )
    names = given if isinstance(given, Sequence) else list(given)
    for name in names:
        check_namespace(name)
    return names or ["/"]


@takes()
@dataclass(kw_only=True, eq=False, repr=False)
class ServerConfig:
    """The options of Socket.IO servers.

    Names and defaults are python-socketio's where it has the option.

    Args:
        **options: See docs/options.md.

    Raises:
        ValueError: The option and the value that is not allowed.
    """

    client_manager: BaseManager | None = option(
        None,
        "The client manager, one of ``socketio_fast.managers``, by which several "
        "processes act as one server; see docs/scaling.md. ``None`` for a single "
        "process.",
    )
    logger: bool | AnyLogger = option(
        False,
        "Whether events are logged, or the logger to use: of logging, loguru, "
        "structlog, or any object with the methods ``info``, ``warning`` and "
        "``error``.",
    )
    json: Any = option(
        None,
        "A module, or any object with ``dumps`` and ``loads``, that writes and reads "
        "the JSON of packets; see docs/encodings.md. ``None`` for the built-in JSON.",
    )
    async_handlers: AsyncHandlers = option(
        True,
        "Whether a client's next handler may start before its last has ended. Handlers "
        "start in the order in which its messages came. ``'ordered'``: the handlers of "
        "one client run one after another, those of different clients at the same "
        "time. ``False``: the same, and ``call()`` is refused, as in python-socketio.",
        check_async_handlers,
    )
    namespaces: Iterable[str] | str | None = option(
        None,
        "Namespaces that accept clients although they have no handlers: a name, a list "
        "of names, or ``'*'`` for all. ``None`` is ``['/']``.",
        _namespaces,
    )
    serializer: str | type[Any] = option(
        "default",
        "How packets are encoded. ``'default'``: JSON and binary attachments. "
        "``'msgpack'``: MessagePack. Or a packet class: a subclass of "
        "``socketio_fast.packet.Packet``, or one like it. See docs/encodings.md.",
    )
    always_connect: bool = option(
        False,
        "Whether a client is told that it is connected before its ``connect`` handler "
        "runs. If that refuses the client, it is disconnected. For clients that must "
        "be connected before they get the events which the handler sends them.",
    )
    engineio_logger: bool | AnyLogger | None = option(
        None,
        "Whether events of connections are logged, or the logger to use, as "
        "``logger``.",
    )
    connect_timeout: float = option(
        45,
        "Seconds that a client has to join a namespace.",
        seconds("seconds", infinite=True),
        unit="s",
    )
    max_attachments: int = option(
        10,
        "The largest number of binary attachments of one message.",
        number("a number", 0),
    )
    max_incomplete_bytes: int = option(
        64 * 1024 * 1024,
        "The largest total size, in bytes, of the messages of all clients whose binary "
        "attachments have not all come. With more, the client whose message was begun "
        "first is disconnected. ``max_pending_bytes`` or ``max_http_buffer_size`` "
        "counts instead if it is larger.",
        size,
        unit="bytes",
    )
    max_pending_acks: int = option(
        10_000,
        "The largest number of acknowledgements that are waited for, of one client in "
        "one namespace. With more, the oldest is given up.",
        number("a number above 0", 1),
    )
    cleanup_empty_child_namespaces: bool = option(
        False,
        "Whether a namespace that ``of()`` has made for a client goes with its last "
        "client.",
        switch(),
    )
    validate_handlers: bool = option(
        True,
        "Whether handlers that are annotated with pydantic models, msgspec structs or "
        "dataclasses get validated arguments; see docs/validation.md.",
        switch(),
    )
    connection_state_recovery: bool | Mapping[str, Any] | None = option(
        None,
        "Whether a client that was cut off may go on where it was, with what it has "
        "missed: ``True``, or a dict of ``RecoveryOptions``. ``None`` or ``False`` for "
        "not. See docs/recovery.md.",
    )
    error_acks: bool = option(
        False,
        "Whether an event whose handler raises, or that has no handler, is "
        "acknowledged by ``{'error': ...}`` if the client asks for an acknowledgement. "
        "Otherwise it is not acknowledged. The client is not told what was raised.",
        switch(),
    )
    serve_client: str | os.PathLike[str] | bool | None = option(
        None,
        "The directory of the official JavaScript client, the ``dist`` of the npm "
        "package ``socket.io-client``, which is then served at "
        "``/socket.io/socket.io.js``. ``None`` for not. See docs/deployment.md.",
    )

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def admitted(self) -> Sequence[str] | None:
        """The namespaces that accept clients; ``None`` for all."""
        names: Any = self.namespaces
        return None if "*" in names else names
