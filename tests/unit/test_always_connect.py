"""always_connect: the client is told that it is connected before its handler runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.sansio import Server, WebSocket, errors, run

from socketio_fast import AsyncServer, exceptions


class App:
    """A server whose connect handler waits until the test opens the gate."""

    def __init__(self, **options: Any) -> None:
        self.sio = AsyncServer(always_connect=True, **options)
        self.server = Server(self.sio)
        self.gate: asyncio.Future[Any] = self.server.loop.create_future()
        self.sids: list[str] = []
        self.log: list[tuple[Any, ...]] = []

        @self.sio.event
        async def connect(sid: str, environ: dict[str, Any]) -> Any:
            self.sids.append(sid)
            await self.sio.emit("early", to=sid)
            self.log.append(("connect", await self.gate))
            return self.log[-1][1]

        @self.sio.event
        def disconnect(sid: str, reason: str) -> None:
            self.log.append(("disconnect", reason))

        @self.sio.event
        def chat(sid: str, text: str) -> str:
            self.log.append(("chat", text))
            return text.upper()

    def connecting(self) -> WebSocket:
        """A client whose connect handler waits."""
        client = self.server.websocket()
        client.text("40")
        (sid,) = self.sids
        assert client.messages() == [f'40{{"sid":"{sid}"}}', '42["early"]']
        return client

    def open(self, outcome: Any = None) -> None:
        if isinstance(outcome, BaseException):
            self.gate.set_exception(outcome)
        else:
            self.gate.set_result(outcome)
        self.server.loop.turn()

    def run(self, coroutine: Any) -> None:
        """Of what does not suspend."""
        with self.server.loop.running():
            run(coroutine)


def test_the_client_is_connected_while_the_handler_runs() -> None:
    app = App()
    client = app.connecting()
    app.run(app.sio.emit("to all", 1))
    assert client.messages() == ['42["to all",1]']
    assert app.sio.transport(app.sids[0]) == "websocket"
    app.open()
    assert client.messages() == []
    assert app.log == [("connect", None)]


def test_events_wait_for_the_handler() -> None:
    app = App()
    client = app.connecting()
    client.text('421["chat","a"]')
    client.text('422["chat","b"]')
    assert app.log == []
    app.open()
    client.text('423["chat","c"]')
    assert app.log == [("connect", None), ("chat", "a"), ("chat", "b"), ("chat", "c")]
    assert client.messages() == ['431["A"]', '432["B"]', '433["C"]']


def test_an_acknowledgement_does_not_wait() -> None:
    app = App()
    client = app.connecting()
    got: list[Any] = []
    app.run(app.sio.emit("ask", to=app.sids[0], callback=got.append))
    (packet,) = client.messages()
    assert isinstance(packet, str)
    client.text(f'43{packet[2 : packet.index("[")]}["yes"]')
    assert got == ["yes"]


@pytest.mark.parametrize(
    "outcome",
    [
        False,
        exceptions.ConnectionRefusedError("no", {"code": 5}),
        ConnectionRefusedError(),
        ValueError("mine"),
    ],
)
def test_a_client_that_is_refused_is_disconnected(
    outcome: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    client = app.connecting()
    client.text('42["chat","a"]')
    app.open(outcome)
    assert client.messages() == ["41"]
    assert not client.ended()
    assert ("chat", "a") not in app.log
    assert ("disconnect", "server disconnect") not in app.log
    assert app.sio.rooms(app.sids[0]) == []
    assert len(errors(caplog)) == isinstance(outcome, ValueError)


@pytest.mark.parametrize("accepts", [True, False])
@pytest.mark.parametrize("how", ["packet", "close", "lost"])
def test_the_client_goes_while_the_handler_runs(accepts: bool, how: str) -> None:
    app = App()
    client = app.connecting()
    if how == "packet":
        client.text("41")
    elif how == "close":
        client.leave()
    else:
        client.wire.lose()
        app.server.loop.turn()
    assert app.log == []
    app.open(accepts)
    if how == "packet":
        assert client.messages() == []
    reason = "client disconnect" if how == "packet" else "transport close"
    ended = [("disconnect", reason)] if accepts else []
    assert app.log == [("connect", accepts), *ended]
    assert app.sio.rooms(app.sids[0]) == []


@pytest.mark.parametrize("accepts", [True, False])
def test_disconnected_by_the_server_while_the_handler_runs(accepts: bool) -> None:
    app = App()
    client = app.connecting()
    app.run(app.sio.disconnect(app.sids[0]))
    app.run(app.sio.disconnect(app.sids[0]))
    assert client.messages() == ["41"]
    assert app.log == []
    app.open(accepts)
    assert client.messages() == []
    ended = [("disconnect", "server disconnect")] if accepts else []
    assert app.log == [("connect", accepts), *ended]


@pytest.mark.parametrize("accepts", [True, False])
@pytest.mark.parametrize("by", ["client", "server"])
def test_a_client_that_left_while_the_handler_runs_is_sent_nothing(
    by: str, accepts: bool
) -> None:
    app = App()
    client = app.connecting()
    (sid,) = app.sids
    if by == "client":
        client.text("41")
    else:
        app.run(app.sio.disconnect(sid))
        assert client.messages() == ["41"]
    app.run(app.sio.emit("late", to=sid))
    app.run(app.sio.emit("to all"))
    client.text('421["chat","it may have crossed the DISCONNECT"]')
    app.open(accepts)
    assert client.messages() == []
    assert not client.ended()
    reason = f"{by} disconnect"
    ended = [("disconnect", reason)] if accepts else []
    assert app.log == [("connect", accepts), *ended]


def test_a_handler_that_does_not_suspend() -> None:
    sio = AsyncServer(always_connect=True)
    server = Server(sio)
    sio.on("connect", lambda sid, environ: environ["QUERY_STRING"].endswith("&yes=1"))
    client = server.websocket()
    client.text("40")
    connected, refused = client.messages()
    assert isinstance(connected, str)
    assert connected.startswith("40{")
    assert refused == "41"
    # It may try again.
    client.text("40")
    assert len(client.messages()) == 2


def test_without_a_handler() -> None:
    sio = AsyncServer(always_connect=True)
    assert sio.always_connect
    _, sid = Server(sio).joined()
    assert sio.rooms(sid) == [sid]


def test_one_client_after_another_in_order() -> None:
    app = App(async_handlers=False)
    client = app.connecting()
    release = app.server.loop.create_future()

    @app.sio.event
    async def slow(sid: str) -> None:
        await release
        app.log.append(("slow",))

    client.text('42["slow"]')
    client.text('42["chat","a"]')
    app.open()
    assert app.log == [("connect", None)]
    release.set_result(None)
    app.server.loop.turn()
    assert app.log == [("connect", None), ("slow",), ("chat", "a")]


def test_the_connect_timeout_does_not_end_it() -> None:
    app = App(connect_timeout=5, ping_interval=100)
    client = app.connecting()
    app.server.loop.advance(10)
    assert not client.ended()
