"""The clients without handlers, with real servers."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import socketio as python_socketio
from support.ports import free_port
from support.threaded_servers import Running, running, wait_until
from support.waiting import WAIT, until

import socketio_fast as socketio
from socketio_fast import exceptions


def make_server() -> socketio.AsyncServer:
    sio = socketio.AsyncServer(namespaces=["/"])

    @sio.on("ask", namespace="*")
    async def ask(namespace: str, sid: str, *args: Any) -> Any:
        return args

    @sio.on("echo", namespace="*")
    async def echo(namespace: str, sid: str, *args: Any) -> None:
        await sio.emit("echo", args, to=sid, namespace=namespace)

    @sio.on("kick", namespace="*")
    async def kick(namespace: str, sid: str) -> None:
        await sio.disconnect(sid, namespace=namespace)

    @sio.on("connect", namespace="/refusing")
    async def refuse(sid: str, environ: Any, auth: Any) -> bool:
        return False

    @sio.on("connect", namespace="/chat")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await sio.emit(
            "welcome", (auth, environ.get("HTTP_X_TEST")), to=sid, namespace="/chat"
        )

    return sio


@pytest.fixture
def server() -> Iterator[Running]:
    with running(make_server) as server:
        yield server


OPTIONS: dict[str, Any] = {"reconnection_delay": 0.05, "handle_sigint": False}


@pytest.fixture
def sio() -> Iterator[socketio.SimpleClient]:
    with socketio.SimpleClient(**OPTIONS) as client:
        yield client


@pytest.fixture
async def aio() -> AsyncIterator[socketio.AsyncSimpleClient]:
    async with socketio.AsyncSimpleClient(**OPTIONS) as client:
        yield client


class TestThreads:
    def test_sends_and_receives(
        self, server: Running, sio: socketio.SimpleClient
    ) -> None:
        assert sio.sid is None
        assert sio.transport == ""
        sio.connect(server.url, transports=["websocket"])
        assert sio.connected
        assert sio.transport == "websocket"
        assert sio.sid == sio.client.get_sid()
        sio.emit("echo", (1, b"2"))
        assert sio.receive(timeout=WAIT) == ["echo", 1, b"2"]
        sio.emit("echo")
        assert sio.receive() == ["echo"]
        assert sio.call("ask", (1, 2)) == (1, 2)
        assert sio.call("ask", timeout=WAIT) is None
        sio.disconnect()
        assert not sio.connected
        assert sio.client is None
        assert sio.sid is None

    def test_a_namespace_auth_and_headers(
        self, server: Running, sio: socketio.SimpleClient
    ) -> None:
        sio.connect(
            server.url, {"X-Test": "yes"}, {"token": "secret"}, namespace="/chat"
        )
        # It came before the connection was there.
        assert sio.receive(timeout=WAIT) == ["welcome", {"token": "secret"}, "yes"]
        sio.emit("echo", 1)
        assert sio.receive(timeout=WAIT) == ["echo", 1]

    def test_events_are_in_order(
        self, server: Running, sio: socketio.SimpleClient
    ) -> None:
        """C29: ``SimpleClient``."""
        sio.connect(server.url)
        for number in range(500):
            sio.emit("echo", number)
        came = [sio.receive(timeout=WAIT) for _ in range(500)]
        assert came == [["echo", number] for number in range(500)]
        assert sio.input_buffer == []

    def test_no_event_in_time(
        self, server: Running, sio: socketio.SimpleClient
    ) -> None:
        sio.connect(server.url)
        with pytest.raises(exceptions.TimeoutError):
            sio.receive(timeout=0.05)
        with pytest.raises(exceptions.TimeoutError):
            sio.call("nothing", timeout=0.05)

    def test_connected_already(
        self, server: Running, sio: socketio.SimpleClient
    ) -> None:
        sio.connect(server.url)
        with pytest.raises(RuntimeError, match="Already connected"):
            sio.connect(server.url)

    def test_without_a_connection(self, sio: socketio.SimpleClient) -> None:
        for use in (sio.receive, lambda: sio.emit("event"), lambda: sio.call("event")):
            with pytest.raises(exceptions.DisconnectedError):
                use()
        sio.disconnect()

    def test_a_connection_that_fails(self, sio: socketio.SimpleClient) -> None:
        with pytest.raises(exceptions.ConnectionError):
            sio.connect(f"http://127.0.0.1:{free_port()}")
        with pytest.raises(exceptions.DisconnectedError):
            sio.receive()

    def test_a_namespace_that_is_refused(
        self, server: Running, sio: socketio.SimpleClient
    ) -> None:
        with pytest.raises(exceptions.ConnectionError, match="/refusing"):
            sio.connect(server.url, namespace="/refusing")
        assert not sio.connected
        sio.connect(server.url)
        assert sio.call("ask", 1) == 1

    def test_what_has_come_is_received_after_the_server_has_disconnected(
        self, server: Running, sio: socketio.SimpleClient
    ) -> None:
        sio.connect(server.url)
        sio.emit("echo", 1)
        sio.emit("kick")
        assert sio.receive(timeout=WAIT) == ["echo", 1]
        # It waits without limit, and is told that nothing will come.
        with pytest.raises(exceptions.DisconnectedError):
            sio.receive()
        with pytest.raises(exceptions.DisconnectedError):
            sio.emit("event")
        with pytest.raises(exceptions.DisconnectedError):
            sio.call("event")
        assert not sio.connected
        sio.connect(server.url)
        assert sio.call("ask", 2) == 2

    def test_it_waits_while_the_connection_is_lost(
        self, server: Running, sio: socketio.SimpleClient
    ) -> None:
        sio.connect(server.url)
        before = sio.sid
        server.stop()
        wait_until(lambda: not sio.connected_event.is_set())
        assert sio.connected
        with pytest.raises(exceptions.TimeoutError):
            sio.receive(timeout=0.05)
        start = threading.Timer(0.2, server.start)
        start.start()
        sio.emit("echo", "late")
        assert sio.receive(timeout=WAIT) == ["echo", "late"]
        assert sio.call("ask", 1) == 1
        assert sio.sid != before
        start.join()

    def test_reconnection_that_fails_for_good(self, server: Running) -> None:
        with socketio.SimpleClient(reconnection_attempts=1, **OPTIONS) as sio:
            sio.connect(server.url)
            server.stop()
            with pytest.raises(exceptions.DisconnectedError):
                sio.receive()
            with pytest.raises(exceptions.DisconnectedError):
                sio.emit("event")
            assert not sio.connected
        server.start()

    def test_a_class_of_its_own(self, server: Running) -> None:
        class Counting(socketio.Client):
            emitted = 0

            def emit(self, *args: Any, **kwargs: Any) -> None:
                self.emitted += 1
                super().emit(*args, **kwargs)

        class Simple(socketio.SimpleClient):
            client_class = Counting

        with Simple(reconnection=False, handle_sigint=False) as sio:
            sio.connect(server.url)
            assert not sio.client.reconnection
            sio.emit("echo", 1)
            assert sio.receive(timeout=WAIT) == ["echo", 1]
            assert sio.client.emitted == 1

    def test_several_threads(self, server: Running, sio: socketio.SimpleClient) -> None:
        sio.connect(server.url)
        came: list[Any] = []
        receiver = threading.Thread(
            target=lambda: came.extend(sio.receive(timeout=WAIT) for _ in range(50))
        )
        receiver.start()
        for number in range(50):
            sio.emit("echo", number)
        receiver.join(WAIT)
        assert came == [["echo", number] for number in range(50)]


class TestAsyncio:
    async def test_sends_and_receives(
        self, server: Running, aio: socketio.AsyncSimpleClient
    ) -> None:
        assert aio.sid is None
        assert aio.transport == ""
        await aio.connect(server.url, transports=["websocket"])
        assert aio.connected
        assert aio.transport == "websocket"
        assert aio.sid == aio.client.get_sid()
        await aio.emit("echo", (1, b"2"))
        assert await aio.receive(timeout=WAIT) == ["echo", 1, b"2"]
        assert await aio.call("ask", (1, 2)) == (1, 2)
        with pytest.raises(exceptions.TimeoutError):
            await aio.receive(timeout=0.05)
        with pytest.raises(exceptions.TimeoutError):
            await aio.call("nothing", timeout=0.05)
        with pytest.raises(RuntimeError, match="Already connected"):
            await aio.connect(server.url)
        await aio.disconnect()
        assert not aio.connected
        assert aio.client is None

    async def test_a_namespace_auth_and_headers(
        self, server: Running, aio: socketio.AsyncSimpleClient
    ) -> None:
        async def auth() -> Any:
            return {"token": "secret"}

        await aio.connect(
            server.url, lambda: {"X-Test": "yes"}, auth, namespace="/chat"
        )
        welcome = await aio.receive(timeout=WAIT)
        assert welcome == ["welcome", {"token": "secret"}, "yes"]

    async def test_without_a_connection(self, aio: socketio.AsyncSimpleClient) -> None:
        for use in (aio.receive(), aio.emit("event"), aio.call("event")):
            with pytest.raises(exceptions.DisconnectedError):
                await use
        with pytest.raises(exceptions.ConnectionError):
            await aio.connect(f"http://127.0.0.1:{free_port()}")
        with pytest.raises(exceptions.DisconnectedError):
            await aio.receive()

    async def test_the_server_disconnects(
        self, server: Running, aio: socketio.AsyncSimpleClient
    ) -> None:
        await aio.connect(server.url)
        await aio.emit("echo", 1)
        await aio.emit("kick")
        assert await aio.receive(timeout=WAIT) == ["echo", 1]
        with pytest.raises(exceptions.DisconnectedError):
            await aio.receive()
        with pytest.raises(exceptions.DisconnectedError):
            await aio.emit("event")
        await aio.connect(server.url)
        assert await aio.call("ask", 2) == 2

    async def test_it_waits_while_the_connection_is_lost(
        self, server: Running, aio: socketio.AsyncSimpleClient
    ) -> None:
        await aio.connect(server.url)
        await asyncio.to_thread(server.stop)
        await until(lambda: not aio.connected_event.is_set())
        assert aio.connected
        start = asyncio.create_task(asyncio.to_thread(server.start))
        await aio.emit("echo", "late")
        assert await aio.receive(timeout=WAIT) == ["echo", "late"]
        await start

    async def test_a_namespace_that_is_refused_when_it_comes_back(
        self, server: Running, aio: socketio.AsyncSimpleClient
    ) -> None:
        await aio.connect(server.url, namespace="/chat")
        assert (await aio.receive(timeout=WAIT))[0] == "welcome"
        await asyncio.to_thread(server.stop)
        make = server._make

        def refusing() -> socketio.AsyncServer:
            app = make()
            app.handlers["/chat"]["connect"] = lambda *args: False
            return app

        server._make = refusing
        await asyncio.to_thread(server.start)
        with pytest.raises(exceptions.DisconnectedError):
            await aio.receive()
        with pytest.raises(exceptions.DisconnectedError):
            await aio.emit("event")

    def test_the_same_object_on_one_event_loop_after_the_other(
        self, server: Running
    ) -> None:
        aio = socketio.AsyncSimpleClient(**OPTIONS)

        async def use(number: int) -> Any:
            await aio.connect(server.url)
            await aio.emit("echo", number)
            try:
                return await aio.receive(timeout=WAIT)
            finally:
                await aio.disconnect()

        for number in range(3):
            assert asyncio.run(use(number)) == ["echo", number]


@pytest.mark.parametrize("name", ["SimpleClient", "AsyncSimpleClient"])
def test_names_and_signatures_are_python_socketios(name: str) -> None:
    theirs = getattr(python_socketio, name)
    ours = getattr(socketio, name)
    made = ours()
    for attribute in vars(theirs()):
        assert hasattr(made, attribute), attribute
    for method in dir(theirs):
        if method.startswith("_"):
            continue
        there, here = getattr(theirs, method), getattr(ours, method)
        if inspect.isfunction(there):
            assert inspect.iscoroutinefunction(there) == inspect.iscoroutinefunction(
                here
            )
            assert [
                (p.name, p.default)
                for p in inspect.signature(there).parameters.values()
            ] == [
                (p.name, p.default) for p in inspect.signature(here).parameters.values()
            ], method
    assert ours.client_class is getattr(
        socketio, "Client" if name == "SimpleClient" else "AsyncClient"
    )


def test_a_client_that_connects_often_leaves_no_threads(server: Running) -> None:
    sio = socketio.SimpleClient(handle_sigint=False)
    before = threading.active_count()
    for number in range(10):
        sio.connect(server.url)
        assert sio.call("ask", number) == number
        sio.disconnect()
    wait_until(lambda: threading.active_count() <= before)
