"""``socketio-fast doctor``: what stands between a client and a server."""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
from typing import TYPE_CHECKING

from socketio_fast.cli import flags
from socketio_fast.cli.output import show
from socketio_fast.serving.terminal import colored

if TYPE_CHECKING:
    from socketio_fast.doctor import Finding, Target

__all__ = ["add"]

EPILOG = """\
It tries what a client does: DNS, TCP, TLS, the path, long-polling, sessions on several
connections, WebSocket, the upgrade, CORS for --origin, and connections that wait until
the server pings (ping_interval, 25 s by default). For each it says what was tried, what
came, what that means and what to do, with lines for nginx and HAProxy.

exit codes:
0  no problem found; there may be warnings
1  something keeps clients from the server, or ends their connections
2  the command line is wrong
130  SIGINT (Ctrl-C)"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "doctor",
        help="find what stands between a client and a server",
        description="Find out why clients cannot connect to a server, or do not stay.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_server_flags(command, ["polling", "websocket"])
    command.add_argument(
        "--origin",
        type=_origin,
        metavar="ORIGIN",
        help="the origin of a page whose scripts connect, such as "
        "https://app.example.com (CORS is not tried)",
    )
    command.add_argument(
        *("-n", "--namespace"),
        type=flags.namespace,
        default="/",
        help="the namespace to join (%(default)s)",
    )
    command.add_argument(
        "--auth",
        type=flags.json_object,
        metavar="JSON|@FILE",
        help="the object that the server's connect handler gets, or a file with it",
    )
    command.add_argument(
        "--no-idle",
        dest="idle",
        action="store_false",
        help="do not wait for a ping of the server",
    )
    command.add_argument(
        "--json", action="store_true", help="all findings as an object of JSON"
    )
    command.set_defaults(execute=lambda options: _execute(command, options))


def _origin(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: a scheme and a host expected, perhaps a port, and no slash "
            "behind them, such as https://app.example.com"
        )
    return text


def _execute(command: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from socketio_fast.doctor import Target

    flags.complete_server(command, options)
    try:
        target = Target(
            options.url,
            path=options.path,
            eio=options.eio,
            origin=options.origin,
            namespace=options.namespace,
            auth=options.auth,
            headers=dict(options.headers),
            query=dict(options.query),
            transports=(
                (options.transport,) if options.transport else ("polling", "websocket")
            ),
            ssl_verify=options.ssl_verify,
            proxy=options.proxy,
            timeout=options.connect_timeout,
            idle=options.idle,
        )
    except ValueError as exc:
        command.error(str(exc))
    try:
        found = asyncio.run(_examine(target, options.json))
    except KeyboardInterrupt:
        return 130
    from socketio_fast.doctor import as_json, problems_of
    from socketio_fast.doctor.rendering import summary

    show(as_json(target.shown, found) if options.json else "\n" + summary(found))
    return 1 if problems_of(found) else 0


async def _examine(target: Target, silent: bool) -> list[Finding]:
    """Examine, and show each finding when it is there."""
    from socketio_fast.doctor import as_text, examine

    terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    colors = colored(sys.stdout)
    found = []
    async for finding in examine(target):
        found.append(finding)
        if not silent:
            show(as_text(finding, colors=colors, width=width))
    return found
