"""``socketio-fast run``: serves an application."""

from __future__ import annotations

import argparse
import re
import sys

from socketio_fast.cli.flags import seconds
from socketio_fast.managers.extras import require
from socketio_fast.serving.log_options import FORMATS, LEVELS, LogOptions
from socketio_fast.workers.options import SupervisorOptions, worker_count

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    command = commands.add_parser("run", help="serve an application")
    command.add_argument("app", metavar="module:app", help="the server or ASGIApp")
    command.add_argument("--host", default="127.0.0.1", help="address (%(default)s)")
    command.add_argument(
        "--port", type=int, default=5000, help="port, 0 for a free one (%(default)s)"
    )
    command.add_argument("--path", help="where clients connect (/socket.io/)")
    command.add_argument("--uds", metavar="FILE", help="listen on a Unix socket")
    command.add_argument("--ssl-certfile", metavar="FILE", help="certificate, for TLS")
    command.add_argument("--ssl-keyfile", metavar="FILE", help="key of the certificate")
    command.add_argument(
        "--ssl-keyfile-password", metavar="TEXT", help="password of the key"
    )
    command.add_argument(
        "--static",
        action="append",
        default=[],
        metavar="URL=FILE",
        help="serve a file or directory at a path, may be repeated",
    )
    command.add_argument(
        "--backlog",
        type=int,
        default=2048,
        help="connections that wait to be accepted (%(default)s)",
    )
    command.add_argument(
        "--shutdown-timeout",
        type=float,
        default=10,
        metavar="SECONDS",
        help="how long a stop waits for handlers (%(default)s)",
    )
    command.add_argument(
        "--proxy-protocol",
        action="store_true",
        help="connections begin with a header of the PROXY protocol",
    )
    command.add_argument(
        "--webtransport",
        action="store_true",
        help="serve WebTransport too, on the UDP port of the same number (needs "
        "--ssl-certfile)",
    )
    command.add_argument(
        "--drain-rate",
        type=float,
        metavar="CLIENTS",
        help="how many clients each second leave before a stop (all at once, without "
        "waiting for what they have under way)",
    )
    command.add_argument(
        "--access-log",
        action="store_true",
        help="log requests to stderr, in the common log format",
    )
    command.add_argument(
        "--factory",
        action="store_true",
        help="module:app is a function that returns the server or ASGIApp",
    )
    _add_process(command)
    _add_workers(command)
    command.set_defaults(execute=lambda options: _execute(command, options))


def _add_process(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--env-file",
        metavar="FILE",
        help="set the variables of this file that the environment has not, NAME=VALUE "
        "in each line, before the application is imported (the extra cli)",
    )
    command.add_argument(
        "--log-level",
        choices=LEVELS,
        help="what is logged to stderr, by all loggers (warning; what the application "
        "configures)",
    )
    command.add_argument(
        "--log-format",
        choices=FORMATS,
        help="how: in lines for people, or in JSON (text; what the application "
        "configures)",
    )
    command.add_argument(
        *("-q", "--quiet"),
        dest="verbose",
        action="store_false",
        help="say only where it listens, not with which transports, workers and limits",
    )


def _add_workers(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="NUMBER|auto",
        help="processes that serve, auto for one on each core (%(default)s)",
    )
    command.add_argument(
        "--reload",
        action="store_true",
        help="start again when a Python file changes, for development",
    )
    command.add_argument(
        "--reload-dir",
        dest="reload_dirs",
        action="append",
        metavar="DIRECTORY",
        help="watch this, may be repeated (the current directory)",
    )
    command.add_argument("--pidfile", metavar="FILE", help="write the process id there")
    command.add_argument(
        "--max-worker-age",
        type=seconds,
        metavar="SECONDS",
        help="replace workers of this age (never)",
    )
    command.add_argument(
        "--max-worker-memory",
        type=_size,
        metavar="BYTES",
        help="replace workers that have more memory, such as 512M (never)",
    )
    command.add_argument(
        "--worker-timeout",
        type=seconds,
        metavar="SECONDS",
        help="kill workers whose event loop is blocked for so long (never)",
    )


def _workers(text: str) -> int:
    try:
        return worker_count(text if text == "auto" else int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: a number from 1 on, or auto, expected"
        ) from None


def _size(text: str) -> int:
    """Bytes, with a unit or without."""
    match = re.fullmatch(r"([0-9]{1,15})([KMG]?)(?:i?B)?", text, re.IGNORECASE)
    size = 0
    if match is not None:
        size = int(match[1]) * 1024 ** " KMG".index(match[2].upper() or " ")
    if not size:
        raise argparse.ArgumentTypeError(f"{text!r}: bytes, such as 512M, expected")
    return size


def _execute(command: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    from socketio_fast import run
    from socketio_fast.serving.program import NoApplicationError, check_place, load

    options = vars(given)
    static = options.pop("static")
    if static:
        options["static_files"] = _mapping(command, static)
    if error := _set_variables(options.pop("env_file")):
        command.error(error)
    sys.path.insert(0, "")
    app, factory = options.pop("app"), options.pop("factory")
    # Before the application is imported, whose own settings come later.
    LogOptions(options["log_level"], options["log_format"]).apply()
    names = SupervisorOptions.__dataclass_fields__
    settings = SupervisorOptions(**{name: options[name] for name in names})
    try:
        check_place(app)
        if not settings.supervised:
            # Here, so that errors of its own are shown with their traceback.
            app, factory = load(app, factory), False
    except NoApplicationError as exc:
        command.error(str(exc))
    try:
        run(app, factory=factory, **options)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as exc:
        print(f"socketio-fast: {exc}", file=sys.stderr)
        return 1
    return 0


def _set_variables(filename: str | None) -> str | None:
    """Set the variables of a file that the environment has not.

    Returns:
        What is wrong; ``None``: nothing is.
    """
    if filename is None:
        return None
    try:
        dotenv = require("dotenv", "cli", "--env-file")
        with open(filename, encoding="utf-8") as file:
            dotenv.load_dotenv(stream=file)
    except (OSError, RuntimeError, ValueError) as exc:
        return f"--env-file {filename}: {exc}"
    return None


def _mapping(parser: argparse.ArgumentParser, items: list[str]) -> dict[str, str]:
    mapping = {}
    for item in items:
        url, equals, filename = item.partition("=")
        if not equals or not filename:
            parser.error(f"--static {item!r}: URL=FILE expected")
        mapping[url] = filename
    return mapping
