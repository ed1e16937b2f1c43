"""The server side of the official Admin UI, npm's ``@socket.io/admin-ui``."""

from __future__ import annotations

import asyncio
import copy
import inspect
import math
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from socketio_fast._core.engine.failures import contain, defer_exit, ends_task
from socketio_fast._core.socketio.peer_lifecycle import Peer
from socketio_fast.adapters.base import Adapter
from socketio_fast.admin.passwords import Attempts, fits_any, has_plain_password
from socketio_fast.admin.reporter import HOSTNAME, Reporter, peers_of, timestamp
from socketio_fast.cluster.manager import WorkersManager
from socketio_fast.exceptions import ConnectionRefusedError
from socketio_fast.sockets.scope import Scope

if TYPE_CHECKING:
    from socketio_fast.async_server import AsyncServer

__all__ = ["InstrumentedAsyncServer"]

Rule = Callable[[Any], bool | Awaitable[bool]]

# Seconds for which a page may connect again without the password; the reference
# implementation's Redis store has the same figure.
SESSION_DURATION = 86400
# Pages that are remembered for that, at most; of more the oldest are forgotten.
MAX_SESSIONS = 1000
# Events that wait to be sent to UIs of other processes, at most; more are dropped.
MAX_OUTBOX = 10_000
# Seconds until a wrong password is refused.
REFUSAL_DELAY = 0.5


