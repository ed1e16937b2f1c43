"""What a tracer is told: each event has a span, in whose context its handlers run."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest
from support.client_core import Core, heard
from support.handlers import connected, make
from support.sansio import run

from socketio_fast import AsyncServer
from socketio_fast._core.engine.observer import Tracer
from socketio_fast._core.socketio.meter import Meter

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="-")


class Log(Tracer):
    """Notes what it is told, and numbers the spans."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.count = 0

    def take(self) -> list[tuple[Any, ...]]:
        log, self.log = self.log, []
        return log

    def _span(self, context: contextvars.Context | None = None) -> int:
        self.count += 1
        if context is not None:
            context.run(variable.set, f"span {self.count}")
        return self.count

    def connecting(self, peer: Any, context: contextvars.Context) -> None:
        context.run(variable.set, "connecting")
        self.log.append(("connecting", peer.namespace.name))

    def connected(self, peer: Any, context: contextvars.Context, error: Any) -> None:
        self.log.append(("connected", context[variable], error and repr(error)))

    def receiving(self, peer: Any, event: list[Any], context: Any) -> int:
        if event[-1] == "traceparent":
            del event[-1]  # what the client has put there
        span = self._span(context)
        self.log.append(("receiving", span, list(event)))
        return span

    def handled(self, span: int, error: Any) -> None:
        self.log.append(("handled", span, error and str(error)))

    def unhandled(self, span: int) -> None:
        self.log.append(("unhandled", span))

    def sending(self, namespace: str, event: list[Any], to: Any) -> list[Any]:
        self.log.append(("sending", namespace, list(event), to))
        return [*event, "traced"]

    def asking(self, peer: Any, event: Any) -> int:
        span = self._span()
        self.log.append(("asking", span, event))
        return span

    def answered(self, asked: int, outcome: str) -> None:
        self.log.append(("answered", asked, outcome))


def traced(**options: Any) -> tuple[Any, AsyncServer, Log]:
    server, sio = make(**options)
    tracer = Log()
    sio._hub.trace(tracer)
    return server, sio, tracer


def test_a_client_connects_in_the_context_of_its_span() -> None:
    server, sio, tracer = traced()
    seen: list[str] = []
    sio.on("connect", lambda sid, environ: seen.append(variable.get()))
    sio.on("disconnect", lambda sid, reason: seen.append(variable.get()))
    client, _ = connected(server)
    client.leave()
    assert seen == ["connecting", "connecting"]
    assert tracer.take() == [("connecting", "/"), ("connected", "connecting", None)]


def test_a_client_that_is_refused() -> None:
    server, sio, tracer = traced()
    sio.on("connect", lambda sid, environ: False)
    server.websocket().text("40")
    _, (kind, context, error) = tracer.take()
    assert (kind, context) == ("connected", "connecting")
    assert "ConnectionRefusedError" in error


def test_a_handler_runs_in_the_context_of_its_event() -> None:
    server, sio, tracer = traced()
    seen: list[Any] = []

    @sio.on("e")
    async def heard(sid: str, *args: Any) -> None:
        seen.append((variable.get(), args))
        await sio.emit("inside", to=sid)

    client, sid = connected(server)
    tracer.take()
    client.text('42["e",1,"traceparent"]')
    client.text('42["unknown"]')
    assert seen == [("span 1", (1,))]
    assert tracer.take() == [
        ("receiving", 1, ["e", 1]),
        ("sending", "/", ["inside"], sid),
        ("handled", 1, None),
        ("receiving", 2, ["unknown"]),
        ("unhandled", 2),
    ]
    assert client.messages() == ['42["inside","traced"]']


@pytest.mark.parametrize("suspends", [False, True])
def test_a_handler_that_fails(suspends: bool) -> None:
    server, sio, tracer = traced()
    waits = server.loop.create_future()

    @sio.on("e")
    async def heard(sid: str) -> None:
        if suspends:
            await waits
        raise ValueError("mine")

    client, _ = connected(server)
    client.text('42["e"]')
    if suspends:
        assert tracer.take()[-1][0] == "receiving"
        with server.loop.running():
            waits.set_result(None)
        server.loop.turn()
    assert tracer.take()[-1] == ("handled", 1, "mine")


def test_listeners_and_middlewares_run_in_the_context_of_the_event() -> None:
    server, sio, tracer = traced()
    seen: list[tuple[str, str]] = []

    def note(who: str) -> Any:
        return lambda *args: seen.append((who, variable.get()))

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        socket.on_any(note("any"))
        socket.on("e", note("first"))
        socket.on("e", note("second"))

        @socket.use
        async def middleware(event: str) -> None:
            seen.append(("middleware", variable.get()))
            if event == "refused":
                raise ValueError("no")

    client, _ = connected(server)
    tracer.take()
    client.text('42["e"]')
    client.text('42["refused"]')
    one = [(who, "span 1") for who in ("any", "middleware", "first", "second")]
    two = [(who, "span 2") for who in ("any", "middleware")]
    assert seen == one + two
    assert [told[0] for told in tracer.take()] == ["receiving", "handled"] * 2


def test_acknowledgements_that_are_asked_for() -> None:
    server, sio, tracer = traced()
    client, sid = connected(server)
    tracer.take()
    for _ in range(2):
        run(sio.emit("ask", to=sid, callback=lambda *args: None))
    client.text("430[]")
    client.leave()
    assert [told for told in tracer.take() if told[0] != "sending"] == [
        ("asking", 1, "ask"),
        ("asking", 2, "ask"),
        ("answered", 1, "acknowledged"),
        ("answered", 2, "disconnected"),
    ]


def test_what_is_measured_is_measured_too() -> None:
    server, sio, tracer = traced()
    meter = Meter(sio._hub.wildcard, frozenset(), 10)
    sio._hub.measure(meter)
    sio.on("e", lambda sid: None)
    client, _ = connected(server)
    client.text('42["e"]')
    (figures,) = meter.received
    assert (figures.event, figures.events, sum(figures.times[0])) == ("e", 1, 1)
    assert tracer.take()[-1] == ("handled", 1, None)


def test_clients_have_tracers_too() -> None:
    core = Core().open()
    tracer = Log()
    core.hub.trace(tracer)
    found = heard(core, "/", "e")
    peer = core.joined()
    core.receive(b'42["e",1]')
    send = peer.encode(["ask"], lambda: None)
    assert send is not None
    send()
    core.receive(b"430[]")
    assert found == [("e", 1)]
    assert tracer.take() == [
        ("receiving", 1, ["e", 1]),
        ("handled", 1, None),
        ("asking", 2, "ask"),
        ("answered", 2, "acknowledged"),
    ]


def test_a_tracer_must_implement_what_returns_something() -> None:
    tracer = Tracer()
    with pytest.raises(NotImplementedError):
        tracer.receiving(None, [], None)
    with pytest.raises(NotImplementedError):
        tracer.sending("/", [], None)
    with pytest.raises(NotImplementedError):
        tracer.asking(None, "e")
    tracer.handshake({})
