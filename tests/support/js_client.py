"""The official JavaScript client, in a node process that all of them share.

::

    async with JSClient(server.url, transports=["websocket"]) as client:
        await client.connect()
        assert await client.emit_with_ack("add", 1, 2) == [3]
        assert await client.expect("news") == ["…"]

The options are those of the client, but that ``parser="msgpack"`` names a parser, and
``package="socket.io-client-2"`` the client of Socket.IO 2. With ``own_process=True`` it
has a process of its own, which may be killed.

One JSClient is one Manager, so one Engine.IO connection; ``client["/chat"]`` is one of
its namespaces, and the client's own methods are those of "/". Every wait is bounded by
:data:`support.interop.WAIT`, and the client ends with the block.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import json
import shutil
import subprocess
import tempfile
from collections import defaultdict
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pytest

from support.interop import WAIT, within

INTEROP = Path(__file__).parents[1] / "interop"


class Refused(Exception):
    """The client's connect_error: what it was told."""

    def __init__(self, message: str, data: Any) -> None:
        super().__init__(message, data)
        self.message = message
        self.data = data


class Binary(NamedTuple):
    """Bytes for the client to send as this JavaScript type."""

    data: bytes
    kind: str


class Event(NamedTuple):
    """An event that the client received; `ack` is not None if it is to be answered."""

    name: str
    args: list[Any]
    ack: int | None


def pack(value: Any) -> Any:
    if isinstance(value, Binary):
        return {"$bin": base64.b64encode(value.data).decode(), "as": value.kind}
    if isinstance(value, bytes):
        return {"$bin": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [pack(item) for item in value]
    if isinstance(value, dict):
        return {key: pack(item) for key, item in value.items()}
    return value


def unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"$bin"}:
            return base64.b64decode(value["$bin"])
        return {key: unpack(item) for key, item in value.items()}
    return value


class JSSocket:
    """One namespace of a client."""

    def __init__(self, client: JSClient, nsp: str) -> None:
        self._client = client
        self.nsp = nsp
        self.sid: str | None = None
        #: The kinds of everything that happened here, events by their names.
        self.log: list[str] = []

    async def connect(self, *, auth: Any = None, times: int = 1) -> None:
        """Joins the namespace; raises :class:`Refused` if it may not.

        It asks so many times before it is answered.
        """
        await self._client.do("connect", nsp=self.nsp, auth=auth, times=times)
        await self.connected()

    async def connected(self) -> str:
        """Waits for the outcome of an attempt to connect, and gives the sid."""
        report = await self.next("connected or refused")
        if report["on"] == "connect_error":
            raise Refused(report["message"], report.get("data"))
        assert self.sid is not None
        return self.sid

    async def reconnected(self) -> str:
        """The same after attempts that may fail, as when nobody listens."""

        async def attempts() -> str:
            while True:
                with suppress(Refused):
                    return await self.connected()

        return await within(attempts(), "reconnected")

    async def emit(self, name: str, *args: Any) -> None:
        await self._client.do("emit", nsp=self.nsp, args=[name, *args])

    async def emit_many(self, name: str, count: int) -> None:
        """Emits 0, 1, 2, … one after the other, without a pause."""
        await self._client.do("emitMany", nsp=self.nsp, name=name, count=count)

    async def emit_with_ack(self, name: str, *args: Any) -> list[Any]:
        return await self._client.do(
            "emitWithAck", nsp=self.nsp, args=[name, *args], timeout=WAIT
        )

    async def next_event(self) -> Event:
        report = await self.next("event")
        name, *args = report["args"]
        return Event(name, args, report["ack"])

    async def expect(self, name: str) -> list[Any]:
        """The arguments of the next event, which must be this one."""
        event = await self.next_event()
        assert event.name == name
        return event.args

    async def answer(self, event: Event, *args: Any) -> None:
        await self._client.do("answer", ack=event.ack, args=list(args))

    async def expect_and_answer(self, name: str, *answer: Any) -> list[Any]:
        event = await self.next_event()
        assert event.name == name
        await self.answer(event, *answer)
        return event.args

    async def disconnect(self) -> None:
        await self._client.do("disconnect", nsp=self.nsp)

    async def disconnected(self) -> str:
        """Waits for the end of the connection, and gives the client's reason."""
        return (await self.next("disconnect"))["reason"]

    async def next(self, kind: str) -> dict[str, Any]:
        return await self._client.next(kind, self.nsp)


