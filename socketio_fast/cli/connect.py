"""``socketio-fast connect``: a prompt, or lines of a script, on a connection."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from socketio_fast.cli import flags
from socketio_fast.cli.messages import SYNTAX, Message, from_json, from_prompt
from socketio_fast.cli.output import JsonLines, Lines, Reporter, Stdout
from socketio_fast.cli.stdin import Interrupted, stdin_lines
from socketio_fast.coroutines import within
from socketio_fast.exceptions import SocketIOError
from socketio_fast.managers.extras import require

if TYPE_CHECKING:
    from socketio_fast.cli.prompt import Names

__all__ = ["add"]

#: Exit codes. argparse's for a wrong command line is 2.
FAILED = 1
REFUSED = 3
NOT_SENT = 4

#: Commands of the prompt.
COMMANDS = {"/help": "this help", "/quit": "leave, as Ctrl-D does"}

HELP = SYNTAX + "".join(f"\n{name:<23}{does}" for name, does in COMMANDS.items())

EPILOG = f"""\
at the prompt, and in lines of stdin without --json:
{HELP}

in lines of stdin with --json:
["event", argument, ...], or {{"event": ..., "args": [...], "ack": true, "id": ...}}

exit codes:
0  stdin or the prompt has ended, or nobody reads stdout any more
1  it could not connect, or the server has ended the connection
2  the command line is wrong
3  the server has refused the namespace
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
    command.add_argument(
        "--json", action="store_true", help="lines in and out are JSON, for scripts"
    )
    command.add_argument(
        "--listen", action="store_true", help="read no stdin, go on until a signal"
    )
    command.set_defaults(execute=_execute)


def _execute(options: argparse.Namespace) -> int:
    if sys.stdout is None:
        return 0  # it was closed before: nobody reads
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
    lines: AsyncIterator[str] | None = None
    names: Names | None = None
    terminal = sys.stdout.isatty()
    stdout = Stdout(sys.stdout.fileno(), stdout_ended)
    write: Callable[[str], object] = stdout.write
    if options.listen:
        stdout.watch()
    elif options.json or not (terminal and sys.stdin and sys.stdin.isatty()):
        stdout.watch()
        # Where stdin was closed before, 0 may be the number of something else.
        closed = sys.stdin is None
        lines = stdin_lines(
            os.open(os.devnull, os.O_RDONLY) if closed else sys.stdin.fileno()
        )
    else:
        user = "the prompt of connect (--json, --listen and a pipe need none)"
        require("prompt_toolkit", "cli", user)
        from socketio_fast.cli.prompt import Names, Prompt

        names = Names(COMMANDS)
        lines = Prompt(names).lines()
        write = _write_above_prompt
    colors = terminal and not os.environ.get("NO_COLOR")
    reporter: Reporter = (
        JsonLines(write, options.namespace)
        if options.json
        else Lines(write, options.namespace, colors=colors)
    )
    status = await Conversation(options, reporter, names).hold(lines)
    await stdout.drained()
    return status


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
        self, options: argparse.Namespace, reporter: Reporter, names: Names | None
    ) -> None:
        self._options = options
        self._report = reporter.report
        self._names = names
        self._sio = flags.make_client(options)
        self._socket = self._sio.socket(options.namespace)
        self._refused = False
        self._not_sent = False
        self._asked: set[asyncio.Task[None]] = set()
        self._joined = asyncio.Event()
        self._listen()

    async def hold(self, lines: AsyncIterator[str] | None) -> int:
        """Connect, send what the lines say, and leave.

        Args:
            lines: ``None``: go on until the connection is over.

        Returns:
            The exit code.
        """
        try:
            await flags.connect(self._sio, self._options)
            return await self._send_until_over(lines)
        except (SocketIOError, ValueError) as exc:
            if self._refused:
                return REFUSED
            if self._options.json:
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
        namespace, sio = self._options.namespace, self._sio
        sio.on("connect", self._on_connect, namespace)
        sio.on("connect_error", self._on_connect_error, namespace)
        sio.on("disconnect", self._on_disconnect, namespace)
        sio.on("*", self._on_event, namespace)
        report = self._report
        sio.manager.on("upgrade", lambda name: report("upgrade", transport=name))
        sio.manager.on("reconnect_attempt", lambda n: report("reconnecting", attempt=n))
        sio.manager.on(
            "reconnect_error",
            lambda exc: report("connect_error", message=flags.explained(exc)),
        )

    def _on_connect(self) -> None:
        self._joined.set()
        sid = self._sio.get_sid(self._options.namespace)
        self._report("connect", sid=sid, transport=self._sio.transport())

    def _on_disconnect(self, reason: str, description: str | None) -> None:
        self._joined.clear()
        self._report("disconnect", reason=reason, description=description)

    def _on_connect_error(self, data: Any) -> None:
        if self._options.namespace not in self._sio.failed_namespaces:
            return  # the connection has failed, which is told elsewhere
        self._refused = True
        if not isinstance(data, dict):
            data = {"message": data}
        self._report("refused", message=str(data.get("message")), data=data.get("data"))

    def _on_event(self, event: Any, *args: Any) -> None:
        if self._names is not None:
            self._names.add(str(event))
        self._report("event", event=str(event), args=list(args))

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
        await self._joined.wait()
        await asyncio.gather(*self._asked)
        return NOT_SENT if self._not_sent else 0

    def _command(self, line: str, number: int) -> bool:
        """Do what a command of the prompt says; whether it is to leave."""
        if line == "/help":
            self._report("help", text=HELP)
        elif line != "/quit":
            self._failed(
                f"{line.split()[0]}: no such command; there are {', '.join(COMMANDS)}; "
                'the name of an event that begins with / is written in "…"',
                number,
            )
        return line == "/quit"

    async def _say(self, message: Message, number: int) -> None:
        if self._names is not None:
            self._names.add(message.event)
        if not message.wants_ack:
            try:
                await self._socket.emit(message.event, *message.args)
            except (SocketIOError, TypeError, ValueError) as exc:
                self._failed(flags.explained(exc), number)
            return
        task = asyncio.ensure_future(self._ask(message, number))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        await asyncio.sleep(0)  # it is sent before what comes next
        if len(self._asked) >= MOST_ASKED:
            await asyncio.wait(self._asked, return_when=asyncio.FIRST_COMPLETED)

    async def _ask(self, message: Message, number: int) -> None:
        socket = self._socket.timeout(self._options.ack_timeout)
        begun = perf_counter()
        try:
            answer = await socket.emit_with_ack(message.event, *message.args)
        except (SocketIOError, TypeError, ValueError) as exc:
            told = flags.explained(exc)
            if not self._options.json and message.event not in told:
                told = f"{message.event}: {told}"
            self._failed(told, number, event=message.event, id=message.id)
            return
        ms = round((perf_counter() - begun) * 1000, 3)
        args = list(answer) if isinstance(answer, tuple) else [answer]
        if answer is None:
            args = []
        self._report("ack", event=message.event, args=args, ms=ms, id=message.id)

    def _failed(self, message: str, line: int | None = None, **fields: Any) -> None:
        """Tell that something was not sent, or not acknowledged."""
        self._not_sent = True
        if self._names is None and line is not None:
            if not self._options.json:
                message = f"line {line} of stdin: {message}"
            fields["line"] = line
        self._report("error", message=message, **fields)
