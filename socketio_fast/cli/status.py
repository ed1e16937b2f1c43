"""``socketio-fast status``: what the workers of a running server do."""

from __future__ import annotations

import argparse
import json
import sys

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "status", help="what the workers of a running server do"
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "directory",
        metavar="DIRECTORY",
        nargs="?",
        help="that of the server's workers, SOCKETIO_FAST_CLUSTER of their "
        "environment (SOCKETIO_FAST_CLUSTER, or else that of the only server of this "
        "user that has a supervisor)",
    )
    where.add_argument(
        "--cluster", metavar="unix:DIRECTORY", help="the same, as the server's option"
    )
    where.add_argument(
        "--pidfile", metavar="FILE", help="the server whose process id is there"
    )
    command.add_argument("--json", action="store_true", help="as an object of JSON")
    command.set_defaults(execute=_execute)


def _execute(options: argparse.Namespace) -> int:
    from socketio_fast.workers.status import ask, table

    try:
        told = ask(_directory(options.directory, options.cluster, options.pidfile))
    except (LookupError, OSError, ValueError) as exc:
        print(f"socketio-fast: {exc}", file=sys.stderr)
        return 1
    print(json.dumps(told) if options.json else table(told))
    return 0


def _directory(directory: str | None, cluster: str | None, pidfile: str | None) -> str:
    """The directory of the server that is meant.

    Raises:
        LookupError: There is none, or several.
        OSError: The pidfile cannot be read.
        ValueError: Something else is in it, or in ``cluster``.
    """
    from socketio_fast.options.cluster import check_cluster, directory_of
    from socketio_fast.workers.pidfile import read_pid
    from socketio_fast.workers.status import directories

    if directory is not None:
        return directory.removeprefix("unix:")
    if pidfile is None:
        named = directory_of(check_cluster("--cluster", cluster))
        if named is not None:
            return str(named)
    pid = None if pidfile is None else read_pid(pidfile)
    found = directories(pid)
    if len(found) == 1:
        return found[0]
    if found:
        raise _Unclear(
            f"{len(found)} servers run: name one, or its --pidfile: {', '.join(found)}"
        )
    of = "" if pid is None else f" of process {pid}"
    raise _Unclear(
        f"there is no server{of} that has a supervisor: name the directory of workers "
        "of uvicorn and others by --cluster; a server in a single process has no status"
    )


class _Unclear(LookupError):
    pass
