"""What is measured of a client, as Prometheus is shown it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from support.waiting import until, within

import socketio_fast as socketio
from socketio_fast.contrib import measures, prometheus

EVENT = {"namespace": "/", "event": "ask"}


class Shown:
    """What a registry shows of a client."""

    def __init__(self, client: Any, **options: Any) -> None:
        self.registry = CollectorRegistry()
        prometheus.instrument(client, registry=self.registry, **options)

    def __call__(self, name: str, **labels: str) -> float | None:
        value: float | None = self.registry.get_sample_value(
            f"socketio_client_{name}", labels
        )
        return value


def application() -> socketio.AsyncServer:
    sio = socketio.AsyncServer()

    @sio.event
    async def ask(sid: str, text: str) -> str:
        await sio.emit("news", text, to=sid)
        return text

    @sio.event
    async def go(sid: str) -> None:
        await sio.disconnect(sid)

    return sio


async def test_what_a_client_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "LAG_INTERVAL", 0.01)
    client = socketio.AsyncClient()
    shown = Shown(client)
    news: list[str] = []
    client.on("news", news.append)
    # Before there is a connection: it waits, and is counted.
    await client.socket().emit("ask", "waited")
    assert shown("offline_events") == 1
    assert shown("connections", transport="websocket") == 0
    async with await socketio.serve(application(), port=0) as server:
        await client.connect(server.url)
        assert await client.call("ask", "abc") == "abc"
        await within(until(lambda: len(news) == 2))
        assert shown("offline_events") == 0
        size = len('42["ask","waited"]') + len('421["ask","abc"]')
        assert shown("events_sent_total", **EVENT) == 2
        assert shown("events_sent_bytes_total", **EVENT) == size
        assert shown("ack_duration_seconds_count", **EVENT) == 1
        assert shown("events_received_total", namespace="/", event="news") == 2
        name = "handler_duration_seconds_count"
        assert shown(name, namespace="/", event="news") == 2
        # CONNECT and the two events; and what came for them.
        assert shown("packets_sent_total") == 3
        assert shown("packets_received_total") == 4
        assert (shown("sent_bytes_total") or 0) > size
        assert shown("connections", transport="websocket") == 1
        assert shown("connections_opened_total", transport="polling") == 1
        assert shown("upgrades_total", transport="websocket") == 1
        await within(until(lambda: shown("event_loop_lag_seconds_count")))
        await client.emit("go")
        await within(client.wait())
        assert shown("connections", transport="websocket") == 0
        assert client._measures.lag._loop is None
        # What is measured outlives the connection.
        await client.connect(server.url, transports=["websocket"])
        assert await client.call("ask", "") == ""
        assert shown("events_sent_total", **EVENT) == 3
        assert shown("connections_opened_total", transport="websocket") == 1
        await client.disconnect()
    closed = {
        each.labels["reason"]: each.value
        for metric in shown.registry.collect()
        for each in metric.samples
        if each.name == "socketio_client_connections_closed_total"
    }
    assert closed == {"client disconnect": 2}
    prometheus.uninstrument(client)
    assert shown("connections", transport="websocket") is None
    assert client._measures is None


async def test_a_client_for_threads() -> None:
    client = socketio.Client()
    shown: Shown
    async with await socketio.serve(application(), port=0) as server:

        def use() -> None:
            client.connect(server.url)
            prometheus.instrument(client, registry=CollectorRegistry())
            prometheus.uninstrument(client)
            nonlocal shown
            shown = Shown(client, labels={"client": "threads"})
            client.emit("ask", "abc")
            assert client.call("ask", "abcd") == "abcd"
            with pytest.raises(socketio.exceptions.TimeoutError):
                client.call("unknown", timeout=0.05)
            client.disconnect()

        await within(asyncio.to_thread(use))
    event = {**EVENT, "client": "threads"}
    assert shown("events_sent_total", **event) == 2
    assert shown("ack_duration_seconds_count", **event) == 1
    event["event"] = "unknown"
    assert shown("acks_lost_total", **event) == 1
    body, kind = await prometheus.exposition(client)
    assert b'socketio_client_events_sent_total{client="threads"' in body
    assert kind.startswith("text/plain")


def test_clients_and_a_server_in_one_registry() -> None:
    registry = CollectorRegistry()
    first, second = socketio.AsyncClient(), socketio.AsyncClient()
    server = socketio.AsyncServer()
    prometheus.instrument(server, registry=registry)
    prometheus.instrument(first, registry=registry, labels={"client": "a"})
    with pytest.raises(ValueError, match=r'such as labels=\{"client": "chat"\}'):
        prometheus.instrument(second, registry=registry, labels={"client": "a"})
    prometheus.instrument(second, registry=registry, labels={"client": "b"})
    for name in "ab":
        labels = {"client": name, "transport": "polling"}
        assert registry.get_sample_value("socketio_client_connections", labels) == 0
    assert registry.get_sample_value("socketio_workers") == 1


def test_a_client_has_no_path() -> None:
    client = socketio.AsyncClient()
    with pytest.raises(ValueError, match="a client answers no requests"):
        prometheus.instrument(client, path="/metrics", registry=CollectorRegistry())
    assert client._measures is None
