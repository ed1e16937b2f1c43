"""Draws what the dashboard shows of a server under a load.

    python docs/grafana/draw.py

It needs Debian's `prometheus`, and matplotlib. Prometheus scrapes a server of 60
clients for 90 seconds, and answers the queries of `socketio_fast.json`. They are drawn
where the dashboard has its panels. Grafana itself is not needed, and draws better.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import socketio_fast as socketio
from socketio_fast.contrib import prometheus

HERE = Path(__file__).parent
PICTURE = HERE.parent / "images" / "metrics.png"
DASHBOARD = json.loads((HERE / "socketio_fast.json").read_text())
SECONDS = 90
STEP = 2
SERVER, PROMETHEUS = 5000, 9090
CONFIG = f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: chat
    static_configs: [{{targets: ["127.0.0.1:{SERVER}"]}}]
"""
#: The units of the dashboard, as they are written behind a title.
UNITS = {"short": "", "ops": "1/s", "Bps": "bytes/s", "pps": "packets/s", "s": "s"}


def make_server() -> socketio.AsyncServer:
    sio = socketio.AsyncServer(logger=False)
    prometheus.instrument(sio, path="/metrics")

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        if auth["name"] == "stranger":
            raise socketio.exceptions.ConnectionRefusedError("who are you?")

    @sio.event
    async def say(sid: str, text: str) -> str:
        await asyncio.sleep(random.expovariate(200))
        await sio.emit("said", text)
        return "ok"

    @sio.event
    async def move(sid: str, x: float, y: float) -> None:
        await sio.emit("moved", (x, y), skip_sid=sid)

    @sio.event
    async def search(sid: str, words: str) -> list[str]:
        time.sleep(0.002)  # noqa: ASYNC251 - what the lag of the event loop shows
        if not words:
            raise ValueError("no words")
        return words.split()

    return sio


async def ask(sio: socketio.AsyncServer) -> None:
    """Have the server ask its clients, of whom some do not answer."""
    while True:
        await asyncio.sleep(0.2)
        await sio.emit("alive", callback=lambda *args: None)


async def live(number: int) -> None:
    """A client that comes, writes, and goes."""
    while True:
        await asyncio.sleep(random.uniform(0, 20))
        transports = ["polling"] if number % 6 == 0 else ["polling", "websocket"]
        client = socketio.AsyncClient(reconnection=False)
        if number % 10:
            client.on("alive", lambda: True)
        try:
            await client.connect(
                f"http://127.0.0.1:{SERVER}",
                transports=transports,
                auth={"name": "stranger" if number % 15 == 14 else "ann"},
            )
            for _ in range(random.randrange(20, 120)):
                await asyncio.sleep(random.expovariate(3))
                await client.emit("move", (random.random(), random.random()))
                if random.random() < 0.3:
                    await client.call("say", "hello " * random.randrange(1, 30))
                if random.random() < 0.05:
                    await client.emit("search", random.choice(["", "a b"]))
        except socketio.exceptions.SocketIOError:
            pass
        await client.disconnect()


async def load() -> None:
    sio = make_server()
    async with await socketio.serve(sio, port=SERVER):
        tasks = [asyncio.create_task(live(number)) for number in range(60)]
        tasks.append(asyncio.create_task(ask(sio)))
        await asyncio.sleep(SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def query(expr: str, start: float, end: float) -> list[dict[str, Any]]:
    """The series that Prometheus answers with."""
    expr = expr.replace("$__rate_interval", "15s").replace("$job", ".+")
    words = {"query": expr, "start": start, "end": end, "step": STEP}
    url = f"http://127.0.0.1:{PROMETHEUS}/api/v1/query_range?"
    with urllib.request.urlopen(url + urllib.parse.urlencode(words)) as response:
        series: list[dict[str, Any]] = json.load(response)["data"]["result"]
        return series


def name_of(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), legend)


def draw(start: float, end: float) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [one for one in DASHBOARD["panels"] if one["type"] == "timeseries"]
    rows = sorted({panel["gridPos"]["y"] for panel in panels})
    pyplot.style.use("dark_background")
    figure = pyplot.figure(figsize=(18, 3 * len(rows)), facecolor="#111217")
    grid = figure.add_gridspec(len(rows), 24, hspace=0.45, wspace=6)
    for panel in panels:
        place = panel["gridPos"]
        columns = slice(place["x"], place["x"] + place["w"])
        axes = figure.add_subplot(grid[rows.index(place["y"]), columns])
        axes.set_facecolor("#181b1f")
        unit = panel["fieldConfig"]["defaults"]["unit"]
        unit = UNITS.get(unit, unit)
        title = panel["title"] + (f" ({unit})" if unit else "")
        axes.set_title(title, fontsize=10, loc="left")
        for target in panel["targets"]:
            for series in query(target["expr"], start, end):
                points = [(float(at), float(value)) for at, value in series["values"]]
                axes.plot(
                    [at - start for at, _ in points],
                    [value for _, value in points],
                    label=name_of(target["legendFormat"], series["metric"]),
                    linewidth=1.2,
                )
        axes.set_xlim(0, end - start)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.15)
        if axes.lines:
            axes.legend(fontsize=7, loc="upper left", framealpha=0.4)
        else:
            axes.text(0.5, 0.5, "No data", transform=axes.transAxes, ha="center")
    figure.savefig(PICTURE, dpi=70, bbox_inches="tight", facecolor="#111217")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "prometheus.yml")
        config.write_text(CONFIG)
        engine = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{PROMETHEUS}",
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            start = time.time() + 15
            asyncio.run(load())
            draw(start, time.time())
        finally:
            engine.terminate()
            engine.wait()


if __name__ == "__main__":
    sys.exit(main())
