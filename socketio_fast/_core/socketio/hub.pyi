from collections.abc import Callable, Container
from logging import Logger
from typing import Any, final

from typing_extensions import Self, disjoint_base

from socketio_fast._core.engine.contracts import HandlerFactory
from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.observer import Observer
from socketio_fast._core.engine.runner import Runner
from socketio_fast._core.engine.session import Session
from socketio_fast._core.protocol.encoding import Encoding
from socketio_fast._core.socketio.contracts import (
    ClientRegistry,
    Membership,
    NamespaceListener,
    Recovery,
)
from socketio_fast._core.socketio.peer_lifecycle import Peer
from socketio_fast._core.socketio.rooms import Rooms

MAX_NAME: int

@final
class Namespace:
    rooms: Rooms  # None when it has ended
    defer_connect: bool
    @property
    def recovery(self) -> Recovery | None: ...
    temporary: bool
    member: bool
    listener: NamespaceListener | None
    @property
    def watched(self) -> dict[Peer, None] | None: ...
    def __new__(cls, hub: Hub, name: str) -> Self: ...
    @property
    def name(self) -> str: ...
    @property
    def hub(self) -> Hub: ...
    @property
    def handlers(self) -> dict[Any, Callable[..., Any]]: ...
    @property
    def any_handler(self) -> Callable[..., Any] | None: ...
    @property
    def peers(self) -> dict[str, Peer]: ...
    @property
    def leaving(self) -> dict[str, Peer] | None: ...
    @property
    def connect_handler(self) -> Callable[..., Any] | None: ...
    @property
    def disconnect_handler(self) -> Callable[..., Any] | None: ...
    @property
    def trigger(self) -> Callable[..., Any] | None: ...
    def set_handler(self, event: Any, handler: Callable[..., Any] | None) -> None: ...
    def set_trigger(self, trigger: Callable[..., Any] | None) -> None: ...
    def handler_of(
        self, event: Any, *args: Any
    ) -> tuple[Callable[..., Any] | None, list[Any]]: ...

@disjoint_base
class Hub(HandlerFactory):
    holds_events: bool
    trigger: Callable[..., Any] | None
    resolve: Callable[[str, Any], Any] | None
    def __new__(
        cls,
        *,
        admit: Container[str] | None,
        new_rooms: Callable[[Namespace], Membership],
        logger: Logger,
        connect_timeout: float,
        max_attachments: int,
        max_incomplete_bytes: int = 67108864,
        max_pending_acks: int = 10_000,
        ordered: bool = False,
        always_connect: bool = False,
        verbose: bool = False,
        encoding: Encoding | None = None,
        new_recovery: Callable[[Namespace], Recovery] | None = None,
        error_acks: bool = False,
    ) -> Self: ...
    @property
    def namespaces(self) -> dict[str, Namespace]: ...
    @property
    def wildcard(self) -> Namespace: ...
    @property
    def engine(self) -> Engine | None: ...
    @property
    def runner(self) -> Runner | None: ...
    @property
    def observer(self) -> Observer | None: ...
    @property
    def logger(self) -> Logger: ...
    @property
    def ordered(self) -> bool: ...
    @property
    def not_handled(self) -> object: ...
    @property
    def encoding(self) -> Encoding | None: ...
    registry: ClientRegistry | None
    def bind(self, engine: Engine) -> None: ...
    def observe(self, observer: Observer | None) -> None: ...
    def namespace(self, name: str) -> Namespace: ...
    def peer_of(self, session: Session, namespace: str) -> Peer | None: ...
    def absence_of(self, sid: Any, namespace: str) -> str: ...
    def release(self, name: str) -> None: ...
