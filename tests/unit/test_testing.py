"""The test client: what it shows of a server, and time that passes at will."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import uvloop

import socketio_fast
from socketio_fast import testing
from socketio_fast.exceptions import (
    ConnectionRefusedError,
    DisconnectedError,
    TimeoutError,
)

ROOT = Path(__file__).parents[2]


def make(**options: Any) -> tuple[socketio_fast.AsyncServer, list[Any]]:
    """A server that echoes, and what it was told of its clients."""
    sio = socketio_fast.AsyncServer(**options)
    log: list[Any] = []

    async def connect(sid: str, environ: Any, auth: Any) -> None:
        log.append(("connect", environ, auth))
        if auth and "refuse" in auth:
            raise ConnectionRefusedError("no", auth["refuse"])

    def disconnect(sid: str, reason: str) -> None:
        log.append(("disconnect", reason))

    async def echo(sid: str, *args: Any) -> Any:
        await sio.emit("echo", args, to=sid)
        return args

    async def slow(sid: str, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    for namespace in ("/", "/chat"):
        for handler in (connect, disconnect, echo, slow):
            sio.on(handler.__name__, handler, namespace=namespace)
    return sio, log


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_events_and_acknowledgements_both_ways(serializer: str) -> None:
    """U10: real packets, with bytes in them, in the server's encoding."""
    sio, _ = make(serializer=serializer)
    async with testing.client(sio) as client:
        await client.emit("echo", 1, b"\0", {"a": [b"b"]})
        assert client.received == [("echo", (1, b"\0", {"a": [b"b"]}))]
        assert await client.expect("echo") == (1, b"\0", {"a": [b"b"]})
        assert client.received == []
        assert await client.call("echo") is None
        assert await client.call("echo", b"x") == b"x"
        client.on("sum", lambda *numbers: (sum(numbers), b"!"))
        assert await sio.call("sum", (1, 2), to=client.sid) == (3, b"!")

        @client.on("later")
        async def later() -> str:
            await asyncio.sleep(0)
            return "now"

        assert await sio.call("later", to=client.sid) == "now"


async def test_another_json_and_another_packet_class() -> None:
    """U10: what an application has chosen for packets is the client's too."""
    import json

    class Shouts(socketio_fast.packet.Packet):
        def encode(self) -> Any:
            encoded = super().encode()
            return encoded.upper() if isinstance(encoded, str) else encoded

    sio, _ = make(json=json)
    async with testing.client(sio) as client:
        assert await client.call("echo", {"a": 1}) == {"a": 1}
    sio, _ = make(serializer=Shouts)
    sio.on("ECHO", lambda sid, *args: args)
    async with testing.Connection(sio) as connection:
        await connection.send('40{"a":1}')


async def test_a_refusal_has_its_message_and_data() -> None:
    """U10: by the namespace, and by the handshake."""
    sio, log = make()
    with pytest.raises(ConnectionRefusedError) as caught:
        async with testing.client(sio, auth={"refuse": {"code": 1}}):
            pass
    assert caught.value.args == ("no", {"code": 1})
    with pytest.raises(ConnectionRefusedError) as caught:
        async with testing.client(sio, headers={"Origin": "http://elsewhere"}):
            pass
    assert caught.value.args[1]["status"] == 400
    assert len(log) == 1
    assert sio.eio.engine.sessions == {}
    with pytest.raises(ConnectionRefusedError, match="Invalid namespace"):
        async with testing.client(sio, "/nobody"):
            pass
    with pytest.raises(TypeError, match="auth='x'"):
        async with testing.client(sio, auth="x"):  # type: ignore[arg-type]
            pass


async def test_the_handshake_is_the_tests() -> None:
    sio, log = make()
    async with testing.client(
        sio, headers={"X-Test": "1"}, query={"room": "a b"}, address="192.0.2.1"
    ):
        (_, environ, auth) = log[0]
    assert auth is None
    assert environ["HTTP_X_TEST"] == "1"
    assert environ["REMOTE_ADDR"] == "192.0.2.1"
    assert environ["QUERY_STRING"] == "EIO=4&transport=websocket&room=a+b"


async def test_namespaces_share_a_connection() -> None:
    """U10: several namespaces on one connection."""
    sio, log = make()
    async with testing.client(sio) as client:
        chat = await client.join("/chat", {"name": "ann"})
        assert chat.connection is client.connection
        assert len(sio.eio.engine.sessions) == 1
        assert chat.sid != client.sid
        await sio.emit("hi", 1, namespace="/chat")
        await testing.settle()
        assert (chat.received, client.received) == ([("hi", (1,))], [])
        with pytest.raises(ValueError, match="already joined"):
            await client.join("/chat")
        await chat.disconnect()
        assert (chat.connected, client.connected) == (False, True)
        chat = await client.join("/chat")
        assert await chat.call("echo", 2) == 2
    assert [entry[1] for entry in log if entry[0] == "disconnect"] == [
        "client disconnect"
    ] * 3