class Node:
    """A node process that runs clients, each for one connection to its socket."""

    def __init__(self) -> None:
        node = shutil.which("node")
        if node is None:
            pytest.fail(
                "the interop tests need node, and `npm ci --prefix tests/interop`"
            )
        self._directory = tempfile.TemporaryDirectory(prefix="js-client-")
        self.path = f"{self._directory.name}/socket"
        self._process = subprocess.Popen(
            [node, INTEROP / "client.mjs", self.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self.end()
            pytest.fail("client.mjs did not start: what node wrote says why")

    def end(self) -> None:
        """End it, with no chance to say goodbye."""
        self._process.kill()
        self._process.communicate()
        self._directory.cleanup()


@cache
def shared_node() -> Node:
    """The one of this process. To start one takes 0.3 s of CPU."""
    node = Node()
    atexit.register(node.end)
    return node


class JSClient:
    def __init__(self, url: str, **options: Any) -> None:
        self._url = url
        self._package = options.pop("package", "socket.io-client")
        self._own_process = options.pop("own_process", False)
        self._options = options
        self._sockets: dict[str, JSSocket] = {}
        self._reports: defaultdict[tuple[str, str | None], asyncio.Queue[Any]]
        self._reports = defaultdict(asyncio.Queue)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._ids = count(1)
        #: The Engine.IO sid, and how many Engine.IO connections there were.
        self.engine: str | None = None
        self.engines = 0
        self.upgraded = asyncio.Event()

    async def __aenter__(self) -> JSClient:
        if not (INTEROP / "node_modules" / self._package).is_dir():
            pytest.fail(f"no {self._package}: run `npm ci --prefix tests/interop`")
        self._node = Node() if self._own_process else shared_node()
        self._lines, self._writer = await asyncio.open_unix_connection(
            self._node.path, limit=64 * 1024 * 1024
        )
        self._reader = asyncio.ensure_future(self._read())
        try:
            await self.do(
                "manager", package=self._package, url=self._url, opts=self._options
            )
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        """The client ends when its commands do, and then the connection does."""
        if self._writer.can_write_eof():
            with suppress(OSError):
                self._writer.write_eof()
        try:
            await within(self._reader, "node's end of the client")
        finally:
            self._writer.close()
            if self._own_process:
                self._node.end()

    async def kill(self) -> None:
        """End its own process with no chance to say goodbye."""
        assert self._own_process
        self._node.end()

    async def _read(self) -> None:
        with suppress(ConnectionResetError):
            async for line in self._lines:
                self._receive(json.loads(line))
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(AssertionError("node has exited"))

    def _receive(self, report: dict[str, Any]) -> None:
        kind = report.get("on")
        if kind is None:
            answer = self._answers.pop(report["id"])
            if answer.done():
                return
            if "error" in report:
                answer.set_exception(AssertionError(f"node: {report['error']}"))
            else:
                answer.set_result(unpack(report["result"]))
            return
        report = unpack(report)
        nsp = report.get("nsp")
        if nsp is not None:
            socket = self._sockets[nsp]
            socket.log.append(report["args"][0] if kind == "event" else kind)
            if kind == "connect":
                socket.sid = report["sid"]
        elif kind == "open":
            self.engine = report["engine"]
            self.engines += 1
            self.upgraded.clear()
        elif kind == "upgrade":
            self.upgraded.set()
        if kind in ("connect", "connect_error"):
            kind = "connected or refused"
        self._reports[kind, nsp].put_nowait(report)

    async def next(self, kind: str, nsp: str | None = None) -> dict[str, Any]:
        """The next report of a kind, waited for."""
        what = f"{kind} {nsp}" if nsp else kind
        return await within(self._reports[kind, nsp].get(), what)

    async def do(self, command: str, **parameters: Any) -> Any:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "do": command, **pack(parameters)}
        self._writer.write(json.dumps(message).encode() + b"\n")
        # An acknowledgement has its own limit, in the client.
        return await within(answer, f"{command} by node")

    async def socket(self, nsp: str = "/") -> JSSocket:
        """A namespace, not joined yet if it is new."""
        if nsp not in self._sockets:
            self._sockets[nsp] = JSSocket(self, nsp)
            await self.do("socket", nsp=nsp)
        return self._sockets[nsp]

    async def connect(self, nsp: str = "/", *, auth: Any = None) -> JSSocket:
        """Joins a namespace, and waits until the transport is the last allowed one."""
        socket = await self.socket(nsp)
        await socket.connect(auth=auth)
        await self.settled()
        return socket

    async def settled(self) -> None:
        """Waits for the upgrade, where this client is one that upgrades."""
        wanted = self._options["transports"][-1]
        if wanted != self._options["transports"][0]:
            await within(self.upgraded.wait(), "upgrade")
        assert await self.transport() == wanted

    async def transport(self) -> str:
        return await self.do("transport")

    async def stream_across_upgrade(self, name: str, *, after: int) -> list[int]:
        """See streamAcrossUpgrade in client.mjs."""
        return await self.do("streamAcrossUpgrade", nsp="/", name=name, after=after)

    def __getitem__(self, nsp: str) -> JSSocket:
        return self._sockets[nsp]

    @property
    def sid(self) -> str | None:
        return self["/"].sid

    async def emit(self, name: str, *args: Any) -> None:
        await self["/"].emit(name, *args)

    async def emit_with_ack(self, name: str, *args: Any) -> list[Any]:
        return await self["/"].emit_with_ack(name, *args)

    async def expect(self, name: str) -> list[Any]:
        return await self["/"].expect(name)

    async def expect_and_answer(self, name: str, *answer: Any) -> list[Any]:
        return await self["/"].expect_and_answer(name, *answer)

    async def disconnect(self) -> None:
        await self["/"].disconnect()

    async def disconnected(self) -> str:
        return await self["/"].disconnected()
