"""Spans and metrics by OpenTelemetry, with its SDK and its exporters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from adapters.in_memory import Bus, BusAdapter
from aiohttp import web
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.sansio import Server, WebSocket, run
from support.waiting import until, within

import socketio_fast as socketio
from socketio_fast.contrib import opentelemetry
from socketio_fast.exceptions import ConnectionRefusedError

TRACE, PARENT = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
TRACEPARENT = f"00-{TRACE:032x}-{PARENT:016x}-01"


class Spans:
    """A provider, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def take(self) -> dict[str, ReadableSpan]:
        """Those that have ended since the last time, by name."""
        spans = self._exporter.get_finished_spans()
        self._exporter.clear()
        found = {span.name: span for span in spans}
        assert len(found) == len(spans), [span.name for span in spans]
        return found

    def instrument(self, sio: Any, **options: Any) -> None:
        options = {"metrics": False, **options}
        opentelemetry.instrument(sio, tracer_provider=self.provider, **options)


@pytest.fixture
def spans() -> Spans:
    return Spans()


def made(spans: Spans, **options: Any) -> tuple[Server, socketio.AsyncServer]:
    own = {name: options.pop(name) for name in ("payload", "events") if name in options}
    sio = socketio.AsyncServer(**options)
    spans.instrument(sio, **own)
    return Server(sio), sio


def id_of(span: ReadableSpan) -> tuple[int, int]:
    context = span.context
    assert context is not None
    return context.trace_id, context.span_id


def parent_of(span: ReadableSpan) -> tuple[int, int] | None:
    parent = span.parent
    return None if parent is None else (parent.trace_id, parent.span_id)


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def polling(server: Server, *headers: tuple[str, str]) -> None:
    """Join "/" by polling, with these headers of the handshake."""
    http = server.http()
    _, body = http.get(server.target("polling"), *headers)
    sid = json.loads(body[1:])["sid"]
    http.post(server.target("polling", sid), "40")


# Connections.


def test_the_context_of_a_handshake_is_continued(spans: Spans) -> None:
    server, sio = made(spans)
    current: list[Any] = []
    sio.on("connect", lambda sid, environ: current.append(trace.get_current_span()))
    polling(server, ("traceparent", TRACEPARENT))
    span = spans.take()["connect /"]
    assert parent_of(span) == (TRACE, PARENT)
    assert [each.get_span_context() for each in current] == [span.context]
    assert span.kind is trace.SpanKind.SERVER
    attributes = attributes_of(span)
    assert attributes.pop("messaging.client.id")
    assert attributes == {
        "messaging.system": "socket.io",
        "messaging.operation.name": "connect",
        "messaging.destination.name": "/",
        "messaging.socket.io.transport": "polling",
        "client.address": "192.0.2.7",
    }


def test_clients_that_are_not_accepted(spans: Spans) -> None:
    server, sio = made(spans)
    errors = iter([ConnectionRefusedError("no"), LookupError("broken"), None])

    @sio.event
    def connect(sid: str, environ: Any) -> bool:
        error = next(errors)
        if error is not None:
            raise error
        return False

    found = []
    for _ in range(3):
        server.websocket().text("40")
        span = spans.take()["connect /"]
        found.append((attributes_of(span)["error.type"], span.status.status_code.name))
    assert found == [
        ("ConnectionRefusedError", "UNSET"),
        ("LookupError", "ERROR"),
        ("ConnectionRefusedError", "UNSET"),
    ]


# Events.


