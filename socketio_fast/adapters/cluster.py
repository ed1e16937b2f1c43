"""Adapters by messages between servers, in the format of Node's ``socket.io-adapter``.

:mod:`socketio_fast.adapters.messages` has the messages; what those of other servers ask
for is done by :mod:`socketio_fast.adapters.answering`.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import random
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any

from socketio_fast import exceptions
from socketio_fast._core.engine.failures import contain, ends_task
from socketio_fast.adapters.answering import handle
from socketio_fast.adapters.base import Adapter, BroadcastEvent
from socketio_fast.adapters.messages import (
    EMITTER,
    EVENT,
    Message,
    MessageType,
    options_of,
)
from socketio_fast.adapters.requests import Asked, Request
from socketio_fast.coroutines import within
from socketio_fast.managers.broker import Identity
from socketio_fast.managers.lifetime import run_for
from socketio_fast.options.logs import AnyLogger, escaped
from socketio_fast.sockets.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ClusterAdapter"]

# Messages that wait to be published, from which on senders wait.
HIGH_WATER = 1000
# Seconds between two looks at which servers are silent, and whether this one is.
BEAT = 1.0
# Seconds that other servers have to answer the first heartbeat in a namespace.
DISCOVERY_TIME = 0.5


# Messages of an emitter that are answered, or end that.
ASKING = (MessageType.INITIAL_HEARTBEAT, MessageType.ADAPTER_CLOSE)


class Membership:
    """What this server knows of the others in one namespace."""

    def __init__(self) -> None:
        #: When each other server was heard of, by the clock of the event loop.
        self.servers: dict[str, float] = {}
        #: Set when the others have had time to answer.
        self.ready = asyncio.Event()
        #: When this server has published something there.
        self.published = 0.0


class ClusterAdapter(Adapter):
    """Clients of several servers that publish messages to each other.

    A subclass knows an engine. It has two methods:

    - ``async def publish(self, message)`` sends a message, a dict, to all other
      servers. What it raises is taken as the engine being away, but ``TypeError`` and
      ``ValueError`` as a fault of the message.
    - ``async def _listen(self)``, an async generator, yields such messages, or pairs of
      a message and its offset. It calls ``self._on_subscribed()`` when it begins to
      receive. When it returns or raises it is called again, later and later.

    It may have others: :meth:`publish_response`, :meth:`prepare` and
    :meth:`publish_all`, :meth:`subscribe` and :meth:`unsubscribe`.

    Args:
        heartbeat_interval: Seconds without a message of this server after which it
            publishes a heartbeat.
        heartbeat_timeout: Seconds without a message of another server after which it
            is taken for gone.
        request_timeout: Seconds that other servers have to answer.
        logger: The logger to use; by default the server's.

    Raises:
        ValueError: A number of seconds is not above 0, or the timeout is not above
            the interval.
    """

    name = "cluster"

    # Programs wait for servers on other machines, not for hours.
    _delays = (0.25, 5.0)

    #: Whether servers find each other by heartbeats. If not, a subclass has
    #: :meth:`other_servers`.
    heartbeats = True

    def __init__(
        self,
        *,
        heartbeat_interval: float = 5.0,
        heartbeat_timeout: float = 10.0,
        request_timeout: float = 5.0,
        logger: AnyLogger | None = None,
    ) -> None:
        for option, seconds in (
            ("heartbeat_interval", heartbeat_interval),
            ("heartbeat_timeout", heartbeat_timeout),
            ("request_timeout", request_timeout),
        ):
            if not seconds > 0:
                raise ValueError(f"{option}={seconds!r}: more than 0 seconds expected")
        if heartbeat_timeout <= heartbeat_interval:
            raise ValueError(
                f"heartbeat_timeout={heartbeat_timeout!r}: more than "
                f"heartbeat_interval={heartbeat_interval!r} expected"
            )
        self.heartbeat_interval = heartbeat_interval
        self.heartbeat_timeout = heartbeat_timeout
        self.request_timeout = request_timeout
        self._identity = Identity()
        self._numbers = itertools.count(1)
        # Messages that were refused since the last warning.
        self._refused = 0
        self._warned = float("-inf")
        super().__init__(logger)

    def _reset(self) -> None:
        super()._reset()
        self._memberships: dict[str, Membership] = {}
        self._requests: dict[str, Request | Asked] = {}
        self._beating: asyncio.Task[None] | None = None

    @property
    def uid(self) -> str:
        """Which server this is, to the others; a forked process is another."""
        return self._identity.id

    @property
    def host_id(self) -> str:
        """The same, as managers call it."""
        return self.uid

    def initialize(self) -> None:
        """Begin to exchange messages with other servers."""
        super().initialize()
        # Node's servers have "/" whether or not it is used.
        for namespace in ["/", *self.server._hub.namespaces]:
            self._join(namespace)
        if self.heartbeats:
            assert self._loop is not None
            self._beating = run_for(self, _beat, self._loop)

    def _begin_to_ask(self) -> None:
        """Begin to receive answers: an emitter does so when it asks for the first."""
        loop = asyncio.get_running_loop()
        self._use(loop)
        self._begin_to_receive(loop)
        if self.heartbeats:
            self._beating = run_for(self, _beat, loop)

    async def close(self) -> None:
        """Tell the others that this server stops, and disconnect from the engine."""
        beating, self._beating = self._beating, None
        if beating is not None:
            beating.cancel()
            await asyncio.wait([beating])
            if self.healthy and not self.emits_only:
                for namespace in self._memberships:
                    self._signal(namespace, MessageType.ADAPTER_CLOSE)
        await super().close()

    # For subclasses.

    async def publish(self, message: Message) -> None:
        """Send a message to all other servers.

        Args:
            message: A dict with ``uid``, ``nsp``, ``type`` and mostly ``data``. It
                may have bytes anywhere in it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no publish()")

    async def publish_response(self, uid: str, message: Message) -> None:
        """Send a response to one other server; by default to all.

        Args:
            uid: That server.
            message: The response.
        """
        await self.publish(message)

    def prepare(self, message: Message, uid: str | None, text: bytes | None) -> Any:
        """Encode a message, in the call that makes it.

        Args:
            message: The message.
            uid: The server that a response is for; ``None``: it is for all.
            text: Of a broadcast, the JSON of its event if it is known.

        Returns:
            What :meth:`publish_all` gets, by default a copy of the message.

        Raises:
            TypeError: It cannot be encoded.
        """
        return copy.deepcopy(message), uid

    async def publish_all(self, prepared: list[Any]) -> None:
        """Publish what :meth:`prepare` has returned, all or none.

        A subclass that does so for more than one at once sets ``_batch`` to the number
        that it takes.
        """
        for message, uid in prepared:
            if uid is None:
                await self.publish(message)
            else:
                await self.publish_response(uid, message)

    async def subscribe(self, namespace: str) -> None:
        """Begin to receive the messages of a namespace.

        It is called when a namespace begins, and for all of them each time that the
        engine is there again.
        """

    async def unsubscribe(self, namespace: str) -> None:
        """Receive no more messages of a namespace."""

    async def other_servers(self, namespace: str) -> Collection[str] | int:
        """The ``uid`` of the other servers that have a namespace, or their number."""
        return set(self._memberships[namespace].servers)

    def received(self, message: Message, offset: str | None = None) -> None:
        """Do what a message of another server asks for.

        A message that is not as expected is logged, and nothing else happens.

        Args:
            message: The message.
            offset: Its place in the log of the engine, if it has one.
        """
        try:
            handle(self, message, offset)
        except Exception as exc:
            self.refuse(exc, message)
        except BaseException as exc:
            loop = asyncio.get_running_loop()
            contain(loop, self._get_logger(), exc, "a message of another server {}")

    def refuse(self, error: Exception, message: object) -> None:
        """Log that something is no message: now, or with others of the next minute.

        Args:
            error: What is wrong with it.
            message: What came.
        """
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now < self._warned + 60:
            return
        refused, self._refused, self._warned = self._refused, 0, now
        self._get_logger().warning(
            "a message by %s is refused (%s: %s): %s%s",
            self.name,
            type(error).__name__,
            escaped(error),
            escaped(repr(message)[:200]),
            f", and {refused - 1} others" * (refused > 1),
        )

    # Publishing.

    async def _publish_all(self, messages: list[Any]) -> None:
        await self.publish_all(messages)

    def _send(
        self,
        namespace: str,
        kind: MessageType,
        data: dict[str, Any] | None = None,
        uid: str | None = None,
        text: bytes | None = None,
        delivered: bool = True,
    ) -> asyncio.Future[None] | None:
        """Publish a message; returns what to wait for if many wait already."""
        self._use(asyncio.get_running_loop())
        own = not self.emits_only or kind in ASKING or "requestId" in (data or ())
        uid_of_sender = self.uid if own else EMITTER
        message: Message = {"uid": uid_of_sender, "nsp": namespace, "type": int(kind)}
        if data is not None:
            message["data"] = data
        if not delivered:
            message["undelivered"] = True
        future = self._enqueue(self.prepare(message, uid, text))
        membership = self._memberships.get(namespace)
        if (
            membership is not None
            and self.heartbeats
            and uid is None
            and (self._reaches_all(message))
        ):
            membership.published = asyncio.get_running_loop().time()
        if (
            self.emits_only
            and self.heartbeats
            and own
            and (kind != MessageType.ADAPTER_CLOSE)
        ):
            # It is no server: nobody is to wait for its answers.
            self._signal(namespace, MessageType.ADAPTER_CLOSE)
        if future is None:
            return None
        if self.emits_only or len(self._outbox) > HIGH_WATER:
            return future
        future.add_done_callback(self._published)
        return None

    def _reaches_all(self, message: Message) -> bool:
        """Whether all other servers get a message, which then saves a heartbeat."""
        return True

    def _signal(self, namespace: str, kind: MessageType) -> None:
        """Publish that this server is there, or goes."""
        with contextlib.suppress(ValueError):  # the engine has no name for it
            waits = self._send(namespace, kind)
            if waits is not None:
                waits.add_done_callback(self._published)

    def _published(self, future: asyncio.Future[None]) -> None:
        """Nobody waits for this: log why it failed."""
        if not future.cancelled() and future.exception() is not None:
            self._get_logger().error("not published: %r", future.exception())

    def _source_failed(self, source: object, error: BaseException) -> float:
        # Requests wait until this server is subscribed again.
        for membership in self._memberships.values():
            membership.ready.clear()
        # Not all servers at the same time.
        return super()._source_failed(source, error) * random.uniform(0.5, 1.5)

    def _receive(self, message: Any) -> None:
        if isinstance(message, tuple):
            self.received(*message)
        else:
            self.received(message)

    # Namespaces, and who is there.

    def namespace_began(self, namespace: str) -> None:
        """This server has a namespace from now on."""
        if not self._readers or self._loop is None:
            return
        if self._loop is asyncio._get_running_loop():
            self._join(namespace)
        else:  # of() may be called in any thread
            self._loop.call_soon_threadsafe(self._join, namespace)

    def namespace_ended(self, namespace: str) -> None:
        """This server has that namespace no longer."""
        # Nobody uses "/", and it is there.
        if namespace != "/" and self._memberships.pop(namespace, None) is not None:
            if self.heartbeats and self.healthy:
                self._signal(namespace, MessageType.ADAPTER_CLOSE)
            self._spawn(self._leave(namespace), "leaving a namespace")

    async def _leave(self, namespace: str) -> None:
        if namespace not in self._memberships and self._subscribed.is_set():
            await self.unsubscribe(namespace)

    def _join(self, namespace: str) -> Membership:
        if self.emits_only and not self._readers:
            self._begin_to_ask()
        membership = self._memberships.get(namespace)
        if membership is None:
            membership = self._memberships[namespace] = Membership()
            if self._subscribed.is_set():
                self._enter(namespace)
        return membership

    def _on_subscribed(self, source: object = None) -> None:
        was = self._subscribed.is_set()
        super()._on_subscribed(source)
        if not was and self._subscribed.is_set():
            if self._publishing.lasts:
                # Else nobody would know until something is published.
                self._spawn(self._try_to_publish([]), "publishing")
            now = asyncio.get_running_loop().time()
            for namespace, membership in self._memberships.items():
                # Nobody could be heard meanwhile.
                membership.servers = dict.fromkeys(membership.servers, now)
                self._enter(namespace)

    def _enter(self, namespace: str) -> None:
        self._spawn(self._announce(namespace), "joining a namespace")

    async def _announce(self, namespace: str) -> None:
        """Tell the other servers that this one has a namespace."""
        try:
            await self.subscribe(namespace)
        except Exception as exc:
            # Reading fails as well, and begins again.
            self._get_logger().debug("not subscribed to %s: %r", namespace, exc)
            return
        membership = self._memberships.get(namespace)
        if membership is None:
            return
        if self.heartbeats:
            self._signal(namespace, MessageType.INITIAL_HEARTBEAT)
            if not membership.ready.is_set():
                await asyncio.sleep(DISCOVERY_TIME)
        membership.ready.set()

    async def _beat_once(self) -> None:
        now = asyncio.get_running_loop().time()
        for namespace, membership in list(self._memberships.items()):
            if not self._subscribed.is_set():
                continue  # it is this server that hears nobody
            for uid, heard in list(membership.servers.items()):
                if heard + self.heartbeat_timeout < now:
                    self._gone(namespace, uid)
            if self.emits_only or self._publishing.waits:
                continue
            if membership.published + self.heartbeat_interval <= now:
                self._signal(namespace, MessageType.HEARTBEAT)

    def _gone(self, namespace: str, uid: str) -> None:
        membership = self._memberships.get(namespace)
        if membership is not None and membership.servers.pop(uid, None) is not None:
            for request in list(self._requests.values()):
                if request.namespace == namespace:
                    request.server_gone(uid)

    async def _others(self, namespace: str, what: str) -> Collection[str] | int:
        """The other servers that have a namespace.

        Raises:
            BroadcastTimeoutError: The engine is away.
        """
        membership = self._join(namespace)
        try:
            return await within(
                self._found(namespace, membership), self.request_timeout
            )
        except BaseException as exc:
            if ends_task(exc) or isinstance(exc, exceptions.TimeoutError):
                raise
            raise exceptions.BroadcastTimeoutError(
                what, 0, [], f": {self.name} is away, other servers cannot be asked"
            ) from exc

    async def _found(
        self, namespace: str, membership: Membership
    ) -> Collection[str] | int:
        await self._subscribed.wait()
        await membership.ready.wait()
        return await self.other_servers(namespace)

    # What this server tells the others.

    def broadcast(
        self, namespace: str, event: BroadcastEvent, scope: Scope
    ) -> asyncio.Future[None] | None:
        """Send an event to clients of other servers."""
        data = {
            "packet": {"type": EVENT, "data": event.data, "nsp": namespace},
            "opts": options_of(scope, event),
        }
        return self._send(
            namespace,
            MessageType.BROADCAST,
            data,
            text=event.text,
            delivered=event.delivered,
        )

    async def broadcast_with_ack(
        self,
        namespace: str,
        event: BroadcastEvent,
        scope: Scope,
        answers: Any,
        timeout: float | None,
    ) -> None:
        """Send an event to clients of other servers, which are to acknowledge it."""
        others: Collection[str] | int = 0
        if answers.counts_servers:
            others = await self._others(namespace, str(event.data[0]))
            count = others if isinstance(others, int) else len(others)
            if not count:
                return
            answers.others(count)
        asked = Asked(namespace, answers, others)
        id = self._open(asked)
        answers.on_close(lambda: self._requests.pop(id, None))
        options = options_of(scope, event)
        if timeout is not None:
            options["flags"]["timeout"] = round(timeout * 1000)
        data = {
            "packet": {"type": EVENT, "data": event.data, "nsp": namespace},
            "requestId": id,
            "opts": options,
            "named": True,
        }
        await _done(self._send(namespace, MessageType.BROADCAST, data))

    async def fetch_sockets(self, namespace: str, scope: Scope) -> list[dict[str, Any]]:
        """Look up clients of other servers.

        Those of a server that goes meanwhile are left out.

        Raises:
            BroadcastTimeoutError: Another server did not answer in time.
        """
        data = {"opts": options_of(scope)}
        answers = await self._request(
            namespace, MessageType.FETCH_SOCKETS, data, "fetch_sockets", may_go=True
        )
        return [found for answer in answers for found in answer["sockets"]]

    async def add_sockets(
        self, namespace: str, scope: Scope, rooms: Sequence[Any]
    ) -> None:
        """Put clients of other servers into rooms."""
        data = {"opts": options_of(scope), "rooms": list(rooms)}
        await _done(self._send(namespace, MessageType.SOCKETS_JOIN, data))

    async def del_sockets(
        self, namespace: str, scope: Scope, rooms: Sequence[Any]
    ) -> None:
        """Take clients of other servers out of rooms."""
        data = {"opts": options_of(scope), "rooms": list(rooms)}
        await _done(self._send(namespace, MessageType.SOCKETS_LEAVE, data))

    async def disconnect_sockets(
        self, namespace: str, scope: Scope, close: bool
    ) -> None:
        """Disconnect clients of other servers; with ``close`` whole connections."""
        data = {"opts": options_of(scope), "close": close}
        await _done(self._send(namespace, MessageType.DISCONNECT_SOCKETS, data))

    async def server_side_emit(
        self, namespace: str, event: str, args: list[Any]
    ) -> None:
        """Send an event to the other servers themselves."""
        data = {"packet": [event, *args]}
        await _done(self._send(namespace, MessageType.SERVER_SIDE_EMIT, data))

    async def server_side_emit_with_ack(
        self, namespace: str, event: str, args: list[Any]
    ) -> list[Any]:
        """Send an event to the other servers, and wait for an answer of each.

        Raises:
            BroadcastTimeoutError: Some have not answered in time, or have gone. It has
                the ``responses`` that came.
        """
        data = {"packet": [event, *args]}
        try:
            answers = await self._request(
                namespace, MessageType.SERVER_SIDE_EMIT, data, event
            )
        except exceptions.BroadcastTimeoutError as exc:
            exc.responses = [answer.get("packet") for answer in exc.responses]
            raise
        return [answer.get("packet") for answer in answers]

    async def server_count(self, namespace: str) -> int:
        """The number of servers that have a namespace, this one included.

        Raises:
            BroadcastTimeoutError: The engine is away.
        """
        others = await self._others(namespace, "server_count")
        return 1 + (others if isinstance(others, int) else len(others))

    def _open(self, request: Request | Asked) -> str:
        """Keep a request; returns its id, which no other server has."""
        id = f"{self.uid}{next(self._numbers):x}"
        self._requests[id] = request
        return id

    async def _request(
        self,
        namespace: str,
        kind: MessageType,
        data: dict[str, Any],
        what: str,
        *,
        may_go: bool = False,
    ) -> list[dict[str, Any]]:
        """Ask all other servers, and wait for the data of an answer from each."""
        others = await self._others(namespace, what)
        request = Request(namespace, others, may_go, kind)
        if request.complete:
            return []
        id = self._open(request)
        try:
            await _done(self._send(namespace, kind, {**data, "requestId": id}))
            await within(request.done.wait(), self.request_timeout)
        except asyncio.TimeoutError:
            pass
        finally:
            del self._requests[id]
        if request.missing:
            away = "" if self.healthy else f", {self.name} is away"
            raise exceptions.BroadcastTimeoutError(
                what,
                0,
                request.answers,
                f": {request.missing} of {request.expected} other servers have not "
                f"answered in {self.request_timeout} s{away}",
            )
        return request.answers


async def _beat(found: Callable[[], ClusterAdapter | None]) -> None:
    """Publish heartbeats until the adapter is gone."""
    while True:
        await asyncio.sleep(BEAT)
        if (adapter := found()) is None:
            return
        await adapter._beat_once()
        del adapter


async def _done(waits: Awaitable[Any] | None) -> None:
    if waits is not None:
        await waits
