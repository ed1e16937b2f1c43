"""A worker, as its supervisor knows it: a process, its state and its figures."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from socketio_fast.cluster.figures import per_second
from socketio_fast.serving.log_options import LogOptions
from socketio_fast.workers import spawned
from socketio_fast.workers.control import Channel, Message
from socketio_fast.workers.worker_process import Assignment, work

if TYPE_CHECKING:
    from socketio_fast.options.typed import ServeOptions

__all__ = ["Environment", "FromName", "FromObject", "Program", "Worker", "how_it_ended"]

Pair = tuple[socket.socket, socket.socket]
Order = Literal["stop", "retire", "quit"]
State = Literal["starting", "accepting", "draining"]

#: Signals that the child must not handle as its parent does.
SIGNALS = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD),
)

#: The most that :attr:`Worker.early` may be.
JITTER = 0.1

# Signs of life, one a second, over which rates are averaged.
BEATS = 6


class Process(ABC):
    """A child process; ``subprocess.Popen`` has the same methods."""

    pid: int

    @abstractmethod
    def poll(self) -> int | None:
        """Its exit code, the negative number of the signal, or ``None`` while it
        runs."""

    @abstractmethod
    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""


class Environment:
    """What all workers of a supervisor have in common.

    Attributes:
        directory: Where workers find each other.
        lifeline: The reading end of a pipe that ends with the supervisor.
        slots: Returns the listening sockets of each slot.
        options: The options of ``serve()``.
        in_child: Called in a forked process, to close what is the supervisor's.
    """

    def __init__(
        self,
        directory: str,
        lifeline: int,
        slots: Callable[[], list[list[socket.socket]]],
        options: ServeOptions,
        in_child: Callable[[], None],
    ) -> None:
        self.directory = directory
        self.lifeline = lifeline
        self.slots = slots
        self.options = options
        self.in_child = in_child


class Program(ABC):
    """What the workers serve, and how a process gets it."""

    @abstractmethod
    def start(self, number: int, control: Pair, env: Environment) -> Any:
        """Start a process.

        Args:
            number: The number of the slot.
            control: The supervisor's end of the connection, and the worker's.
            env: What all workers have.

        Returns:
            A ``Process`` or ``Popen``.
        """


class FromObject(Program):
    """An application that is there: processes are forked.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    def start(self, number: int, control: Pair, env: Environment) -> Process:
        """Fork."""
        ours, theirs = control
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or the child would write it again
        # Between fork() and the lines behind it the child has the parent's handlers.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pid = os.fork()
            if pid == 0:
                self._in_child(number, ours, theirs, env, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return _Forked(pid)

    def _in_child(
        self,
        number: int,
        ours: socket.socket,
        theirs: socket.socket,
        env: Environment,
        mask: set[int | signal.Signals],
    ) -> None:
        try:
            import atexit

            # What the program does at its end is not to be done in each worker.
            atexit._clear()
            signal.set_wakeup_fd(-1)
            for signum in SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            ours.close()
            slots = env.slots()
            env.in_child()
            assignment = Assignment(
                number, env.directory, theirs, env.lifeline, slots, env.options
            )
            work(assignment, lambda: self._app)
        finally:
            os._exit(1)


class FromName(Program):
    """An application by its name: each process is a fresh interpreter.

    Args:
        place: Its module and name, ``"module:app"``.
        factory: Whether this is a function that returns the application.
        logs: How it logs.
    """

    def __init__(self, place: str, factory: bool, logs: LogOptions) -> None:
        self._place = place
        self._factory = factory
        self._logs = logs

    def start(
        self, number: int, control: Pair, env: Environment
    ) -> subprocess.Popen[bytes]:
        """Start an interpreter."""
        ours, theirs = control
        slots = [[sock.fileno() for sock in slot] for slot in env.slots()]
        listening = {descriptor for slot in slots for descriptor in slot}
        process = subprocess.Popen(
            [
                sys.executable,
                *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                *("-m", spawned.__name__, str(theirs.fileno())),
            ],
            pass_fds=(theirs.fileno(), env.lifeline, *listening),
        )
        spawned.send_start(
            ours,
            {
                "number": number,
                "directory": env.directory,
                "lifeline": env.lifeline,
                "slots": slots,
                "options": env.options,
                "path": sys.path,
                "argv": sys.argv,
                "place": self._place,
                "factory": self._factory,
                "logs": self._logs,
            },
        )
        return process


class _Forked(Process):
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # SIGCHLD is ignored, or the program has waited
                self._status = 0
            else:
                if pid:
                    self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Worker:
    """One process of a slot.

    Args:
        number: The number of the slot.
        program: What it serves.
        env: What all workers have.
    """

    def __init__(self, number: int, program: Program, env: Environment) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = program.start(number, (ours, theirs), env)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.number = number
        self.channel = Channel(ours)
        self.state: State = "starting"
        self.started = time.monotonic()
        #: The share of its limits by which it is replaced earlier than others may be.
        self.early = random.uniform(0, JITTER)
        #: When it has last given a sign of life.
        self.last_beat = self.started
        #: Why it could not start, in its own words.
        self.failure: str | None = None
        #: Whether it writes its stack at SIGUSR2.
        self.dumps = False
        #: Whether it was said that it does not answer.
        self.reported_silent = False
        self._beats: deque[tuple[float, Message]] = deque(maxlen=BEATS)

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    @property
    def pid(self) -> int:
        """The number of its process."""
        pid: int = self._process.pid
        return pid

    def __str__(self) -> str:
        return f"worker {self.number} (pid {self.pid})"

    def poll(self) -> int | None:
        """Its exit code, or the negative number of the signal; ``None``: it runs."""
        code: int | None = self._process.poll()
        return code

    def kill(self) -> None:
        """End it at once."""
        self._process.send_signal(signal.SIGKILL)

    def show_stack(self) -> None:
        """Let it write what its threads do to stderr, if it can."""
        if self.dumps:
            self._process.send_signal(signal.SIGUSR2)

    def stop(self, order: Order) -> None:
        """Tell it to stop.

        Args:
            order: ``"retire"`` if another worker accepts in its place; ``"quit"`` to
                accept nothing more at once; ``"stop"`` to accept while clients drain.
        """
        if self.state == "starting":
            # Its event loop does not run yet, so it has no clients.
            self._process.send_signal(signal.SIGTERM)
        else:
            self.channel.send({"order": order})
        self.state = "draining"

    def substitute(self, slot: int, accept: bool) -> None:
        """Let it accept for a slot whose worker is down, or not any more."""
        order = "listen" if accept else "unlisten"
        self.channel.send({"order": order, "slot": slot})

    def beat(self, figures: Message) -> None:
        """Note its figures."""
        self.last_beat = time.monotonic()
        self.reported_silent = False
        self._beats.append((self.last_beat, figures))

    @property
    def memory(self) -> int:
        """Its resident memory in bytes; 0 if it is not known."""
        return int(self._beats[-1][1]["memory"]) if self._beats else 0

    def figures(self) -> Mapping[str, Any]:
        """What it does, for ``socketio-fast status``."""
        now = time.monotonic()
        told: dict[str, Any] = {
            "worker": self.number,
            "pid": self.pid,
            "state": self.state,
            "age": round(now - self.started, 1),
            "silent": round(now - self.last_beat, 1),
        }
        if self._beats:
            (first_at, first), (last_at, last) = self._beats[0], self._beats[-1]
            for name in ("clients", "connections", "memory"):
                told[name] = last[name]
            seconds = last_at - first_at
            told |= per_second(first, last, seconds)
        return told


def how_it_ended(code: int) -> str:
    """In words what an exit code says."""
    if code >= 0:
        return f"ended with the exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