async def test_an_event_has_a_trace_of_its_own_and_a_link(spans: Spans) -> None:
    server, sio = made(spans)
    going_on = asyncio.Event()
    current: list[Any] = []

    @sio.event
    async def work(sid: str, number: int) -> None:
        current.append(trace.get_current_span().get_span_context())
        await going_on.wait()
        current.append(trace.get_current_span().get_span_context())
        await sio.emit("done", number, to=sid)

    client, sid = server.joined()
    connection = spans.take()["connect /"]
    client.text('42["work",1]')
    assert spans.take() == {}
    going_on.set()
    for _ in range(3):
        server.loop.turn()
        await asyncio.sleep(0)
    found = spans.take()
    span, emitted = found["process work"], found["emit done"]
    assert current == [span.context] * 2
    assert span.parent is None
    assert [link.context for link in span.links] == [connection.context]
    assert parent_of(emitted) == id_of(span)
    assert span.kind is trace.SpanKind.CONSUMER
    assert emitted.kind is trace.SpanKind.PRODUCER
    common = {"messaging.system": "socket.io", "messaging.destination.name": "/"}
    assert attributes_of(span) == {
        **common,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.socket.io.event_name": "work",
        "messaging.client.id": sid,
    }
    assert attributes_of(emitted) == {
        **common,
        "messaging.operation.name": "emit",
        "messaging.operation.type": "send",
        "messaging.socket.io.event_name": "done",
        "messaging.socket.io.rooms": (sid,),
    }
    assert not trace.get_current_span().get_span_context().is_valid


def test_names_of_events_that_no_handler_has(spans: Spans) -> None:
    server, sio = made(spans, events=["listed"])
    sio.on("*", lambda event, sid: None)
    client, _ = server.joined()
    spans.take()
    for name in ("x1", "listed"):
        client.text(f'42["{name}"]')
    assert sorted(spans.take()) == ["process *", "process listed"]


def test_a_handler_that_fails(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    server, sio = made(spans)

    @sio.event
    def fail(sid: str) -> None:
        raise LookupError("no such thing")

    client, _ = server.joined()
    client.text('42["fail"]')
    span = spans.take()["process fail"]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert attributes_of(span)["error.type"] == "LookupError"
    (event,) = span.events
    assert event.name == "exception"
    assert dict(event.attributes or {})["exception.message"] == "no such thing"


def test_listeners_and_middlewares_of_a_socket(spans: Spans) -> None:
    server, sio = made(spans)
    seen: list[Any] = []

    def note(*args: Any) -> None:
        seen.append(trace.get_current_span().get_span_context())

    @sio.of("/").on("connection")
    def connection(socket: Any) -> None:
        socket.use(note)
        socket.on_any(note)
        socket.on("hear", note)
        socket.on("hear", lambda: socket.emit("heard"))

    client, _ = server.joined()
    client.text('42["hear"]')
    found = spans.take()
    assert seen == [found["process hear"].context] * 3
    assert parent_of(found["emit heard"]) == id_of(found["process hear"])


def test_every_way_to_emit_has_one_span(spans: Spans) -> None:
    server, sio = made(spans, namespaces=["/", "/chat"])
    _, sid = server.joined()
    spans.take()
    run(sio.emit("a"))
    run(sio.send("b"))
    run(sio.to("r").to("s").emit("c"))
    run(sio.of("/chat").emit("d"))
    sio.of("/").sockets[sid].emit("e")
    found = spans.take()
    assert sorted(found) == ["emit a", "emit c", "emit d", "emit e", "emit message"]
    rooms = "messaging.socket.io.rooms"
    assert attributes_of(found["emit c"])[rooms] == ("r", "s")
    assert rooms not in attributes_of(found["emit a"])
    assert attributes_of(found["emit d"])["messaging.destination.name"] == "/chat"


def test_acknowledgements(spans: Spans) -> None:
    server, sio = made(spans)
    client, sid = server.joined()
    run(sio.emit("ask", to=sid, callback=lambda *args: None))
    assert "ack ask" not in spans.take()
    client.text("430[]")
    span = spans.take()["ack ask"]
    assert span.status.status_code is trace.StatusCode.UNSET
    assert attributes_of(span)["messaging.client.id"] == sid
    run(sio.emit("ask", to=sid, callback=lambda *args: None))
    client.leave()
    span = spans.take()["ack ask"]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert attributes_of(span)["error.type"] == "disconnected"


# The context in the payload.


def carrier(client: WebSocket) -> dict[str, Any]:
    (message,) = client.messages()
    assert isinstance(message, str)
    *_, last = json.loads(message.lstrip("0123456789"))
    assert isinstance(last, dict)
    return last


def test_the_payload_carries_the_context_when_asked_for(spans: Spans) -> None:
    server, sio = made(spans, payload=True)
    got: list[Any] = []

    @sio.event
    async def work(sid: str, *args: Any) -> None:
        got.append(args)
        await sio.emit("done", ("x", 1), to=sid)

    client, _ = server.joined()
    spans.take()
    client.text(
        json.dumps(["work", 1, {"otel": {"traceparent": TRACEPARENT}}]).join(["42", ""])
    )
    assert got == [(1,)]
    found = spans.take()
    assert parent_of(found["process work"]) == (TRACE, PARENT)
    span_id = id_of(found["emit done"])[1]
    assert carrier(client) == {
        "otel": {"traceparent": f"00-{TRACE:032x}-{span_id:016x}-01"}
    }


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        pytest.param([1], [1], id="none"),
        pytest.param([{"otel": 5}], [], id="no object"),
        pytest.param([{"otel": {"traceparent": 5, "x": []}}], [], id="no text"),
        pytest.param([{"otel": {"traceparent": "junk"}}], [], id="junk"),
        pytest.param([{"otel": {}, "x": 1}], [{"otel": {}, "x": 1}], id="more keys"),
        pytest.param([{"otel": {}}, 1], [{"otel": {}}, 1], id="not the last"),
    ],
)
def test_what_a_client_sends_instead(
    spans: Spans, arguments: list[Any], left: list[Any]
) -> None:
    server, sio = made(spans, payload=True)
    got: list[Any] = []
    sio.on("work", lambda sid, *args: got.extend(args))
    client, _ = server.joined()
    client.text("42" + json.dumps(["work", *arguments]))
    assert got == left
    assert spans.take()["process work"].parent is None


