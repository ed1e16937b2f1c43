"""A server for the tests of its peers, and what its handlers were told."""

from __future__ import annotations

from typing import Any

from socketio_fast import AsyncServer
from support.sansio import Server

Log = list[tuple[Any, ...]]


def make(**options: Any) -> tuple[Server, AsyncServer]:
    sio = AsyncServer(**options)
    return Server(sio), sio


def noting(sio: AsyncServer, namespace: str | None = None) -> Log:
    """Connect and disconnect handlers that note what they get."""
    log: Log = []

    @sio.on("connect", namespace=namespace)
    def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        log.append(("connect", sid, auth))

    @sio.on("disconnect", namespace=namespace)
    def disconnect(sid: str, reason: str) -> None:
        log.append(("disconnect", sid, reason))

    return log


def peers(sio: AsyncServer, namespace: str = "/") -> list[str]:
    return list(sio._hub.namespaces[namespace].peers)
