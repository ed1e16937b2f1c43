"""What the interop tests share: bounded waits, and handlers that remember."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from support import waiting

#: Seconds after which something that should have happened is missing.
WAIT = 10.0

#: What each value of the ``transport`` fixture lets a client use.
TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}

#: What a connection is on in the end, for each value of ``transport``.
SETTLED = {"polling": "polling", "websocket": "websocket", "upgrade": "websocket"}

#: Lengths of strings that put messages on both sides of each WebSocket length field.
LENGTHS = [*range(100, 130), *range(65_500, 65_540, 3)]


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


#: Arguments of an event that must arrive as they were sent, either way.
ARGUMENTS: dict[str, list[Any]] = {
    "none": [],
    "empty string": [""],
    "ascii": ["plain"],
    "unicode": ["é ß Ж 中文 ☃ \u0628"],
    "emoji": ["😀👩\u200d🚀🇪🇪", {"🔑": "🔒"}],
    "escapes": ['\x00\x01\x1e\x1f\x7f " \\ / \b\f\n\r\t \u2028\u2029 </script>'],
    "looks like a packet": ["42[]", '451-["x",{"_placeholder":true}]', "\x1e2probe"],
    "lone surrogates": ["\ud83d", "cut \udc00 here"],
    "null": [None],
    "booleans": [True, False],
    "integers": [0, 1, -1, 2**31, -(2**31), 2**53 - 1, -(2**53) + 1],
    "floats": [1.5, -0.25, 1e300, 5e-324, 3.141592653589793],
    "empty list": [[]],
    "empty object": [{}],
    "list": [[1, "two", None, [3, [4, [5]]]]],
    "object": [{"a": 1, "b": {"c": [{"d": None}]}, "": "empty key", "e\n": [[]]}],
    "several": ["a", 1, None, [2], {"b": 3}, True, "last"],
    "number-like keys": [{"0": "zero", "1": "one"}],
    "deep": [nested(64)],
    "64 KB": ["x" * 65_536, "é" * 65_536],
}

#: The same, with binary in all places where it can be.
BINARY_ARGUMENTS: dict[str, list[Any]] = {
    "top level": [b"\x00\x01\x02\xff"],
    "empty": [b""],
    "all bytes": [bytes(range(256))],
    "in an object": [{"file": b"abc", "name": "x.bin"}],
    "in a list": [[b"abc", "def"]],
    "deep": [{"a": [{"b": {"c": [b"deep"]}}]}],
    "among others": ["before", b"1", None, b"2", {"after": b"3"}],
    "ten attachments": [[bytes([n]) * n for n in range(10)]],
    "with unicode": ["☃😀", {"é": b"\xf0\x9f\x98\x80"}],
    "like text": [b"42[]", b'2["x"]', b"\x1e"],
    "64 KB": [b"\x80" * 65_536, b"\xff" * 65_537],
}


within = functools.partial(waiting.within, seconds=WAIT)


@asynccontextmanager
async def routing(
    port_of: Callable[[bytes], int], pause: Callable[[bytes], float] = lambda line: 0.0
) -> AsyncIterator[int]:
    """The port of a proxy.

    Args:
        port_of: Where a connection goes, by the first line of what comes on it.
        pause: Seconds by which all is held up that such a connection carries.
    """
    accepted: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if pause:
                    await asyncio.sleep(pause)
                if writer.is_closing():
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        accepted.add(asyncio.current_task())
        writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            line = request.partition(b"\r\n")[0]
            from_server, to_server = await asyncio.open_connection(
                "127.0.0.1", port_of(line)
            )
            writers.add(to_server)
            to_server.write(request)
            await asyncio.gather(
                pump(reader, to_server, pause(line)),
                pump(from_server, writer, pause(line)),
            )
        writer.close()

    proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*accepted)


@asynccontextmanager
async def slow_websockets(port: int, pause: float) -> AsyncIterator[str]:
    """The address of a proxy that holds up all that WebSockets carry, and only that.

    On one machine an upgrade is over before there is anything to lose in it.
    """

    def slow(line: bytes) -> float:
        return pause if b"transport=websocket" in line else 0.0

    async with routing(lambda line: port, slow) as own:
        yield f"http://127.0.0.1:{own}"


class Calls:
    """What a handler was called with, in order: ``await calls.next()``."""

    def __init__(self, name: str = "call") -> None:
        self._name = name
        self._queue: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def add(self, *args: Any) -> None:
        self._queue.put_nowait(args)

    async def next(self) -> tuple[Any, ...]:
        return await within(self._queue.get(), self._name)

    async def several(self, count: int) -> list[tuple[Any, ...]]:
        return [await self.next() for _ in range(count)]

    @property
    def empty(self) -> bool:
        return self._queue.empty()


def record(sio: Any, event: str, namespace: str = "/") -> Calls:
    """Registers a handler of an ordinary event that only remembers its calls."""
    calls = Calls(event)

    def handler(*args: Any) -> None:
        calls.add(*args)

    sio.on(event, handler, namespace=namespace)
    return calls


def record_connects(sio: Any, namespace: str = "/") -> Calls:
    """Every connect: (sid, environ, auth)."""
    calls = Calls(f"connect {namespace}")

    def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        calls.add(sid, environ, auth)

    sio.on("connect", connect, namespace=namespace)
    return calls


def record_disconnects(sio: Any, namespace: str = "/") -> Calls:
    """Every disconnect: (sid, reason)."""
    calls = Calls(f"disconnect {namespace}")

    def disconnect(sid: str, reason: str) -> None:
        calls.add(sid, reason)

    sio.on("disconnect", disconnect, namespace=namespace)
    return calls


def returning(value: Any) -> Callable[..., Any]:
    """A handler that answers with a value."""

    def handler(*args: Any) -> Any:
        return value

    return handler