def test_without_it_arguments_stay_as_they_are(spans: Spans) -> None:
    server, sio = made(spans)
    got: list[Any] = []
    sio.on("work", lambda sid, *args: got.extend(args))
    client, _ = server.joined()
    client.text('42["work",{"otel":{"traceparent":"x"}}]')
    assert got == [{"otel": {"traceparent": "x"}}]
    run(sio.emit("done", 1))
    assert client.messages() == ['42["done",1]']


Serve = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("recovery", [False, True])
async def test_a_client_and_a_server_make_one_trace(
    serve: Serve, spans: Spans, recovery: bool
) -> None:
    """U6: context by the headers and by the payload, in both directions."""
    sio = socketio.AsyncServer(connection_state_recovery=recovery or None)
    spans.instrument(sio, payload=True)

    @sio.event
    async def work(sid: str, number: int) -> int:
        await sio.emit("done", number, to=sid)
        return number + 1

    client = socketio.AsyncClient()
    spans.instrument(client, payload=True)
    done: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
    client.on("done", lambda *args: done.set_result(args[:1]))
    server = await serve(sio)
    tracer = spans.provider.get_tracer("test")
    with tracer.start_as_current_span("root"):
        await client.connect(server.url)
        assert await client.call("work", 1) == 2
    assert await within(done) == (1,)
    found = spans.take()
    root = id_of(found["root"])
    assert {id_of(span)[0] for span in found.values()} == {root[0]}
    parents = {name: parent_of(span) for name, span in found.items()}
    assert parents == {
        "root": None,
        "connect /": root,
        "emit work": root,
        "ack work": root,
        "process work": id_of(found["emit work"]),
        "emit done": id_of(found["process work"]),
        "process done": id_of(found["emit done"]),
    }
    await client.disconnect()


