"""What Uptime Kuma's server says to a client: a program that prints its port."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

import socketio_fast as socketio

sio = socketio.AsyncServer(async_mode="aiohttp")
monitors: dict[str, Any] = {}


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    assert environ["HTTP_X_TRACE"] == "1", environ
    await sio.emit("info", {"isContainer": False}, to=sid)


@sio.event
async def login(sid: str, data: dict[str, Any]) -> dict[str, Any]:
    if data["password"] != "secret":
        return {"ok": False, "msg": "authIncorrectCreds"}
    await _all(sid)
    return {"ok": True, "token": "made-of-secret"}


@sio.on("loginByToken")
async def login_by_token(sid: str, token: str) -> dict[str, Any]:
    assert token == "made-of-secret", token
    await _all(sid)
    return {"ok": True}


async def _all(sid: str) -> None:
    await sio.emit("monitorList", monitors, to=sid)
    await sio.emit("info", {"version": "1.23.2", "latestVersion": "1.23.2"}, to=sid)


@sio.event
async def add(sid: str, data: dict[str, Any]) -> dict[str, Any]:
    assert data["type"] == "http", data
    assert data["notificationIDList"] == {"1": True, "2": True}, data
    monitors["1"] = {"id": 1, **data}
    await sio.emit("monitorList", monitors, to=sid)
    beat = {"monitorID": 1, "important": True, "status": 1, "ping": 10.5}
    await sio.emit("heartbeatList", ("1", [{**beat, "status": 0}], False), to=sid)
    await sio.emit("heartbeat", beat, to=sid)
    await sio.emit("avgPing", ("1", 10.5), to=sid)
    await sio.emit("uptime", ("1", 24, 1), to=sid)
    await sio.emit("uptime", ("1", 720, 0.5), to=sid)
    await sio.emit("certInfo", ("1", json.dumps({"valid": True})), to=sid)
    await sio.emit("initServerTimezone", to=sid)
    return {"ok": True, "msg": "Added Successfully.", "monitorID": 1}


@sio.on("getMonitor")
async def get_monitor(sid: str, number: int) -> dict[str, Any]:
    return {"ok": True, "monitor": monitors[str(number)]}


@sio.on("addMonitorTag")
async def add_monitor_tag(sid: str, tag: int, monitor: int, value: str) -> Any:
    return {"ok": True, "msg": f"Added {tag} {monitor} {value}"}


@sio.on("pauseMonitor")
async def pause_monitor(sid: str, number: int) -> dict[str, Any]:
    return {"ok": True, "msg": f"Paused {number}"}


@sio.on("getTags")
async def get_tags(sid: str) -> None:
    await asyncio.sleep(60)  # longer than the client waits


async def main() -> None:
    app = web.Application()
    sio.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
