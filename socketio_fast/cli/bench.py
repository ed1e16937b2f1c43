"""``socketio-fast bench``: how fast a server acknowledges an event."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from time import perf_counter
from typing import TYPE_CHECKING, Any

from socketio_fast.cli import flags
from socketio_fast.cli.latencies import Latencies
from socketio_fast.cli.messages import arguments
from socketio_fast.cli.output import json_line, printable
from socketio_fast.coroutines import within
from socketio_fast.exceptions import (
    BadNamespaceError,
    CallDisconnectedError,
    SocketIOError,
    TimeoutError,
)
from socketio_fast.managers.extras import require

if TYPE_CHECKING:
    from socketio_fast import AsyncClient
    from socketio_fast.cli.table import Screen

__all__ = ["add"]

EPILOG = """\
Each client sends the event, and again when it is acknowledged; with --rate at that
rate. The server needs a handler that acknowledges the event, which handlers of this
package do when they return, and those of Node.js when they call their callback. Of
several namespaces, the event is sent in the first.

exit codes:
0  acknowledgements came
1  none came
2  the command line is wrong
130, 143  a second SIGINT (Ctrl-C), SIGTERM"""

#: Clients that connect at the same time.
AT_ONCE = 50

#: Seconds that acknowledgements have when the time is over.
GRACE = 1.0

#: Seconds between two updates of what is shown.
UPDATE = 0.25

#: What the first client that connects would import: this is no time of the server's.
_OF_CONNECTING = (
    *("aiohttp", "aiohappyeyeballs", "picows"),
    "socketio_fast._core.client.websocket",
)

#: Kinds of errors that are told apart.
MOST_KINDS = 20


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "bench",
        help="measure a server",
        description="Measure how fast a server acknowledges an event.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_client_flags(command)
    command.add_argument(
        *("-c", "--clients"),
        type=flags.whole,
        default=1,
        metavar="N",
        help="how many clients (%(default)s), each with one event under way",
    )
    command.add_argument(
        *("-r", "--rate"),
        type=flags.fraction,
        metavar="N",
        help="events a second of all clients together (as many as possible)",
    )
    command.add_argument(
        *("-d", "--duration"),
        type=flags.seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long (%(default)g); Ctrl-C ends it earlier",
    )
    command.add_argument(
        *("-e", "--event"), default="echo", help="its name (%(default)s)"
    )
    command.add_argument(
        "--data",
        type=_arguments,
        default=["hello"],
        metavar="ARGUMENTS",
        help="its arguments, as at the prompt of connect: 'hello 42 hex:00ff' (hello)",
    )
    command.add_argument("--json", action="store_true", help="the result as JSON")
    command.set_defaults(execute=lambda options: _execute(command, options))


def _arguments(text: str) -> list[Any]:
    try:
        return arguments(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _execute(command: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from socketio_fast.event_loops import runner

    flags.complete(command, options)
    # What clients log of each lost connection is counted here.
    logging.getLogger("socketio_fast").addHandler(logging.NullHandler())
    for name in _OF_CONNECTING:
        import_module(name)
    benches: list[Bench] = []

    async def measure() -> None:
        benches.append(Bench(options))
        await benches[0].run(screen.progress if screen is not None else None)

    screen: Screen | None = None
    try:
        if not options.json and sys.stdout is not None and sys.stdout.isatty():
            screen = _screen()
        try:
            runner()(measure())
        finally:
            if screen is not None:
                screen.stop()
    except (ImportError, RuntimeError) as exc:
        print(f"socketio-fast: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except asyncio.CancelledError:
        return 128 + benches[0].cancelled_by
    return _tell(benches[0], options, screen)


def _screen() -> Screen:
    require("rich", "cli", "bench at a terminal (--json and a pipe need none)")
    from socketio_fast.cli.table import Screen

    return Screen()


def _tell(bench: Bench, options: argparse.Namespace, screen: Screen | None) -> int:
    """Show the result. Returns the exit code."""
    result = bench.result()
    if screen is not None:
        screen.table(_title(options), _rows(result))
    elif sys.stdout is not None:
        lines = [f"{name:<25} {value}".rstrip() for name, value in _rows(result)]
        text = "\n".join([_title(options), *lines, ""])
        try:
            data = (json_line(result) if options.json else text).encode()
            os.write(sys.stdout.fileno(), data)
        except BrokenPipeError:
            pass
        except OSError as exc:
            print(f"socketio-fast: stdout: {exc}", file=sys.stderr)
            return 1
    if bench.latencies.count:
        return 0
    if bench.connects.count:
        event = printable(repr(options.event))
        told = (
            f"no acknowledgement of {event} came: has the server a handler for it in "
            f"{options.namespaces[0]}, and does it acknowledge? --event NAME takes "
            "another event"
        )
    elif bench.errors:
        told = "no client could connect: " + "; ".join(bench.errors)
    else:
        told = "it was ended before a client had connected"
    print(f"socketio-fast: {told}", file=sys.stderr)
    return 1


class Bench:
    """Clients that send an event again and again, and what comes of it.

    Args:
        options: The flags.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._connecting = asyncio.Semaphore(AT_ONCE)
        self._tried = 0
        self._begin = asyncio.Event()
        self._stop = asyncio.Event()
        self._begun = 0.0
        self._elapsed = 0.0
        self._in_time = 0
        #: The signal that has ended the program.
        self.cancelled_by = 0
        #: Durations from sending to the acknowledgement.
        self.latencies = Latencies()
        #: Durations of connecting.
        self.connects = Latencies()
        #: How often what has gone wrong.
        self.errors: Counter[str] = Counter()

    async def run(self, show: Callable[[str], object] | None = None) -> None:
        """Measure.

        Args:
            show: Gets a line about how far it is, again and again.
        """
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # as on Windows
                asyncio.get_running_loop().add_signal_handler(
                    number, self._on_signal, number, task
                )
        shown = asyncio.ensure_future(self._show(show)) if show else None
        tasks = {
            asyncio.ensure_future(self._client(number))
            for number in range(self._options.clients)
        }
        try:
            await self._until_over(tasks)
        finally:
            if shown is not None:
                shown.cancel()
            for client in tasks:
                client.cancel()
            await asyncio.wait(tasks)
        for client in tasks:
            if not client.cancelled():
                client.result()  # raises what is no failure of the server

    def _on_signal(self, number: int, task: asyncio.Task[Any]) -> None:
        """The first Ctrl-C ends the measurement, the second the program."""
        if self._stop.is_set() or number == signal.SIGTERM:
            self.cancelled_by = number
            task.cancel()
        self._stop.set()

    async def _until_over(self, tasks: set[asyncio.Task[None]]) -> None:
        stopped = asyncio.ensure_future(self._stop.wait())
        begun = asyncio.ensure_future(self._begin.wait())
        all_ended = asyncio.ensure_future(asyncio.wait(tasks))
        try:
            await asyncio.wait(
                {stopped, begun, all_ended}, return_when=asyncio.FIRST_COMPLETED
            )
            self._begun = perf_counter()
            await asyncio.wait(
                {stopped, all_ended},
                timeout=self._options.duration,
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._elapsed = perf_counter() - self._begun
            self._in_time = self.latencies.count
            self._stop.set()
            await asyncio.wait(tasks, timeout=GRACE)
        finally:
            for waiting in (stopped, begun, all_ended):
                waiting.cancel()

    async def _client(self, number: int) -> None:
        sio = flags.make_client(self._options)
        try:
            if await self._connect(sio):
                await self._begin.wait()
                await self._talk(sio, number)
        finally:
            with suppress(asyncio.TimeoutError):
                await within(sio.disconnect(), GRACE)

    async def _connect(self, sio: AsyncClient) -> bool:
        async with self._connecting:
            begun = perf_counter()
            try:
                await flags.connect(sio, self._options)
            except (SocketIOError, ValueError) as exc:
                self._failed(flags.explained(exc))
                return False
            else:
                self.connects.add(perf_counter() - begun)
                return True
            finally:
                self._tried += 1
                if self._tried == self._options.clients:
                    self._begin.set()

    async def _talk(self, sio: AsyncClient, number: int) -> None:
        """Send events until the time is over."""
        rate, clients = self._options.rate, self._options.clients
        pause = clients / rate if rate else 0.0
        due = perf_counter() + (number / rate if rate else 0.0)
        while not self._stop.is_set():
            now = perf_counter()
            if pause and due > now:
                with suppress(asyncio.TimeoutError):
                    await within(self._stop.wait(), due - now)
                begun = perf_counter()
            else:
                # With a rate, what was late because of the server counts as its time.
                begun = due if pause else now
            due += pause
            if not self._stop.is_set() and not await self._ask(sio, begun):
                return

    async def _ask(self, sio: AsyncClient, begun: float) -> bool:
        """Send one event. Returns whether the client may go on."""
        options = self._options
        try:
            await sio.call(
                options.event,
                tuple(options.data),
                namespace=options.namespaces[0],
                timeout=options.ack_timeout,
            )
        except CallDisconnectedError:
            self._failed("the connection was lost before the acknowledgement")
        except TimeoutError:
            self._failed(f"no acknowledgement within {options.ack_timeout:g} s")
        except BadNamespaceError:
            self._failed("the server has disconnected the client")
            return False
        except (SocketIOError, TypeError, ValueError) as exc:
            self._failed(flags.explained(exc))
            return False
        except asyncio.CancelledError:
            self._failed("no acknowledgement before the end")
            raise
        else:
            self.latencies.add(perf_counter() - begun)
        return True

    def _failed(self, kind: str) -> None:
        if kind not in self.errors and len(self.errors) >= MOST_KINDS:
            kind = "others"
        self.errors[kind] += 1

    async def _show(self, show: Callable[[str], object]) -> None:
        before, counted = perf_counter(), 0
        while True:
            await asyncio.sleep(UPDATE)
            if not self._begun:
                show(f"{self.connects.count} of {self._options.clients} clients")
                continue
            now = perf_counter()
            rate = (self.latencies.count - counted) / (now - before)
            before, counted = now, self.latencies.count
            left = max(0.0, self._options.duration - (now - self._begun))
            show(
                f"{left:.0f} s left, {self.connects.count} clients, {rate:,.0f}/s, "
                f"p50 {_ms(self.latencies.percentile(0.5))}, "
                f"{self.errors.total()} errors"
            )

    def result(self) -> dict[str, Any]:
        """What was measured: durations in milliseconds, ``seconds`` in seconds."""
        return {
            "clients": self._options.clients,
            "connected": self.connects.count,
            "event": self._options.event,
            "seconds": round(self._elapsed, 3),
            "acknowledged": self.latencies.count,
            "per_second": round(self._in_time / self._elapsed, 1)
            if self._elapsed
            else 0.0,
            "latency_ms": _percentiles(self.latencies),
            "connect_ms": _percentiles(self.connects),
            "errors": dict(self.errors.most_common()),
        }


def _percentiles(latencies: Latencies) -> dict[str, float]:
    if not latencies.count:
        return {}
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    found = {name: latencies.percentile(share) for name, share in shares.items()}
    found["max"] = latencies.longest
    return {name: round(value * 1000, 3) for name, value in found.items()}


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.3f} ms"


def _title(options: argparse.Namespace) -> str:
    from socketio_fast.clients.proxies import shown_url

    url = printable(shown_url(options.url))
    return f"{printable(options.event)} at {url} {options.namespaces[0]}"


def _rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("clients connected", f"{result['connected']} of {result['clients']}"),
        ("acknowledged", f"{result['acknowledged']:,} in {result['seconds']:g} s"),
        ("a second", f"{result['per_second']:,}"),
    ]
    for name, label in (("latency_ms", "latency"), ("connect_ms", "connecting")):
        values = [(f"{label} {p}", f"{ms:,.3f} ms") for p, ms in result[name].items()]
        rows += [("", ""), *values] if values else []
    if result["errors"]:
        rows.append(("", ""))
    for kind, count in result["errors"].items():
        rows.append((kind, f"{count:,}"))
    return rows
