"""What a program gives ``run()``: servers for asyncio, those for threads, or names."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Any

from socketio_fast.hosting.asgi import EngineASGIApp
from socketio_fast.hosting.checks import server_of
from socketio_fast.serving.serve import SERVERS

if TYPE_CHECKING:
    from socketio_fast.threads.facade import Threads

__all__ = ["NoApplicationError", "check_place", "load", "threaded"]


class NoApplicationError(ValueError):
    """A name, ``"module:app"``, stands for no application."""


def check_place(place: str) -> tuple[str, str]:
    """The module and the path in it of ``"module:app"``.

    Raises:
        NoApplicationError: It is written in another way.
    """
    module, colon, path = place.partition(":")
    if not module or not colon or not path:
        raise NoApplicationError(
            f"{place!r}: module:app expected, such as chat:sio for sio of chat.py"
        )
    return module, path


def load(place: str, factory: bool = False) -> Any:
    """Import an application.

    Args:
        place: Its module and its name there, ``"module:app"``.
        factory: Whether this is a function, which returns the application.

    Raises:
        NoApplicationError: There is no such module or name; or ``factory``, and it is
            no function.

    It raises what the module and the function do besides.
    """
    module, path = check_place(place)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if module.endswith(".py"):
            right = module.removesuffix(".py").replace("/", ".")
            raise NoApplicationError(
                f"{place!r}: a module expected, not a file; write {right}:{path}"
            ) from None
        if exc.name is None or not (module + ".").startswith(exc.name + "."):
            raise  # an import of the application's own
        raise NoApplicationError(f"{place!r}: there is no module {module!r}") from None
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            hint = _hint(module)
            raise NoApplicationError(
                f"{place!r}: {module!r} has no {path!r}{hint}"
            ) from None
    return _made(place, found) if factory else found


def _made(place: str, factory: Any) -> Any:
    if not callable(factory) or isinstance(factory, (*SERVERS, EngineASGIApp)):
        raise NoApplicationError(
            f"{place!r} is {type(factory).__name__}, not a function that returns the "
            "application: leave out factory=True (--factory)"
        )
    app = factory()
    if inspect.iscoroutine(app):
        app.close()
        raise NoApplicationError(
            f"{place!r} is a coroutine function: a function that returns the "
            "application expected, it is called before there is an event loop"
        )
    return app


def _hint(module: str) -> str:
    from socketio_fast.hosting.wsgi import EngineWSGIApp
    from socketio_fast.server import Server

    kinds = (*SERVERS, EngineASGIApp, Server, EngineWSGIApp)
    there = " or ".join(
        f"{module}:{name}"
        for name, value in vars(sys.modules[module]).items()
        if isinstance(value, kinds)
    )
    return f"; write {there}" if there else ""


def threaded(app: Any) -> tuple[Threads | None, Any]:
    """The threads of a server, ``None`` if it is asynchronous, and what to serve."""
    if isinstance(app, EngineASGIApp) or isinstance(server_of(app), SERVERS):
        return None, app
    # A program that serves one of these has imported their modules already.
    from socketio_fast.engineio.server import Server as SyncEngineServer
    from socketio_fast.hosting.wsgi import EngineWSGIApp
    from socketio_fast.server import Server

    server = server_of(app.server if isinstance(app, EngineWSGIApp) else app)
    if isinstance(server, Server):
        inner: Any = server._server
    elif isinstance(server, SyncEngineServer):
        inner = server._inner
    else:
        return None, app
    if isinstance(app, EngineWSGIApp):
        other = None
        if app.wsgi_app is not None:
            try:
                from socketio_fast.hosting.other_app import in_threads
            except ImportError as exc:  # its message names the extra for ASGI
                raise ImportError(
                    "a WSGI application beside a Socket.IO server is served by uvicorn "
                    'and a2wsgi: pip install "socketio-fast[wsgi]"'
                ) from exc

            other = in_threads(app.wsgi_app)
        inner = EngineASGIApp(inner, other, app.static_files, app.path)
    return server._threads, inner
