"""Metrics for Prometheus (the extra ``prometheus``)."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector
    from prometheus_client.utils import floatToGoString
except ImportError as exc:
    raise ImportError(
        'metrics for Prometheus need pip install "socketio-fast[prometheus]"'
    ) from exc

from socketio_fast._core.socketio.meter import BOUNDS
from socketio_fast.base_client import BaseClient
from socketio_fast.contrib.measures import Family, Measures, Times, measures_of

if TYPE_CHECKING:
    from socketio_fast._core.http.request import Request
    from socketio_fast.async_client import AsyncClient
    from socketio_fast.async_server import AsyncServer
    from socketio_fast.client import Client
    from socketio_fast.server import Server

__all__ = ["exposition", "instrument", "uninstrument"]

ALLOW = b"Allow: GET, HEAD\r\n"
_LIMITS = [*map(floatToGoString, BOUNDS), "+Inf"]
_CLASSES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
# The label that names a worker, where there are several.
_WORKER = "worker"


def instrument(
    sio: AsyncServer | Server | AsyncClient | Client,
    *,
    registry: CollectorRegistry = REGISTRY,
    path: str | None = None,
    labels: Mapping[str, str] | None = None,
    events: Collection[str] = (),
    max_events: int = 100,
) -> None:
    """Measure a server or a client, and show its metrics in a registry of
    prometheus_client.

    Example::

        sio = socketio.AsyncServer()
        prometheus.instrument(sio, path="/metrics")

    docs/observability.md lists the metrics.

    Args:
        sio: The server or client.
        registry: Where they are shown: ``prometheus_client.start_http_server()`` and
            ``make_asgi_app()`` show the default one.
        path: A path of the server itself at which GET gets the metrics of this
            registry, such as ``"/metrics"``, when it is served by ``run()`` or
            ``serve()``. Whoever reaches the server can read them there. With several
            workers they are those of all, told apart by the label ``worker``. ``None``:
            there is no such path. A client has none.
        labels: Labels that all its metrics get, with their values. A second server, or
            a second client, in the same registry needs some.
        events: Names of events that are received and are counted apart although only a
            catch-all handler takes them. The other side chooses names, so events that
            no handler is named by count together as ``"*"``.
        max_events: Events that are counted apart, at most, in each direction; more
            count as ``"*"``.

    Raises:
        ImportError: prometheus_client is not installed.
        ValueError: It is shown already; ``path`` does not begin with a slash, or is
            Engine.IO's, or is given for a client; ``labels`` are those of another
            server, or client, in this registry; ``max_events`` is not positive; it is
            measured already, with other arguments.
    """
    server = _of(sio)
    is_client = isinstance(server, BaseClient)
    if path is not None:
        _check_path(path, None if is_client else server.default_path)
    if max_events < 1:
        raise ValueError(f"max_events={max_events}: 1 or more expected")
    if server in _shown:
        raise ValueError("it is instrumented already: uninstrument() it first")
    fixed = dict(labels or {})
    collector = _collectors.get(registry)
    if collector is not None:
        collector.check(fixed, is_client)
    measures = measures_of(server, frozenset(events), max_events)
    if collector is None:
        collector = _collectors[registry] = _Servers()
        registry.register(collector)
    collector.servers[measures] = fixed
    _shown[server] = registry, path
    if is_client:
        return
    server._shown = partial(_packed, registry)
    if server.eio.membership is not None:
        server.eio.membership.scrapes.render = server._shown
    if path is not None:
        engine = server.eio.engine
        found = weakref.ref(server)  # the engine, which the page is of, is the server's

        async def page(request: Request) -> tuple[int, bytes, bytes, bytes]:
            if request.method not in ("GET", "HEAD"):
                return 405, b"text/plain", b"Method Not Allowed", ALLOW
            accept = (request.header(b"accept") or b"").decode("latin-1")
            shown = found()
            assert shown is not None
            body, kind = await _render(shown, registry, accept)
            return 200, kind.encode(), body, b""

        engine.pages = {**(engine.pages or {}), path: page}


def _check_path(path: str, taken: str | None) -> None:
    if taken is None:
        raise ValueError(
            f"path={path!r}: a client answers no requests. Show its metrics by "
            "prometheus_client.start_http_server(), or at the path of a server"
        )
    if not path.startswith("/") or (path + "/").startswith(taken):
        raise ValueError(
            f"path={path!r}: a path that begins with a slash, and not with {taken}, "
            "expected, such as '/metrics'"
        )


def uninstrument(sio: AsyncServer | Server | AsyncClient | Client) -> None:
    """Undo :func:`instrument`. Nothing happens if it is not instrumented."""
    server = _of(sio)
    registry, path = _shown.pop(server, (None, None))
    if registry is None:
        return
    collector = _collectors[registry]
    measures = server._measures
    if measures.end():
        server._measures = None
    del collector.servers[measures]
    if not collector.servers:
        registry.unregister(collector)
        del _collectors[registry]
    if not isinstance(server, BaseClient):
        server._shown = None
    if path is not None and server.eio.engine.pages is not None:
        pages = {**server.eio.engine.pages}
        pages.pop(path, None)
        server.eio.engine.pages = pages or None


async def exposition(
    sio: AsyncServer | Server | AsyncClient | Client, accept: str = ""
) -> tuple[bytes, str]:
    """The metrics as a scrape gets them, of all workers: for a framework's own route.

    Args:
        sio: A server or client that is instrumented.
        accept: The header ``Accept`` of the scrape, which chooses the format.

    Returns:
        The body of the response, and its content type.

    Raises:
        ValueError: It is not instrumented.
    """
    server = _of(sio)
    if server not in _shown:
        raise ValueError("it is not instrumented: prometheus.instrument(sio)")
    return await _render(server, _shown[server][0], accept)


async def _render(
    server: Any, registry: CollectorRegistry, accept: str
) -> tuple[bytes, str]:
    encode, kind = choose_encoder(accept)
    membership = None if isinstance(server, BaseClient) else server.eio.membership
    if membership is None:
        # In a thread: hundreds of events take some milliseconds.
        return await asyncio.to_thread(encode, registry), kind
    if server.eio.engine.elsewhere:  # a handler in a thread asks
        asking = membership.scrapes.gather()
        loop = server.eio.engine.loop
        assert loop is not None
        future = asyncio.run_coroutine_threadsafe(asking, loop)
        shown = await asyncio.wrap_future(future)
    else:
        shown = await membership.scrapes.gather()
    return await asyncio.to_thread(encode, _Merged(shown)), kind


def _of(sio: Any) -> Any:
    """The server or client for asyncio, which one for threads drives."""
    inner = getattr(sio, "_inner", sio)
    if not hasattr(inner, "_measures"):
        raise TypeError(
            f"{type(sio).__name__}: an AsyncServer, Server, AsyncClient or Client of "
            "socketio_fast expected"
        )
    return inner


class _Servers(Collector):
    """The servers and clients that are shown in one registry."""

    def __init__(self) -> None:
        #: With the labels that their metrics get.
        self.servers: WeakKeyDictionary[Measures, dict[str, str]] = WeakKeyDictionary()

    def check(self, labels: dict[str, str], client: bool) -> None:
        """Raise ValueError for labels that do not tell a server from the others, or a
        client from the others: their metrics have other names."""
        kind = "client" if client else "server"
        for measures, other in self.servers.items():
            if measures.of_client != client:
                continue
            if other.keys() != labels.keys():
                raise ValueError(
                    f"labels={labels!r}: another {kind} in this registry has the "
                    f"labels {sorted(other)}, and all need the same names"
                )
            if other == labels:
                raise ValueError(
                    f"labels={labels!r}: another {kind} in this registry has the same: "
                    f'give each its own, such as labels={{"{kind}": "chat"}}'
                )

    def describe(self) -> Iterator[Metric]:
        """Nothing: the names are not known before there are figures."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The metrics of all."""
        metrics: dict[str, Metric] = {}
        for measures, labels in list(self.servers.items()):
            for family in measures.families():
                _add(metrics, family, labels)
        yield from metrics.values()


