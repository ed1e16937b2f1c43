"""``run()``: serves until a signal ends the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from socketio_fast.event_loops import runner
from socketio_fast.serving.announcing import Announcement, settings_of
from socketio_fast.serving.collector import startup_frozen
from socketio_fast.serving.log_options import LogOptions
from socketio_fast.serving.program import load, threaded
from socketio_fast.serving.serve import App, RunningServer, serve
from socketio_fast.threads.waiting import wait_for
from socketio_fast.workers.options import SupervisorOptions, worker_count
from socketio_fast.workers.pidfile import pidfile as keep_pidfile

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.engineio.server import Server as SyncEngineServer
    from socketio_fast.hosting.wsgi import EngineWSGIApp
    from socketio_fast.options.typed import ServeOptions
    from socketio_fast.server import Server
    from socketio_fast.threads.facade import Threads

__all__ = ["run"]

#: Windows has SIGBREAK: Ctrl-Break, and what a service manager sends to a console.
STOP_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    *(number for number in signal.Signals if number.name == "SIGBREAK"),
)


def run(
    app: App | Server | SyncEngineServer | EngineWSGIApp | str,
    host: str | None = "127.0.0.1",
    port: int = 5000,
    *,
    factory: bool = False,
    workers: int | Literal["auto"] = 1,
    reload: bool = False,
    reload_dirs: Sequence[str | os.PathLike[str]] | None = None,
    pidfile: str | os.PathLike[str] | None = None,
    max_worker_age: float | None = None,
    max_worker_memory: int | None = None,
    worker_timeout: float | None = None,
    log_level: str | None = None,
    log_format: Literal["text", "json"] | None = None,
    verbose: bool = False,
    **options: Unpack[ServeOptions],
) -> None:
    """Serve an application until SIGINT or SIGTERM; with uvloop where there is one.

    The first signal stops it gracefully, see :meth:`RunningServer.close`; the second at
    once. Signals reach only the main thread: in another thread this serves until the
    process ends. Use :func:`serve` to stop earlier.

    With several workers, this process supervises them; docs/deployment.md says how they
    live. Sockets that systemd passes (``LISTEN_FDS``) are used instead of host and
    port.

    Args:
        app: See :func:`serve`. Or a ``Server`` for threads, of Socket.IO or Engine.IO,
            or a ``WSGIApp`` of one, beside whose Engine.IO path the WSGI application is
            served in threads (the extra ``wsgi``). Or the name of one of these,
            ``"module:app"``.
        host: See :func:`serve`.
        port: See :func:`serve`. All workers listen on it.
        factory: Whether ``app`` names a function without arguments that returns the
            application.
        workers: The number of processes that serve; ``"auto"`` for one on each core
            that this process may use. Each imports an application that is given by its
            name; one that is given as an object is forked with this process.
        reload: Whether the server starts again when a Python file changes, for
            development (the extra ``reload``). ``app`` is to be a name.
        reload_dirs: The directories that ``reload`` watches, with all below; ``None``
            for the current one.
        pidfile: A file for the number of this process, removed at the end.
        max_worker_age: Seconds after which a worker is replaced by a new one; up to a
            tenth less, by chance, so that not all go at once. ``None`` for no limit.
        max_worker_memory: Bytes of resident memory above which a worker is replaced,
            likewise, but not in its first 5 seconds. ``None`` for no limit.
        worker_timeout: Seconds that a worker's event loop may be blocked before it is
            killed and replaced. ``None``: it is only named in the log, after 60.
        log_level: The lowest level that is logged, to stderr, by all loggers of the
            program: ``"debug"``, ``"info"``, ``"warning"``, ``"error"`` or
            ``"critical"``. ``None``: the program's own settings count.
        log_format: ``"text"``, or ``"json"`` for a line of JSON for each record, see
            :class:`socketio_fast.logs.JsonFormatter`; that it listens is then a record
            too. Either replaces the handlers of the root logger. ``None``: the
            program's own settings count.
        verbose: Whether it also says with which transports, workers and limits it
            listens.
        **options: See :func:`serve`.

    Raises:
        SystemExit: It cannot listen there, ``pidfile`` names a process that runs, or
            the first worker cannot start: a line for stderr, and the exit code 1. In
            another than the main thread an ``OSError`` is raised itself. With workers,
            a second signal is the exit code 128 and its number.
        RuntimeError: An event loop runs in this thread, as in Jupyter: use
            :func:`serve`. Workers are supervised in another than the main thread, on
            Windows, or started by the application that one of them imports.
        ImportError: ``reload`` without the package watchfiles.
        ValueError: ``workers``, a limit or an option of logs is not what is expected;
            a name stands for no application; ``reload`` or ``factory`` without a name;
            an ``ssl.SSLContext`` for several workers and an application that is given
            by its name.

    It raises what :func:`serve` does besides, and what an application's module does.
    """
    settings = SupervisorOptions(
        worker_count(workers),
        reload,
        reload_dirs,
        pidfile,
        max_worker_age,
        max_worker_memory,
        worker_timeout,
    )
    if not isinstance(app, str) and (factory or reload):
        option = "reload" if reload else "factory"
        raise ValueError(
            f"{option}=True with an object: its module is to be imported again, so app "
            'is to be a name, "module:app"'
        )
    logs = LogOptions(log_level, log_format)
    logs.apply()
    announcement = Announcement(verbose, log_format == "json")
    if settings.supervised:
        if not hasattr(os, "fork"):
            raise RuntimeError(
                f"workers={settings.workers}, reload={reload}: workers inherit their "
                f"sockets, which processes of {sys.platform} cannot; start the server "
                "without workers, reload and limits of workers"
            )
        from socketio_fast.workers.start import supervise

        _refuse_running_loop(None)
        status = supervise(
            app, factory, host, port, settings, options, logs, announcement
        )
        if status:
            raise SystemExit(status)
        return
    served_app = load(app, factory) if isinstance(app, str) else app
    threads, served = threaded(served_app)
    _refuse_running_loop(threads)
    try:
        _use_activated_sockets(options)
        with keep_pidfile(pidfile):
            _run_alone(threads, served, host, port, options, announcement)
    except _CannotListenError as exc:
        if not _in_main_thread():
            # A thread that SystemExit ends prints nothing.
            raise exc.reason from None
        raise SystemExit(f"socketio-fast: {exc.reason}") from exc.reason


def _run_alone(
    threads: Threads | None,
    served: App,
    host: str | None,
    port: int,
    options: ServeOptions,
    announcement: Announcement,
) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        if threads is None:
            runner()(_serve_until_signal(served, host, port, options, announcement))
        else:
            _serve_in_threads(threads, served, host, port, options, announcement)


def _use_activated_sockets(options: ServeOptions) -> None:
    """Listen on the sockets that systemd has passed, unless others are named."""
    if "LISTEN_PID" not in os.environ or options.get("sock") or options.get("uds"):
        return
    from socketio_fast.workers.listening import activated_sockets

    if sockets := activated_sockets():
        options["sock"] = sockets


class _CannotListenError(Exception):
    """``serve()`` has raised an ``OSError``, which is told from those of handlers."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason)
        self.reason = reason


