"""``socketio-fast connect``: a prompt, or lines of a script, on a connection."""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from socketio_fast.cli import flags
from socketio_fast.cli.messages import SYNTAX, Message, from_json, from_prompt
from socketio_fast.cli.output import (
    JsonLines,
    Lines,
    Reporter,
    StderrLog,
    Stdout,
    printable,
)
from socketio_fast.cli.stdin import Interrupted, stdin_lines
from socketio_fast.coroutines import within
from socketio_fast.exceptions import SocketIOError
from socketio_fast.managers.extras import require
from socketio_fast.serving.terminal import colored

if TYPE_CHECKING:
    from socketio_fast.cli.prompt import Names
    from socketio_fast.clients.socket import ClientSocket

__all__ = ["add"]

#: Exit codes. argparse's for a wrong command line is 2.
FAILED = 1
REFUSED = 3
NOT_SENT = 4

#: Commands of the prompt.
COMMANDS = {
    "/help": "this help",
    "/namespace": "which namespaces are joined, and which one events are sent in",
    "/namespace NAME": "send events in this one from now on",
    "/quit": "leave, as Ctrl-D does",
}

HELP = SYNTAX + "".join(f"\n{name:<23}{does}" for name, does in COMMANDS.items())

EPILOG = f"""\
at the prompt, and in lines of stdin without --json:
{HELP}

in lines of stdin with --json:
["event", argument, ...], or an object with "event" and perhaps "args": [...],
"ack": true, "id": ..., "namespace": ...; without it, in the first --namespace

exit codes:
0  stdin or the prompt has ended, or nobody reads stdout any more
1  it could not connect, or the server has ended the connection
2  the command line is wrong
3  the server has refused a namespace
4  a line of stdin was no event, or an acknowledgement has not come
130, 143  SIGINT (Ctrl-C), SIGTERM"""

#: Acknowledgements that lines of stdin may wait for at a time.
MOST_ASKED = 1000

#: Seconds for the server to take what was sent, at the end.
LEAVING = 5.0
LEAVING_AT_ONCE = 1.0


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "connect",
        help="talk to a server",
        description="Show what a server sends, and send it events: from a prompt, or "
        "from lines of stdin.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_client_flags(command)
    _add_reconnection_flags(command)
    command.add_argument(
        "--json", action="store_true", help="lines in and out are JSON, for scripts"
    )
    command.add_argument(
        "--listen", action="store_true", help="read no stdin, go on until a signal"
    )
    command.add_argument(
        *("-v", "--verbose"),
        action="store_true",
        help="log what is sent and received, and how the connection is made, to stderr",
    )
    command.set_defaults(execute=lambda options: _execute(command, options))


def _add_reconnection_flags(command: argparse.ArgumentParser) -> None:
    whether = command.add_mutually_exclusive_group()
    whether.add_argument(
        "--retry",
        action="store_true",
        help="go on trying if the first attempt to connect fails, too",
    )
    whether.add_argument(
        "--no-reconnection",
        dest="reconnection",
        action="store_false",
        help="end when the connection is lost (connect again)",
    )
    command.add_argument(
        "--reconnection-attempts",
        type=flags.whole,
        default=0,
        metavar="N",
        help="how often it tries to connect again (until it can)",
    )
    command.add_argument(
        "--reconnection-delay",
        type=flags.seconds,
        default=1.0,
        metavar="SECONDS",
        help="before the first time (%(default)g); each further delay is twice as long",
    )
    command.add_argument(
        "--reconnection-delay-max",
        type=flags.seconds,
        default=5.0,
        metavar="SECONDS",
        help="the longest delay (%(default)g)",
    )


