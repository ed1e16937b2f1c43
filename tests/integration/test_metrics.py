"""Metrics over real sockets: scrapes, of one server and of several workers."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from adapters.in_memory import Bus, BusAdapter
from prometheus_client import CollectorRegistry, Counter, make_asgi_app
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families
from support.supervised import running
from support.waiting import until, within

import socketio_fast as socketio
from socketio_fast.async_pubsub_manager import AsyncPubSubManager
from socketio_fast.cluster.frames import Kind
from socketio_fast.cluster.mesh import Mesh
from socketio_fast.contrib import prometheus

Serve = Callable[..., Awaitable[Any]]
Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


def parsed(text: str, parse: Any = text_string_to_metric_families) -> Samples:
    """The samples by name and labels."""
    found: Samples = {}
    for family in parse(text):
        for each in family.samples:
            labels = tuple(sorted(each.labels.items()))
            assert labels not in found.setdefault(each.name, {}), (each.name, labels)
            found[each.name][labels] = each.value
    return found


async def scrape(url: str, accept: str = "text/plain") -> str:
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, headers={"Accept": accept}) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.text()


def made(registry: CollectorRegistry, **options: Any) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(**options)
    prometheus.instrument(sio, registry=registry, path="/metrics")

    @sio.event
    async def ask(sid: str, text: str) -> str:
        await sio.emit("news", text, to=sid)
        return text

    return sio


async def asked(url: str, count: int = 1) -> socketio.AsyncClient:
    """A client that has asked so often, and has got the news."""
    client = socketio.AsyncClient()
    news: list[str] = []
    client.on("news", news.append)
    await client.connect(url, transports=["websocket"])
    for _ in range(count):
        assert await client.call("ask", "abc") == "abc"
    assert news == ["abc"] * count
    return client


ASK = (("event", "ask"), ("namespace", "/"))


@pytest.mark.parametrize("beside", [False, True])
async def test_a_scrape(serve: Serve, beside: bool) -> None:
    """U5: also of a server with another application beside it, on one connection."""
    registry = CollectorRegistry()
    sio = made(registry)
    Counter("own", "The program's", registry=registry).inc(3)
    app: Any = sio
    if beside:
        app = socketio.ASGIApp(sio, make_asgi_app(CollectorRegistry()))
    server = await serve(app)
    client = await asked(server.url, 5)
    async with aiohttp.ClientSession(server.url) as http:
        for _ in range(2):
            async with http.get("/metrics?x=1") as response:
                found = parsed(await response.text())
                assert response.headers["Content-Type"].startswith("text/plain; ")
            async with http.get("/other") as response:
                assert response.status == (200 if beside else 404)
            if beside:
                assert found["own_total"][()] == 3
        async with http.post("/metrics") as response:
            assert response.status == 405
        async with http.head("/metrics") as response:
            assert response.status == 200
            assert await response.read() == b""
    text = await scrape(f"{server.url}/metrics", "application/openmetrics-text")
    found = parsed(text, openmetrics)
    assert found["socketio_events_received_total"][ASK] == 5
    assert found["socketio_handler_duration_seconds_count"][ASK] == 5
    assert found["socketio_connections"][("transport", "websocket"),] == 1
    assert found["socketio_workers"][()] == 1
    await client.disconnect()


class Unreachable(AsyncPubSubManager):
    """Has no broker."""

    async def _publish(self, data: Any) -> None:
        raise ConnectionError("gone")

    async def _listen(self) -> AsyncIterator[Any]:
        raise ConnectionError("gone")
        yield


async def test_the_health_of_an_adapter() -> None:
    """Also of the manager that it is a bridge to."""
    registry = CollectorRegistry()
    bus = Bus()
    adapter = BusAdapter(bus)
    adapter.bridge(Unreachable())
    sio = socketio.AsyncServer(client_manager=adapter)
    prometheus.instrument(sio, registry=registry)

    def value(name: str, adapter: str = "BusAdapter") -> float | None:
        return registry.get_sample_value(
            f"socketio_adapter_{name}", {"adapter": adapter}
        )

    assert value("healthy") == 0  # it receives nothing yet
    sio.bind(asyncio.get_running_loop())
    await until(lambda: value("healthy") == 1)
    assert value("lost_messages_total") == 0
    bus.away = ConnectionError("gone")
    for _ in range(3):
        await sio.emit("news")
    await until(lambda: value("healthy") == 0)
    await sio.emit("news")  # the next attempt is not due
    assert value("lost_messages_total") == adapter.lost_messages > 0
    assert value("healthy", "Unreachable") == 0
    assert value("lost_messages_total", "Unreachable") == 4
    await sio.unbind()


async def test_what_a_server_for_threads_does() -> None:
    registry = CollectorRegistry()
    sio = socketio.Server()
    prometheus.instrument(sio, registry=registry)

    @sio.event
    def ask(sid: str, text: str) -> str:
        sio.emit("news", text, to=sid)
        return text

    class Chat(socketio.Namespace):
        def on_hello(self, sid: str) -> int:
            return 1

    sio.register_namespace(Chat("/chat"))

    @sio.event
    def scraped(sid: str) -> str:
        body, kind = asyncio.run(prometheus.exposition(sio))
        assert kind.startswith("text/plain")
        return body.decode()

    threads = sio._threads
    server = await asyncio.to_thread(
        threads.run, socketio.serve(sio._server, port=0, shutdown_timeout=1)
    )
    client = await asked(server.url, 2)
    await client.disconnect()
    await client.connect(server.url, namespaces=["/", "/chat"])
    assert await client.call("hello", namespace="/chat") == 1
    found = parsed(await client.call("scraped"))
    assert found["socketio_events_received_total"][ASK] == 2
    hello = (("event", "hello"), ("namespace", "/chat"))
    assert found["socketio_handler_duration_seconds_count"][hello] == 1
    news = (("event", "news"), ("namespace", "/"))
    assert found["socketio_events_sent_total"][news] == 2
    await client.disconnect()
    await asyncio.to_thread(threads.run, server.close())
    await asyncio.to_thread(threads.stop)


async def test_the_lag_of_the_event_loop(serve: Serve) -> None:
    registry = CollectorRegistry()
    server = await serve(made(registry))
    lag = "socketio_event_loop_lag_seconds"

    def value(suffix: str, **labels: str) -> float:
        found = registry.get_sample_value(f"{lag}_{suffix}", labels)
        assert found is not None
        return found

    time.sleep(0.8)  # noqa: ASYNC251  (it is what is measured)
    await until(lambda: value("count") >= 1)
    assert value("sum") >= 0.25
    assert value("bucket", le="+Inf") - value("bucket", le="0.25") >= 1
    await server.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sf") as name:
        yield Path(name)


async def test_workers_show_what_all_of_them_do(serve: Serve, directory: Path) -> None:
    registries = [CollectorRegistry() for _ in range(3)]
    apps = [made(each, cluster=f"unix:{directory}") for each in registries]
    servers = [await serve(app) for app in apps]
    clients = [await asked(each.url, n) for n, each in enumerate(servers, 1)]
    for n, registry in enumerate(registries):
        own = Counter("own", "The program's", ["worker"], registry=registry)
        own.labels("mine").inc(n)
    for server in servers:
        found = parsed(await scrape(f"{server.url}/metrics"))
        received = found["socketio_events_received_total"]
        by_worker = {dict(labels)["worker"]: n for labels, n in received.items()}
        assert sorted(by_worker.values()) == [1, 2, 3]
        assert sorted(found["own_total"].values()) == [0, 1, 2]
        assert {dict(labels)["exported_worker"] for labels in found["own_total"]} == {
            "mine"
        }
        assert set(found["socketio_workers"].values()) == {3}
        assert sum(found["socketio_clients"].values()) == 3
        le = {
            dict(labels)["worker"]: n
            for labels, n in found["socketio_handler_duration_seconds_bucket"].items()
            if dict(labels)["le"] == "+Inf"
        }
        assert le == by_worker
    for client in clients:
        await client.disconnect()


async def test_a_worker_and_the_one_that_replaces_it(
    serve: Serve, directory: Path
) -> None:
    apps = []
    for _ in range(2):
        apps.append(made(CollectorRegistry(), cluster=f"unix:{directory}"))
        server = await serve(apps[-1])
    old, new = [app.eio.membership for app in apps]
    assert old is not None
    assert new is not None
    await until(lambda: len(new.mesh.others) == 1)
    # In one process both have its number; those of a slot have the slot's.
    number, began = new.mesh.number, old.scrapes._began
    old.scrapes._own = lambda: (number, 1234, began, old.scrapes.render())  # type: ignore
    found = parsed(await scrape(f"{server.url}/metrics"))
    names = {dict(labels)["worker"] for labels in found["socketio_workers"]}
    assert names == {str(number), f"{number}-1234"}


async def known_pair(serve: Serve, directory: Path) -> tuple[str, Mesh, Mesh]:
    """The URL of a worker, its mesh, and that of another, which does not answer."""
    apps = [made(CollectorRegistry(), cluster=f"unix:{directory}") for _ in range(2)]
    servers = [await serve(app) for app in apps]
    one, other = [app.eio.membership for app in apps]
    assert one is not None
    assert other is not None
    await until(lambda: len(one.mesh.others) == len(other.mesh.others) == 1)
    other.mesh.receive(Kind.SCRAPE, lambda *args: None)
    return f"{servers[0].url}/metrics", one.mesh, other.mesh


async def test_a_worker_that_hangs_is_left_out(
    serve: Serve,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("socketio_fast.cluster.scrapes.PATIENCE", 0.2)
    url, mesh, other = await known_pair(serve, directory)
    found = parsed(await within(scrape(url)))
    assert found["socketio_workers"] == {(("worker", str(mesh.number)),): 2}
    assert f"worker {other.number} has not told its metrics in 0.2 s" in caplog.text


async def test_a_worker_that_goes_is_not_waited_for(
    serve: Serve, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socketio_fast.cluster.scrapes.PATIENCE", 1000)
    url, mesh, other = await known_pair(serve, directory)
    asked = asyncio.Event()
    other.receive(Kind.SCRAPE, lambda *args: asked.set())
    scraping = asyncio.ensure_future(scrape(url))
    await within(asked.wait())
    other.close()
    found = parsed(await within(scraping))
    assert list(found["socketio_workers"]) == [(("worker", str(mesh.number)),)]


APP = """
from prometheus_client import Counter

import socketio_fast as socketio
from socketio_fast.contrib import prometheus

app = socketio.AsyncServer()
prometheus.instrument(app, path="/metrics")


@app.event
async def ask(sid, text):
    await app.emit("news", text, to=sid)
    return text
"""


async def test_a_scrape_of_run_with_two_workers(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with running(tmp_path, "--workers", "2", "--health") as server:
        url = f"http://127.0.0.1:{server.port}"
        clients = [await asked(url, 2) for _ in range(4)]
        found = parsed(await scrape(f"{url}/metrics"))
        workers = {dict(labels)["worker"] for labels in found["socketio_workers"]}
        assert workers == {"0", "1"}
        assert sum(found["socketio_events_received_total"].values()) == 8
        assert sum(found["socketio_clients"].values()) == 4
        assert len(found["process_cpu_seconds_total"]) == 2
        assert await scrape(f"{url}/healthz") == "ok\n"
        assert await scrape(f"{url}/readyz") == "ready\n"
        for client in clients:
            await client.disconnect()