async def test_a_client_and_a_server_for_threads(spans: Spans) -> None:
    sio = socketio.Server()
    spans.instrument(sio, payload=True)

    @sio.event
    def work(sid: str, number: int) -> int:
        sio.emit("done", number, to=sid)
        return number + 1

    threads = sio._threads
    server = await asyncio.to_thread(
        threads.run, socketio.serve(sio._server, port=0, shutdown_timeout=1)
    )
    client = socketio.Client()
    spans.instrument(client, payload=True)
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    client.on("done", lambda n: loop.call_soon_threadsafe(done.set_result, n))

    def use() -> int:
        with spans.provider.get_tracer("test").start_as_current_span("root"):
            client.connect(server.url, transports=["websocket"])
            answer: int = client.call("work", 1)
            return answer

    assert await within(asyncio.to_thread(use)) == 2
    assert await within(done) == 1
    await asyncio.to_thread(client.disconnect)
    await asyncio.to_thread(threads.run, server.close())
    await asyncio.to_thread(threads.stop)
    found = spans.take()
    assert parent_of(found["emit work"]) == id_of(found["root"])
    assert parent_of(found["ack work"]) == id_of(found["root"])
    assert parent_of(found["process work"]) == id_of(found["emit work"])
    assert parent_of(found["emit done"]) == id_of(found["process work"])


# Metrics, and the exporters.


