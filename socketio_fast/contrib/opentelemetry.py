"""Traces and metrics by OpenTelemetry (the extra ``opentelemetry``)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

try:
    from opentelemetry import context as otel_context
    from opentelemetry import metrics, propagate, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
except ImportError as exc:
    raise ImportError(
        "traces and metrics by OpenTelemetry need "
        'pip install "socketio-fast[opentelemetry]"'
    ) from exc

from socketio_fast._core.engine.failures import contain
from socketio_fast._core.engine.observer import Tracer
from socketio_fast._core.socketio.meter import BOUNDS, OTHER, is_known, label_of
from socketio_fast._version import __version__
from socketio_fast.contrib.measures import Family, Lag, Measures, Times, measures_of
from socketio_fast.exceptions import ConnectionRefusedError

if TYPE_CHECKING:
    from socketio_fast.async_client import AsyncClient
    from socketio_fast.async_server import AsyncServer
    from socketio_fast.client import Client
    from socketio_fast.server import Server

__all__ = ["PAYLOAD_KEY", "instrument", "uninstrument"]

#: The one key of the last argument of an event that carries a trace's context.
PAYLOAD_KEY = "otel"

SYSTEM = "socket.io"
# Seconds for which figures hold: instruments are asked one after the other.
SAME_COLLECTION = 0.2
_EVENT_NAME = "messaging.socket.io.event_name"
_ROOMS = "messaging.socket.io.rooms"
_NAMESPACE = "messaging.destination.name"
# Rooms that a span names, at most.
_MAX_ROOMS = 20

# The span of the connection of a client, in the context that its code runs in.
_CONNECTION: ContextVar[Span] = ContextVar("socketio_fast.connection")

F = TypeVar("F", bound=Callable[..., Any])


def instrument(
    sio: AsyncServer | Server | AsyncClient | Client,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    traces: bool = True,
    metrics: bool = True,
    payload: bool = False,
    events: Collection[str] = (),
    max_events: int = 100,
) -> None:
    """Make spans and metrics of what a server or a client does.

    Example::

        sio = socketio.AsyncServer()
        opentelemetry.instrument(sio)

    docs/observability.md lists the spans and their attributes.

    Args:
        sio: The server or client. Instrument a client before it connects.
        tracer_provider: Makes the spans; ``None`` for the global one.
        meter_provider: Takes the metrics; ``None`` for the global one.
        traces: Whether there are spans.
        metrics: Whether there are metrics.
        payload: Whether each event carries the context of its span, as a last argument
            ``{"otel": {"traceparent": "…"}}``, and such an argument of an event that
            comes is taken off and continued. The other side has to do the same: a
            program that does not gets one argument more.
        events: See :func:`socketio_fast.contrib.prometheus.instrument`; they also name
            spans.
        max_events: See there.

    Raises:
        ImportError: opentelemetry-api is not installed.
        ValueError: It is instrumented already, or measured with other arguments;
            ``max_events`` is not positive.
    """
    if max_events < 1:
        raise ValueError(f"max_events={max_events}: 1 or more expected")
    inner = _of(sio)
    hub = inner._hub
    if hub.tracer is not None:
        raise ValueError("it is instrumented already: uninstrument() it first")
    named = frozenset(events)
    durations = None
    if metrics:
        durations = _Metrics(
            measures_of(inner, named, max_events), meter_provider
        ).durations
    tracer = (
        trace.get_tracer(__name__, __version__, tracer_provider) if traces else None
    )
    hub.trace(_Tracing(hub, tracer, payload and traces, named, durations))


def uninstrument(sio: AsyncServer | Server | AsyncClient | Client) -> None:
    """Make no spans any more, and record no durations. Other metrics stay as they are:
    OpenTelemetry has no way to remove one."""
    hub = _of(sio)._hub
    if isinstance(hub.tracer, _Tracing):
        hub.tracer.end()
    hub.trace(None)


def _of(sio: Any) -> Any:
    """The server or client for asyncio, which one for threads drives."""
    inner = getattr(sio, "_inner", sio)
    if not hasattr(inner, "_hub"):
        raise TypeError(
            f"{type(sio).__name__}: an AsyncServer, Server, AsyncClient or Client of "
            "socketio_fast expected"
        )
    return inner


def _contained(method: F) -> F:
    """A method that the core calls amid other work: what it raises is logged."""

    @functools.wraps(method)
    def call(self: _Tracing, *args: Any) -> Any:
        try:
            return method(self, *args)
        except Exception as exc:
            self.failed(exc)
            return None

    return call  # type: ignore[return-value]


class _Handling:
    """An event that is handled."""

    __slots__ = ("attributes", "began", "span")

    def __init__(self, span: Span, attributes: dict[str, Any]) -> None:
        self.span = span
        self.attributes = attributes
        self.began = time.perf_counter()


class _Tracing(Tracer):
    """Makes the spans of one server or client."""

    def __init__(
        self,
        hub: Any,
        tracer: trace.Tracer | None,
        payload: bool,
        named: frozenset[str],
        durations: _Durations | None,
    ) -> None:
        self._hub = hub
        self._tracer = tracer
        self._payload = payload
        self._named = named
        self._durations = durations

    def end(self) -> None:
        """Nothing more is recorded."""
        if self._durations is not None:
            self._durations.end()

    def failed(self, error: Exception) -> None:
        loop = None if self._hub.runner is None else self._hub.runner.loop
        contain(loop, self._hub.logger, error, "a span could not be made")

    def _name(self, peer: Any, event: Any) -> str:
        known = event in self._named or is_known(
            peer.namespace, self._hub.wildcard, peer.socket, event
        )
        return str(event) if known else OTHER

    def _attributes(
        self, operation: str, kind: str | None, namespace: str
    ) -> dict[str, Any]:
        attributes = {
            "messaging.system": SYSTEM,
            "messaging.operation.name": operation,
            _NAMESPACE: namespace,
        }
        if kind is not None:
            attributes["messaging.operation.type"] = kind
        return attributes

    # Connecting.

    @_contained
    def connecting(self, peer: Any, context: Context) -> None:
        if self._tracer is None:
            return
        environ = peer.session.environ
        parent = context.run(otel_context.get_current)
        if not trace.get_current_span(parent).get_span_context().is_valid:
            # No framework has made a span of the request.
            parent = propagate.extract(_headers(environ), parent)
        namespace = peer.namespace.name
        attributes = self._attributes("connect", None, namespace)
        attributes["client.address"] = environ.get("REMOTE_ADDR", "")
        attributes["messaging.socket.io.transport"] = peer.session.transport_name
        if peer.sid is not None:
            attributes["messaging.client.id"] = peer.sid
        span = self._tracer.start_span(
            f"connect {label_of(peer.namespace)}", parent, SpanKind.SERVER, attributes
        )
        context.run(_CONNECTION.set, span)
        context.run(otel_context.attach, trace.set_span_in_context(span, parent))

    @_contained
    def connected(self, peer: Any, context: Context, error: Any) -> None:
        span = context.get(_CONNECTION)
        if span is None or not span.is_recording():
            return
        if error is not None:
            span.set_attribute("error.type", type(error).__qualname__)
            if not isinstance(error, ConnectionRefusedError):
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, str(error)))
        span.end()

    # Events that come.

    def receiving(self, peer: Any, event: list[Any], context: Context) -> Any:
        try:
            return self._receiving(peer, event, context)
        except Exception as exc:
            self.failed(exc)
            return _Handling(trace.INVALID_SPAN, {})

    def _receiving(self, peer: Any, event: list[Any], context: Context) -> _Handling:
        name = self._name(peer, event[0])
        if self._tracer is None:
            attributes = self._attributes(
                "process", "process", label_of(peer.namespace)
            )
            return _Handling(trace.INVALID_SPAN, {**attributes, _EVENT_NAME: name})
        attributes = self._attributes("process", "process", peer.namespace.name)
        attributes[_EVENT_NAME] = name
        carrier = self._take_carrier(event) if self._payload else None
        # Of its own trace, unless it says otherwise: a connection may last for days.
        parent = trace.set_span_in_context(
            trace.INVALID_SPAN, context.run(otel_context.get_current)
        )
        if carrier is not None:
            parent = propagate.extract(carrier, parent)
        connection = context.get(_CONNECTION)
        links = [] if connection is None else [Link(connection.get_span_context())]
        span = self._tracer.start_span(
            f"process {name}",
            parent,
            SpanKind.CONSUMER,
            {**attributes, "messaging.client.id": peer.sid or ""},
            links,
        )
        context.run(otel_context.attach, trace.set_span_in_context(span, parent))
        return _Handling(span, {**attributes, _NAMESPACE: label_of(peer.namespace)})

    def _take_carrier(self, event: list[Any]) -> dict[str, str] | None:
        """Take the context of a trace off the arguments of an event."""
        # With connection state recovery, a server appends an offset, a string.
        for place in (-1, -2):
            if len(event) + place < 1:
                return None
            last = event[place]
            if isinstance(last, dict) and last.keys() == {PAYLOAD_KEY}:
                del event[place]
                found = last[PAYLOAD_KEY]
                return _texts(found) if isinstance(found, dict) else None
            if not isinstance(last, str):
                return None
        return None

    @_contained
    def handled(self, span: Any, error: BaseException | None) -> None:
        handling: _Handling = span
        if self._durations is not None:
            self._durations.handled(
                time.perf_counter() - handling.began, handling.attributes, error
            )
        own = handling.span
        if own.is_recording():
            if error is not None:
                own.set_attribute("error.type", type(error).__qualname__)
                own.record_exception(error)
                own.set_status(Status(StatusCode.ERROR, str(error)))
            own.end()

    @_contained
    def unhandled(self, span: Any) -> None:
        handling: _Handling = span
        handling.span.set_attribute("error.type", "unhandled")
        handling.span.end()

    # Events that go, and their acknowledgements.

    def handshake(self, headers: dict[str, str]) -> None:
        """Add the context of the current span to the headers of a client."""
        if self._tracer is not None:
            propagate.inject(headers)

    def sending(self, namespace: str, event: list[Any], to: Any) -> list[Any]:
        if self._tracer is None:
            return event
        try:
            return self._sending(namespace, event, to, self._tracer)
        except Exception as exc:
            self.failed(exc)
            return event

    def _sending(
        self, namespace: str, event: list[Any], to: Any, tracer: trace.Tracer
    ) -> list[Any]:
        name = str(event[0])
        attributes = self._attributes("emit", "send", namespace)
        attributes[_EVENT_NAME] = name
        if to is not None:
            rooms = to if isinstance(to, (list, tuple, set, frozenset)) else [to]
            attributes[_ROOMS] = [str(room) for room in rooms][:_MAX_ROOMS]
        span = tracer.start_span(f"emit {name}", None, SpanKind.PRODUCER, attributes)
        if self._payload:
            carrier: dict[str, str] = {}
            propagate.inject(carrier, trace.set_span_in_context(span))
            event = [*event, {PAYLOAD_KEY: carrier}]
        span.end()
        return event

    def asking(self, peer: Any, event: Any) -> Any:
        try:
            attributes = self._attributes("ack", None, peer.namespace.name)
            attributes[_EVENT_NAME] = str(event)
            span: Span = trace.INVALID_SPAN
            if self._tracer is not None:
                span = self._tracer.start_span(
                    f"ack {event}",
                    None,
                    SpanKind.CLIENT,
                    {**attributes, "messaging.client.id": peer.sid or ""},
                )
            attributes[_NAMESPACE] = label_of(peer.namespace)
            return _Handling(span, attributes)
        except Exception as exc:
            self.failed(exc)
            return _Handling(trace.INVALID_SPAN, {})

    @_contained
    def answered(self, asked: Any, outcome: str) -> None:
        asking: _Handling = asked
        error = None if outcome == "acknowledged" else outcome
        if self._durations is not None:
            self._durations.answered(
                time.perf_counter() - asking.began, asking.attributes, error
            )
        if asking.span.is_recording():
            if error is not None:
                asking.span.set_attribute("error.type", error)
                asking.span.set_status(Status(StatusCode.ERROR, error))
            asking.span.end()


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    return {
        key[5:].replace("_", "-").lower(): value
        for key, value in environ.items()
        if key.startswith("HTTP_") and isinstance(value, str)
    }


def _texts(found: dict[Any, Any]) -> dict[str, str]:
    return {
        key: value
        for key, value in found.items()
        if isinstance(key, str) and isinstance(value, str)
    }


class _Durations:
    """Records how long handlers and acknowledgements take, and how late the event loop
    is.

    Args:
        meter: Makes the histograms.
        prefix: Begins the names that are not the conventions'.
        lag: Tells how late the event loop is.
    """

    def __init__(self, meter: metrics.Meter, prefix: str, lag: Lag) -> None:
        # The boundaries that the semantic conventions advise.
        boundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75]
        boundaries += [1, 2.5, 5, 7.5, 10]
        self._process = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "Duration of processing operation.",
            explicit_bucket_boundaries_advisory=boundaries,
        )
        self._ack = meter.create_histogram(
            "messaging.client.operation.duration",
            "s",
            "Duration of messaging operation initiated by a producer or consumer "
            "client.",
            explicit_bucket_boundaries_advisory=boundaries,
        )
        late = meter.create_histogram(
            f"{prefix}.event_loop_lag",
            "s",
            "How late the event loop calls what is due, looked at twice a second",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self._lag = lag
        self._record_lag = late.record
        lag.told.append(self._record_lag)

    def end(self) -> None:
        """The lag is not recorded any more."""
        self._lag.told.remove(self._record_lag)

    def handled(
        self, seconds: float, attributes: dict[str, Any], error: BaseException | None
    ) -> None:
        if error is not None:
            attributes = {**attributes, "error.type": type(error).__qualname__}
        self._process.record(seconds, attributes)

    def answered(
        self, seconds: float, attributes: dict[str, Any], error: str | None
    ) -> None:
        if error is not None:
            attributes = {**attributes, "error.type": error}
        self._ack.record(seconds, attributes)


# What has a name in the semantic conventions, with the operation it is of.
_CONVENTIONS = {
    "socketio_events_received": ("messaging.client.consumed.messages", "process"),
    "socketio_events_sent": ("messaging.client.sent.messages", "emit"),
}
_ATTRIBUTES = {"namespace": _NAMESPACE, "event": _EVENT_NAME}
_UNITS = {"bytes": "By", "seconds": "s"}


class _Metrics:
    """Shows the figures, each time that they are collected, as they are.

    Args:
        measures: The figures.
        provider: Takes them.
    """

    def __init__(self, measures: Measures, provider: MeterProvider | None) -> None:
        self._measures = measures
        self._found: dict[str, Family] = {}
        self._found_at = 0.0
        meter = metrics.get_meter(__name__, __version__, provider)
        prefix = "socketio.client" if measures.of_client else "socketio"
        self.durations = _Durations(meter, prefix, measures.lag)
        for family in measures.families():
            if family.kind == "histogram":
                continue  # an instrument has to be told of each value
            name, operation = _CONVENTIONS.get(family.name, ("", ""))
            create = (
                meter.create_observable_counter
                if family.kind == "counter"
                else meter.create_observable_gauge
            )
            own = family.name.removeprefix(prefix.replace(".", "_") + "_")
            create(
                name or f"{prefix}.{own}",
                [functools.partial(self._observe, family.name, operation)],
                _UNITS.get(family.name.rpartition("_")[2], "1"),
                family.meaning,
            )

    def _observe(
        self, name: str, operation: str, _: CallbackOptions
    ) -> Iterable[Observation]:
        now = time.monotonic()
        if now >= self._found_at + SAME_COLLECTION:
            self._found = {each.name: each for each in self._measures.families()}
            self._found_at = now
        family = self._found[name]
        fixed = {"messaging.system": SYSTEM}
        if operation:
            fixed["messaging.operation.name"] = operation
        keys = [_ATTRIBUTES.get(label, label) for label in family.labels]
        for values, value in family.samples:
            assert not isinstance(value, Times)
            yield Observation(value, {**fixed, **dict(zip(keys, values, strict=True))})
