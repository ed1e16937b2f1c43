"""Requests between the servers of several processes, and who these servers are.

python-socketio has no such messages: its servers, on the same channel, ignore them.
Servers learn of each other when one has a request: it publishes ``hello`` and waits for
``DISCOVERY_TIME``, and from then on each server publishes ``heartbeat`` every
``HEARTBEAT_INTERVAL`` seconds. Messages are JSON objects with ``method``, ``host_id``
(the sender) and:

- ``hello``, ``heartbeat``, ``bye``: nothing else
- ``change``: ``change`` (``join``, ``leave``, ``disconnect``), ``namespace``,
  ``scope``, and ``rooms`` or ``close``
- ``server_side_emit``: ``namespace``, ``event``, ``data``, ``binary``
- ``request``: ``id``, ``action`` and what that needs: ``fetch`` (``namespace``,
  ``scope``), ``ask`` (as an ``emit``, and ``timeout``), ``server_side_emit``
- ``response``: ``to`` (the ``host_id`` of who asks), ``id``, ``answer``

``scope`` is ``[rooms, rooms to except]``.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketio_fast import exceptions
from socketio_fast._core.engine.failures import ends_task, log_failure
from socketio_fast.coroutines import within
from socketio_fast.managers.lifetime import run_for
from socketio_fast.managers.messages import unpack
from socketio_fast.sockets.acknowledgements import AckForwarder, Answers
from socketio_fast.sockets.scope import Scope

if TYPE_CHECKING:
    from socketio_fast.managers.pubsub import AsyncPubSubManager

__all__ = ["Cluster", "respond_to"]

Message = dict[str, Any]

# Seconds between two heartbeats of a server.
HEARTBEAT_INTERVAL = 5
# Seconds without a heartbeat after which a server is taken for gone.
HEARTBEAT_TIMEOUT = 12
# Seconds that other servers have to answer ``hello``.
DISCOVERY_TIME = 0.5
# Seconds that other servers have to answer a request.
REQUEST_TIMEOUT = 5


async def respond_to(server: Any, namespace: str, event: str, args: list[Any]) -> Any:
    """Call the listeners to another server's event; returns what the first returns."""
    if namespace not in server._namespaces:
        return None
    first: Any = None
    for i, listener in enumerate(server.of(namespace).listeners(event)):
        result = listener(*args)
        if inspect.isawaitable(result):
            result = await result
        if i == 0:
            first = result
    return first


