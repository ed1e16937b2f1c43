"""Starts workers, replaces those that end, and passes on what signals ask for.

The supervisor is one thread without an event loop, so that it can fork at any time. It
waits for signals, for what workers say, and for times that are due.
"""

from __future__ import annotations

import contextlib
import os
import sched
import selectors
import shutil
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from socketio_fast._version import __version__
from socketio_fast.options.logs import choose_logger
from socketio_fast.serving.announcing import Announcement
from socketio_fast.workers.control import Message
from socketio_fast.workers.directory import hold, remove_abandoned
from socketio_fast.workers.listening import Listening
from socketio_fast.workers.options import SupervisorOptions
from socketio_fast.workers.slot import MOMENT, Slot
from socketio_fast.workers.status import StatusSocket, make_directory, table
from socketio_fast.workers.worker import (
    Environment,
    Program,
    Worker,
    how_it_ended,
)
from socketio_fast.workers.worker_process import GRACE

if TYPE_CHECKING:
    from socketio_fast.options.typed import ServeOptions
    from socketio_fast.workers.reloading import Watcher

__all__ = ["StartError", "Supervisor"]

#: Seconds without a sign of life after which a worker is named in the log.
SILENT = 60.0

#: Seconds between two looks at what workers use, and whether they answer.
LOOK = 1.0

#: Seconds after SIGTERM of a worker until another is started: systemd and others send
#: it to all processes, and this one may get it last.
COMMON_SIGNAL = 0.3

#: Seconds that clients have to leave when a file has changed.
RELOAD_TIMEOUT = 2.0

#: Seconds that a worker lives at least, however much memory it has.
YOUNG = 5.0

#: Seconds until a replacement that could not start is tried again.
RETRY = 60.0


class StartError(Exception):
    """The first worker could not start."""


