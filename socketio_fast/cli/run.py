"""``socketio-fast run``: serves an application."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from typing import Any

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
    command.add_argument("--ssl-keyfile-password", metavar="TEXT")
    command.add_argument(
        "--static",
        action="append",
        default=[],
        metavar="URL=FILE",
        help="serve a file or directory at a path, may be repeated",
    )
    command.add_argument("--backlog", type=int, default=2048, help="(%(default)s)")
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
    command.add_argument("--access-log", action="store_true", help="log requests")
    command.set_defaults(execute=lambda options: _execute(command, options))


def _execute(command: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    from socketio_fast import run

    options = vars(given)
    app = _load(command, options.pop("app"))
    static = options.pop("static")
    if static:
        options["static_files"] = _mapping(command, static)
    if options["access_log"]:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        run(app, **options)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as exc:
        print(f"socketio-fast: {exc}", file=sys.stderr)
        return 1
    return 0


def _load(parser: argparse.ArgumentParser, place: str) -> Any:
    from socketio_fast import ASGIApp, AsyncServer, Server, WSGIApp

    module, colon, path = place.partition(":")
    if not module or not colon or not path:
        parser.error(
            f"{place!r}: module:app expected, such as chat:sio for sio of chat.py"
        )
    sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if module.endswith(".py"):
            right = module.removesuffix(".py").replace("/", ".")
            parser.error(
                f"{place!r}: a module expected, not a file; write {right}:{path}"
            )
        if exc.name is None or not (module + ".").startswith(exc.name + "."):
            raise  # an import of the application's own
        parser.error(f"{place!r}: there is no module {module!r}")
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            there = " or ".join(
                f"{module}:{name}"
                for name, value in vars(sys.modules[module]).items()
                if isinstance(value, (AsyncServer, Server, ASGIApp, WSGIApp))
            )
            hint = f"; write {there}" if there else ""
            parser.error(f"{place!r}: {module!r} has no {path!r}{hint}")
    return found


def _mapping(parser: argparse.ArgumentParser, items: list[str]) -> dict[str, str]:
    mapping = {}
    for item in items:
        url, equals, filename = item.partition("=")
        if not equals or not filename:
            parser.error(f"--static {item!r}: URL=FILE expected")
        mapping[url] = filename
    return mapping
