"""Servers of socket.io on Node.js with the official adapters, in one process.

::

    async with NodeProcess() as node:
        server = await node.server({"kind": "redis", "url": redis.url})
        await server.to("room").emit("news", 1)             # io.to("room").emit(…)
        found = await server.of("/chat").fetch_sockets()

tests/interop/cluster.mjs is the other end. Every wait is bounded.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from socketio_fast import AsyncClient
from socketio_fast.event_arguments import value_of
from socketio_fast.testing import Event
from support.js_client import INTEROP, pack, unpack
from support.waiting import WAIT, Changes, within

__all__ = ["NodeClient", "NodeError", "NodeProcess", "NodeServer"]


class NodeError(Exception):
    """What Node.js has thrown; ``responses`` are those of an acknowledgement."""

    def __init__(self, message: str, responses: Any = None) -> None:
        super().__init__(message)
        self.responses = responses


class NodeProcess:
    """A process that has servers and emitters."""

    async def __aenter__(self) -> NodeProcess:
        node = shutil.which("node")
        if (
            node is None
            or not (INTEROP / "node_modules/@socket.io/redis-adapter").is_dir()
        ):
            pytest.fail("this needs node, and `npm ci --prefix tests/interop`")
        self._names = count(1)
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._events: defaultdict[Any, asyncio.Queue[list[Any]]]
        self._events = defaultdict(asyncio.Queue)
        self._process = await asyncio.create_subprocess_exec(
            node,
            INTEROP / "cluster.mjs",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=64 * 1024 * 1024,
        )
        self._reader = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.kill()

    async def kill(self) -> None:
        """End it with no chance to say goodbye."""
        if self._process.returncode is None:
            self._process.kill()
        await within(self._process.wait(), "node's end")
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            report = unpack(json.loads(line))
            if report.get("on") == "event":
                event, *args = report["args"]
                key = report["name"], report["nsp"], event
                self._events[key].put_nowait(args)
                continue
            answer = self._answers.pop(report["id"])
            if answer.done():
                continue
            if "error" in report:
                error = NodeError(report["error"], report.get("responses"))
                answer.set_exception(error)
            else:
                answer.set_result(report["result"])
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(NodeError("node has ended"))

    async def do(self, command: str, **parameters: Any) -> Any:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "do": command, **pack(parameters)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        return await within(answer, f"{command} by node")

    async def server(
        self,
        adapter: dict[str, Any],
        namespaces: tuple[str, ...] = ("/", "/chat"),
        **options: Any,
    ) -> NodeServer:
        """A server that listens.

        Args:
            adapter: ``kind``, ``url`` and ``options``, see cluster.mjs.
            namespaces: What it has.
            **options: Those of a ``Server``.
        """
        name = f"server {next(self._names)}"
        port = await self.do(
            "server",
            name=name,
            adapter=adapter,
            namespaces=list(namespaces),
            options=options,
        )
        return NodeServer(self, name, port)

    async def emitter(self, adapter: dict[str, Any]) -> NodeServer:
        """An emitter: it has operators as a server has, and no clients."""
        name = f"emitter {next(self._names)}"
        await self.do("emitter", name=name, adapter=adapter)
        return NodeServer(self, name, None)


class NodeServer:
    """A server in a namespace, and the operators of that, by the names of Python's."""

    def __init__(
        self,
        node: NodeProcess,
        name: str,
        port: int | None,
        nsp: str = "/",
        chain: tuple[list[Any], ...] = (),
    ) -> None:
        self._node = node
        self._name = name
        self._nsp = nsp
        self._chain = chain
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, nsp: str) -> NodeServer:
        return NodeServer(self._node, self._name, self.port, nsp)

    def chain(self, *operators: list[Any]) -> NodeServer:
        chain = (*self._chain, *operators)
        return NodeServer(self._node, self._name, self.port, self._nsp, chain)

    def to(self, *rooms: Any) -> NodeServer:
        return self.chain(*(["to", room] for room in rooms))

    in_ = to

    def except_(self, *rooms: Any) -> NodeServer:
        return self.chain(*(["except", room] for room in rooms))

    @property
    def local(self) -> NodeServer:
        return self.chain(["local"])

    @property
    def volatile(self) -> NodeServer:
        return self.chain(["volatile"])

    def compress(self, compress: bool) -> NodeServer:
        return self.chain(["compress", compress])

    def timeout(self, seconds: float) -> NodeServer:
        return self.chain(["timeout", seconds * 1000])

    async def call(self, method: str, *args: Any) -> Any:
        """What a method returns, or what its promise becomes."""
        return await self._do(
            "call", chain=list(self._chain), method=method, args=list(args)
        )

    async def emit(self, event: str, *args: Any) -> None:
        await self.call("emit", event, *args)

    async def emit_with_ack(self, event: str, *args: Any) -> Any:
        return await self.call("emitWithAck", event, *args)

    async def fetch_sockets(self) -> list[SimpleNamespace]:
        found = [
            SimpleNamespace(**socket) for socket in await self.call("fetchSockets")
        ]
        for socket in found:
            socket.rooms = set(socket.rooms)
            socket.handshake = SimpleNamespace(**socket.handshake)
        return found

    async def sockets_join(self, *rooms: str) -> None:
        await self.call("socketsJoin", list(rooms))

    async def sockets_leave(self, *rooms: str) -> None:
        await self.call("socketsLeave", list(rooms))

    async def disconnect_sockets(self, close: bool = False) -> None:
        await self.call("disconnectSockets", close)

    async def server_side_emit(self, event: str, *args: Any) -> None:
        await self.call("serverSideEmit", event, *args)

    async def server_side_emit_with_ack(self, event: str, *args: Any) -> Any:
        return await self.call("serverSideEmitWithAck", event, *args)

    async def server_count(self) -> int:
        count: int = await self._do("serverCount")
        return count

    async def all_rooms(self) -> set[str]:
        return set(await self._do("allRooms"))

    async def listen(self, event: str, **answer: Any) -> None:
        """Report an event of other servers; see :meth:`heard`.

        Args:
            event: Its name.
            **answer: ``answer``, if it is to be answered.
        """
        await self._do("listen", event=event, **answer)

    async def unlisten(self, event: str) -> None:
        await self._do("unlisten", event=event)

    async def heard(self, event: str) -> list[Any]:
        """The arguments of the next event of another server."""
        queue = self._node._events[self._name, self._nsp, event]
        return await within(queue.get(), f"{event!r} to node")

    async def close(self) -> None:
        await self._node.do("close", name=self._name)

    async def _do(self, command: str, **parameters: Any) -> Any:
        return await self._node.do(
            command, name=self._name, nsp=self._nsp, **parameters
        )


