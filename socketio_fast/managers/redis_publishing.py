"""What publishes to Redis: connections that are kept, and commands in their order.

A pipeline of the package takes a connection from its pool for each call, looks whether
it is alive, and sets a time limit for each reply. An event that is published takes
150 µs of CPU by that, and 105 by a connection that is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from socketio_fast.coroutines import within
from socketio_fast.managers import redis_clients
from socketio_fast.managers.broker import NotPublished
from socketio_fast.managers.redis_clients import RedisClients

__all__ = ["KeptConnections", "Outcome", "failure_of", "packed"]

#: For each command why Redis has refused it, or ``None``.
Refusals = list[Exception | None]

#: The same, or what all commands have failed with.
Outcome = Refusals | Exception


class _Kept(NamedTuple):
    connection: Any
    #: The limit of each reply that the package has given it. It has none while it is
    #: kept, because that costs CPU time: one limit holds for all replies of a batch.
    socket_timeout: float | None


class KeptConnections:
    """A connection to each node, which is kept while it works.

    Args:
        clients: Makes the clients of the nodes.
    """

    def __init__(self, clients: RedisClients) -> None:
        self._clients = clients
        # By the node's client. That of a node that something is sent to is not here.
        self._kept: dict[Any, _Kept] = {}

    async def send(self, node: Any, commands: list[bytes]) -> Refusals:
        """Send commands to one node.

        Args:
            node: The node's client.
            commands: As :func:`packed` makes them. An empty list asks whether the node
                answers.

        Returns:
            For each command why Redis has refused it, or ``None``.

        Raises:
            Exception: The connection is lost, by the package's error.
            asyncio.TimeoutError: There was no answer in the client's
                ``socket_timeout``, or in 5 seconds.
        """
        kept = self._kept.pop(node, None)
        if kept is None:
            connection = await self._clients.connection(node)
            kept = _Kept(connection, connection.socket_timeout)
            connection.socket_timeout = None
        complete = False
        try:
            exchanged = _exchange(kept.connection, commands or [packed("PING")])
            limit = kept.socket_timeout or redis_clients.TIMEOUT
            refused = await within(exchanged, limit)
            complete = node not in self._kept
        finally:
            if complete:
                self._kept[node] = kept
            else:
                await self._release(node, kept)
        return refused[: len(commands)]

    async def release(self) -> None:
        """Close the connections that nothing is sent by."""
        connections, self._kept = self._kept, {}
        for node, kept in connections.items():
            await self._release(node, kept)

    async def _release(self, node: Any, kept: _Kept) -> None:
        kept.connection.socket_timeout = kept.socket_timeout
        with contextlib.suppress(Exception):
            await self._clients.release(node, kept.connection)


async def _exchange(connection: Any, commands: list[bytes]) -> Refusals:
    refused: Refusals = []
    await connection.send_packed_command(commands)
    for _ in commands:
        try:
            await connection.read_response(disable_decoding=True)
            refused.append(None)
        except Exception as exc:
            if not _is_reply(exc):
                raise
            refused.append(exc)
    return refused


def packed(*words: str | bytes, more: int = 0) -> bytes:
    """A command as Redis reads it.

    Args:
        *words: The command and its arguments.
        more: How many arguments follow.
    """
    parts = [b"*%d\r\n" % (len(words) + more)]
    for word in words:
        data = word.encode() if isinstance(word, str) else word
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def failure_of(sent: Iterable[tuple[list[Any], Outcome]]) -> NotPublished | None:
    """What was not published, if anything.

    Args:
        sent: For each node the messages that were sent to it, with the list of what
            came of each, or with the exception that all have failed with.
    """
    failed: list[Any] = []
    uncertain: list[Any] = []
    error: Exception | None = None
    for messages, outcome in sent:
        if isinstance(outcome, Exception):
            failed += messages
            uncertain += messages
            error = outcome
        else:
            for message, result in zip(messages, outcome, strict=True):
                if isinstance(result, Exception):
                    failed.append(message)
                    error = result
    return None if error is None else NotPublished(failed, error, uncertain)


def _is_reply(error: Exception) -> bool:
    """Whether an error is what Redis has answered; else the connection is broken."""
    return any(cls.__name__ == "ResponseError" for cls in type(error).__mro__)
