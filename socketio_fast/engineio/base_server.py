"""What all Engine.IO servers share: options, handlers, sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.ids import generate_id
from socketio_fast._core.engine.message_handlers import Callbacks
from socketio_fast._core.engine.session import Session
from socketio_fast._core.protocol.outgoing import Outgoing, message_packet, raw_packet
from socketio_fast.engineio.hooks import EVENTS, Hooks
from socketio_fast.engineio.packet import Packet
from socketio_fast.handlers.signatures import adapt
from socketio_fast.options.config import TRANSPORTS, AsyncHandlers, EngineConfig
from socketio_fast.options.declare import Option, declared
from socketio_fast.options.json_module import JSON
from socketio_fast.options.logs import Logger, escaped
from socketio_fast.overrides import refuse_overrides

if TYPE_CHECKING:
    from socketio_fast.options.typed import EngineAttributes
else:
    EngineAttributes = object

__all__ = ["BaseServer", "Reason"]

F = TypeVar("F", bound=Callable[..., Any])

#: What python-engineio calls the ways to run an asyncio server, and others.
ASYNC_MODES = ("asgi", "aiohttp", "sanic", "tornado")
SYNC_MODES = ("threading", "eventlet", "gevent", "gevent_uwsgi")


# Private methods of python-engineio's servers, which are called there. Here the
# compiled core does that.
NEVER_CALLED = {
    "_handle_connect": "use a handler of 'connect', allow_request=, or use()",
    "_trigger_event": "register handlers by on()",
    "_upgrades": "set allow_upgrades= or transports=",
    "_service_task": "set ping_interval= and ping_timeout=",
    "_get_socket": "look into sockets",
    "_generate_sid_cookie": "set cookie=",
    **dict.fromkeys(
        ("_cors_allowed_origins", "_cors_headers"),
        "set cors_allowed_origins=, which may be a function, or cors_credentials=, or "
        "change headers in a handler of 'headers'",
    ),
    **dict.fromkeys(
        ("_bad_request", "_make_response", "_method_not_found", "_ok", "_unauthorized"),
        "refuse by RequestRefusedError in use() or allow_request=, or change headers "
        "in a handler of 'headers'",
    ),
    **dict.fromkeys(("_deflate", "_gzip"), "set http_compression="),
    "_log_error_once": "set logger=",
}


class Reason:
    """Why a client disconnected: the values that disconnect handlers get."""

    SERVER_DISCONNECT = "server disconnect"
    CLIENT_DISCONNECT = "client disconnect"
    PING_TIMEOUT = "ping timeout"
    TRANSPORT_CLOSE = "transport close"
    TRANSPORT_ERROR = "transport error"


class _Property:
    """An option as an attribute of servers. A new value holds for what begins later."""

    def __init__(self, option: Option) -> None:
        self._name = option.name
        self._settable = option.settable

    def __get__(self, server: Any, owner: type) -> Any:
        if server is None:
            return self
        given = server.config.given
        if self._name in given:
            return given[self._name]
        value = getattr(server.config, self._name)
        # A list for who compares it with one; the configuration is frozen.
        return list(value) if self._name == "transports" else value

    def __set__(self, server: Any, value: Any) -> None:
        if not self._settable:
            raise AttributeError(f"{self._name}= is for the constructor of the server")
        given = dict(server.config.given)
        if self._name in given:
            given[self._name] = value
        server.engine.configure(
            replace(server.config, given=given, **{self._name: value})
        )


class BaseServer(EngineAttributes):
    """The base class of servers: their options, and questions about clients.

    Every handler goes through :meth:`_adapt` on its way to the compiled core.
    """

    reason: ClassVar[type[Reason]] = Reason
    event_names: ClassVar[list[str]] = ["connect", "disconnect", "message"]
    valid_transports: ClassVar[list[str]] = list(TRANSPORTS)
    compression_methods: ClassVar[list[str]] = ["gzip", "deflate"]
    default_path: ClassVar[str] = "/engine.io/"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, NEVER_CALLED)

    #: Where events of connections are logged.
    logger: Logger
    #: Whether a client's next handler may start before its last has ended.
    async_handlers: AsyncHandlers
    #: What ``monitor_clients`` was; clients are monitored in any case.
    start_service_task: bool
    #: The compiled core: sessions, deadlines, what is to be written.
    engine: Engine

    _callbacks: Callbacks
    _hooks: Hooks
    _json: JSON

    def __init__(self) -> None:
        #: The handlers by event.
        self.handlers: dict[str, Callable[..., Any]] = {}

    @property
    def config(self) -> EngineConfig:
        """The options."""
        return self.engine.config

    @property
    def sockets(self) -> dict[str, Session]:
        """The sessions, by Engine.IO id."""
        return self.engine.sessions

    @property
    def counters(self) -> Counter[str]:
        """Counts of rare events, by name; see docs/deployment.md."""
        counters: Counter[str] = self.engine.counters
        return counters

    @property
    def clients_count(self) -> int:
        """The number of connected clients."""
        return len(self.engine.sessions)

    @property
    def draining(self) -> bool:
        """Whether clients are refused because of :meth:`drain`."""
        return self.engine.draining

    def use(self, middleware: F) -> F:
        """Add a middleware. All are called in order for each Engine.IO request.

        Example::

            @sio.eio.use
            async def authenticate(environ, headers):
                environ["user"] = await users.of(environ.get("HTTP_AUTHORIZATION"))
                if environ["user"] is None:
                    raise RequestRefusedError("Who are you?", status=401)

        Args:
            middleware: A function or coroutine function of the request, a WSGI
                environment, and the headers of its response, a mutable mapping. What it
                adds to the environ of a client's first request the connect handler
                sees. It refuses by :class:`~socketio_fast.exceptions.
                RequestRefusedError`; any other error is logged, and the client gets 400
                with code 3.
        """
        self._hooks.use(self._adapt(middleware))
        return middleware

    @property
    def ping_interval_grace_period(self) -> float:
        """Seconds that are added to the ``ping_interval`` that clients are told."""
        return self.config.ping_grace

    @overload
    def on(self, event: str, handler: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, handler: F) -> F: ...

    def on(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Register a handler, or decorate one.

        Args:
            event: ``connect`` with ``(sid, environ)``, which refuses by returning
                anything but ``None`` and ``True``; ``message`` with ``(sid, data)``,
                ``str`` or ``bytes``; ``disconnect`` with ``(sid, reason)``. Of
                requests, which may have several listeners: ``headers`` and
                ``initial_headers`` with ``(headers, environ)``, the latter for first
                requests only;
                ``connection_error`` with a dict of ``environ``, ``code``, ``message``
                and ``context``. Of connections: ``connection`` with the
                :class:`~socketio_fast.engineio.connection.Connection` of a client, when
                it has begun; ``slow`` with ``(sid, bytes)``, the
                Engine.IO id of a client and how much waits for it, when that has become
                more than ``high_water_mark``; again after it has been below half.
            handler: A function or coroutine function.

        The array or object of a message that is JSON is a ``list`` or ``dict``.

        Raises:
            ValueError: There is no such event.
        """
        if event not in self.event_names and event not in EVENTS:
            names = [*self.event_names, *EVENTS]
            raise ValueError(f"event {event!r}: one of {names} expected")

        def register(function: F) -> F:
            if event in EVENTS:
                self._hooks.on(event, self._adapt(function))
                return function
            adapted: Callable[..., Any] = function
            if event == "disconnect":
                adapted = adapt(function, event, ("sid", "reason"))
            client = None if event == "disconnect" else self._client
            setattr(self._callbacks, event, self._adapt(adapted, client))
            self.handlers[event] = function
            return function

        return register if handler is None else register(handler)

    def _adapt(
        self,
        handler: Callable[..., Any],
        client: Callable[..., Session | None] | None = None,
    ) -> Callable[..., Any]:
        """Wrap a handler for the core, which calls the result on the event loop.

        ``client`` finds the client by the arguments of a call.
        """
        return handler

    def _client(self, sid: str, *args: Any) -> Session | None:
        """Find the session that a call of a handler is for."""
        return self.engine.sessions.get(sid)

    def _encode(self, data: Any) -> Outgoing:
        """Encode a message for sending. Any thread may call this."""
        if isinstance(data, (list, dict)):
            data = self._json.text(data)
        return message_packet(data)

    def _encode_packet(self, pkt: Packet) -> Outgoing:
        """Encode a packet for sending. Any thread may call this."""
        encoded = pkt.encode()
        if isinstance(encoded, str):
            return raw_packet(encoded.encode())
        return message_packet(encoded)

    def _send(self, sid: str, message: Outgoing) -> None:
        session = self.engine.sessions.get(sid)
        if session is None:
            self.logger.warning("cannot send to unknown session %s", escaped(sid))
        else:
            session.send_encoded(message)

    def _get_session(self, sid: str) -> dict[str, Any]:
        session = self._session(sid)
        if session.data is None:
            session.data = {}
        return session.data

    def _save_session(self, sid: str, session: dict[str, Any]) -> None:
        self._session(sid).data = session

    def transport(self, sid: str) -> str:
        """The transport of a client: ``"polling"``, ``"websocket"`` or
        ``"webtransport"``.

        Raises:
            KeyError: The client is not connected.
        """
        return self._session(sid).transport_name

    def _session(self, sid: str) -> Session:
        try:
            return self.engine.sessions[sid]
        except KeyError:
            raise KeyError(f"Session not found: no client {sid!r:.80}") from None

    def generate_id(self) -> str:
        """Make a new id: 20 url-safe characters, 120 bits of the system's randomness.

        Replace this method, on an instance or a subclass, to choose ids. A function
        that takes an argument gets the environ of the request. It may be a coroutine
        function; with a server for threads it runs in a thread. The ids of clients in
        namespaces are then made by the default.
        """
        return generate_id()


for _each in declared(EngineConfig).values():
    setattr(BaseServer, _each.name, _Property(_each))
