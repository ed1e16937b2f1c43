"""The command ``socketio-fast``, also ``python -m socketio_fast``."""

from __future__ import annotations

import argparse
import sys

from socketio_fast._version import __version__
from socketio_fast.cli import bench, completion, connect, doctor, new, run, status

__all__ = ["main", "make_parser"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Those of the command line by default.

    Raises:
        SystemExit: It has not done what it was asked for; the exit code.
    """
    options = make_parser().parse_args(arguments)
    del options.command
    execute = options.execute
    del options.execute
    if code := execute(options):
        sys.exit(code)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="socketio-fast",
        description="Serve a Socket.IO application; talk to a server, examine it, "
        "measure it.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    for subcommand in (run, new, status, connect, doctor, bench):
        subcommand.add(commands)
    completion.add(commands, parser)
    return parser


if __name__ == "__main__":
    main()