def _execute(command: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    flags.complete(command, options)
    if sys.stdout is None:
        return 0  # it was closed before: nobody reads
    if options.verbose:
        log = StderrLog()
        log.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        logging.getLogger("socketio_fast").addHandler(log)
    try:
        return asyncio.run(_until_the_end(options))
    except (ImportError, RuntimeError) as exc:
        print(f"socketio-fast: {exc}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


async def _until_the_end(options: argparse.Namespace) -> int:
    """Connect, and go on until stdin, stdout, the server or a signal ends it."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    _end_by_signals(ended)

    def stdout_ended(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    talk = asyncio.ensure_future(_conversation(options, stdout_ended))
    await asyncio.wait({talk, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        return talk.result()
    talk.cancel()
    await asyncio.wait({talk}, timeout=LEAVING_AT_ONCE)
    return ended.result()


def _end_by_signals(ended: asyncio.Future[int]) -> None:
    """The first signal ends the conversation, the second the process."""

    def on_signal(number: int) -> None:
        if ended.done():
            # A regular end would wait for threads that look up names of hosts.
            os._exit(128 + number)
        ended.set_result(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # as on Windows
            asyncio.get_running_loop().add_signal_handler(number, on_signal, number)


async def _conversation(
    options: argparse.Namespace, stdout_ended: Callable[[int], object]
) -> int:
    terminal = sys.stdout.isatty()
    at_prompt = terminal and sys.stdin is not None and sys.stdin.isatty()
    stdout = Stdout(sys.stdout.fileno(), stdout_ended)
    colors = colored(sys.stdout)
    if at_prompt and not options.listen and not options.json:
        status = await _at_prompt(
            options, Lines(_write_above_prompt, options.namespaces, colors=colors)
        )
    else:
        stdout.watch()
        reporter: Reporter = (
            JsonLines(stdout.write)
            if options.json
            else Lines(stdout.write, options.namespaces, colors=colors)
        )
        lines = None if options.listen else _lines_of_stdin()
        status = await Conversation(options, reporter).hold(lines)
    await stdout.drained()
    return status


async def _at_prompt(options: argparse.Namespace, reporter: Reporter) -> int:
    user = "the prompt of connect (--json, --listen and a pipe need none)"
    require("prompt_toolkit", "cli", user)
    from socketio_fast.cli.prompt import Names, Prompt

    commands = [name for name in COMMANDS if " " not in name]
    names = Names([*commands, *(f"/namespace {name}" for name in options.namespaces)])
    conversation = Conversation(options, reporter, names)
    return await conversation.hold(Prompt(names, conversation.prompt).lines())


def _lines_of_stdin() -> AsyncIterator[str]:
    # Where stdin was closed before, 0 may be the number of something else.
    closed = sys.stdin is None
    return stdin_lines(
        os.open(os.devnull, os.O_RDONLY) if closed else sys.stdin.fileno()
    )


def _write_above_prompt(text: str) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # What sys.stdout is depends on whether there is a prompt now.
    sys.stdout.write(text)
    sys.stdout.flush()


class Conversation:
    """One connection: what comes, and what is sent.

    Args:
        options: The flags.
        reporter: Is told what happens.
        names: The names of events that the prompt completes; ``None``: there is no
            prompt.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        reporter: Reporter,
        names: Names | None = None,
    ) -> None:
        self._options = options
        self._report = reporter.report
        self._names = names
        self._sio = flags.make_client(
            options,
            reconnection=options.reconnection,
            reconnection_attempts=options.reconnection_attempts,
            reconnection_delay=options.reconnection_delay,
            reconnection_delay_max=options.reconnection_delay_max,
            logger=options.verbose,
            engineio_logger=options.verbose,
        )
        self._sockets = {name: self._sio.socket(name) for name in options.namespaces}
        #: The namespace that events are sent in.
        self._chosen: str = options.namespaces[0]
        self._first_failure: Exception | None = None
        self._connected_once = False
        self._refused = False
        self._not_sent = False
        self._asked: set[asyncio.Task[None]] = set()
        #: No namespace is still to be joined.
        self._settled = asyncio.Event()
        self._listen()

    def prompt(self) -> str:
        """What stands before a line that is typed."""
        return f"{printable(self._chosen)}> " if len(self._sockets) > 1 else "> "

    async def hold(self, lines: AsyncIterator[str] | None) -> int:
        """Connect, send what the lines say, and leave.

        Args:
            lines: ``None``: go on until the connection is over.

        Returns:
            The exit code.
        """
        try:
            await flags.connect(self._sio, self._options, retry=self._options.retry)
            return await self._send_until_over(lines)
        except (SocketIOError, ValueError) as exc:
            if self._refused:
                return REFUSED
            told = self._options.retry and exc is self._first_failure
            if self._options.json and not told:
                self._report("connect_error", message=flags.explained(exc))
            print(f"socketio-fast: {flags.explained(exc)}", file=sys.stderr)
            return FAILED
        finally:
            with suppress(asyncio.TimeoutError):
                await within(self._sio.disconnect(), LEAVING)

    async def _send_until_over(self, lines: AsyncIterator[str] | None) -> int:
        over = asyncio.ensure_future(self._sio.wait())
        sending = asyncio.ensure_future(self._send(lines)) if lines else None
        tasks: set[asyncio.Future[Any]] = {over, sending} if sending else {over}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if sending is None or not sending.done():
                if self._asked:
                    await asyncio.wait(self._asked, timeout=1)  # it fails, and is told
                return REFUSED if self._refused else FAILED
            return sending.result()
        finally:
            tasks |= self._asked
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    # What comes.

    def _listen(self) -> None:
        sio = self._sio
        sio.on("connect", self._on_connect, "*")
        sio.on("connect_error", self._on_connect_error, "*")
        sio.on("disconnect", self._on_disconnect, "*")
        sio.on("*", self._on_event, "*")
        report, manager = self._report, sio.manager
        manager.on("upgrade", lambda name: report("upgrade", transport=name))
        manager.on("reconnect_attempt", lambda n: report("reconnecting", attempt=n))
        manager.on("reconnect_failed", self._on_reconnect_failed)
        manager.on("error", self._on_failure)

    def _on_connect(self, namespace: str) -> None:
        self._connected_once = True
        self._settle()
        sid, transport = self._sio.get_sid(namespace), self._sio.transport()
        self._report("connect", namespace, sid=sid, transport=transport)

    def _on_disconnect(
        self, namespace: str, reason: str, description: str | None
    ) -> None:
        self._settle()
        self._report("disconnect", namespace, reason=reason, description=description)

    def _on_connect_error(self, namespace: str, data: Any) -> None:
        if namespace not in self._sio.failed_namespaces:
            return  # the connection has failed, which is told elsewhere
        self._refused = True
        self._settle()
        if not isinstance(data, dict):
            data = {"message": data}
        message, more = str(data.get("message")), data.get("data")
        self._report("refused", namespace, message=message, data=more)

    def _on_event(self, event: Any, namespace: str, *args: Any) -> None:
        if self._names is not None:
            self._names.add(str(event))
        self._report("event", namespace, event=str(event), args=list(args))

    def _on_failure(self, error: Exception) -> None:
        """An attempt to connect has failed. The first one is told by stderr, unless
        others follow."""
        if self._first_failure is None:
            self._first_failure = error
        if self._options.retry or self._connected_once:
            self._report("connect_error", message=flags.explained(error))

    def _on_reconnect_failed(self) -> None:
        attempts = self._options.reconnection_attempts
        self._report("reconnect_failed", attempts=attempts)

    def _settle(self) -> None:
        sockets = self._sockets.values()
        if any(socket.active and not socket.connected for socket in sockets):
            self._settled.clear()
        else:
            self._settled.set()

    # What is sent.

    async def _send(self, lines: AsyncIterator[str]) -> int:
        """Send what lines say. Returns the exit code."""
        read = from_json if self._options.json else from_prompt
        number = 0
        try:
            async for line in lines:
                number += 1
                line = line.strip()
                if not self._options.json and line.startswith("/"):
                    if self._command(line, number):
                        break
                elif line:
                    try:
                        message = read(line)
                    except ValueError as exc:
                        self._failed(str(exc), number)
                    else:
                        await self._say(message, number)
        except Interrupted:
            return 128 + signal.SIGINT
        except ValueError as exc:
            self._failed(str(exc), number + 1)
        if self._names is not None:
            return 0
        # Until the connection is back, what was sent is kept.
        await self._settled.wait()
        await asyncio.gather(*self._asked)
        return NOT_SENT if self._not_sent else 0

    def _command(self, line: str, number: int) -> bool:
        """Do what a command of the prompt says; whether it is to leave."""
        command, _, argument = line.partition(" ")
        if command == "/help":
            self._report("help", text=f"\n{HELP}")
        elif command == "/namespace":
            self._choose(argument.strip(), number)
        elif command != "/quit":
            names = ", ".join(name for name in COMMANDS if " " not in name)
            self._failed(
                f"{command}: no such command; there are {names}; "
                'the name of an event that begins with / is written in "…"',
                number,
            )
        return command == "/quit"

    def _choose(self, namespace: str, number: int) -> None:
        """Send what comes next in a namespace; without a name, tell which one it is."""
        if not namespace:
            joined = ", ".join(self._sockets)
            self._report("help", text=f"{joined}: events are sent in {self._chosen}")
        elif namespace in self._sockets:
            self._chosen = namespace
        else:
            self._failed(self._unknown(namespace), number)

    def _unknown(self, namespace: str) -> str:
        return (
            f"{namespace}: no namespace of --namespace; there are "
            f"{', '.join(self._sockets)}"
        )

    async def _say(self, message: Message, number: int) -> None:
        if self._names is not None:
            self._names.add(message.event)
        namespace = self._chosen if message.namespace is None else message.namespace
        socket = self._sockets.get(namespace)
        if socket is None:
            self._failed(self._unknown(namespace), number, id=message.id)
            return
        if not socket.active:  # the client would keep it for a connect() by hand
            told = f"{message.event}: the server has ended the namespace {namespace}"
            self._failed(told, number, namespace, id=message.id)
            return
        if not message.wants_ack:
            try:
                await socket.emit(message.event, *message.args)
            except (SocketIOError, TypeError, ValueError) as exc:
                self._failed(flags.explained(exc), number, socket.namespace)
            return
        task = asyncio.ensure_future(self._ask(socket, message, number))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        await asyncio.sleep(0)  # it is sent before what comes next
        if len(self._asked) >= MOST_ASKED:
            await asyncio.wait(self._asked, return_when=asyncio.FIRST_COMPLETED)

    async def _ask(self, socket: ClientSocket, message: Message, number: int) -> None:
        namespace, about = socket.namespace, {"event": message.event, "id": message.id}
        begun = perf_counter()
        try:
            answer = await socket.timeout(self._options.ack_timeout).emit_with_ack(
                message.event, *message.args
            )
        except (SocketIOError, TypeError, ValueError) as exc:
            told = flags.explained(exc)
            if not self._options.json and message.event not in told:
                told = f"{message.event}: {told}"
            self._failed(told, number, namespace, **about)
            return
        ms = round((perf_counter() - begun) * 1000, 3)
        args = list(answer) if isinstance(answer, tuple) else [answer]
        if answer is None:
            args = []
        self._report("ack", namespace, **about, args=args, ms=ms)

    def _failed(
        self, message: str, line: int, namespace: str | None = None, **fields: Any
    ) -> None:
        """Tell that something was not sent, or not acknowledged."""
        self._not_sent = True
        if self._names is None:
            if not self._options.json:
                message = f"line {line} of stdin: {message}"
            fields["line"] = line
        self._report("error", namespace, message=message, **fields)
