"""A live dashboard: FastAPI, pydantic, and JSON Web Tokens.

python examples/dashboard/app.py

Whoever logs in by HTTP gets a token. The token opens the connection, by which figures
come; they can be asked for more or less often.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

import socketio_fast as socketio

SECRET = os.environ.get("DASHBOARD_SECRET") or secrets.token_hex(32)
PASSWORD = os.environ.get("DASHBOARD_PASSWORD", "open sesame")
LIFETIME = 3600  # seconds


class Login(BaseModel):
    name: str = Field(min_length=1, max_length=40)
    password: str


class Auth(BaseModel):
    token: str


class Interval(BaseModel):
    seconds: float = Field(ge=0.05, le=60)


class Figures(BaseModel):
    time: float
    load: float
    clients: int


sio = socketio.AsyncServer()
interval = Interval(seconds=1)


def figures() -> Figures:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return Figures(time=time.time(), load=load, clients=len(sio.of("/").sockets))


async def report() -> None:
    while True:
        await sio.emit("figures", figures())
        await asyncio.sleep(interval.seconds)


@asynccontextmanager
async def lifespan(api: FastAPI) -> AsyncIterator[None]:
    task = asyncio.create_task(report())
    yield
    task.cancel()


api = FastAPI(title="A live dashboard", lifespan=lifespan)


@api.post("/login")
async def login(login: Login) -> Auth:
    if not secrets.compare_digest(login.password.encode(), PASSWORD.encode()):
        raise HTTPException(401, "wrong password")
    claims = {"sub": login.name, "exp": time.time() + LIFETIME}
    return Auth(token=jwt.encode(claims, SECRET, algorithm="HS256"))


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: Auth) -> None:
    try:
        claims = jwt.decode(auth.token, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as exc:
        raise socketio.exceptions.ConnectionRefusedError("log in again") from exc
    await sio.save_session(sid, {"name": claims["sub"]})


@sio.event
async def set_interval(sid: str, wanted: Interval) -> Interval:
    """Validated: the client is told what is wrong, and this is not called."""
    interval.seconds = wanted.seconds
    session = await sio.get_session(sid)
    await sio.emit("interval", {"by": session["name"], "seconds": wanted.seconds})
    return wanted


page = Path(__file__).with_name("index.html")
app = socketio.ASGIApp(sio, api, static_files={"/": str(page)})

if __name__ == "__main__":
    socketio.run(app, port=int(os.environ.get("PORT", 5000)))