async def test_reasons_on_both_sides() -> None:
    """U10: who ends a connection, and what each side says of it."""
    sio, log = make()
    async with testing.client(sio) as client:
        await client.disconnect()
        assert client.reason == "io client disconnect"
        with pytest.raises(DisconnectedError, match="io client disconnect"):
            await client.emit("echo")
    async with testing.client(sio) as client:
        await sio.disconnect(client.sid)
        await testing.settle()
        assert client.reason == "io server disconnect"
    async with testing.client(sio) as client:
        await client.connection.lose()
        assert client.reason == "transport close"
    async with testing.client(sio) as client:
        await client.connection.send("4not a packet")
        assert client.reason == "transport close"
    async with testing.client(sio) as client:
        await sio.shutdown()
        await testing.settle()
        assert not client.connected
    assert [entry[1] for entry in log if entry[0] == "disconnect"] == [
        "client disconnect",
        "server disconnect",
        "transport close",
        "transport error",
        "server disconnect",
    ]


async def test_an_expectation_that_fails_says_what_came() -> None:
    sio, _ = make()
    async with testing.client(sio) as client:
        await client.emit("echo", "a", 1)
        with pytest.raises(AssertionError) as caught:
            await client.expect("other", timeout=0.01)
        message = "no event 'other' in 0.01 s; received: 'echo'('a', 1); connected"
        assert str(caught.value) == message
        await sio.disconnect(client.sid)
        with pytest.raises(AssertionError, match="disconnected: io server disconnect"):
            await client.expect("other", timeout=60)
        with pytest.raises(DisconnectedError):
            await client.call("echo")


async def test_expect_waits_for_what_comes_later() -> None:
    sio, _ = make()
    async with testing.client(sio) as client:
        expected = asyncio.ensure_future(client.expect("second"))
        await testing.settle()
        await sio.emit("first")
        await testing.settle()
        assert not expected.done()
        await sio.emit("second", 2)
        assert await expected == 2
        assert client.received == [("first", ())]


async def test_what_a_function_of_the_test_raises_is_raised_in_the_test() -> None:
    sio, _ = make()
    async with testing.client(sio) as client:
        client.on("bad", lambda: 1 // 0)
        await sio.emit("bad")
        with pytest.raises(ZeroDivisionError):
            await client.expect("nothing", timeout=0.01)


async def test_a_call_without_an_acknowledgement() -> None:
    sio, _ = make()
    async with testing.client(sio) as client:
        with pytest.raises(TimeoutError, match="no acknowledgement of 'nobody'"):
            await client.call("nobody", timeout=0.01)
        call = asyncio.ensure_future(client.call("slow", 60))
        await testing.settle()
        await client.connection.lose()
        with pytest.raises(DisconnectedError, match="transport close"):
            await call
    for task in sio.eio.handler_tasks():
        task.cancel()


async def test_many_clients() -> None:
    """U10: as many as wanted, each with what is for it."""
    sio, _ = make()
    connections = [testing.client(sio) for _ in range(50)]
    clients = [await c.__aenter__() for c in connections]
    await sio.emit("all", b"1")
    await sio.emit("one", to=clients[7].sid)
    await testing.settle()
    for i, client in enumerate(clients):
        names = [event.name for event in client.received]
        assert names == ["all"] + ["one"] * (i == 7)
    for c in connections:
        await c.__aexit__(None, None, None)
    assert sio.eio.engine.sessions == {}


async def timed(sio: socketio_fast.AsyncServer, log: list[Any]) -> None:
    async with testing.Clock() as clock, testing.client(sio) as client:
        loop = asyncio.get_running_loop()
        begun, real = clock.now, time.monotonic()
        call = asyncio.ensure_future(client.call("slow", 100, timeout=60))
        ack = asyncio.ensure_future(sio.call("q", to=client.sid, timeout=120))
        within = asyncio.ensure_future(asyncio.wait_for(asyncio.Event().wait(), 130))
        await clock.advance(99.9)
        assert not call.done()
        await clock.advance(0.2)
        assert await call == "done"
        await clock.advance(25)
        with pytest.raises(TimeoutError, match="did not acknowledge"):
            await ack
        assert not within.done()
        await clock.advance(10)
        with pytest.raises(asyncio.TimeoutError):
            await within
        await clock.advance(3600)
        assert client.connected
        assert clock.now == loop.time() == pytest.approx(begun + 3735.1)
        client.connection.answers_pings = False
        await clock.advance(45)
        assert client.reason == "transport close"
        assert log[-1] == ("disconnect", "ping timeout")
        async with testing.Connection(sio) as connection:
            await clock.advance(45.1)
            assert not connection.connected
        assert time.monotonic() - real < 30
        left = asyncio.ensure_future(asyncio.sleep(0.01, "left"))
        await testing.settle()
    assert await left == "left"
    async with testing.client(sio) as client:
        assert await client.call("slow", 0.001) == "done"


LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [
    asyncio.SelectorEventLoop,
    uvloop.new_event_loop,
]


@pytest.mark.parametrize("new_loop", LOOPS)
def test_time_passes_at_will(new_loop: Callable[..., Any]) -> None:
    """U10: heartbeats, timeouts of calls and of handlers, without waiting."""
    loop = new_loop()
    try:
        loop.run_until_complete(timed(*make()))
        assert loop.time() < time.monotonic() + 5
    finally:
        loop.close()


@pytest.mark.parametrize("new_loop", LOOPS)
def test_timers_from_before_go_on(new_loop: Callable[..., Any]) -> None:
    async def main() -> None:
        before = asyncio.ensure_future(asyncio.sleep(0.01))
        late = asyncio.ensure_future(asyncio.sleep(3600))
        await asyncio.sleep(0)
        async with testing.Clock() as clock:
            await clock.advance(7200)
            assert not late.done()
            await before
        late.cancel()

    loop = new_loop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


async def test_a_server_that_ran_before_takes_part() -> None:
    sio, log = make()
    async with testing.client(sio) as first:
        async with testing.Clock() as clock, testing.client(sio):
            first.connection.answers_pings = False
            await clock.advance(45.1)
            assert log[-1] == ("disconnect", "ping timeout")
        async with testing.Clock() as clock:
            await clock.advance(1)


async def test_clocks_are_used_as_they_are_meant() -> None:
    clock = testing.Clock()
    with pytest.raises(RuntimeError, match="not been entered"):
        await clock.advance(1)
    async with clock:
        with pytest.raises(ValueError, match="advance"):
            await clock.advance(-1)
        with pytest.raises(RuntimeError, match="one Clock"):
            await testing.Clock().__aenter__()
    with pytest.raises(RuntimeError, match="not been entered"):
        _ = clock.now


def test_threads() -> None:
    """U10: the same client for a Server, with methods that wait."""
    sio = socketio_fast.Server()
    reasons: SimpleQueue[str] = SimpleQueue()  # from a thread of its own
    sio.on("echo", lambda sid, *args: args)
    sio.on("hello", lambda sid: sio.emit("hello", sid, to=sid))
    sio.on("hello", lambda sid: sio.emit("hi", namespace="/chat"), namespace="/chat")
    sio.on("disconnect", lambda sid, reason: reasons.put(reason))
    try:
        with testing.client(sio) as client:
            assert client.call("echo", 1, b"2") == (1, b"2")
            client.emit("hello")
            assert client.expect("hello") == client.sid
            client.on("double", lambda x: x * 2)
            assert sio.call("double", 4, to=client.sid) == 8
            assert client.received == [("double", (4,))]
            chat = client.join("/chat")
            chat.emit("hello")
            chat.expect("hi")
            chat.disconnect()
            assert chat.reason == "io client disconnect"
            assert (chat.connected, chat.namespace) == (False, "/chat")
            client.lose()
            assert client.reason == "transport close"
        assert reasons.get(timeout=20) == "transport close"
        with testing.SyncClock(sio) as clock, testing.client(sio) as client:
            begun = clock.now
            assert client.answers_pings
            clock.advance(100)
            assert client.connected
            client.answers_pings = False
            clock.advance(45)
            assert not client.connected
            assert clock.now == begun + 145
        with pytest.raises(ConnectionRefusedError), testing.client(sio, "/nobody"):
            pass
    finally:
        sio.shutdown()


def test_other_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="an AsyncServer or a Server expected"):
        testing.client(object())  # type: ignore[call-overload]


