"""``run()``: serves until a signal ends the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from socketio_fast._version import __version__
from socketio_fast.hosting.asgi import EngineASGIApp
from socketio_fast.hosting.checks import server_of
from socketio_fast.serving.serve import SERVERS, App, RunningServer, serve

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from socketio_fast.engineio.server import Server as SyncEngineServer
    from socketio_fast.hosting.wsgi import EngineWSGIApp
    from socketio_fast.options.typed import ServeOptions
    from socketio_fast.server import Server
    from socketio_fast.threads.facade import Threads

__all__ = ["run", "runner"]


def run(
    app: App | Server | SyncEngineServer | EngineWSGIApp,
    host: str | None = "127.0.0.1",
    port: int = 5000,
    **options: Unpack[ServeOptions],
) -> None:
    """Serve an application until SIGINT or SIGTERM; with uvloop where there is one.

    The first signal stops it gracefully, see :meth:`RunningServer.close`; the second at
    once. Signals reach only the main thread: in another thread this serves until the
    process ends. Use :func:`serve` to stop earlier.

    Args:
        app: See :func:`serve`. Or a ``Server`` for threads, of Socket.IO or Engine.IO,
            or a ``WSGIApp`` of one, beside whose Engine.IO path the WSGI application is
            served in threads (the extra ``wsgi``).
        host: See :func:`serve`.
        port: See :func:`serve`.
        **options: See :func:`serve`.

    Raises:
        SystemExit: It cannot listen there: a line for stderr, and the exit code 1. In
            another than the main thread it is the ``OSError`` itself.
        RuntimeError: An event loop runs in this thread, as in Jupyter: use
            :func:`serve`.

    It raises what :func:`serve` does besides.
    """
    threads, served = _threaded(app)
    _refuse_running_loop(threads)
    try:
        if threads is None:
            runner()(_serve_until_signal(served, host, port, options))
        else:
            _serve_in_threads(threads, served, host, port, options)
    except KeyboardInterrupt:
        pass
    except _CannotListenError as exc:
        if not _in_main_thread():
            # A thread that SystemExit ends prints nothing.
            raise exc.reason from None
        raise SystemExit(f"socketio-fast: {exc.reason}") from exc.reason


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
    app: App, host: str | None, port: int, options: ServeOptions
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

    for number in (signal.SIGINT, signal.SIGTERM) if _in_main_thread() else ():
        # Event loops on Windows have no signal handlers: SIGINT ends the loop.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, on_signal)
    _announce(server)
    try:
        await stop.wait()
        await server.close()
    except asyncio.CancelledError:
        await server._abort()


def _serve_in_threads(
    threads: Threads,
    app: App,
    host: str | None,
    port: int,
    options: ServeOptions,
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
        for number in (signal.SIGINT, signal.SIGTERM)
        if _in_main_thread()
    }
    try:
        server = threads.run(_serve(app, host, port, options))
        _announce(server)
        stop.wait()
        threads.run(server.close())
    finally:
        threads.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def _threaded(app: Any) -> tuple[Threads | None, Any]:
    """The threads of a server, ``None`` if it is asynchronous, and what to serve."""
    if isinstance(app, EngineASGIApp) or isinstance(server_of(app), SERVERS):
        return None, app
    # A program that serves one of these has imported their modules already.
    from socketio_fast.engineio.server import Server as SyncEngineServer
    from socketio_fast.hosting.wsgi import EngineWSGIApp
    from socketio_fast.server import Server

    server = server_of(app.server if isinstance(app, EngineWSGIApp) else app)
    if isinstance(server, Server):
        inner: Any = server._server
    elif isinstance(server, SyncEngineServer):
        inner = server._inner
    else:
        return None, app
    if isinstance(app, EngineWSGIApp):
        other = None
        if app.wsgi_app is not None:
            try:
                from socketio_fast.hosting.other_app import in_threads
            except ImportError as exc:  # its message names the extra for ASGI
                raise ImportError(
                    "a WSGI application beside a Socket.IO server is served by uvicorn "
                    'and a2wsgi: pip install "socketio-fast[wsgi]"'
                ) from exc

            other = in_threads(app.wsgi_app)
        inner = EngineASGIApp(inner, other, app.static_files, app.path)
    return server._threads, inner


def _announce(server: RunningServer) -> None:
    print(
        f"socketio_fast {__version__} listening on {server.url}"
        f"{server._endpoint.path} (pid {os.getpid()})",
        flush=True,
    )


def runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """What runs a coroutine to its end: by uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run  # as on Windows
    return uvloop.run
