"""What retry.ts and connection-state-recovery.ts of the official client's suite check,
one test for each behaviour; and the table of all tests of the official suites.
"""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from support.interop import within
from support.official_suite import A_WHILE, New, application, calls, start
from support.tcp_proxy import TcpProxy
from support.wire_server import wire_server

import socketio_fast

TABLE = Path(__file__).with_name("official_suites.md")

#: What the table says of a test whose behaviour is none of a client in Python.
NOT_HERE = {"browser", "JavaScript", "TypeScript"}

# retry.ts


def echo(packet: str) -> list[str]:
    """Acknowledges each event with its first argument."""
    if not packet.startswith("2") or "[" not in packet:
        return []
    number, _, rest = packet[1:].partition("[")
    return [f"3{number}[{rest.partition(',')[2]}"] if number else []


async def test_retries_keep_the_order_of_packets(new: New) -> None:
    """C8: One event at a time is on its way.

    The official client makes duplicates recognisable by nothing; the last argument may
    be an id here, so only what precedes it is compared.
    """
    async with wire_server(echo) as wire:
        client = new(retries=1, ack_timeout=2)
        socket = await start(client, wire.url)
        for number in (1, 2, 3):
            socket.emit("echo", number)
        packets = [await wire.packet() for _ in range(4)]
        assert packets[0] == "0"
        for number, packet in enumerate(packets[1:]):
            assert packet.startswith(f'2{number}["echo",{number + 1}')


async def test_an_event_is_sent_again_until_its_retries_are_over(new: New) -> None:
    async with wire_server() as wire:
        client = new(retries=3, ack_timeout=0.05)
        socket = await start(client, wire.url)
        with pytest.raises(socketio_fast.exceptions.SocketIOError):
            await within(socket.emit_with_ack("ack"), "the last of its retries")
        packets = [await wire.packet() for _ in range(5)]
        assert packets[0] == "0"
        for number, packet in enumerate(packets[1:]):
            assert packet.startswith(f'2{number}["ack"')
        assert len(wire.packets) == 5


async def test_nothing_is_retried_while_it_is_not_connected(new: New) -> None:
    async with wire_server(echo) as wire:
        client = new(retries=3, ack_timeout=0.02)
        socket = client.socket("/")
        socket.emit("echo", 1)
        await asyncio.sleep(A_WHILE)
        await start(client, wire.url)
        assert await wire.packet() == "0"
        assert (await wire.packet()).startswith('20["echo",1')


async def test_a_retried_event_of_the_connect_listener_is_sent_once(new: New) -> None:
    async with wire_server(echo) as wire:
        client = new(retries=3)
        socket = client.socket("/")
        socket.on("connect", lambda: socket.emit("echo", None))
        await start(client, wire.url)
        assert await wire.packet() == "0"
        assert (await wire.packet()).startswith('20["echo",null')
        await asyncio.sleep(A_WHILE)
        assert len(wire.packets) == 2


# connection-state-recovery.ts


async def test_a_recovered_connection_has_the_same_id(new: New, serve: Any) -> None:
    """C27: Listeners get the offset as the last argument, as in the official client."""
    server = await serve(application(connection_state_recovery=True))
    async with TcpProxy(server.port) as network:
        socket = await start(new(), network.url)
        assert not socket.recovered
        hi, connects = calls(socket, "hi"), calls(socket, "connect")
        await socket.emit("hi")  # by which it knows an offset
        await hi.next()
        before = socket.id
        await network.cut()
        await connects.next()
        assert socket.id == before
        assert socket.recovered


# The table of all tests


def listed() -> list[tuple[str, str]]:
    """Each test of the official suites, and what the table says of it."""
    rows = re.findall(r"^\| (.+) \| (.+) \|$", TABLE.read_text(), re.M)
    return [row for row in rows if row[0] != "test"]


def defined(path: Path) -> set[str]:
    """The names of a file's tests."""
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in nodes if isinstance(node, functions)}


def test_all_tests_of_the_official_suites_are_listed() -> None:
    """As many as there were: engine.io-client's and socket.io-client's."""
    assert len(listed()) == 109 + 129


def test_each_listed_test_is_checked_here_or_says_why_not() -> None:
    names: dict[Path, set[str]] = {}
    for title, here in listed():
        if here in NOT_HERE:
            continue
        file, _, name = here.strip("`").partition("::")
        path = (TABLE.parents[1] if "/" in file else TABLE.parent) / file
        assert path.is_file(), f"{title}: no {file}"
        if path not in names:
            names[path] = defined(path)
        assert name in names[path], f"{title}: no {name} in {file}"