async def _serve(
    app: App, host: str | None, port: int, options: ServeOptions
) -> RunningServer:
    try:
        return await serve(app, host, port, **options)
    except OSError as exc:
        raise _CannotListenError(exc) from None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _refuse_running_loop(threads: Threads | None) -> None:
    """Raise RuntimeError if an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    instead = (
        "await socketio.serve(app, host, port)"
        if threads is None
        else "threading.Thread(target=socketio.run, args=(app, host, port)).start()"
    )
    raise RuntimeError(
        "run() would block the event loop that runs in this thread, as in Jupyter: "
        f"write {instead}"
    )


async def _serve_until_signal(
    app: App,
    host: str | None,
    port: int,
    options: ServeOptions,
    announcement: Announcement,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    server = await _serve(app, host, port, options)
    task = asyncio.current_task()
    assert task is not None

    def on_signal() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    with _signals_call(on_signal, loop), startup_frozen():
        _announce(server, announcement)
        try:
            await stop.wait()
            await server.close()
        except asyncio.CancelledError:
            await server._abort()


@contextlib.contextmanager
def _signals_call(
    on_signal: Callable[[], object], loop: asyncio.AbstractEventLoop
) -> Iterator[None]:
    """Call this on the loop at each signal that stops the server."""

    def handler(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(on_signal)

    before = {}
    for number in STOP_SIGNALS if _in_main_thread() else ():
        try:
            loop.add_signal_handler(number, on_signal)
        except NotImplementedError:  # asyncio on Windows
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _serve_in_threads(
    threads: Threads,
    app: App,
    host: str | None,
    port: int,
    options: ServeOptions,
    announcement: Announcement,
) -> None:
    # The server's event loop runs in another thread; this one waits for signals.
    stop = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set():
            # At a regular exit Python would wait for every thread of the pool.
            os._exit(128 + number)
        stop.set()

    before = {
        number: signal.signal(number, on_signal)
        for number in STOP_SIGNALS
        if _in_main_thread()
    }
    try:
        server = threads.run(_serve(app, host, port, options))
        with startup_frozen():
            _announce(server, announcement)
            wait_for(stop)
            threads.run(server.close())
    finally:
        threads.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _announce(server: RunningServer, announcement: Announcement) -> None:
    url = f"{server.url}{server._endpoint.path}"
    announcement.make(url, settings_of(server._eio.config))
