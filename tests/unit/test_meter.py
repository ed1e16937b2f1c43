"""What is measured of a server, as Prometheus is shown it: counts, times, labels."""

from __future__ import annotations

import asyncio
import gc
import re
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from support.sansio import Server, WebSocket, join, run

import socketio_fast
from socketio_fast import AsyncNamespace, AsyncServer
from socketio_fast.contrib import prometheus
from socketio_fast.options.limits import Limits


class Shown:
    """A server and what its registry shows."""

    def __init__(self, sio: AsyncServer, **options: Any) -> None:
        self.registry = CollectorRegistry()
        prometheus.instrument(sio, registry=self.registry, **options)

    def __call__(self, name: str, **labels: str) -> float | None:
        value: float | None = self.registry.get_sample_value(f"socketio_{name}", labels)
        return value

    def events(self, name: str) -> dict[tuple[str, str], float]:
        """The values of a metric, by namespace and event."""
        return {
            (each.labels["namespace"], each.labels["event"]): each.value
            for metric in self.registry.collect()
            for each in metric.samples
            if each.name == f"socketio_{name}"
        }


def make(
    *, events: Sequence[str] = (), max_events: int = 100, **options: Any
) -> tuple[Server, AsyncServer, Shown]:
    sio = AsyncServer(**options)
    shown = Shown(sio, events=events, max_events=max_events)
    return Server(sio), sio, shown


def test_events_and_their_bytes() -> None:
    server, sio, shown = make(namespaces=["/", "/chat"])
    sio.on("ask", lambda sid, text: "answer")
    sio.on("ask", lambda sid, text: None, namespace="/chat")
    client, sid = server.joined()
    join(client, "/chat")
    client.text('421["ask","abc"]')
    client.text('42["ask","abcd"]')
    client.text('42/chat,["ask",""]')
    assert shown.events("events_received_total") == {
        ("/", "ask"): 2,
        ("/chat", "ask"): 1,
    }
    assert shown.events("events_received_bytes_total") == {
        ("/", "ask"): len('21["ask","abc"]') + len('2["ask","abcd"]'),
        ("/chat", "ask"): len('2/chat,["ask",""]'),
    }
    others = [server.joined()[0] for _ in range(2)]
    run(sio.emit("news", "x", to=sid))
    run(sio.emit("news", "x", skip_sid=sid))
    run(sio.emit("other", "x", namespace="/chat"))
    assert shown.events("events_sent_total") == {
        ("/", "news"): 3,
        ("/chat", "other"): 1,
    }
    assert shown.events("emits_total") == {("/", "news"): 2, ("/chat", "other"): 1}
    size = len('42["news","x"]')
    assert shown.events("events_sent_bytes_total")["/", "news"] == 3 * size
    assert all(len(other.messages()) == 1 for other in others)
    assert shown("packets_received_total") == 7
    assert shown("clients", namespace="/") == 3
    assert shown("clients", namespace="/chat") == 1


def test_names_that_clients_choose_count_together() -> None:
    server, sio, shown = make(events=["listed"])

    class Chat(AsyncNamespace):
        async def on_method(self, sid: str) -> None:
            pass

    sio.on("*", lambda event, sid, *args: None)
    sio.on("everywhere", lambda namespace, sid: None, namespace="*")
    sio.on("handled", lambda sid: None)
    sio.register_namespace(Chat("/class"))
    client, _ = server.joined()
    join(client, "/class")
    for name in ("handled", "listed", "everywhere", "a", "b", "*", "method"):
        client.text(f'42["{name}"]')
    for name in ("method", "__init__", "trigger_event", "everywhere"):
        client.text(f'42/class,["{name}"]')
    assert shown.events("events_received_total") == {
        ("/", "handled"): 1,
        ("/", "listed"): 1,
        ("/", "everywhere"): 1,
        ("/", "*"): 4,
        ("/class", "method"): 1,
        ("/class", "everywhere"): 1,
        ("/class", "*"): 2,
    }


def test_a_listener_of_a_socket_names_its_event() -> None:
    server, sio, shown = make()

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        socket.on("heard", lambda: None)

    client, _ = server.joined()
    client.text('42["heard"]')
    client.text('42["other"]')
    assert shown.events("events_received_total") == {("/", "heard"): 1, ("/", "*"): 1}
    assert shown.events("handler_duration_seconds_count")["/", "heard"] == 1


def test_namespaces_that_clients_choose_count_together() -> None:
    server, sio, shown = make()
    org = sio.of("/org/{name}")
    org.on("connection", lambda socket: socket.on("hello", lambda: None))
    for name in ("a", "b"):
        client = server.websocket()
        join(client, f"/org/{name}")
        client.text(f'42/org/{name},["hello"]')
        run(sio.emit("news", namespace=f"/org/{name}"))
    assert shown.events("events_received_total") == {("*", "hello"): 2}
    assert shown.events("events_sent_total") == {("*", "news"): 2}
    assert shown("clients", namespace="*") == 2