class InstrumentedAsyncServer:
    """Lets the Admin UI watch and control a server; made by ``sio.instrument()``.

    Example::

        sio.instrument(auth={"username": "admin", "password": os.environ["ADMIN"]})

    Args:
        sio: The :class:`socketio_fast.AsyncServer`.
        auth: Who may log in: a dict that what the UI sends must be equal to, with
            ``username`` and ``password``, which may be a hash, see
            :mod:`socketio_fast.admin.passwords`; a list of such dicts; a function or
            coroutine function that is called with it and returns whether it may;
            ``False`` for everybody.
        namespace: The namespace that the UI connects to.
        read_only: Whether nothing can be done from the UI.
        server_id: How the UI calls this server: the manager's ``host_id`` if it has
            one, or the name of the host by default. Servers that share a manager need
            different ones.
        mode: ``"development"`` to show clients, rooms and events as they come,
            ``"production"`` for figures alone.
        server_stats_interval: Seconds between two sets of figures.

    Raises:
        ValueError: An argument has a value that is not allowed.
        RuntimeError: The server is instrumented already.
    """

    def __init__(
        self,
        sio: AsyncServer,
        auth: Mapping[str, Any]
        | Sequence[Mapping[str, Any]]
        | Rule
        | bool
        | None = None,
        namespace: str = "/admin",
        read_only: bool = False,
        server_id: str | None = None,
        mode: str = "development",
        server_stats_interval: float = 2,
    ) -> None:
        if auth is None:
            raise ValueError("auth must be specified, or False for no authentication")
        if mode not in ("development", "production"):
            raise ValueError(f"mode={mode!r}: 'development' or 'production' expected")
        if server_stats_interval <= 0:
            raise ValueError(
                f"server_stats_interval={server_stats_interval!r}: seconds expected"
            )
        self.sio = sio
        self.auth = auth
        self._rule = _rule(auth)
        self.admin_namespace = namespace
        self.read_only = read_only
        self._server_id = server_id
        self.mode = mode
        self.server_stats_interval = server_stats_interval
        self._sessions: dict[str, float] = {}
        self._attempts = Attempts()
        if has_plain_password(auth) and mode != "development":
            sio.logger.warning(
                "the Admin UI's password is plain text: a hash made by "
                "socketio_fast.admin.scrypt_hash() or bcrypt can be given instead"
            )
        self._outbox: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._full = False  # whether it has been logged that events are dropped
        self._sending: asyncio.Task[None] | None = None
        self._reporter: Reporter | None = None
        self._handlers: dict[str, Callable[..., Any]] = {"connect": self.admin_connect}
        if mode == "development" and not read_only:
            self._handlers |= {
                "emit": self.admin_emit,
                "join": self.admin_enter_room,
                "leave": self.admin_leave_room,
                "_disconnect": self.admin_disconnect,
            }
        self.instrument()

    @property
    def _clustered(self) -> bool:
        """Whether UIs may be connected to other processes. The manager of workers is
        there only while the server runs."""
        return hasattr(self.sio.manager, "host_id")

    @property
    def _features(self) -> list[str]:
        """What the UI may do, by the names of the reference implementation."""
        features = ["AGGREGATED_EVENTS"]
        if self.mode == "development":
            features.append("ALL_EVENTS")
            if not self.read_only:
                features += ["EMIT", "JOIN", "LEAVE", "DISCONNECT"]
                features += ["MJOIN", "MLEAVE", "MDISCONNECT"]
        return features

    @property
    def server_id(self) -> str:
        """The name of this server in the UI; a forked process has another."""
        own: str = getattr(self.sio.manager, "host_id", HOSTNAME)
        return self._server_id or own

    def instrument(self) -> None:
        """Open the namespace and start to report; the constructor calls it.

        Raises:
            RuntimeError: The server is instrumented already.
        """
        if self.sio._instrumented is not None:
            raise RuntimeError("the server is instrumented already: uninstrument() it")
        for event, handler in self._handlers.items():
            self.sio.on(event, handler, namespace=self.admin_namespace)
        # A UI gets nothing before it has logged in, nor while `auth` is awaited.
        self.sio._hub.namespace(self.admin_namespace).defer_connect = True
        self._reporter = Reporter(self)
        self.sio.eio.engine.observe(self._reporter)
        self.sio._instrumented = self

    def uninstrument(self) -> None:
        """Stop reporting, disconnect the UIs and close the namespace."""
        if self._reporter is None:
            return
        self.sio.eio.engine.unobserve(self._reporter)
        self.sio._instrumented = None
        self._reporter.stop()
        self._reporter = None
        self._sessions.clear()
        namespace = self.sio._hub.namespace(self.admin_namespace)
        namespace.defer_connect = False
        handlers = self.sio.handlers[self.admin_namespace]
        for event in self._handlers:
            del handlers[event]
        if not handlers:
            del self.sio.handlers[self.admin_namespace]
        for peer in list(namespace.peers.values()):
            peer.disconnect()

    def begin(self) -> None:
        """Report to the UIs of other processes; the server calls it when it runs."""
        if self._reporter is not None and self._clustered:
            self._reporter.begin()

    async def shutdown(self) -> None:
        """Send no more figures, until the next client comes."""
        if self._reporter is not None:
            self._reporter.stop()

    # Handlers of the UI's events.

    async def admin_connect(
        self, sid: str, environ: dict[str, Any], client_auth: Any
    ) -> None:
        """Let a UI in, or refuse it.

        Raises:
            ConnectionRefusedError: What it sent is not what ``auth`` wants.
        """
        if self._rule is None or self._knows_session(client_auth):
            return
        # A page without a password, or whose session is over, is no attempt to guess.
        guess = bool(client_auth) and not client_auth.keys() <= {"sessionId"}
        address = environ.get("REMOTE_ADDR", "")
        if guess:
            wait = self._attempts.wait(address)
            if wait:
                raise ConnectionRefusedError(
                    f"too many wrong passwords, try again in {math.ceil(wait)} s"
                )
            # It counts as wrong until it is checked, because others arrive meanwhile.
            self._attempts.failed(address)
        allowed = self._rule(client_auth)
        if inspect.isawaitable(allowed):
            allowed = await allowed
        if allowed and guess:
            self._attempts.succeeded(address)
        elif guess:
            self.sio.logger.warning(
                "wrong password for the Admin UI from %.64r",
                address,
                extra={"address": address},
            )
            await asyncio.sleep(REFUSAL_DELAY)
        if not allowed:
            # With this message the UI asks for the password again.
            raise ConnectionRefusedError("invalid credentials")
        self._answer(sid, "session", self._new_session())

    async def admin_emit(
        self, _: str, namespace: str, room_filter: str | None, event: str, *data: Any
    ) -> None:
        """Send an event to a room, a client or all."""
        await self.sio.emit(event, data, to=room_filter or None, namespace=namespace)

    async def admin_enter_room(
        self, _: str, namespace: str, room: str, room_filter: str | None = None
    ) -> None:
        """Put those of a room, a client or all into a room."""
        if await self._change_everywhere("join", namespace, room_filter, rooms=(room,)):
            return
        for sid in self._sids(namespace, room_filter):
            await self.sio.enter_room(sid, room, namespace=namespace)

    async def admin_leave_room(
        self, _: str, namespace: str, room: str, room_filter: str | None = None
    ) -> None:
        """Take those of a room, a client or all out of a room."""
        if await self._change_everywhere(
            "leave", namespace, room_filter, rooms=(room,)
        ):
            return
        for sid in self._sids(namespace, room_filter):
            await self.sio.leave_room(sid, room, namespace=namespace)

    async def admin_disconnect(
        self, _: str, namespace: str, close: bool, room_filter: str | None = None
    ) -> None:
        """Disconnect those of a room, a client or all.

        Args:
            _: The UI's ``sid``.
            namespace: The namespace.
            close: Whether from all namespaces, and the connection is closed.
            room_filter: The room or client; ``None`` for all.
        """
        if await self._change_everywhere(
            "disconnect", namespace, room_filter, close=close
        ):
            return
        for sid in self._sids(namespace, room_filter):
            peer = self._peer(sid, namespace)
            if peer is None or not close:
                await self.sio.disconnect(sid, namespace=namespace)
            else:
                session = peer.session
                for other in peers_of(session):
                    other.disconnect()
                session.disconnect()

    def serialize_socket(
        self, sid: str, namespace: str, eio_sid: str | None = None
    ) -> dict[str, Any]:
        """A client in a namespace, as the UI wants it.

        Args:
            sid: The client's ``sid``.
            namespace: The namespace.
            eio_sid: Accepted; it is known.

        Raises:
            KeyError: The client is not connected.
        """
        peer = self._peer(sid, namespace)
        if peer is None:
            raise KeyError(f"{sid} is not connected to {namespace}")
        session = peer.session
        environ = session.environ
        headers = {
            key[5:].replace("_", "-").lower(): value
            for key, value in environ.items()
            if key.startswith("HTTP_")
        }
        query_string = environ.get("QUERY_STRING", "")
        query = parse_qs(query_string, keep_blank_values=True)
        since = 0.0 if self._reporter is None else self._reporter.since(sid)
        return {
            "id": sid,
            # Only its start: the whole id would let the reader send as this client.
            "clientId": session.id[:12],
            "transport": session.transport_name,
            "nsp": namespace,
            "data": {},
            "handshake": {
                "address": headers.get("cf-connecting-ip")
                or headers.get("x-forwarded-for")
                or environ.get("REMOTE_ADDR", ""),
                "headers": headers,
                "query": {
                    key: values[0] if len(values) == 1 else values
                    for key, values in query.items()
                },
                "secure": environ.get("wsgi.url_scheme") == "https",
                "url": f"{environ.get('PATH_INFO', '')}?{query_string}",
                "xdomain": "origin" in headers,
                "issued": int(since * 1000),
                "time": timestamp(since) if since else "",
            },
            "rooms": [str(room) for room in self.sio.rooms(sid, namespace)],
        }

    def _peer(self, sid: str, namespace: str) -> Peer | None:
        ns = self.sio._hub.namespaces.get(namespace)
        return None if ns is None else ns.peers.get(sid)

    def _sids(self, namespace: str, room_filter: str | None) -> list[str]:
        """The clients that a UI selects: those in a room, one, or all."""
        ns = self.sio._hub.namespaces.get(namespace)
        found = [] if ns is None else ns.rooms.members(room_filter or None)
        if not found and room_filter and self._clustered:
            return [room_filter]  # it may be a client of another process
        return found

    def _answer(self, sid: str, event: str, *args: Any) -> None:
        """Send to one UI of this process."""
        ns = self.sio._hub.namespaces[self.admin_namespace]
        ns.rooms.emit([event, *args], sid)

    @property
    def _watched(self) -> bool:
        """Whether a UI may be connected; those of other processes are not known."""
        ns = self.sio._hub.namespaces.get(self.admin_namespace)
        return self._clustered or (ns is not None and bool(ns.peers))

    def _emit(self, event: str, *args: Any) -> None:
        """Send to all UIs."""
        if self._clustered:
            if len(self._outbox) >= MAX_OUTBOX:
                if not self._full:
                    self.sio.logger.warning(
                        "the Admin UIs of other processes are not told of everything: "
                        "%d events wait to be published",
                        MAX_OUTBOX,
                    )
                self._full = True
                return
            # Copied, because handlers may change the arguments before they are sent.
            self._outbox.append((event, copy.deepcopy(args)))
            if self._sending is None or self._sending.done():
                self._sending = self.sio.start_background_task(self._send_outbox)
            return
        try:
            self.sio._hub.namespace(self.admin_namespace).rooms.emit([event, *args])
        except BaseException as exc:
            # A client has sent a value that this server can read but not write.
            defer_exit(self.sio.eio.engine.loop, exc)
            self.sio.logger.warning("the Admin UI was not told of %r: %r", event, exc)

    async def _send_outbox(self) -> None:
        self._full = False
        while self._outbox:
            event, args = self._outbox.popleft()
            try:
                await self.sio.emit(event, args, namespace=self.admin_namespace)
            except BaseException as exc:
                if ends_task(exc):
                    raise
                message = "the Admin UI was not told of %r"
                loop = self.sio.eio.engine.loop
                contain(loop, self.sio.logger, exc, message, (event,))

    # Sessions: a page that is loaded again need not send the password.

    def _new_session(self) -> str:
        session_id = secrets.token_hex(16)
        self._keep_session(session_id)
        self._tell_others(session=session_id)
        return session_id

    def _keep_session(self, session_id: str) -> None:
        """A UI has been let in, here or by another worker; it may come back here."""
        now = time.monotonic()
        self._sessions = {id: end for id, end in self._sessions.items() if end > now}
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[session_id] = now + SESSION_DURATION

    # Other workers.

    def hear(self, message: Mapping[str, Any]) -> None:
        """Another worker tells something; their manager calls it."""
        if "session" in message:
            self._keep_session(message["session"])
        elif self._reporter is not None:
            self._reporter.announce()

    def _tell_others(self, **message: Any) -> None:
        """Tell the other workers of this machine something. Brokers are spared it:
        servers of python-socketio would not know it, and sessions are secret."""
        manager = self.sio.manager
        if isinstance(manager, WorkersManager):
            self.sio.start_background_task(partial(manager._send, "admin", **message))

    async def _change_everywhere(
        self, change: str, namespace: str, room_filter: str | None, **options: Any
    ) -> bool:
        """Change clients of all workers, or of all servers of an adapter; returns False
        where that is not possible."""
        manager = self.sio.manager
        if not isinstance(manager, (Adapter, WorkersManager)):
            return False
        scope = Scope((room_filter,) if room_filter else ())
        await manager._change(change, namespace, scope, options)
        return True

    def _knows_session(self, client_auth: Any) -> bool:
        if not isinstance(client_auth, dict):
            return False
        session_id = client_auth.get("sessionId")
        return (
            isinstance(session_id, str)
            and self._sessions.get(session_id, 0) > time.monotonic()
        )


def _rule(auth: Any) -> Rule | None:
    """A function that checks what a UI sends; ``None`` if everybody may log in."""
    if auth is False:
        return None
    if callable(auth):
        return auth  # type: ignore[no-any-return]
    rules = [auth] if isinstance(auth, Mapping) else auth
    if (
        not isinstance(rules, (list, tuple))
        or not rules
        or not all(isinstance(rule, Mapping) and rule for rule in rules)
    ):
        raise ValueError(
            "auth: a dict that is not empty, a list of them, a function, or False "
            f"expected, not {type(auth).__name__}"
        )
    return partial(fits_any, rules=[dict(rule) for rule in rules])
