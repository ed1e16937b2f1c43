"""What is measured of a server or a client, whoever shows it."""

from __future__ import annotations

import asyncio
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from socketio_fast._core.socketio.meter import (
    BOUNDS,
    EventFigures,
    Meter,
    label_of,
    unread,
)
from socketio_fast.base_client import BaseClient
from socketio_fast.managers.broker import BrokerManager

__all__ = ["Family", "Lag", "Measures", "Times", "measures_of"]

#: Seconds between two looks at how late the event loop is.
LAG_INTERVAL = 0.5


@dataclass
class Times:
    """How many took how long.

    Attributes:
        counts: By the buckets of ``BOUNDS``, and one for what is above them.
        total: All together, in seconds.
    """

    counts: list[int]
    total: float


@dataclass
class Family:
    """A metric, with all its labels.

    Attributes:
        name: Its name, without the suffix of a counter.
        kind: ``"counter"``, ``"gauge"`` or ``"histogram"``.
        meaning: What it is.
        labels: The names of its labels.
        samples: Values by those of the labels.
    """

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()
    samples: Sequence[tuple[tuple[str, ...], float | Times]] = ()


class Lag:
    """How late an event loop calls what is due. It is looked at twice a second."""

    def __init__(self) -> None:
        self.times = Times([0] * (len(BOUNDS) + 1), 0.0)
        #: What is called with each value too (seconds).
        self.told: list[Callable[[float], object]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at this event loop from now on."""
        if self._loop is loop:
            return
        self.stop()
        self._loop = loop
        self._wait(loop)

    def stop(self) -> None:
        """Look at it no longer. A timer of another thread is left: it does nothing."""
        loop, self._loop = self._loop, None
        timer, self._timer = self._timer, None
        if timer is not None and loop is asyncio._get_running_loop():
            timer.cancel()

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + LAG_INTERVAL
        self._timer = loop.call_at(due, _look, weakref.ref(self), loop, due)

    def look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """What was due at that time is called now, by this event loop."""
        if loop is self._loop:
            late = max(0.0, loop.time() - due)
            self.times.counts[bisect_left(BOUNDS, late)] += 1
            self.times.total += late
            self._wait(loop)
            for tell in self.told:
                tell(late)


def _look(
    found: Callable[[], Lag | None], loop: asyncio.AbstractEventLoop, due: float
) -> None:
    # The timer has a weak reference: it would keep a dropped server alive.
    lag = found()
    if lag is not None:
        lag.look(loop, due)


class Measures:
    """The figures of one server, or one client.

    Args:
        sio: A :class:`socketio_fast.AsyncServer` or a
            :class:`socketio_fast.AsyncClient`.
        events: Names of events that are counted apart although only a catch-all handler
            takes them.
        max_events: Events that are counted apart, at most, in each direction.
    """

    #: Whether they are a client's.
    of_client = False
    #: Who is at the other end, as it is told.
    others = "clients"

    def __init__(self, sio: Any, events: frozenset[str], max_events: int) -> None:
        self._engine = sio.eio.engine
        self._hub = sio._hub
        self._eio = sio.eio
        self._sio = weakref.ref(sio)
        self.asked_for = (events, max_events)
        #: How many show the figures.
        self.shown_by = 0
        self.lag = Lag()
        self._meter = Meter(
            self._hub.wildcard,
            events,
            max_events,
            [each for each in list(self._engine.sessions.values()) if each.connected],
        )
        self._engine.observe(self._meter)
        self._hub.measure(self._meter)
        loop = self._engine.loop
        if loop is None or loop.is_closed():
            return
        if self._engine.elsewhere or self.of_client:  # whose thread may be another
            loop.call_soon_threadsafe(self.begin)
        else:
            self.begin()

    def begin(self) -> None:
        """It runs on an event loop; it calls this."""
        self.lag.begin(self._engine.loop)

    def stop(self) -> None:
        """It runs no longer; it calls this."""
        self.lag.stop()

    def end(self) -> bool:
        """One shows the figures no longer. Returns whether nobody does: then nothing is
        measured any more."""
        self.shown_by -= 1
        if self.shown_by:
            return False
        self.stop()
        self._engine.unobserve(self._meter)
        self._hub.measure(None)
        return True

    # The figures.

    def families(self) -> Iterator[Family]:
        """All metrics, as they are now."""
        yield from self.connections()
        yield from self._clients()
        yield from self.events()
        yield _family(
            "socketio_emits",
            "counter",
            "Events that were sent, one whatever the number of clients",
            self._meter.sent,
            lambda each: each.calls,
        )
        yield from self.packets()
        yield from self._slow()
        yield Family(
            "socketio_refusals",
            "counter",
            "Requests, clients, events and connections that were refused",
            ("reason",),
            _by_name(self._refusals()),
        )
        yield Family(
            "socketio_incidents",
            "counter",
            "Rare events: the other numbers of sio.eio.counters",
            ("kind",),
            _by_name(self._incidents()),
        )
        yield self.loop_lag()
        membership = self._eio.membership
        yield _plain(
            "socketio_workers",
            "gauge",
            "Workers that serve the port, this one included",
            1 if membership is None else 1 + len(membership.mesh.others),
        )
        yield from self._adapters()

    def _adapters(self) -> Iterator[Family]:
        sio = self._sio()
        manager = None if sio is None else sio.manager
        bridge = getattr(manager, "_bridge", None)
        found = [manager] if bridge is None else [manager, bridge.manager]
        brokers = {
            each._label: each for each in found if isinstance(each, BrokerManager)
        }
        yield Family(
            "socketio_adapter_healthy",
            "gauge",
            "1 while messages to other servers can be published, and theirs are "
            "received, else 0",
            ("adapter",),
            _by_name({name: int(each.healthy) for name, each in brokers.items()}),
        )
        yield Family(
            "socketio_adapter_lost_messages",
            "counter",
            "Messages to other servers that could not be published",
            ("adapter",),
            _by_name({name: each.lost_messages for name, each in brokers.items()}),
        )

    def loop_lag(self) -> Family:
        """How late the event loop is."""
        return Family(
            "socketio_event_loop_lag_seconds",
            "histogram",
            "How late the event loop calls what is due, looked at twice a second",
            (),
            [((), self.lag.times)],
        )

    def connections(self) -> Iterator[Family]:
        """What is counted of connections on either side."""
        meter = self._meter
        yield Family(
            "socketio_connections",
            "gauge",
            "Engine.IO connections that are open",
            ("transport",),
            _by_name(meter.connections),
        )
        yield Family(
            "socketio_connections_opened",
            "counter",
            "Engine.IO connections that were accepted, by their first transport",
            ("transport",),
            _by_name(meter.opened),
        )
        yield Family(
            "socketio_connections_closed",
            "counter",
            "Engine.IO connections that have ended",
            ("reason",),
            _by_name(meter.closed),
        )
        yield Family(
            "socketio_upgrades",
            "counter",
            "Connections that went from polling to this transport",
            ("transport",),
            _by_name(meter.upgrades),
        )

    def _clients(self) -> Iterator[Family]:
        clients: dict[str, int] = {}
        for namespace in list(self._hub.namespaces.values()):
            label = label_of(namespace)
            clients[label] = clients.get(label, 0) + len(namespace.peers)
        yield Family(
            "socketio_clients",
            "gauge",
            "Clients in namespaces",
            ("namespace",),
            _by_name(clients),
        )
        yield _plain(
            "socketio_draining",
            "gauge",
            "1 while the server takes no new clients because it is to stop, else 0",
            int(self._engine.draining),
        )

    def events(self) -> Iterator[Family]:
        """What is counted and timed of events on either side."""
        yield from _events_in(self._meter.received, self.others)
        yield from _events_out(self._meter.sent, self.others)

    def packets(self) -> Iterator[Family]:
        """What is counted of packets on either side."""
        meter, others = self._meter, self.others
        for name, value, meaning in (
            ("packets_received", meter.packets_in, f"Engine.IO packets from {others}"),
            ("packets_sent", meter.packets_out, f"Engine.IO packets to {others}"),
            ("received_bytes", meter.bytes_in, f"Bytes of the packets from {others}"),
            ("sent_bytes", meter.bytes_out, f"Bytes of the packets to {others}"),
        ):
            text = f"{meaning}, without pings, framing and compression"
            yield _plain(f"socketio_{name}", "counter", text, value)
        yield _plain(
            "socketio_buffered_bytes",
            "gauge",
            f"Bytes to {others} that wait to be read",
            unread(list(self._engine.sessions.values()))[0],
        )

    def _slow(self) -> Iterator[Family]:
        counters = self._engine.counters
        slow = unread(list(self._engine.sessions.values()))[1]
        yield _plain(
            "socketio_slow_connections",
            "gauge",
            "Connections with more unread bytes than high_water_mark",
            slow,
        )
        yield _plain(
            "socketio_slow_consumers",
            "counter",
            "How often a connection became slow",
            counters["slow_consumers"],
        )
        dropped = {
            "slow": counters["dropped_messages"],
            "volatile": counters["dropped_volatile"],
        }
        yield Family(
            "socketio_dropped_messages",
            "counter",
            "Messages that were not sent: to slow clients (bytes are counted too), and "
            "volatile ones that would have had to wait",
            ("cause",),
            _by_name(dropped),
        )
        yield _plain(
            "socketio_dropped_bytes",
            "counter",
            "Bytes of the messages that slow clients were not sent",
            counters["dropped_bytes"],
        )

    def _refusals(self) -> dict[str, int]:
        found = dict(self._meter.refused)
        for name, count in list(self._engine.counters.items()):
            if name.startswith("refused_"):
                found[name.removeprefix("refused_")] = count
        return found

    def _incidents(self) -> dict[str, int]:
        return {
            name: count
            for name, count in list(self._engine.counters.items())
            if not name.startswith(("refused_", "dropped_"))
            and name != "slow_consumers"
        }


class ClientMeasures(Measures):
    """The figures of one client."""

    of_client = True
    others = "the server"

    def families(self) -> Iterator[Family]:
        """All metrics, as they are now."""
        for family in (
            *self.connections(),
            *self.events(),
            *self.packets(),
            self._offline(),
            self.loop_lag(),
        ):
            name = family.name.replace("socketio_", "socketio_client_", 1)
            yield replace(family, name=name)

    def _offline(self) -> Family:
        peers = list(self._hub.connection.peers.values())
        return _plain(
            "socketio_offline_events",
            "gauge",
            "Events that wait for a connection",
            sum(peer.offline_events for peer in peers),
        )


def _plain(name: str, kind: str, meaning: str, value: float) -> Family:
    return Family(name, kind, meaning, (), [((), value)])


def _by_name(counts: Mapping[str, int]) -> list[tuple[tuple[str, ...], float | Times]]:
    return [((name,), count) for name, count in sorted(counts.items())]


def _family(
    name: str,
    kind: str,
    meaning: str,
    events: list[EventFigures],
    value: Callable[[EventFigures], float | Times],
) -> Family:
    samples = [((each.namespace, each.event), value(each)) for each in list(events)]
    return Family(name, kind, meaning, ("namespace", "event"), samples)


def _times(figures: EventFigures) -> Times:
    return Times(*figures.times)


def _events_in(events: list[EventFigures], others: str) -> Iterator[Family]:
    yield _family(
        "socketio_events_received",
        "counter",
        f"Events from {others}",
        events,
        lambda each: each.events,
    )
    yield _family(
        "socketio_events_received_bytes",
        "counter",
        "Bytes of the packets of these events",
        events,
        lambda each: each.bytes,
    )
    yield _family(
        "socketio_handler_duration_seconds",
        "histogram",
        "From the start of the handlers of an event to their end",
        events,
        _times,
    )
    yield _family(
        "socketio_handler_failures",
        "counter",
        "Events whose handler raised an exception",
        events,
        lambda each: each.failed,
    )


def _events_out(events: list[EventFigures], others: str) -> Iterator[Family]:
    yield _family(
        "socketio_events_sent",
        "counter",
        f"Events to {others}, one for each recipient",
        events,
        lambda each: each.events,
    )
    yield _family(
        "socketio_events_sent_bytes",
        "counter",
        "Bytes of these events",
        events,
        lambda each: each.bytes,
    )
    asked = [each for each in list(events) if each.failed or any(each.times[0])]
    yield _family(
        "socketio_ack_duration_seconds",
        "histogram",
        "From an event to its acknowledgement",
        asked,
        _times,
    )
    yield _family(
        "socketio_acks_lost",
        "counter",
        "Acknowledgements that did not come: the connection ended, or it took too long",
        asked,
        lambda each: each.failed,
    )


def measures_of(sio: Any, events: frozenset[str], max_events: int) -> Measures:
    """The figures of a server or a client, which is measured from now on.

    Raises:
        ValueError: It is measured already, with other arguments.
    """
    found: Measures | None = sio._measures
    if found is None:
        kind = ClientMeasures if isinstance(sio, BaseClient) else Measures
        found = sio._measures = kind(sio, events, max_events)
    elif found.asked_for != (events, max_events):
        raise ValueError(
            "it is measured already, with other events= or max_events=: give "
            "the same to all that show its metrics"
        )
    found.shown_by += 1
    return found