def test_no_more_events_than_max_events_count_apart() -> None:
    server, sio, shown = make(max_events=3)
    for i in range(6):
        sio.on(f"in{i}", lambda sid: None)
    client, _ = server.joined()
    for i in range(6):
        client.text(f'42["in{i}"]')
        run(sio.emit(f"out{i}"))
    for direction in ("received", "sent"):
        found = shown.events(f"events_{direction}_total")
        assert len(found) == 4
        assert found["/", "*"] == 3
        assert sum(found.values()) == 6


async def test_times_of_handlers_that_suspend_and_that_fail() -> None:
    server, sio, shown = make()
    going_on = asyncio.Event()

    @sio.event
    async def wait(sid: str) -> None:
        await going_on.wait()

    @sio.event
    def fail(sid: str) -> None:
        raise LookupError

    @sio.event
    async def fail_later(sid: str) -> None:
        await going_on.wait()
        raise LookupError

    client, _ = server.joined()
    for name in ("wait", "fail", "fail_later"):
        client.text(f'42["{name}"]')
    count = "handler_duration_seconds_count"
    assert shown.events(count) == {
        ("/", "wait"): 0,
        ("/", "fail"): 1,
        ("/", "fail_later"): 0,
    }
    await asyncio.sleep(0.02)
    going_on.set()
    while sum(shown.events(count).values()) < 3:
        server.loop.turn()
        await asyncio.sleep(0)
    assert shown.events("handler_failures_total") == {
        ("/", "wait"): 0,
        ("/", "fail"): 1,
        ("/", "fail_later"): 1,
    }
    seconds = shown.events("handler_duration_seconds_sum")
    assert seconds["/", "wait"] >= 0.02
    assert seconds["/", "fail"] < 0.02
    labels = {"namespace": "/", "event": "wait"}
    assert shown("handler_duration_seconds_bucket", le="0.01", **labels) == 0
    assert shown("handler_duration_seconds_bucket", le="+Inf", **labels) == 1


def test_times_of_several_functions_for_one_event() -> None:
    server, sio, shown = make()
    sio.on("both", lambda sid: None)

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        socket.on("both", lambda: 1 / 0)
        socket.use(lambda event, *args: None)

    client, _ = server.joined()
    client.text('42["both"]')
    assert shown.events("handler_duration_seconds_count") == {("/", "both"): 1}
    assert shown.events("handler_failures_total") == {("/", "both"): 1}


def test_acknowledgements_that_come_and_that_do_not() -> None:
    server, sio, shown = make()
    client, sid = server.joined()
    peer = sio._hub.namespaces["/"].peers[sid]
    got: list[Any] = []
    run(sio.emit("ask", to=sid, callback=got.append))
    client.messages()
    assert shown.events("ack_duration_seconds_count") == {}
    client.text("430[1]")
    assert got == [1]
    run(sio.emit("ask", to=sid, callback=got.append))
    run(sio.emit("ask", to=sid, callback=got.append))
    peer.forget_ack(1)
    client.leave()
    assert got == [1]
    assert shown.events("ack_duration_seconds_count") == {("/", "ask"): 1}
    assert shown.events("acks_lost_total") == {("/", "ask"): 2}
    assert shown.events("emits_total") == {("/", "ask"): 3}


def test_connections_by_transport() -> None:
    server, _, shown = make()
    before = server.websocket()
    _, eio_sid = server.polling()
    assert shown("connections", transport="polling") == 1
    client = WebSocket(server, eio_sid)
    client.text("2probe")
    client.text("5")
    assert shown("connections", transport="polling") == 0
    assert shown("connections", transport="websocket") == 2
    assert shown("upgrades_total", transport="websocket") == 1
    client.leave()
    before.wire.lose()
    assert shown("connections", transport="websocket") == 0
    assert shown("connections_opened_total", transport="polling") == 1
    assert shown("connections_closed_total", reason="transport close") == 2


def test_a_server_that_has_clients_already() -> None:
    sio = AsyncServer()
    server = Server(sio)
    server.polling()
    client = server.websocket()
    closing = server.websocket()
    closing.wire.holds = 1  # it has not got the close frame
    session = list(sio.eio.engine.sessions.values())[-1]
    session.disconnect()
    assert session.id in sio.eio.engine.sessions
    shown = Shown(sio)
    assert shown("connections", transport="polling") == 1
    assert shown("connections", transport="websocket") == 1
    client.leave()
    closing.wire.lose()
    assert shown("connections", transport="websocket") == 0


