"""What publishes to the channels of Redis, and what receives from them.

That of one Redis, alone or behind Sentinel, and that of a cluster, where the node that
has the slot of a channel has its sharded messages.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

from socketio_fast.adapters.redis_wire import count_in
from socketio_fast.managers.lifetime import cancelled
from socketio_fast.managers.redis_clients import RedisClients
from socketio_fast.managers.redis_publishing import (
    KeptConnections,
    Outcome,
    failure_of,
)

__all__ = [
    "Channel",
    "Command",
    "Received",
    "RedisNodes",
    "Subscriptions",
    "number_of_subscribers",
]

# Seconds without a message after which a node is asked whether it is still there. It
# has as long to answer.
PING_INTERVAL = 5.0


class Channel(NamedTuple):
    """A channel, a pattern of channels or a sharded channel."""

    #: ``subscribe``, ``psubscribe`` or ``ssubscribe``.
    how: str
    #: Its name, the pattern.
    name: str


class Command(NamedTuple):
    """A command that publishes a message."""

    packed: bytes
    #: Whether it is kept while Redis is away.
    keeps: bool = False
    #: What the node of a cluster has that it is sent to; ``None``: any node.
    key: str | None = None


class Received(NamedTuple):
    """A message that was published."""

    #: The channel or the pattern that was subscribed to.
    subscribed: str
    #: The channel to which it was published.
    channel: str
    #: What was published.
    data: bytes


class RedisNodes:
    """Clients of the nodes of a Redis: of one, or of those of a cluster.

    Args:
        clients: Makes the client.
    """

    def __init__(self, clients: RedisClients) -> None:
        self._clients = clients
        # The connections that publish.
        self._kept = KeptConnections(clients)
        self._client: Any = None
        # Of a cluster: a client of each primary, by its name.
        self._nodes: dict[str, Any] = {}
        # Whether it is known which node of a cluster has what.
        self._known = False
        self._failed = False

    @property
    def is_cluster(self) -> bool:
        """Whether it is a cluster."""
        return hasattr(self.client, "get_primaries")

    @property
    def client(self) -> Any:
        """The client of all: of one Redis, or of a cluster."""
        if self._client is None:
            self._client = self._clients.new()
        return self._client

    async def of(self, key: str | None = None) -> Any:
        """The client of the node that has a key, or a sharded channel.

        Args:
            key: Its name; ``None``: of a node, the same each time.
        """
        client = self.client
        if not self.is_cluster:
            return client
        await self._learn()
        try:
            if key is None:
                node = min(client.get_primaries(), key=lambda node: node.name)
            else:
                node = client.get_node_from_key(key)
        except Exception:  # nobody has its slot, at that time
            self._known, self._failed = False, True
            raise
        return self._of_node(node)

    async def all(self) -> list[Any]:
        """The clients of all nodes that are primaries."""
        client = self.client
        if not self.is_cluster:
            return [client]
        await self._learn()
        return [self._of_node(node) for node in client.get_primaries()]

    async def _learn(self) -> None:
        """Ask a cluster which node has what."""
        if not self._known:
            client = self.client
            await client.initialize()
            if self._failed:
                await client.nodes_manager.initialize()
            self._known, self._failed = True, False

    def _of_node(self, node: Any) -> Any:
        found = self._nodes.get(node.name)
        if found is None:
            package = self._clients.package
            kwargs = dict(node.connection_kwargs)
            pool = package.ConnectionPool(
                connection_class=node.connection_class, **kwargs
            )
            found = self._nodes[node.name] = package.Redis.from_pool(pool)
        return found

    async def failed(self) -> None:
        """Close idle connections, which are likely to be broken too; ask a cluster
        again which node has what."""
        await self._kept.release()
        self._known, self._failed = False, True
        for node in self._nodes.values():
            await self._clients.drop_idle(node)
        if self._client is not None and not self.is_cluster:
            await self._clients.drop_idle(self._client)

    async def close(self) -> None:
        """Close all connections."""
        await self._kept.release()
        nodes, self._nodes = self._nodes, {}
        for node in nodes.values():
            with contextlib.suppress(Exception):
                await node.aclose()
        client, self._client = self._client, None
        self._known = self._failed = False
        if client is not None:
            await self._clients.give_back(client)

    async def publish(self, commands: list[Command]) -> None:
        """Send commands in one round trip to each node, in their order.

        Args:
            commands: The commands. An empty list asks whether one would succeed.

        Raises:
            NotPublished: Some were not published, or may not have been.
        """
        by_node: dict[Any, list[Command]] = {}
        if not commands:
            by_node[await self.of()] = []
        elif not self.is_cluster:
            by_node[self.client] = commands
        else:
            for command in commands:
                by_node.setdefault(await self.of(command.key), []).append(command)
        sent = [self._send(node, mine) for node, mine in by_node.items()]
        # Without a task for each, if it is one.
        outcomes = [await sent[0]] if len(sent) == 1 else await asyncio.gather(*sent)
        failure = failure_of(zip(by_node.values(), outcomes, strict=True))
        if failure is not None:
            await self.failed()
            raise failure

    async def _send(self, node: Any, commands: list[Command]) -> Outcome:
        try:
            return await self._kept.send(node, [each.packed for each in commands])
        except Exception as exc:
            return exc


async def number_of_subscribers(nodes: RedisNodes, channel: Channel) -> int:
    """How many connections have subscribed to a channel."""
    if channel.how == "ssubscribe":
        asked, command = [await nodes.of(channel.name)], "PUBSUB SHARDNUMSUB"
    else:
        asked, command = await nodes.all(), "PUBSUB NUMSUB"
    found = await asyncio.gather(
        *(node.execute_command(command, channel.name) for node in asked)
    )
    return sum(map(count_in, found))


class Subscriptions:
    """Channels that are received from; they may change meanwhile.

    Args:
        nodes: Where they are.
    """

    def __init__(self, nodes: RedisNodes) -> None:
        self._nodes = nodes
        self.forget()

    def forget(self) -> None:
        """Start anew: nothing is subscribed to."""
        self._lock = asyncio.Lock()
        # What waits until Redis has confirmed it, by channel; done for those that have.
        self._channels: dict[Channel, asyncio.Future[None]] = {}
        # How often a channel was unsubscribed from that is not confirmed yet.
        self._leaving: Counter[Channel] = Counter()
        self._pubsubs: dict[Any, Any] = {}
        self._messages: asyncio.Queue[Received | BaseException] | None = None
        self._readers: set[asyncio.Task[None]] = set()

    async def receive(
        self, first: list[Channel], begun: Callable[[], Any]
    ) -> AsyncGenerator[Received]:
        """Receive messages until a connection fails.

        Args:
            first: What is subscribed to at first.
            begun: Called when Redis has confirmed that.

        Raises:
            ConnectionError: The connection to a node is lost, or a cluster has moved a
                channel to another node. What this raises, the package may raise too.
        """
        self.forget()
        messages = self._messages = asyncio.Queue()
        try:
            confirmed = [await self._ask_for(channel) for channel in first]
            begins = asyncio.ensure_future(_after(confirmed, begun))
            try:
                while True:
                    message = await messages.get()
                    if isinstance(message, BaseException):
                        raise message
                    yield message
            finally:
                begins.cancel()
        finally:
            readers, pubsubs = self._readers, self._pubsubs
            for future in self._channels.values():
                future.cancel()
            self.forget()
            await cancelled(readers)
            for pubsub in pubsubs.values():
                with contextlib.suppress(Exception):
                    await pubsub.aclose()

    async def add(self, channels: list[Channel]) -> None:
        """Subscribe to channels; returns when Redis has confirmed them.

        Raises:
            ConnectionError: Nothing is received now.
        """
        futures = [await self._ask_for(channel) for channel in channels]
        for future in futures:
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError:
                if future.cancelled():
                    raise ConnectionError("the connection is lost") from None
                raise

    async def remove(self, channels: list[Channel]) -> None:
        """Unsubscribe from channels."""
        async with self._lock:
            for channel in channels:
                if self._channels.pop(channel, None) is None:
                    continue
                node = await self._node_of(channel)
                pubsub = self._pubsubs.get(node)
                if pubsub is not None:
                    self._leaving[channel] += 1
                    undo = channel.how.replace("subscribe", "unsubscribe")
                    await getattr(pubsub, undo)(channel.name)

    async def _node_of(self, channel: Channel) -> Any:
        return await self._nodes.of(
            channel.name if channel.how == "ssubscribe" else None
        )

    async def _ask_for(self, channel: Channel) -> asyncio.Future[None]:
        messages = self._messages
        if messages is None:
            raise ConnectionError("nothing is received now")
        confirmed = self._channels.get(channel)
        if confirmed is not None:
            return confirmed
        confirmed = asyncio.get_running_loop().create_future()
        self._channels[channel] = confirmed
        try:
            # Two calls at once would each open a connection.
            async with self._lock:
                node = await self._node_of(channel)
                pubsub = self._pubsubs.get(node)
                new = pubsub is None
                if new:
                    pubsub = self._pubsubs[node] = node.pubsub()
                await getattr(pubsub, channel.how)(channel.name)
                if new:
                    reader = asyncio.ensure_future(self._read(pubsub, messages))
                    self._readers.add(reader)
        except BaseException:
            self._channels.pop(channel, None)
            confirmed.cancel()
            raise
        return confirmed

    async def _read(
        self, pubsub: Any, messages: asyncio.Queue[Received | BaseException]
    ) -> None:
        """Read what one node sends."""
        asked = False
        try:
            while True:
                message = await pubsub.get_message(timeout=PING_INTERVAL)
                if message is None:
                    if asked:
                        raise TimeoutError(f"no answer in {PING_INTERVAL:g} s")
                    asked = True
                    await pubsub.ping()
                    continue
                asked = False
                kind = message["type"]
                if kind in ("message", "smessage"):
                    name = _text(message["channel"])
                    messages.put_nowait(Received(name, name, message["data"]))
                elif kind == "pmessage":
                    pattern, name = _text(message["pattern"]), _text(message["channel"])
                    messages.put_nowait(Received(pattern, name, message["data"]))
                elif kind in ("subscribe", "psubscribe", "ssubscribe"):
                    self._on_confirmed(Channel(kind, _text(message["channel"])))
                elif kind == "sunsubscribe":
                    channel = Channel("ssubscribe", _text(message["channel"]))
                    if self._leaving[channel]:
                        self._leaving[channel] -= 1
                    elif channel in self._channels:
                        raise ConnectionError(
                            f"the cluster has moved {channel.name} to another node"
                        )
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            messages.put_nowait(exc)

    def _on_confirmed(self, channel: Channel) -> None:
        confirmed = self._channels.get(channel)
        if confirmed is not None and not confirmed.done():
            confirmed.set_result(None)


def _text(name: bytes) -> str:
    # Anybody may publish to any channel that a pattern matches.
    return name.decode("utf-8", "surrogateescape")


async def _after(futures: list[asyncio.Future[None]], call: Callable[[], Any]) -> None:
    for future in futures:
        await future
    call()
