"""Hosts: other servers and frameworks that this package runs inside.

Each has a module of its own. The type of the request or of the application says which
one is meant, so a program does not have to choose.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["attach", "get_tornado_handler", "handle_request"]

FRAMEWORKS = ("aiohttp", "sanic", "tornado")
ATTACHABLE = ("aiohttp", "sanic")


async def handle_request(server: Any, *args: Any) -> Any:
    """Answer a request that a framework has received.

    Args:
        server: An ``AsyncServer``, of Socket.IO or Engine.IO.
        *args: ``(scope, receive, send)`` of ASGI, or a request of aiohttp or sanic, or
            a handler of tornado.

    Returns:
        The response, for frameworks whose handlers return one.

    Raises:
        TypeError: It is something else.
    """
    if len(args) == 3:
        module = importlib.import_module("socketio_fast.hosting.asgi")
    else:
        module = _module(args[0] if args else None, FRAMEWORKS, "a request of aiohttp,")
    return await module.handle(server, *args)


def attach(server: Any, app: Any, path: str) -> None:
    """Serve a path of an application of aiohttp or sanic.

    Raises:
        TypeError: It is something else.
    """
    module = _module(app, ATTACHABLE, "an application of aiohttp or")
    module.attach(server, app, f"/{path.strip('/')}/")


def get_tornado_handler(server: Any) -> Any:
    """A handler class of tornado, for the path where clients connect.

    Example::

        app = tornado.web.Application([("/socket.io/", get_tornado_handler(sio))])

    Args:
        server: An ``AsyncServer``, of Socket.IO or Engine.IO.

    Raises:
        ImportError: tornado is not installed, or no usable version of it.
    """
    tornado = importlib.import_module("socketio_fast.hosting.tornado")
    return tornado.get_tornado_handler(server)


def _module(thing: Any, frameworks: tuple[str, ...], expected: str) -> Any:
    for cls in type(thing).__mro__:
        name = cls.__module__.partition(".")[0]
        if name in frameworks:
            return importlib.import_module(f"socketio_fast.hosting.{name}")
    raise TypeError(
        f"{expected} {frameworks[-1]} expected, not {type(thing).__name__}; "
        "an ASGI application is wrapped: ASGIApp(server, application)"
    )
