"""``socketio-fast asyncapi``: describes the events of an application."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import Any

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "asyncapi", help="describe an application's events: AsyncAPI, TypeScript"
    )
    command.add_argument("app", metavar="module:app", help="the server or its app")
    command.add_argument(
        "--typescript",
        action="store_true",
        help="write types for the official client instead",
    )
    command.add_argument(
        "--output", metavar="FILE", help="write to this file (standard output)"
    )
    command.add_argument("--title", default="Socket.IO", help="(%(default)s)")
    command.add_argument(
        "--api-version", default="0.1.0", metavar="VERSION", help="(%(default)s)"
    )
    command.add_argument(
        "--url", help="where the server is, such as https://example.com/socket.io/"
    )
    command.add_argument(
        "--factory",
        action="store_true",
        help="module:app is a function that returns the server or its app",
    )
    command.set_defaults(execute=lambda options: _execute(command, options))


def _execute(command: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from socketio_fast.asyncapi import AsyncAPIWarning, document, typescript
    from socketio_fast.serving.program import NoApplicationError, check_place, load

    sys.path.insert(0, "")
    try:
        module, _ = check_place(options.app)
        server = _server_of(load(options.app, options.factory), options.app)
    except NoApplicationError as exc:
        command.error(str(exc))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", AsyncAPIWarning)
        try:
            if options.typescript:
                text = typescript(server, module=module)
            else:
                made = document(
                    server,
                    title=options.title,
                    version=options.api_version,
                    url=options.url,
                    module=module,
                )
                text = json.dumps(made, indent=2) + "\n"
        except ValueError as exc:
            command.error(str(exc))
    for message in dict.fromkeys(str(warning.message) for warning in told):
        print(f"socketio-fast: {message}", file=sys.stderr)
    if options.output is None:
        sys.stdout.write(text)
        return 0
    try:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        print(f"socketio-fast: {exc}", file=sys.stderr)
        return 1
    return 0


def _server_of(app: Any, place: str) -> Any:
    """The Socket.IO server of what a program serves.

    Raises:
        NoApplicationError: There is none.
    """
    from socketio_fast.base_server import BaseServer
    from socketio_fast.hosting.checks import server_of
    from socketio_fast.serving.program import NoApplicationError

    # An ASGIApp and a WSGIApp name their server so.
    inner = getattr(app, "engineio_server", getattr(app, "server", app))
    server = server_of(inner)
    if not isinstance(server, BaseServer):
        raise NoApplicationError(
            f"{place!r} is {type(app).__name__}, not an AsyncServer or Server, nor an "
            "ASGIApp or WSGIApp of one"
        )
    return server
