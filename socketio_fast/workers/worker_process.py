"""A worker, in its own process: it serves what its slot's sockets accept.

It tells its supervisor once a second that its event loop runs, and stops when the
supervisor says so or has ended.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from socketio_fast._core.engine.observer import Observer
from socketio_fast.cluster.figures import Figures
from socketio_fast.event_loops import runner
from socketio_fast.serving.announcing import settings_of
from socketio_fast.serving.collector import startup_frozen
from socketio_fast.serving.program import NoApplicationError, threaded
from socketio_fast.serving.serve import RunningServer, serve
from socketio_fast.workers.control import Channel
from socketio_fast.workers.directory import hold, release

if TYPE_CHECKING:
    from socketio_fast.options.typed import ServeOptions
    from socketio_fast.threads.facade import Threads

__all__ = ["GRACE", "Assignment", "WorkerProcess", "importing", "work"]

#: Seconds between two signs of life.
BEAT = 1.0

#: Seconds beyond ``shutdown_timeout`` after which a process that stops is ended.
GRACE = 3.0

#: What ``serve()`` refuses by, as a line without a traceback.
REFUSALS = (ImportError, OSError, RuntimeError, TypeError, ValueError)

_importing = False


def importing() -> bool:
    """Whether this process is a worker that is importing its application."""
    return _importing


@dataclass
class Assignment:
    """What a worker is told when it starts.

    Attributes:
        number: The number of its slot.
        directory: Where the workers of this supervisor find each other.
        control: Its end of the connection with the supervisor.
        lifeline: The reading end of a pipe. It ends when the supervisor does.
        slots: The listening sockets of each slot.
        options: Those of ``serve()``.
    """

    number: int
    directory: str
    control: socket.socket
    lifeline: int
    slots: list[list[socket.socket]]
    options: ServeOptions

    @property
    def time_to_stop(self) -> float:
        """Seconds after which a worker that stops is ended."""
        return self.options.get("shutdown_timeout", 10) + GRACE


def work(assignment: Assignment, load: Callable[[], Any]) -> NoReturn:
    """Serve until told to stop, then end the process.

    Args:
        assignment: What to do.
        load: Returns the application.
    """
    status = 1
    worker = WorkerProcess(assignment)
    try:
        status = worker.run(load)
    except SystemExit as exc:
        if isinstance(exc.code, str):
            print(exc.code, file=sys.stderr)
        else:
            status = exc.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Not by SystemExit: in a forked process that would run what is the program's to
        # do at its end, and wait for threads that still run handlers.
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        with contextlib.suppress(BaseException):
            logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        worker.leave()
        os._exit(status)


class WorkerProcess:
    """Serves an application in this process.

    Args:
        assignment: What the supervisor has assigned to it.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._channel = Channel(assignment.control)
        self._directory = hold(assignment.directory)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: asyncio.Future[str] | None = None
        self._server: RunningServer | None = None
        self._counts = Observer()  # counts packets
        self._main: asyncio.Task[None] | None = None
        # What stops accepting for other slots, by their number.
        self._substituted: dict[int, Callable[[], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._beat_timer: asyncio.TimerHandle | None = None

    def run(self, load: Callable[[], Any]) -> int:
        """Serve until told to stop.

        Returns:
            The exit code of the process.
        """
        global _importing
        os.environ["SOCKETIO_FAST_CLUSTER"] = f"unix:{self._assignment.directory}"
        os.environ["SOCKETIO_FAST_WORKER"] = str(self._assignment.number)
        # The supervisor is told by the terminal too, and passes on what is to be done.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(
            target=self._watch_supervisor, name="socketio_fast supervisor", daemon=True
        ).start()
        _importing = True
        try:
            app = load()
        except NoApplicationError as exc:
            self._failed(str(exc))
            return 1
        except BaseException:
            traceback.print_exc()
            self._failed("the application could not be imported")
            return 1
        finally:
            _importing = False
        try:
            threads, served = threaded(app)
            self._serve(threads, served)
        except REFUSALS as exc:
            if self._server is not None:
                raise
            self._failed(str(exc))
            return 1
        return 0

    def leave(self) -> None:
        """Remove the directory, if all other processes that had it have ended."""
        with contextlib.suppress(BaseException):
            release(self._assignment.directory, self._directory)

    def _failed(self, why: str) -> None:
        self._channel.send({"event": "failed", "why": why})

    def _serve(self, threads: Threads | None, served: Any) -> None:
        if threads is None:
            runner()(self._serve_until_told(served, on_main_thread=True))
            return
        signal.signal(signal.SIGTERM, lambda *_: self._tell("leave"))
        try:
            threads.run(self._serve_until_told(served, on_main_thread=False))
        finally:
            threads.stop()

    async def _serve_until_told(self, served: Any, *, on_main_thread: bool) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._told = loop.create_future()
        self._main = asyncio.current_task()
        own = self._duplicates(self._assignment.number)
        self._assignment.options["sock"] = own
        self._server = server = await serve(served, **self._assignment.options)
        engine = server._eio.engine
        engine.observe(self._counts)
        if on_main_thread:
            loop.add_signal_handler(signal.SIGTERM, self._on_told, "leave")
        self._accept(server)
        try:
            with startup_frozen():
                how = await self._told
                if how == "leave":
                    self._channel.send({"event": "leaving"})
                await self._stop(server, how)
        except asyncio.CancelledError:
            await server._abort()
        finally:
            loop.remove_reader(self._channel.fileno())
            if self._beat_timer is not None:
                self._beat_timer.cancel()

    def _accept(self, server: RunningServer) -> None:
        """Tell the supervisor that this worker accepts, and listen to it."""
        assert self._loop is not None
        dumps = False
        if signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL:
            # The supervisor asks for it where the event loop does not run any more.
            faulthandler.register(signal.SIGUSR2, all_threads=True)
            dumps = True
        self._channel.send(
            {
                "event": "accepting",
                "url": f"{server.url}{server._endpoint.path}",
                "settings": settings_of(server._eio.config),
                "dumps": dumps,
            }
        )
        self._loop.add_reader(self._channel.fileno(), self._on_messages)
        self._beat()

    async def _stop(self, server: RunningServer, how: str) -> None:
        for number in list(self._substituted):
            self._stop_substituting(number)
        # As long as this process has a socket, the kernel queues connections there.
        for sock in {sock for slot in self._assignment.slots for sock in slot}:
            sock.close()
        if how == "stop":
            await server.close()
        elif how == "quit":
            server._stop_listening()
            await server.close()
        else:
            await server._retire()

    def _duplicates(self, slot: int) -> list[socket.socket]:
        """The sockets of a slot, to be closed by who accepts from them."""
        return [sock.dup() for sock in self._assignment.slots[slot]]

    # What happens meanwhile.

    def _on_messages(self) -> None:
        """Called by the event loop when the supervisor has sent something."""
        messages, closed = self._channel.receive()
        for message in messages:
            order = message["order"]
            if order in ("stop", "retire", "quit"):
                self._on_told(order, again=False)
            elif order == "listen":
                assert self._loop is not None
                task = self._loop.create_task(self._substitute(message["slot"]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif order == "unlisten":
                self._stop_substituting(message["slot"])
        if closed:
            assert self._loop is not None
            self._loop.remove_reader(self._channel.fileno())
            self._on_told("stop", again=False)

    def _tell(self, how: str, *, again: bool = True) -> None:
        """Stop; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._on_told, how, again)

    def _on_told(self, how: str, again: bool = True) -> None:
        assert self._told is not None
        if not self._told.done():
            self._told.set_result(how)
        elif again and self._main is not None:
            self._main.cancel()  # the second signal ends it at once

    async def _substitute(self, slot: int) -> None:
        """Accept connections for a slot whose worker is down."""
        assert self._server is not None
        assert self._told is not None
        if slot in self._substituted or self._told.done():
            return
        self._substituted[slot] = lambda: None
        stop = await self._server._accept_from(self._duplicates(slot))
        if slot in self._substituted:
            self._substituted[slot] = stop
        else:
            stop()

    def _stop_substituting(self, slot: int) -> None:
        self._substituted.pop(slot, lambda: None)()

    def _beat(self) -> None:
        """Tell the supervisor that the event loop runs, and what it does."""
        assert self._loop is not None
        assert self._server is not None
        figures = Figures.of(
            self._server._eio.engine,
            len(self._server._endpoint.connections.open),
            self._counts,
        )
        self._channel.send({"event": "beat", **vars(figures)}, droppable=True)
        self._beat_timer = self._loop.call_later(BEAT, self._beat)

    def _watch_supervisor(self) -> None:
        """In a thread: end when the supervisor has ended, whatever the loop does."""
        while os.read(self._assignment.lifeline, 1):
            pass
        with contextlib.suppress(BaseException):  # nobody may read it any more
            print(
                f"socketio-fast: the supervisor has ended: worker "
                f"{self._assignment.number} (pid {os.getpid()}) stops",
                file=sys.stderr,
                flush=True,
            )
        if self._told is not None:
            self._tell("stop", again=False)
            time.sleep(self._assignment.time_to_stop)
        self.leave()
        os._exit(1)
