"""Starts a supervisor, as ``run()`` asks for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from socketio_fast.serving.announcing import Announcement
from socketio_fast.serving.drain import check_rate
from socketio_fast.serving.log_options import LogOptions
from socketio_fast.serving.program import check_place, threaded
from socketio_fast.serving.serve import port_of
from socketio_fast.workers.listening import Listening, activated_sockets
from socketio_fast.workers.options import SupervisorOptions
from socketio_fast.workers.pidfile import pidfile
from socketio_fast.workers.supervisor import StartError, Supervisor
from socketio_fast.workers.worker import FromName, FromObject
from socketio_fast.workers.worker_process import importing

if TYPE_CHECKING:
    from socketio_fast.options.typed import ServeOptions

__all__ = ["supervise"]


def supervise(
    app: Any,
    factory: bool,
    host: str | None,
    port: int,
    settings: SupervisorOptions,
    options: ServeOptions,
    logs: LogOptions,
    announcement: Announcement,
) -> int:
    """Supervise workers until a signal stops them.

    Args:
        app: The application, or its name.
        factory: Whether this is the name of a function that returns it.
        host: See ``serve()``.
        port: See ``serve()``.
        settings: How many workers, and what becomes of them.
        options: The options of ``serve()``.
        logs: How workers log.
        announcement: How it is said that they listen.

    Returns:
        The exit code.

    Raises:
        SystemExit: It cannot listen, or the first workers cannot start.
        RuntimeError: See ``run()``.
        ImportError: See ``run()``.
        ValueError: See ``run()``.
    """
    _check(settings, named=isinstance(app, str), options=options)
    if isinstance(app, str):
        check_place(app)
        program: FromName | FromObject = FromName(app, factory, logs)
    else:
        threaded(app)  # raises what is wrong with it
        program = FromObject(app)
    try:
        with pidfile(settings.pidfile):
            listening = _listen(host, port, settings.workers, options)
            supervisor = Supervisor(program, listening, options, settings, announcement)
            return supervisor.run()
    except (OSError, StartError) as exc:
        raise SystemExit(f"socketio-fast: {exc}") from exc


def _check(settings: SupervisorOptions, named: bool, options: ServeOptions) -> None:
    if importing():
        raise RuntimeError(
            "run() was called while a worker imports this module: write it below "
            'if __name__ == "__main__":'
        )
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "workers are supervised in the main thread, which gets the signals: call "
            "run() there"
        )
    if named and options.get("ssl") is not None:
        raise ValueError(
            "ssl=SSLContext with the name of an application: it cannot be passed to "
            "another interpreter; write ssl_certfile= and ssl_keyfile="
        )
    check_rate("drain_rate", options.get("drain_rate"))


def _listen(
    host: str | None, port: int, slots: int, options: ServeOptions
) -> Listening:
    """Open the sockets; what says where is removed from the options."""
    backlog = options.get("backlog", 2048)
    uds = options.pop("uds", None)
    sock = options.pop("sock", None)
    if uds is not None:
        return Listening.on_file(uds, backlog, slots)
    given: Sequence[socket.socket] = (
        activated_sockets()
        if sock is None
        else [sock]
        if isinstance(sock, socket.socket)
        else sock
    )
    if given:
        return Listening.on_given(given, backlog, slots)
    return Listening.on_port(host, port_of(port) or 0, backlog, slots)
