"""Requests to the other servers of a cluster, while their answers are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from socketio_fast.adapters.messages import MessageType, client_of

__all__ = ["Asked", "Request"]


class Request:
    """What all other servers are asked, each of which answers once.

    Args:
        namespace: The namespace.
        servers: The ``uid`` of the servers, or their number.
        may_go: Whether no answer is missed of a server that goes.
        kind: The type of the message that asks them.
    """

    def __init__(
        self,
        namespace: str,
        servers: Collection[str] | int,
        may_go: bool,
        kind: MessageType,
    ) -> None:
        self.namespace = namespace
        self._kind = kind
        #: What they answered, in the order it came.
        self.answers: list[dict[str, Any]] = []
        #: Set when no more answers will come.
        self.done = asyncio.Event()
        self.expected = servers if isinstance(servers, int) else len(servers)
        self._waiting = None if isinstance(servers, int) else set(servers)
        self._may_go = may_go
        self._gone = 0

    @property
    def complete(self) -> bool:
        """Whether no server is waited for."""
        if self._waiting is not None:
            return not self._waiting
        return len(self.answers) >= self.expected

    @property
    def missing(self) -> int:
        """How many servers have not answered."""
        if self._waiting is not None:
            return len(self._waiting) + self._gone
        return max(0, self.expected - len(self.answers))

    def answered(self, uid: str, data: dict[str, Any]) -> None:
        """A server has answered.

        Raises:
            Exception: The answer is not as expected.
        """
        if self._kind == MessageType.FETCH_SOCKETS:
            data = {**data, "sockets": [client_of(told) for told in data["sockets"]]}
        self.answers.append(data)
        if self._waiting is not None:
            self._waiting.discard(uid)
        self._check()

    def server_gone(self, uid: str) -> None:
        """A server has gone."""
        if self._waiting is not None and uid in self._waiting:
            self._waiting.discard(uid)
            if not self._may_go:
                self._gone += 1
            self._check()

    def _check(self) -> None:
        if self.complete:
            self.done.set()


class Asked:
    """A broadcast that clients of other servers are to acknowledge.

    Args:
        namespace: The namespace.
        answers: Collects the answers.
        servers: The ``uid`` of the other servers, or their number.
    """

    def __init__(
        self, namespace: str, answers: Any, servers: Collection[str] | int
    ) -> None:
        self.namespace = namespace
        self._answers = answers
        # Servers that were asked; None: only their number is known.
        self._servers = None if isinstance(servers, int) else set(servers)
        # Whom each server has asked, of those that name them.
        self._clients: dict[str, list[str]] = {}

    def answered_by(self, uid: str, data: dict[str, Any]) -> None:
        """A server tells how many clients it has asked, or that one has answered."""
        if "clientCount" in data:
            if self._servers is not None and uid not in self._servers:
                self._servers.add(uid)
                self._answers.others(1)
            self._clients[uid] = data.get("sids") or []
            if "sids" in data:
                self._answers.of_host(data["sids"])
            else:
                self._answers.of_host_unnamed(int(data["clientCount"]))
        elif "gone" in data:
            self._answers.gone(data["gone"])
        else:
            arguments = data.get("args")
            if arguments is None:
                arguments = [data["packet"]] if "packet" in data else []
            if "sid" in data:
                self._answers.answered(data["sid"], arguments)
            else:
                self._answers.answered_unnamed(arguments)

    def server_gone(self, uid: str) -> None:
        """A server has gone."""
        if self._servers is not None and uid in self._servers:
            clients = self._clients.get(uid)
            self._answers.host_failed(
                "another server has gone", clients or (), clients is not None
            )