class Supervisor:
    """Runs workers until a signal stops it.

    Args:
        program: What the workers serve.
        listening: Their sockets, which this closes.
        serve_options: The options of ``serve()``.
        options: What becomes of workers.
        announcement: How it is said that they listen.
    """

    def __init__(
        self,
        program: Program,
        listening: Listening,
        serve_options: ServeOptions,
        options: SupervisorOptions,
        announcement: Announcement,
    ) -> None:
        self._program = program
        self._listening = listening
        self._options = options
        self._serve_options = serve_options
        self._announcement = announcement
        self._slots = [Slot(number) for number in range(options.workers)]
        self._timers = sched.scheduler(time.monotonic)
        self._selector = selectors.DefaultSelector()
        self._logger = choose_logger(True, "socketio_fast.workers")
        self._started = time.monotonic()
        self._watcher: Watcher | None = None
        self._url: str | None = None
        #: What workers say of theirs.
        self._settings: dict[str, str] = {}
        #: Whether all workers have accepted connections once.
        self._announced = False
        self._stopping = False
        self._reloading = False
        #: Whether nothing is served until a file changes.
        self._broken = False
        self._error: StartError | None = None
        self._killed_by: int | None = None
        #: Slots whose worker is to be replaced, and the one that is being.
        self._to_replace: deque[Slot] = deque()
        self._replacing: Slot | None = None
        # Closed in forked processes too.
        self._own_descriptors: list[Any] = [self._selector]
        self._stop_timeout = serve_options.get("shutdown_timeout", 10) + GRACE
        self._has_terminal = _terminal()

    def run(self) -> int:
        """Run until stopped.

        Returns:
            The exit code: 0, or 128 and the signal's number after a second signal.

        Raises:
            StartError: The first workers could not start.
            OSError: No directory could be made.
            ValueError: ``reload_dirs`` has what is no directory.
        """
        with contextlib.ExitStack() as stack:
            self._prepare(stack)
            self._start(self._slots[0])
            self._look()
            while self._workers() or not self._stopping:
                self._pass()
        if self._error is not None:
            raise self._error
        return 0 if self._killed_by is None else 128 + self._killed_by

    def _prepare(self, stack: contextlib.ExitStack) -> None:
        stack.callback(self._listening.close)
        stack.callback(self._selector.close)
        remove_abandoned()
        directory = make_directory()
        stack.callback(_remove, directory, os.getpid())
        held_directory = hold(directory)
        if held_directory is not None:
            self._own_descriptors.append(held_directory)
            stack.callback(os.close, held_directory)
        lifeline, held = os.pipe()
        stack.callback(os.close, lifeline)
        stack.callback(os.close, held)
        status = StatusSocket(directory, self.status)
        stack.callback(status.close)
        self._selector.register(status, selectors.EVENT_READ, status.answer)
        signals = stack.enter_context(self._signals())
        if self._options.reload:
            from socketio_fast.workers.reloading import Watcher

            self._watcher = Watcher(self._options.reload_dirs)
            stack.callback(self._watcher.close)
            self._selector.register(
                self._watcher, selectors.EVENT_READ, self._on_change
            )
        self._own_descriptors += [status, *signals, held]
        self._env = Environment(
            directory,
            lifeline,
            lambda: self._listening.slots,
            self._serve_options,
            self._close_in_child,
        )

    @contextlib.contextmanager
    def _signals(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        """Have the numbers of signals written to a socket, which wakes the selector."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._selector.register(
            reader, selectors.EVENT_READ, lambda: self._on_signals(reader)
        )
        self._handlers: dict[int, Callable[[int], None]] = {
            signal.SIGINT: self._on_stop_signal,
            signal.SIGTERM: self._on_stop_signal,
            signal.SIGHUP: self._on_hang_up,
            signal.SIGUSR1: lambda _: self._print_status(),
            signal.SIGCHLD: lambda _: None,  # each pass looks for who has ended
        }
        before = {
            number: signal.signal(number, lambda *_: None) for number in self._handlers
        }
        self._ignores_hang_up = before[signal.SIGHUP] == signal.SIG_IGN
        wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield reader, writer
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            reader.close()
            writer.close()

    def _close_in_child(self) -> None:
        """Close what is the supervisor's, in a forked process."""
        for worker in self._workers():
            worker.channel.close()
        for each in self._own_descriptors:
            if isinstance(each, int):
                os.close(each)
            else:
                each.close()

    # The loop.

    def _pass(self) -> None:
        due = self._timers.queue
        delay = max(0.0, due[0].time - time.monotonic()) if due else None
        for key, _ in self._selector.select(delay):
            key.data()
        for slot in self._slots:
            for worker in list(slot.workers()):
                if (code := worker.poll()) is not None:
                    self._on_exit(slot, worker, code)
        # After what workers have said: if this process was stopped for a while, they
        # have been silent only to it.
        self._timers.run(blocking=False)

    def _later(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        self._timers.enter(delay, 0, call, args)

    def _workers(self) -> list[Worker]:
        return [worker for slot in self._slots for worker in slot.workers()]

    def _start(self, slot: Slot) -> None:
        """Start a worker: the slot's, or one that takes the place of the slot's."""
        if self._stopping or self._reloading or self._broken:
            return
        slot.starts += 1
        try:
            worker = Worker(slot.number, self._program, self._env)
        except OSError as exc:  # no more processes, descriptors or memory
            self._logger.error("worker %d could not start: %s", slot.number, exc)
            if not self._announced:
                self._error = StartError(str(exc))
                self._stop()
            self._later(RETRY, self._start_again, slot)
            return
        if slot.current is None:
            slot.current = worker
        else:
            slot.incoming = worker
        self._selector.register(
            worker.channel, selectors.EVENT_READ, lambda: self._on_words(slot, worker)
        )
        self._logger.info("%s starts", worker)

    def _start_again(self, slot: Slot) -> None:
        if slot.current is None:
            self._start(slot)

    # What workers say.

    def _on_words(self, slot: Slot, worker: Worker) -> None:
        messages, closed = worker.channel.receive()
        for message in messages:
            event = message["event"]
            if event == "beat":
                worker.beat(message)
                self._watch_memory(slot, worker)
            elif event == "accepting":
                self._on_accepting(slot, worker, message)
            elif event == "failed":
                worker.failure = message["why"]
            elif event == "leaving":
                self._on_leaving(slot, worker)
        if closed:
            self._forget_channel(worker)

    def _forget_channel(self, worker: Worker) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(worker.channel)

    def _on_accepting(self, slot: Slot, worker: Worker, message: Message) -> None:
        if worker.state != "starting":
            return  # it has been told to stop meanwhile
        worker.state = "accepting"
        worker.dumps = message["dumps"]
        worker.last_beat = time.monotonic()
        self._url = message["url"]
        self._settings = message["settings"]
        self._logger.info("%s accepts connections", worker)
        if slot.incoming is worker:
            old, slot.current, slot.incoming = slot.current, worker, None
            if old is not None:
                slot.draining.append(old)
                self._stop_worker(old, "retire")
        self._end_substitution(slot)
        self._substitute_others()
        age = self._options.max_worker_age
        if age is not None:
            self._later(age * (1 - worker.early), self._on_age, slot, worker)
        if not self._announced:
            self._go_on_starting()
        self._replace_next(slot)

    def _go_on_starting(self) -> None:
        """Start the others when the first has started, so that what is wrong with an
        application is said once."""
        for slot in self._slots:
            if slot.starts == 0:
                self._start(slot)
        if all(slot.accepts for slot in self._slots):
            self._announced = True
            assert self._url is not None
            self._announcement.make(self._url, self._settings, len(self._slots))

    def _on_leaving(self, slot: Slot, worker: Worker) -> None:
        """A worker has been told by a signal to stop."""
        if worker.state != "accepting" or self._stopping or self._reloading:
            return
        worker.state = "draining"
        self._logger.info("%s has been told to stop, and drains", worker)
        if slot.current is worker:
            slot.current, slot.incoming = slot.incoming, None
        slot.draining.append(worker)
        self._later(self._stop_timeout, self._kill, worker)
        self._later(COMMON_SIGNAL, self._start_again, slot)

    # How workers end.

    def _stop_worker(self, worker: Worker, order: Any) -> None:
        self._logger.info("%s drains", worker)
        worker.stop(order)
        self._later(self._stop_timeout, self._kill, worker)

    def _kill(self, worker: Worker) -> None:
        if worker in self._workers():
            self._logger.warning("%s has not stopped in time, and is killed", worker)
            worker.kill()

    def _on_exit(self, slot: Slot, worker: Worker, code: int) -> None:
        self._on_words(slot, worker)  # why it has ended
        self._forget_channel(worker)
        worker.channel.close()
        ended = how_it_ended(code)
        for each in self._slots:
            if each.substitute is worker:
                each.substitute = None
        if worker in slot.draining:
            slot.draining.remove(worker)
            self._logger.info("%s %s", worker, ended)
        elif slot.incoming is worker:
            slot.incoming = None
            self._on_failed_replacement(slot, worker, ended)
        elif slot.current is worker:
            slot.current, slot.incoming = slot.incoming, None
            self._on_death(slot, worker, ended, code)
        self._substitute_others()
        if self._reloading and not self._workers() and not self._stopping:
            self._start_reloaded()
        self._replace_next(slot)

    def _on_death(self, slot: Slot, worker: Worker, ended: str, code: int) -> None:
        """The slot's worker has ended by itself."""
        if worker.failure is not None:
            ended = f"could not start: {worker.failure}"
        if self._stopping or self._reloading or self._broken:
            self._logger.info("%s %s", worker, ended)
        elif code == -signal.SIGTERM and worker.state == "starting":
            self._logger.info("%s %s", worker, ended)
            self._later(COMMON_SIGNAL, self._start_again, slot)
        elif self._watcher is not None and worker.state == "starting":
            self._on_broken(worker, ended)
        elif not self._announced and worker.state == "starting":
            self._error = StartError(worker.failure or f"{worker} {ended}")
            self._stop()
        elif slot.current is not None:  # the one that was to take its place
            self._logger.warning("%s %s", worker, ended)
        else:
            delay = slot.delay_after(worker)
            when = f"in {delay:.1f} s" if delay else "now"
            self._logger.warning("%s %s; the next starts %s", worker, ended, when)
            self._later(delay, self._start_again, slot)
            if delay > MOMENT:
                self._substitute(slot)

    def _on_failed_replacement(self, slot: Slot, worker: Worker, ended: str) -> None:
        why = ended if worker.failure is None else f"could not start: {worker.failure}"
        if self._stopping or self._reloading:
            return
        self._logger.error("%s %s; the one before stays", worker, why)
        self._replacing = None
        self._to_replace.clear()
        slot.replaceable_from = time.monotonic() + RETRY
        if self._options.max_worker_age is not None and slot.current is not None:
            self._later(RETRY, self._on_age, slot, slot.current)

    # While a slot has no worker, another accepts its connections.

    def _substitute(self, slot: Slot) -> None:
        if slot.current is not None and slot.current.state == "accepting":
            return
        others = [each.current for each in self._slots if each.accepts]
        if not others or self._stopping or self._reloading:
            return
        slot.substitute = others[slot.number % len(others)]
        assert slot.substitute is not None
        slot.substitute.substitute(slot.number, True)
        self._logger.info("%s accepts for slot %d", slot.substitute, slot.number)

    def _substitute_others(self) -> None:
        """Find another substitute where there is none, or it has stopped."""
        for slot in self._slots:
            substitute = slot.substitute
            gone = substitute is None or substitute.state != "accepting"
            if slot.deaths > 1 and not slot.accepts and gone:
                self._substitute(slot)

    def _end_substitution(self, slot: Slot) -> None:
        if slot.substitute is not None:
            slot.substitute.substitute(slot.number, False)
            slot.substitute = None

    # Replacing workers one after another.

    def _replace(self, slot: Slot, why: str) -> None:
        if slot in self._to_replace or slot is self._replacing or self._stopping:
            return
        if time.monotonic() < slot.replaceable_from:
            return
        self._logger.info("%s is to be replaced: %s", slot.current, why)
        self._to_replace.append(slot)
        self._replace_next(None)

    def _replace_next(self, done: Slot | None) -> None:
        """Go on with the next slot, if one is done."""
        current = self._replacing
        if current is not None:
            unfinished = current.incoming is not None or current.draining
            if done is not current or (unfinished and not self._stopping):
                return
            self._replacing = None
        while self._to_replace and not self._stopping and not self._reloading:
            slot = self._to_replace.popleft()
            if slot.accepts and slot.incoming is None:
                self._start(slot)
                if slot.incoming is not None:
                    self._replacing = slot
                    return
            # Else what starts there, or is about to, is new.

    def _on_age(self, slot: Slot, worker: Worker) -> None:
        if slot.current is worker and worker.state == "accepting":
            self._replace(slot, f"it is {worker.age:.0f} s old")

    def _watch_memory(self, slot: Slot, worker: Worker) -> None:
        limit = self._options.max_worker_memory
        if limit is None or slot.current is not worker or worker.state != "accepting":
            return
        if worker.age >= YOUNG and worker.memory > limit * (1 - worker.early):
            self._replace(slot, f"it has {worker.memory / 1048576:.0f} MiB of memory")

    def _look(self) -> None:
        """Look for workers that give no sign of life, once a second."""
        self._later(LOOK, self._look)
        limit = self._options.worker_timeout
        now = time.monotonic()
        for worker in self._workers():
            silent = now - worker.last_beat
            if worker.state != "accepting":
                continue
            if limit is not None and silent > limit:
                self._logger.error(
                    "%s has given no sign of life for %.0f s, and is killed "
                    "(worker_timeout)",
                    *(worker, silent),
                )
                worker.kill()
            elif silent > SILENT and not worker.reported_silent:
                worker.reported_silent = True
                self._logger.error(
                    "%s has given no sign of life for %.0f s: something blocks its "
                    "event loop, or has stopped it; a limit is set by worker_timeout",
                    *(worker, silent),
                )
                worker.show_stack()

    # Signals.

    def _on_signals(self, reader: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in reader.recv(4096):
                handler = self._handlers.get(number)
                if handler is not None:
                    handler(number)

    def _on_stop_signal(self, number: int) -> None:
        if self._stopping:
            self._killed_by = number
            for worker in self._workers():
                worker.kill()
            return
        self._logger.info(
            "%s: the workers drain, %g s at most",
            *(signal.Signals(number).name, self._stop_timeout - GRACE),
        )
        self._stop()

    def _stop(self) -> None:
        self._stopping = True
        drains = self._serve_options.get("drain_rate") is not None
        if not (drains and self._listening.has_file):
            # Else the kernel would go on to queue connections there. Clients that drain
            # may connect to a Unix socket as long as its file is there.
            self._listening.close()
        for worker in self._workers():
            worker.stop("stop")
            self._later(self._stop_timeout, self._kill, worker)

    def _on_hang_up(self, number: int) -> None:
        if self._has_terminal and not _terminal():
            # Not from an operator: the terminal has gone.
            if not self._ignores_hang_up:
                self._on_stop_signal(number)
            return
        if self._stopping:
            return
        self._logger.info("SIGHUP: the workers are replaced, one after another")
        for slot in self._slots:
            if slot.current is None:  # it waits for its time, which is now
                slot.deaths = 0
                self._start(slot)
            elif slot not in self._to_replace:
                self._to_replace.append(slot)
        self._replace_next(None)

    # Changed files.

    def _on_change(self) -> None:
        assert self._watcher is not None
        changed = self._watcher.changed()
        if not changed or self._stopping:
            return
        self._logger.info("%s changed: reloading", ", ".join(map(_short, changed)))
        if self._reloading:
            return
        self._reloading = True
        self._broken = False
        self._to_replace.clear()
        for worker in self._workers():
            worker.stop("quit")
            self._later(RELOAD_TIMEOUT, worker.kill)
        if not self._workers():
            self._start_reloaded()

    def _start_reloaded(self) -> None:
        self._reloading = False
        try:
            self._listening.reopen()
        except OSError as exc:
            self._broken = True
            self._logger.error("it cannot listen: %s; waiting for a change", exc)
            return
        self._replacing = None
        for slot in self._slots:
            slot.deaths = slot.starts = 0
            slot.substitute = None
        self._announced = False
        self._start(self._slots[0])

    def _on_broken(self, worker: Worker, ended: str) -> None:
        """The changed application does not start: nothing answers until it does."""
        self._broken = True
        if self._listening.reopens:
            self._listening.close()
        for other in self._workers():
            other.kill()
        self._logger.error("%s %s; waiting for a change", worker, ended)

    # What there is to tell.

    def status(self) -> dict[str, Any]:
        """What the workers do, as JSON can say it."""
        workers: list[dict[str, Any]] = []
        for slot in self._slots:
            workers += [dict(worker.figures()) for worker in slot.workers()]
            if slot.current is None:
                workers.append({"worker": slot.number, "state": "down"})
        return {
            "version": __version__,
            "pid": os.getpid(),
            "url": self._url,
            "age": round(time.monotonic() - self._started, 1),
            "workers": workers,
        }

    def _print_status(self) -> None:
        with contextlib.suppress(OSError):
            print(table(self.status()), file=sys.stderr, flush=True)


def _terminal() -> bool:
    """Whether this process has a terminal that can hang up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _remove(directory: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