PLUGINS = ("pytest_socketio_fast", "pytest_asyncio.plugin", "anyio.pytest_plugin")


def run_pytest(directory: Path, *options: str) -> str:
    """Run the tests of a directory, with the plugin whether it is installed or not."""
    plugins = [option for plugin in PLUGINS for option in ("-p", plugin)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *plugins),
            *("-p", "no:cacheprovider", "-c", str(directory / "pytest.ini")),
            *("-q", "-W", "error", *options, str(directory)),
        ],
        # Not the checkout, whose package may not be built.
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
ANYIO = """
@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


@pytest.mark.parametrize("plugin", ["asyncio", "anyio"])
def test_the_examples_of_the_documentation(tmp_path: Path, plugin: str) -> None:
    """U10: under pytest-asyncio and anyio's plugin, with the fixtures."""
    text = (ROOT / "docs" / "testing.md").read_text()
    count = 0
    snippets = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    for number, code in enumerate(snippets):
        count += len(re.findall(r"^(?:async )?def test_", code, re.M))
        if plugin == "anyio":
            code = code.replace("@pytest.mark.asyncio", "@pytest.mark.anyio")
            code = "import pytest\n" + code + ANYIO
        (tmp_path / f"test_snippet_{number}.py").write_text(code)
    assert count >= 8
    (tmp_path / "pytest.ini").write_text(INI)
    assert f"{count} passed" in run_pytest(tmp_path)


def test_the_plugin_closes_clients_and_imports_late(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(INI + "asyncio_mode = auto\n")
    (tmp_path / "test_it.py").write_text(
        """
import sys

def test_late():
    assert "socketio_fast" not in sys.modules

async def test_first(socketio_client):
    import socketio_fast
    global sio, client
    sio = socketio_fast.AsyncServer()
    client = await socketio_client(sio)
    assert client.connected

def test_second():
    assert client.reason == "io client disconnect"
    assert not sio.manager_initialized
"""
    )
    assert "3 passed" in run_pytest(tmp_path)
