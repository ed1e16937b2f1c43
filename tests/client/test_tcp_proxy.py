"""The proxy that tests of clients connect by does what it says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from support.tcp_proxy import TO_CLIENT, TO_SERVER, TcpProxy
from support.waiting import within

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Ends:
    """A server, a proxy before it, and connections through both."""

    def __init__(self) -> None:
        self._served: asyncio.Queue[Streams] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            self._writers.append(writer)
            self._served.put_nowait((reader, writer))

        self._server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.server_port = self._server.sockets[0].getsockname()[1]
        self.proxy = TcpProxy(self.server_port)
        await self.proxy.__aenter__()

    async def connect(self) -> tuple[Streams, Streams]:
        """The client's end, and the server's."""
        client = await within(
            asyncio.open_connection("127.0.0.1", self.proxy.port), "a connection"
        )
        self._writers.append(client[1])
        return client, await within(self._served.get(), "the server's end")

    async def stop(self) -> None:
        await self.proxy.__aexit__(None, None, None)
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends()
    await ends.start()
    yield ends
    await ends.stop()


async def read(streams: Streams, count: int) -> bytes:
    return await within(streams[0].readexactly(count), f"{count} bytes")


async def is_reset(streams: Streams) -> bool:
    """Whether the connection ends by a reset, not by an end."""
    try:
        return await within(streams[0].read(), "the end") is None
    except ConnectionResetError:
        return True


async def test_bytes_pass_both_ways_and_are_counted(ends: Ends) -> None:
    client, server = await ends.connect()
    client[1].write(b"to the server")
    server[1].write(b"and back")
    assert await read(server, 13) == b"to the server"
    assert await read(client, 8) == b"and back"
    assert (ends.proxy.to_server, ends.proxy.to_client) == (13, 8)
    assert (ends.proxy.accepted, ends.proxy.open) == (1, 1)


async def test_a_megabyte_arrives_as_it_was_sent(ends: Ends) -> None:
    client, server = await ends.connect()
    data = bytes(range(256)) * 4096
    client[1].write(data)
    assert await read(server, len(data)) == data


async def test_an_end_is_passed_on_and_the_other_way_stays_open(ends: Ends) -> None:
    client, server = await ends.connect()
    client[1].write_eof()
    assert await within(server[0].read(), "the end") == b""
    server[1].write(b"still")
    assert await read(client, 5) == b"still"
    server[1].close()
    assert await within(client[0].read(), "the end") == b""
    await ends.proxy.until(lambda proxy: proxy.open == 0)


async def test_cut_resets_both_sides_of_all_connections(ends: Ends) -> None:
    connections = [await ends.connect() for _ in range(2)]
    await ends.proxy.cut()
    for client, server in connections:
        assert await is_reset(client)
        assert await is_reset(server)
    assert ends.proxy.open == 0
    await ends.connect()
    assert ends.proxy.accepted == 3


async def test_cut_after_lets_exactly_so_many_bytes_pass(ends: Ends) -> None:
    client, server = await ends.connect()
    client[1].write(b"12345")
    assert await read(server, 5) == b"12345"
    ends.proxy.cut_after(3, TO_SERVER)
    client[1].write(b"67")
    assert await read(server, 2) == b"67"
    client[1].write(b"890")
    assert await read(server, 1) == b"8"
    assert await is_reset(server)
    assert await is_reset(client)
    assert ends.proxy.to_server == 8
    client, server = await ends.connect()
    client[1].write(b"once only")
    assert await read(server, 9) == b"once only"


async def test_half_close_ends_one_direction_alone(ends: Ends) -> None:
    client, server = await ends.connect()
    ends.proxy.half_close(TO_CLIENT)
    assert await within(client[0].read(), "the end") == b""
    server[1].write(b"lost")
    client[1].write(b"still heard")
    assert await read(server, 11) == b"still heard"
    assert ends.proxy.open == 1


async def test_half_close_towards_the_server(ends: Ends) -> None:
    client, server = await ends.connect()
    ends.proxy.half_close(TO_SERVER)
    assert await within(server[0].read(), "the end") == b""
    server[1].write(b"still heard")
    assert await read(client, 11) == b"still heard"


async def test_hold_is_silence_until_it_is_let_go(ends: Ends) -> None:
    client, server = await ends.connect()
    ends.proxy.hold()
    client[1].write(b"kept")
    server[1].write(b"this too")
    arrived = asyncio.ensure_future(server[0].readexactly(4))
    # What another connection of the kernel needs is more than what this one would.
    for _ in range(3):
        other = await ends.connect()
        other[0][1].write(b"also kept")
    assert not arrived.done()
    assert (ends.proxy.to_server, ends.proxy.to_client) == (0, 0)
    ends.proxy.let_go()
    assert await within(arrived, "what was kept") == b"kept"
    assert await read(client, 8) == b"this too"
    assert await read(other[1], 9) == b"also kept"


async def test_an_end_is_held_too(ends: Ends) -> None:
    client, server = await ends.connect()
    ends.proxy.hold()
    client[1].write(b"last")
    client[1].close()
    arrived = asyncio.ensure_future(server[0].read())
    await ends.connect()
    assert not arrived.done()
    ends.proxy.let_go()
    assert await within(arrived, "the end") == b"last"


async def test_delay_lets_everything_arrive_later_in_order(ends: Ends) -> None:
    client, server = await ends.connect()
    ends.proxy.delay(0.05, TO_SERVER)
    loop = asyncio.get_running_loop()
    started = loop.time()
    server[1].write(b"at once")
    assert await read(client, 7) == b"at once"
    for number in range(10):
        client[1].write(b"%d" % number)
        await client[1].drain()
    assert await read(server, 10) == b"0123456789"
    assert loop.time() - started >= 0.04


async def test_a_delay_is_no_limit_of_throughput(ends: Ends) -> None:
    client, server = await ends.connect()
    ends.proxy.delay(0.05)
    data = bytes(4_000_000)
    started = asyncio.get_running_loop().time()
    client[1].write(data)
    await read(server, len(data))
    # Some 60 chunks, each of them delayed.
    assert asyncio.get_running_loop().time() - started < 60 * 0.05


async def test_throttle_limits_bytes_per_second(ends: Ends) -> None:
    client, server = await ends.connect()
    ends.proxy.throttle(10_000)
    loop = asyncio.get_running_loop()
    started = loop.time()
    client[1].write(bytes(1_000))
    await read(server, 1_000)
    assert loop.time() - started >= 0.05
    ends.proxy.throttle(None)
    client[1].write(bytes(1_000_000))
    await read(server, 1_000_000)


async def test_refuse_and_accept_keep_the_port(ends: Ends) -> None:
    client, server = await ends.connect()
    port = ends.proxy.port
    await ends.proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    client[1].write(b"open ones stay")
    assert await read(server, 14) == b"open ones stay"
    await ends.proxy.accept()
    assert ends.proxy.port == port
    await ends.connect()


async def test_a_client_is_reset_where_no_server_listens(ends: Ends) -> None:
    ends._server.close()
    await ends._server.wait_closed()
    client = await asyncio.open_connection("127.0.0.1", ends.proxy.port)
    ends._writers.append(client[1])
    assert await is_reset(client)
    assert ends.proxy.open == 0


async def test_a_reset_is_passed_on_as_a_reset(ends: Ends) -> None:
    client, server = await ends.connect()
    linger = struct.pack("ii", 1, 0)
    raw = server[1].get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    server[1].transport.abort()
    assert await is_reset(client)
    await ends.proxy.until(lambda proxy: proxy.open == 0)


async def test_its_end_leaves_no_task_and_no_connection(ends: Ends) -> None:
    before = asyncio.all_tasks()
    async with TcpProxy(ends.server_port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.until(lambda proxy: proxy.open == 1)
        proxy.hold()
        writer.write(b"never")
    assert await is_reset((reader, writer))
    writer.close()
    assert asyncio.all_tasks() == before
