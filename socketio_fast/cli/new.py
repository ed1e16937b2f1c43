"""``socketio-fast new``: writes a small project."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from socketio_fast._version import __version__

__all__ = ["add"]

#: The files of a project, each with ``.txt`` behind its name.
TEMPLATES = Path(__file__).parent / "project"

#: Names that a file here cannot have, since it would mean something here.
_RENAMED = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "new",
        help="write a small project",
        description="Write a small project: a chat with its page, its tests and a "
        "Dockerfile.",
    )
    command.add_argument(
        "directory", metavar="DIRECTORY", help="where; it is made, or it is empty"
    )
    command.set_defaults(execute=lambda options: _execute(command, options))


def _execute(command: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    directory = Path(options.directory)
    name = directory.resolve().name
    # It is also the name of an image of Docker, which has no capitals.
    if not re.fullmatch("[a-z0-9]+(?:[._-]+[a-z0-9]+)*", name):
        command.error(
            f"{name!r} names the project: small letters and digits expected, between "
            "them dots, hyphens and underscores"
        )
    try:
        _check_empty(directory)
        written = _write(directory, name)
    except OSError as exc:
        print(f"socketio-fast: {exc}", file=sys.stderr)
        return 1
    where = os.fspath(directory)
    print("\n".join(f"{where}/{each}" for each in written))
    print(
        f"\ncd {where}\npip install -r requirements-dev.txt\npytest\n"
        "socketio-fast run server:sio --static /=static/index.html --reload"
    )
    return 0


def _check_empty(directory: Path) -> None:
    """Raise OSError if something would be overwritten."""
    if directory.exists() and any(directory.iterdir()):
        raise FileExistsError(
            f"{os.fspath(directory)!r} has files already: name a directory that is "
            "empty, or is not there yet"
        )


def _write(directory: Path, name: str) -> list[str]:
    """Write the files; their names."""
    written = []
    for template in sorted(TEMPLATES.rglob("*.txt")):
        relative = template.relative_to(TEMPLATES)
        own = relative.name.removesuffix(".txt")
        path = directory / relative.with_name(_RENAMED.get(own, own))
        path.parent.mkdir(parents=True, exist_ok=True)
        text = template.read_text(encoding="utf-8")
        text = text.replace("PROJECT_NAME", name)
        text = text.replace("PACKAGE_VERSION", __version__)
        path.write_text(text, encoding="utf-8")
        written.append(path.relative_to(directory).as_posix())
    return written