def points(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_metrics(spans: Spans) -> None:
    reader = InMemoryMetricReader()
    sio = socketio.AsyncServer(client_manager=BusAdapter(Bus()))
    opentelemetry.instrument(sio, traces=False, meter_provider=MeterProvider([reader]))
    sio.on("work", lambda sid: None)
    sio.on("fail", lambda sid: 1 / 0)
    server = Server(sio)
    client, sid = server.joined()
    client.text('42["work"]')
    client.text('42["fail"]')
    run(sio.emit("ask", to=sid, callback=lambda *args: None))
    client.text("430[]")
    server.loop.advance(1.2)
    found = points(reader)
    (lag,) = found["socketio.event_loop_lag"]
    assert (lag.count, lag.sum) == (2, 0)
    (consumed, _) = found["messaging.client.consumed.messages"]
    assert consumed.value == 1
    assert dict(consumed.attributes) == {
        "messaging.system": "socket.io",
        "messaging.operation.name": "process",
        "messaging.destination.name": "/",
        "messaging.socket.io.event_name": "work",
    }
    assert [each.value for each in found["messaging.client.sent.messages"]] == [1]
    durations = found["messaging.process.duration"]
    errors = [dict(each.attributes).get("error.type") for each in durations]
    assert errors == [None, "ZeroDivisionError"]
    assert [each.count for each in durations] == [1, 1]
    assert [each.count for each in found["messaging.client.operation.duration"]] == [1]
    connections = {
        dict(each.attributes)["transport"]: each.value
        for each in found["socketio.connections"]
    }
    assert connections == {"websocket": 1, "polling": 0}
    for name, value in (("healthy", 1), ("lost_messages", 0)):
        (shown,) = found[f"socketio.adapter_{name}"]
        assert shown.value == value
        assert dict(shown.attributes)["adapter"] == "BusAdapter"
    opentelemetry.uninstrument(sio)
    server.loop.advance(1.2)
    (lag,) = points(reader)["socketio.event_loop_lag"]
    assert lag.count == 2


async def test_metrics_of_a_client(serve: Serve) -> None:
    reader = InMemoryMetricReader()
    sio = socketio.AsyncServer()
    sio.on("ask", lambda sid: "answer")
    server = await serve(sio)
    client = socketio.AsyncClient()
    opentelemetry.instrument(
        client, traces=False, meter_provider=MeterProvider([reader])
    )
    await client.connect(server.url)
    assert await client.call("ask") == "answer"
    found = points(reader)
    (sent,) = found["socketio.client.events_sent"]
    assert sent.value == 1
    assert dict(sent.attributes)["messaging.socket.io.event_name"] == "ask"
    assert [each.count for each in found["messaging.client.operation.duration"]] == [1]
    assert sum(each.value for each in found["socketio.client.connections"]) == 1
    assert not {"socketio.connections", "messaging.client.sent.messages"} & {*found}
    await client.disconnect()


class Collector:
    """Takes OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.spans: set[str] = set()
        self.metrics: set[str] = set()
        self.url = ""

    async def _traces(self, request: web.Request) -> web.Response:
        taken = ExportTraceServiceRequest.FromString(await request.read())
        for resource in taken.resource_spans:
            for scope in resource.scope_spans:
                assert scope.scope.name == "socketio_fast.contrib.opentelemetry"
                self.spans |= {span.name for span in scope.spans}
        return web.Response()

    async def _metrics(self, request: web.Request) -> web.Response:
        taken = ExportMetricsServiceRequest.FromString(await request.read())
        for resource in taken.resource_metrics:
            for scope in resource.scope_metrics:
                self.metrics |= {metric.name for metric in scope.metrics}
        return web.Response()

    async def run(self) -> AsyncIterator[Collector]:
        app = web.Application()
        app.router.add_post("/v1/traces", self._traces)
        app.router.add_post("/v1/metrics", self._metrics)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        yield self
        await runner.cleanup()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async for running in Collector().run():
        yield running


async def test_the_exporters_for_otlp(serve: Serve, collector: Collector) -> None:
    spans = TracerProvider()
    spans.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{collector.url}/v1/traces"))
    )
    meters = MeterProvider(
        [
            PeriodicExportingMetricReader(
                OTLPMetricExporter(f"{collector.url}/v1/metrics")
            )
        ]
    )
    sio = socketio.AsyncServer()
    opentelemetry.instrument(sio, tracer_provider=spans, meter_provider=meters)

    @sio.event
    async def ask(sid: str) -> int:
        await sio.emit("news", to=sid)
        return 1

    server = await serve(sio)
    client = socketio.AsyncClient()
    await client.connect(server.url)
    assert await client.call("ask") == 1
    await until(lambda: sio._hub.meter.received[0].times[0] != [])  # type: ignore
    assert await asyncio.to_thread(spans.force_flush)
    assert await asyncio.to_thread(meters.force_flush)
    assert collector.spans == {"connect /", "process ask", "emit news"}
    assert collector.metrics >= {
        "messaging.process.duration",
        "messaging.client.consumed.messages",
        "messaging.client.sent.messages",
        "socketio.connections",
        "socketio.buffered_bytes",
    }
    await client.disconnect()
    await asyncio.to_thread(spans.shutdown)
    await asyncio.to_thread(meters.shutdown)


def test_it_can_be_undone(spans: Spans) -> None:
    server, sio = made(spans)
    with pytest.raises(ValueError, match="instrumented already"):
        spans.instrument(sio)
    opentelemetry.uninstrument(sio)
    client, _ = server.joined()
    client.text('42["x"]')
    assert spans.take() == {}
    spans.instrument(sio)
    client.text('42["x"]')
    assert list(spans.take()) == ["process *"]


def test_a_tracer_that_fails_harms_nobody(
    spans: Spans, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server, sio = made(spans, payload=True)
    sio.on("ask", lambda sid: 5)

    def fail(*args: Any, **options: Any) -> None:
        raise LookupError("broken")

    monkeypatch.setattr(sio._hub.tracer._tracer, "start_span", fail)  # type: ignore
    client, sid = server.joined()
    client.text('421["ask"]')
    got: list[Any] = []
    run(sio.emit("news", 1, to=sid, callback=got.append))
    client.text("430[2]")
    assert client.messages() == ["431[5]", '420["news",1]']
    assert got == [2]
    assert caplog.text.count("a span could not be made") >= 4


def test_what_is_no_server() -> None:
    with pytest.raises(TypeError, match="of socketio_fast expected"):
        opentelemetry.instrument(object())  # type: ignore[arg-type]