class NodeClient:
    """A client of a server on Node.js, with what ``testing.Client`` has."""

    def __init__(self, url: str, namespace: str = "/") -> None:
        self._url = url
        self.namespace = namespace
        self.sio = AsyncClient(reconnection=False)
        #: The events that :meth:`expect` has not returned.
        self.received: list[Event] = []
        self._came = Changes()
        self._gone = asyncio.Event()
        self.sio.on("*", self._on_event, namespace=namespace)
        self.sio.on("disconnect", self._on_disconnect, namespace=namespace)

    def on(self, event: str, listener: Callable[..., Any]) -> None:
        """Call this too, whose value is the acknowledgement."""
        self._answers[event] = listener

    def _on_disconnect(self, reason: str) -> None:
        self._gone.set()

    async def _on_event(self, event: str, *args: Any) -> Any:
        self.received.append(Event(event, args))
        self._came.note()
        answer = self._answers.get(event)
        return None if answer is None else await answer(*args)

    async def __aenter__(self) -> NodeClient:
        self._answers: dict[str, Callable[..., Any]] = {}
        await self.sio.connect(
            self._url,
            namespaces=[self.namespace],
            transports=["websocket"],
            wait_timeout=WAIT,
        )
        self.sid = self.sio.get_sid(self.namespace)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.sio.disconnect()

    @property
    def connected(self) -> bool:
        return not self._gone.is_set()

    async def expect(self, event: str, *, timeout: float = WAIT) -> Any:
        """The value of the next event of this name, waited for."""

        def found() -> int:
            names = [came.name for came in self.received]
            return names.index(event) if event in names else -1

        await self._came.until(lambda: found() >= 0, seconds=timeout)
        return value_of(self.received.pop(found()).args)

    async def join(self, *rooms: str) -> None:
        """Have the server put it into rooms."""
        for room in rooms:
            await within(self.sio.call("join", room, namespace=self.namespace))

    async def save(self, **data: Any) -> None:
        """Have the server keep this as its data."""
        await within(self.sio.call("data", data, namespace=self.namespace))

    async def rooms(self) -> set[str]:
        """The rooms that the server has it in."""
        return set(await within(self.sio.call("rooms", namespace=self.namespace)))
