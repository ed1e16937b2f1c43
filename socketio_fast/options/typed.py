"""The options of servers as types, for editors and type checkers.

Nothing here is used when a program runs. What the options mean, and their defaults, is
said by the classes and functions that take them.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from socketio_fast.options.limits import Limits
from socketio_fast.options.logs import AnyLogger
from socketio_fast.serving.proxies import TrustedProxies

__all__ = [
    "AsyncEngineOptions",
    "AsyncServerOptions",
    "EngineOptions",
    "MoreEngineOptions",
    "ServeOptions",
]


class MoreEngineOptions(TypedDict, total=False):
    """Options of an Engine.IO server that python-engineio does not have."""

    upgrade_timeout: float
    max_buffer_bytes: int
    high_water_mark: int
    slow_consumer: Literal["close", "drop_volatile", "drop_oldest", "block"]
    per_message_deflate: bool | Mapping[str, Any]
    max_pending_events: int
    max_pending_bytes: int
    limits: Limits | None
    allow_eio3: bool
    allow_jsonp: bool | None
    trusted_proxies: str | Sequence[str] | TrustedProxies
    slow_handler_threshold: float | None
    allow_request: Callable[..., Any] | None
    initial_packet: str | bytes | None


class EngineOptions(MoreEngineOptions, total=False):
    """Options of both servers of Engine.IO, that for asyncio and that for threads."""

    ping_interval: float | tuple[float, float]
    ping_timeout: float
    max_http_buffer_size: int
    allow_upgrades: bool
    http_compression: bool
    compression_threshold: int
    cookie: str | Mapping[str, Any] | None
    cors_allowed_origins: str | Sequence[str] | Callable[..., bool] | None
    cors_credentials: bool
    monitor_clients: bool | None
    transports: str | Sequence[str] | None


class AsyncEngineOptions(EngineOptions, total=False):
    """Options of :class:`socketio_fast.engineio.AsyncServer`."""

    async_mode: str | None


class AsyncServerOptions(EngineOptions, total=False):
    """Options of :class:`socketio_fast.AsyncServer` that ``Server`` passes on to it."""

    engineio_logger: bool | AnyLogger | None
    connect_timeout: float
    max_attachments: int
    max_incomplete_bytes: int
    max_pending_acks: int
    cleanup_empty_child_namespaces: bool
    validate_handlers: bool
    connection_state_recovery: bool | Mapping[str, Any] | None
    error_acks: bool
    serve_client: str | os.PathLike[str] | bool | None


class ServeOptions(TypedDict, total=False):
    """Options of :func:`socketio_fast.serve`, which ``run()`` has too."""

    path: str | None
    uds: str | os.PathLike[str] | None
    sock: socket.socket | None
    ssl_certfile: str | os.PathLike[str] | None
    ssl_keyfile: str | os.PathLike[str] | None
    ssl_keyfile_password: str | None
    ssl: ssl.SSLContext | None
    static_files: Mapping[str, str | Path | Mapping[str, Any]] | None
    backlog: int
    shutdown_timeout: float
    drain_rate: float | None
    access_log: bool
    proxy_protocol: bool
    webtransport: bool
