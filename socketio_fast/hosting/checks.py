"""Errors for servers and applications that are passed in each other's place."""

from __future__ import annotations

import inspect
from typing import Any

from socketio_fast.base_server import BaseServer
from socketio_fast.engineio.base_server import BaseServer as BaseEngineServer
from socketio_fast.handlers.signatures import positional

__all__ = ["check_server", "server_of", "suggestion"]


def check_server(
    wrapper: str, server: Any, other: Any = None, *, asyncio_based: bool
) -> None:
    """Check what an ``ASGIApp`` or ``WSGIApp`` is given.

    Args:
        wrapper: The name of the class that wraps the server.
        server: Its first argument, which should be a server of this package.
        other: Its second argument, the application beside the server.
        asyncio_based: Whether the class needs a server for asyncio.

    Raises:
        TypeError: The first argument is something else, or the application is of the
            other kind; it says what to write.
    """
    given = _name(server)
    if server_of(server) is None:
        if server_of(other) is not None:
            raise TypeError(
                f"{wrapper}({given}, {_name(other)}): the server comes first, write "
                f"{wrapper}(sio, app)"
            )
        kind = "an AsyncServer" if asyncio_based else "a Server"
        foreign = _foreign(server)
        raise TypeError(
            f"{wrapper}({given}): {kind} of socketio_fast expected{foreign}"
        )
    if server.is_asyncio_based() == asyncio_based:
        _check_other(f"{wrapper}({given}, {_name(other)})", other, asyncio_based)
    elif asyncio_based:
        raise TypeError(
            f"{wrapper}({given}): an ASGI application needs an AsyncServer; write "
            "WSGIApp(sio) for this one"
        )
    else:
        raise TypeError(
            f"{wrapper}({given}): a WSGI application needs a Server for threads; write "
            "ASGIApp(sio) for this one"
        )


def _check_other(written: str, other: Any, asyncio_based: bool) -> None:
    """Refuse an application beside a server that is clearly of the other kind."""
    if not callable(other):
        return
    call = other if inspect.isroutine(other) else type(other).__call__
    if asyncio_based and positional(other)[1] == 2:
        raise TypeError(
            f"{written}: the application takes two arguments, as WSGI's do; write "
            "WSGIApp(Server(), app)"
        )
    if not asyncio_based and inspect.iscoroutinefunction(call):
        raise TypeError(
            f"{written}: the application is a coroutine function, as ASGI's are; write "
            "ASGIApp(AsyncServer(), app)"
        )


def suggestion(app: Any) -> str:
    """What to serve instead of an object that cannot be served."""
    if server_of(app) is not None:
        return ": servers for threads are served by run(), not by serve()"
    if isinstance(app, str):
        return ": pass the server itself; the command takes its name"
    if foreign := _foreign(app):
        return foreign
    if not callable(app):
        return ""
    call = app if inspect.isroutine(app) else type(app).__call__
    wrapper, kind = (
        ("ASGIApp", "an AsyncServer")
        if inspect.iscoroutinefunction(call)
        else ("WSGIApp", "a Server")
    )
    return (
        f": to serve an application beside a Socket.IO server, write "
        f"run(socketio_fast.{wrapper}(sio, app)), where sio is {kind}"
    )


def server_of(value: Any) -> Any:
    """The server that this is, or that it stands for, as typed wrappers do: its
    attributes are the server's. ``None`` if it is something else."""
    server = getattr(getattr(value, "handle_request", None), "__self__", value)
    return server if isinstance(server, (BaseServer, BaseEngineServer)) else None


def _foreign(value: Any) -> str:
    """A remark if the object is a server of python-socketio or python-engineio."""
    for package in ("socketio", "engineio"):
        if type(value).__module__.split(".")[0] == package:
            return f", this is one of python-{package}: change its import"
    return ""


def _name(value: Any) -> str:
    return f"{type(value).__name__}()"
