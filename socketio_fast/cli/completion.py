"""``socketio-fast completion``: a script by which a shell completes the command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from socketio_fast.cli.output import show
from socketio_fast.managers.extras import require

__all__ = ["add"]

EPILOG = """\
bash:  cd ~/.local/share/bash-completion/completions
       socketio-fast completion bash > socketio-fast
zsh:   socketio-fast completion zsh > DIRECTORY/_socketio-fast, a DIRECTORY of $fpath
fish:  socketio-fast completion fish > ~/.config/fish/completions/socketio-fast.fish"""

SHELLS = ("bash", "zsh", "fish")


def add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    parser: argparse.ArgumentParser,
) -> None:
    """Add the subcommand.

    Args:
        commands: Gets it.
        parser: The whole command's.
    """
    command = commands.add_parser(
        "completion",
        help="a script by which a shell completes this command",
        description="Print a script by which a shell completes this command (the extra "
        "cli).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("shell", choices=SHELLS, help="which shell")
    command.set_defaults(execute=lambda options: _execute(parser, options.shell))


def _execute(parser: argparse.ArgumentParser, shell: str) -> int:
    try:
        shtab = require("shtab", "cli", "completion")
    except RuntimeError as exc:
        print(f"socketio-fast: {exc}", file=sys.stderr)
        return 1
    for action in _actions(parser):
        kind = action.metavar if isinstance(action.metavar, str) else ""
        if "FILE" in kind:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif "DIRECTORY" in kind:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    show(shtab.complete(parser, shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The actions of a parser, and of its subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action