def test_who_is_refused() -> None:
    server, sio, shown = make(
        cors_allowed_origins=["http://here"], limits=Limits(connections_per_address=1)
    )
    sio.on("connect", lambda sid, environ: False)
    http = server.http()
    http.get(server.target("polling"), ("Origin", "http://there"))
    http.get(server.target("polling", "unknown"))
    http.get(server.target("carrier-pigeon"))
    client = server.websocket()
    client.text("40")
    client.text("40/unknown,")
    assert http.get(server.target("polling"))[0] == 429
    found = {
        each.labels["reason"]: each.value
        for metric in shown.registry.collect()
        for each in metric.samples
        if each.name == "socketio_refusals_total"
    }
    assert found == {
        "origin": 1,
        "unknown_sid": 1,
        "unknown_transport": 1,
        "connect_handler": 1,
        "unknown_namespace": 1,
        "connections_per_address": 1,
    }


def test_what_slow_clients_leave_unread_and_are_not_sent() -> None:
    server, sio, shown = make(high_water_mark=1000, slow_consumer="drop_volatile")
    client, sid = server.joined()
    client.wire.holds = 5000
    run(sio.emit("news", "x" * 2000, to=sid))
    server.loop.turn()
    run(sio.to(sid).volatile.emit("news", "x" * 200))
    server.loop.turn()
    unread = shown("buffered_bytes")
    assert unread is not None
    assert unread >= 5000
    assert shown("slow_connections") == 1
    assert shown("slow_consumers_total") == 1
    assert shown("dropped_messages_total", cause="slow") == 1
    assert shown("dropped_messages_total", cause="volatile") == 1
    assert shown("dropped_bytes_total") == len('42["news",""]' + "x" * 200)


def test_two_servers_are_told_apart_by_labels() -> None:
    registry = CollectorRegistry()
    one, two, three = AsyncServer(), AsyncServer(), AsyncServer()
    prometheus.instrument(one, registry=registry, labels={"server": "one"})
    prometheus.instrument(two, registry=registry, labels={"server": "two"})
    with pytest.raises(ValueError, match="server in this registry has the same"):
        prometheus.instrument(three, registry=registry, labels={"server": "two"})
    with pytest.raises(ValueError, match=re.escape("has the labels ['server']")):
        prometheus.instrument(three, registry=registry)
    Server(two).websocket()
    for name, count in (("one", 0), ("two", 1)):
        labels = {"server": name, "transport": "websocket"}
        assert registry.get_sample_value("socketio_connections", labels) == count


def test_it_can_be_undone() -> None:
    server, sio, shown = make()
    with pytest.raises(ValueError, match="instrumented already"):
        prometheus.instrument(sio)
    client, sid = server.joined()
    client.text('42["x"]')
    run(sio.emit("y", to=sid))
    prometheus.uninstrument(sio)
    prometheus.uninstrument(sio)
    assert list(shown.registry.collect()) == []
    assert sio._hub.meter is sio._hub.observer is sio.eio.engine.observer is None
    client.text('42["x"]')
    again = Shown(sio)
    client.text('42["x"]')
    run(sio.emit("y", to=sid))
    assert again.events("events_received_total") == {("/", "*"): 1}
    assert again.events("events_sent_total") == {("/", "y"): 1}
    with pytest.raises(ValueError, match="not instrumented"):
        run(prometheus.exposition(AsyncServer()))


def test_beside_the_admin_ui() -> None:
    server, sio, shown = make()
    sio.instrument(auth=False)
    client, _ = server.joined()
    client.text('42["x"]')
    assert shown("connections", transport="websocket") == 1
    sio._instrumented.uninstrument()  # type: ignore[union-attr]
    client.text('42["x"]')
    assert shown.events("events_received_total") == {("/", "*"): 2}


def test_a_dropped_server_is_not_kept() -> None:
    registry = CollectorRegistry()
    sio = AsyncServer()
    prometheus.instrument(sio, registry=registry, path="/metrics")
    found = weakref.ref(sio)
    del sio
    gc.collect()
    assert found() is None
    assert list(registry.collect()) == []


@pytest.mark.parametrize(
    ("options", "error"),
    [
        pytest.param({"path": "metrics"}, "begins with a slash", id="path"),
        pytest.param({"path": "/socket.io/x"}, "not with /socket.io/", id="Engine.IO"),
        pytest.param({"max_events": 0}, "1 or more expected", id="max_events"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        prometheus.instrument(AsyncServer(), registry=CollectorRegistry(), **options)


def test_what_is_no_server() -> None:
    simple = socketio_fast.AsyncSimpleClient()
    with pytest.raises(TypeError, match="AsyncSimpleClient: an AsyncServer, Server, "):
        prometheus.instrument(simple)  # type: ignore[arg-type]
