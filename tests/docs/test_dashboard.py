"""docs/grafana: what the dashboard asks for is what servers show."""

from __future__ import annotations

import json
import re
from typing import Any

from adapters.in_memory import Bus, BusAdapter
from prometheus_client import CollectorRegistry, generate_latest
from support.sansio import Server, WebSocket, run

import socketio_fast as socketio
from docs.pages import ROOT
from socketio_fast.contrib import prometheus

DASHBOARD = json.loads((ROOT / "docs" / "grafana" / "socketio_fast.json").read_text())
PAGE = (ROOT / "docs" / "observability.md").read_text()


def shown() -> dict[str, set[str]]:
    """All metrics of a server, with their labels."""
    registry = CollectorRegistry()
    sio = socketio.AsyncServer(client_manager=BusAdapter(Bus()))
    prometheus.instrument(sio, registry=registry)
    sio.on("ask", lambda sid: None)
    server = Server(sio)
    upgrading = WebSocket(server, server.polling()[1])
    upgrading.text("2probe")
    upgrading.text("5")
    client, sid = server.joined()
    client.text('42["ask"]')
    run(sio.emit("ask", to=sid, callback=lambda *args: None))
    client.leave()
    sio.eio.counters["refused_x"] += 1
    sio.eio.counters["incident"] += 1
    assert "socketio_workers 1.0" in generate_latest(registry).decode()
    found: dict[str, set[str]] = {}
    for metric in registry.collect():
        suffix = {"counter": "_total"}.get(metric.type, "")
        labels = {label for each in metric.samples for label in each.labels}
        found[metric.name + suffix] = labels - {"le"}
    return found


def expressions() -> list[str]:
    return [
        target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
    ]


def test_the_dashboard_shows_all_metrics_and_no_others() -> None:
    names = {
        re.sub(r"(_seconds)_(bucket|sum|count)$", r"\1", name)
        for expr in expressions()
        for name in re.findall(r"\bsocketio_\w+", expr)
    }
    assert names == set(shown()) - {"socketio_dropped_bytes_total"}


def test_the_dashboard_sums_by_labels_that_there_are() -> None:
    metrics = shown()
    for expr in expressions():
        (name, *_) = re.findall(r"\bsocketio_\w+?(?=_bucket|_sum|_count|\{|$)", expr)
        labels = {
            label
            for found in re.findall(r"by \(([^)]*)\)", expr)
            for label in found.split(", ")
        }
        assert labels <= metrics[name] | {"le", "worker"}, expr


def test_each_panel_has_a_place_of_its_own() -> None:
    places: set[tuple[Any, ...]] = set()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & places
        places |= cells


def test_the_page_lists_all_metrics_with_their_labels() -> None:
    table = PAGE.partition("### What is measured")[2].partition("**The number")[0]
    listed: dict[str, set[str]] = {}
    for line in table.splitlines():
        if line.startswith("| `socketio"):
            names, _, labels, _ = line.strip("|").split("|")[:4]
            for name in re.findall(r"`(\w+)`", names):
                listed[name] = set(re.findall(r"`(\w+)`", labels))
    assert listed == shown()