class Cluster:
    """The other servers on a manager's channel, and the requests to them.

    Args:
        manager: Publishes the messages of this server, and passes those of others to
            :meth:`receive`.
    """

    def __init__(self, manager: AsyncPubSubManager) -> None:
        self._manager = manager
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """Forget all servers and requests, at first and on another event loop.

        The numbers of requests go on, so that a late answer to an earlier request is
        not taken for an answer to a later one.
        """
        #: When each server's last message came, by the clock of the event loop.
        self.hosts: dict[str, float] = {}
        self._requests: dict[int, Callable[[str, Any], None]] = {}
        self._failures: dict[int, Callable[[str], None]] = {}
        self._beating: asyncio.Task[None] | None = None
        self._discovery: asyncio.Future[None] | None = None

    async def close(self) -> None:
        """Tell the other servers that this one stops."""
        beating, self._beating = self._beating, None
        self._discovery = None
        if beating is not None:
            beating.cancel()
            await asyncio.wait([beating])
            await self._manager._send("bye")

    # Discovery.

    async def discover(self) -> None:
        """Find the other servers, the first time that it is called.

        Raises:
            RuntimeError: The manager only writes.
        """
        if self._manager.write_only:
            raise RuntimeError("a write_only manager receives no answers of servers")
        if self._discovery is None:
            self._discovery = asyncio.ensure_future(self._discover())
        await asyncio.shield(self._discovery)

    async def _discover(self) -> None:
        try:
            await self._manager._subscribed.wait()
            self._begin()
            await self._manager._send("hello")
            await asyncio.sleep(DISCOVERY_TIME)
        except BaseException:
            self._discovery = None  # the next call tries again
            raise

    def _begin(self) -> None:
        if self._beating is None:
            self._beating = run_for(self, _beat, asyncio.get_running_loop())

    async def _beat_once(self) -> None:
        now = asyncio.get_running_loop().time()
        for host, heard in list(self.hosts.items()):
            if heard + HEARTBEAT_TIMEOUT < now:
                self._forget(host)
        if not self._manager._publishing.lasts:
            await self._send_heartbeat()

    async def _send_heartbeat(self) -> None:
        try:
            await self._manager._send("heartbeat")
        except BaseException as exc:
            if ends_task(exc):
                raise
            logger = self._manager._get_logger()
            log_failure(logger, exc, "a heartbeat was not published")

    def _forget(self, host: str) -> None:
        if self.hosts.pop(host, None) is not None:
            for failed in list(self._failures.values()):
                failed(host)

    # Asking.

    def open(
        self, answered: Callable[[str, Any], None], failed: Callable[[str], None]
    ) -> int:
        """Open a request; returns its number.

        Args:
            answered: Called with the ``host_id`` of a server and its answer.
            failed: Called with the ``host_id`` of a server that has gone.
        """
        number = next(self._numbers)
        self._requests[number] = answered
        self._failures[number] = failed
        return number

    def forget(self, number: int) -> None:
        """Close a request: later answers to it are ignored."""
        self._requests.pop(number, None)
        self._failures.pop(number, None)

    async def request(self, action: str, **message: Any) -> list[Any]:
        """Ask all other servers, and wait for an answer from each.

        Raises:
            BroadcastTimeoutError: Some have not answered in time, or have gone.
        """
        await self.discover()
        waiting = set(self.hosts)
        answers: list[Any] = []
        missing: list[str] = []
        done = asyncio.Event()

        def answered(host: str, answer: Any) -> None:
            answers.append(answer)
            waiting.discard(host)
            if not waiting:
                done.set()

        def failed(host: str) -> None:
            if host in waiting:
                missing.append(host)
                waiting.discard(host)
            if not waiting:
                done.set()

        if not waiting:
            return answers
        number = self.open(answered, failed)
        try:
            await self._manager._send("request", id=number, action=action, **message)
            await within(done.wait(), REQUEST_TIMEOUT)
        except asyncio.TimeoutError:
            missing += waiting
        finally:
            self.forget(number)
        if missing:
            raise exceptions.BroadcastTimeoutError(
                action,
                0,
                answers,
                f": {len(missing)} of {len(missing) + len(answers)} other servers "
                f"have not answered in {REQUEST_TIMEOUT} s",
            )
        return answers

    async def ask(self, answers: Answers, **message: Any) -> None:
        """Ask the clients of all other servers to acknowledge an event.

        Args:
            answers: Collects the answers.
            **message: What a request with the action ``ask`` has.
        """
        await self.discover()
        clients: dict[str, list[str]] = {}  # whom each other server has asked
        hosts = set(self.hosts)
        answers.others(len(hosts))

        def answered(host: str, answer: Any) -> None:
            if "asked" in answer:
                if host not in hosts:
                    answers.others(1)
                    hosts.add(host)
                clients[host] = answer["asked"]
                answers.of_host(answer["asked"])
            elif "gone" in answer:
                answers.gone(answer["gone"])
            else:
                answers.answered(answer["sid"], unpack(*answer["arguments"]))

        def failed(host: str) -> None:
            if host in hosts:
                sids = clients.get(host)
                why = "another server has gone"
                answers.host_failed(why, sids or (), sids is not None)

        number = self.open(answered, failed)
        answers.on_close(lambda: self.forget(number))
        await self._manager._send("request", id=number, action="ask", **message)

    async def server_side_ask(self, **message: Any) -> list[Any]:
        """Call the listeners to an event on all other servers.

        Returns:
            What the first listener on each server returned.

        Args:
            **message: What a request with the action ``server_side_emit`` has.

        Raises:
            BroadcastTimeoutError: Some have not answered in time, or have gone.
        """
        try:
            answers = await self.request("server_side_emit", **message)
        except exceptions.BroadcastTimeoutError as exc:
            exc.responses = [unpack(*answer)[0] for answer in exc.responses]
            raise
        return [unpack(*answer)[0] for answer in answers]

    # Answering.

    def receive(self, message: Message) -> None:
        """Handle a message of another server."""
        host = message["host_id"]
        method = message["method"]
        if method == "bye":
            self._forget(host)
            return
        new = host not in self.hosts
        self.hosts[host] = asyncio.get_running_loop().time()
        if method == "response":
            if message["to"] == self._manager.host_id:
                answered = self._requests.get(message["id"])
                if answered is not None:
                    answered(host, message["answer"])
        elif method == "change":
            self._manager._change_here(
                message["change"],
                message["namespace"],
                Scope.of(message["scope"]),
                message,
            )
        elif method == "server_side_emit":
            self.spawn(self._server_side_emit(message))
        elif method == "request":
            self.spawn(self._answer(message))
        if method == "hello" or (new and method != "bye"):
            # A server that starts later learns of this one by its heartbeats.
            self._begin()
            self.spawn(self._manager._send("heartbeat"))

    def spawn(self, coroutine: Any) -> None:
        """Run a coroutine as a task, and log what it raises."""
        self._manager._spawn(coroutine, "what another server asked for")

    async def _server_side_emit(self, message: Message) -> Any:
        return await respond_to(
            self._manager.server,
            message["namespace"],
            message["event"],
            unpack(message["data"], message.get("binary")),
        )

    async def _answer(self, message: Message) -> None:
        action = message["action"]
        if action == "fetch":
            scope = Scope.of(message["scope"])
            await self._respond(
                message, self._manager._fetch_here(message["namespace"], scope)
            )
        elif action == "server_side_emit":
            value = await self._server_side_emit(message)
            await self._respond(message, self._manager._pack([value]))
        elif action == "ask":
            await self._ask(message)
        else:
            self._manager._get_logger().warning("unknown request %r", action)

    async def _respond(self, message: Message, answer: Any) -> None:
        await self._manager._send(
            "response", to=message["host_id"], id=message["id"], answer=answer
        )

    async def _ask(self, message: Message) -> None:
        """Send an event of another server to clients that are to acknowledge it."""

        def answer(value: dict[str, Any]) -> None:
            self.spawn(self._respond(message, value))

        asked = AckForwarder(
            lambda sid, arguments: answer(
                {"sid": sid, "arguments": self._manager._pack(arguments)}
            ),
            lambda sid: answer({"gone": sid}),
        )
        ns = self._manager._namespace(message["namespace"])
        clients = []
        if ns is not None:
            scope = Scope.of(message["scope"])
            clients = ns.rooms.ask(
                [message["event"], *unpack(message["data"], message.get("binary"))],
                scope.to,
                scope.skipped(ns),
                asked,
                message.get("compress", True),
            )
        await self._respond(message, {"asked": [peer.sid for peer, _ in clients]})
        asked.wait(clients, message.get("timeout"))


async def _beat(found: Callable[[], Cluster | None]) -> None:
    """Publish heartbeats until the cluster object is gone."""
    while True:
        await asyncio.sleep(HEARTBEAT_INTERVAL)
        if (cluster := found()) is None:
            return
        await cluster._beat_once()
        del cluster