def _add(metrics: dict[str, Metric], family: Family, labels: dict[str, str]) -> None:
    metric: Any = metrics.get(family.name)
    if metric is None:
        cls = _CLASSES.get(family.kind, HistogramMetricFamily)
        names = (*labels, *family.labels)
        metric = metrics[family.name] = cls(family.name, family.meaning, labels=names)
    for values, value in family.samples:
        own = [*labels.values(), *values]
        if isinstance(value, Times):
            buckets = list(zip(_LIMITS, accumulate(value.counts), strict=True))
            metric.add_metric(own, buckets, value.total)
        else:
            metric.add_metric(own, value)


# What other workers are told: the samples of the whole registry, also of metrics that
# are the program's own.


def _packed(registry: CollectorRegistry) -> bytes:
    return json.dumps(
        [
            [
                *(metric.name, metric.documentation, metric.type, metric.unit),
                [[each.name, each.labels, each.value] for each in metric.samples],
            ]
            for metric in registry.collect()
        ]
    ).encode()


class _Merged:
    """The registries of several workers, as one.

    Args:
        shown: What :func:`_packed` has made of each, by the worker's name.
    """

    def __init__(self, shown: Mapping[str, bytes]) -> None:
        self._shown = shown

    def collect(self) -> Iterator[Metric]:
        """The metrics; each sample names its worker."""
        metrics: dict[str, Metric] = {}
        for worker, data in self._shown.items():
            for name, meaning, kind, unit, samples in json.loads(data):
                metric = metrics.get(name)
                if metric is None:
                    metric = metrics[name] = Metric(name, meaning, kind, unit)
                for sample, labels, value in samples:
                    if _WORKER in labels:  # as Prometheus names one of another
                        labels[f"exported_{_WORKER}"] = labels.pop(_WORKER)
                    metric.add_sample(sample, {**labels, _WORKER: worker}, value)
        yield from metrics.values()


_collectors: WeakKeyDictionary[CollectorRegistry, _Servers] = WeakKeyDictionary()
# What is instrumented, with their registry and path.
_shown: WeakKeyDictionary[Any, tuple[CollectorRegistry, str | None]] = (
    WeakKeyDictionary()
)
