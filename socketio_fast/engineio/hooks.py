"""Hooks of an application: middlewares, events and decisions about requests.

The core asks a :class:`Hooks` object, if a server has one, about each request that it
concerns; see docs/engine.md.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from socketio_fast._core.engine.engine import Engine
from socketio_fast._core.engine.failures import contain, ends_task
from socketio_fast._core.engine.request_hooks import HookRefusal, RequestHooks
from socketio_fast._core.engine.session import Session
from socketio_fast.engineio.connection import Connection
from socketio_fast.exceptions import RequestRefusedError
from socketio_fast.handlers.signatures import positional

__all__ = ["EVENTS", "Headers", "Hooks"]

#: The events of requests, and of connections.
EVENTS = ("initial_headers", "headers", "connection_error", "connection", "slow")

BAD_REQUEST, FORBIDDEN = 3, 4
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: Headers that the server writes itself.
RESERVED = {"connection", "content-length", "transfer-encoding", "upgrade"}

Environ = dict[str, Any]


class Headers(MutableMapping[str, str | list[str]]):
    """Headers of a response; names ignore case, and a list is a line for each item.

    Raises:
        ValueError: A name or value cannot be sent, or is the server's own matter.
        TypeError: A value is neither a string nor a list of them.
    """

    def __init__(self, headers: Mapping[str, str | list[str]] | None = None) -> None:
        self._values: dict[str, tuple[str, str | list[str]]] = {}
        self.update(headers or {})

    def __getitem__(self, name: str) -> str | list[str]:
        return self._values[name.lower()][1]

    def __setitem__(self, name: str, value: str | list[str]) -> None:
        if not TOKEN.fullmatch(name):
            raise ValueError(f"header {name!r}: a name of letters and hyphens expected")
        if name.lower() in RESERVED:
            raise ValueError(f"header {name!r} is written by the server itself")
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, str):
                raise TypeError(f"header {name}: {item!r} is not a str")
            if any(c in item for c in "\r\n\0") or not _is_latin_1(item):
                raise ValueError(f"header {name}: {item!r} cannot be sent")
        self._values[name.lower()] = name, value

    def __delitem__(self, name: str) -> None:
        del self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._values.values()])

    def __len__(self) -> int:
        return len(self._values)

    def lines(self) -> bytes:
        """The lines of the response, each with its CRLF."""
        return b"".join(
            f"{name}: {item}\r\n".encode("latin-1")
            for name, value in self._values.values()
            for item in (value if isinstance(value, list) else [value])
        )


def _is_latin_1(text: str) -> bool:
    return all(ord(c) < 256 for c in text)


def _refusal(error: RequestRefusedError, context: dict[str, Any]) -> HookRefusal:
    # The message without the quotes of its JSON string.
    text = json.dumps(error.message)[1:-1].encode()
    lines = Headers(error.headers).lines()
    return HookRefusal(error.status, error.code, text, lines, context)


class Hooks(RequestHooks):
    """The hooks of one server; the engine refers to it once there is a hook.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._middlewares: list[Callable[..., Any]] = []
        self._listeners: dict[str, list[Callable[..., Any]]] = {
            event: [] for event in EVENTS
        }
        self._allow_request: Callable[..., Any] | None = None
        self._generate_id: Callable[..., Any] | None = None
        self._running: set[asyncio.Future[Any]] = set()

    # Called by servers.

    def use(self, middleware: Callable[..., Any]) -> None:
        """Add a middleware."""
        self._middlewares.append(middleware)
        self.every_request = True
        self._engine.hooks = self

    def on(self, event: str, listener: Callable[..., Any]) -> None:
        """Add a listener of an event of :data:`EVENTS`."""
        self._listeners[event].append(listener)
        self.every_request = self.every_request or event == "headers"
        self._engine.hooks = self

    def allow_by(self, allow_request: Callable[..., Any]) -> None:
        """Set the function that decides whether a client may connect."""
        self._allow_request = allow_request
        self._engine.hooks = self

    def generate_by(self, generate_id: Callable[..., Any] | None) -> None:
        """Set the function that makes ids, from the environ if it takes one."""
        self._generate_id = generate_id
        if generate_id is not None:
            self._engine.hooks = self

    def adapt(self, adapt: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Wrap all hooks that were added before, as a server for threads does."""
        if self._allow_request is not None:
            self._allow_request = adapt(self._allow_request)

    # Called by the core.

    def new_headers(self) -> Headers:
        """An empty set of headers for a response."""
        return Headers()

    def header_lines(self, headers: Headers) -> bytes:
        """The lines of these headers, each with its CRLF."""
        return headers.lines()

    async def run_middlewares(
        self, environ: Environ, headers: Headers
    ) -> HookRefusal | None:
        """Run the middlewares in order; returns the first refusal."""
        for middleware in self._middlewares:
            try:
                await _result(middleware(environ, headers))
            except RequestRefusedError as exc:
                return _refusal(exc, {"name": "MIDDLEWARE_FAILURE", "error": exc})
            except BaseException as exc:
                if ends_task(exc):
                    raise
                self._failed(exc, "middleware %r failed", middleware)
                error = RequestRefusedError("Bad request", code=BAD_REQUEST, status=400)
                return _refusal(error, {"name": "MIDDLEWARE_FAILURE", "error": exc})
        return None

    async def allow(self, environ: Environ) -> HookRefusal | None:
        """Decide whether a client may connect; returns ``None`` or the refusal."""
        if self._allow_request is None:
            return None
        try:
            if await _result(self._allow_request(environ)):
                return None
            error = RequestRefusedError()
        except RequestRefusedError as exc:
            error = exc
        except BaseException as exc:
            if ends_task(exc):
                raise
            self._failed(exc, "allow_request failed")
            error = RequestRefusedError()
        return _refusal(error, {"message": error.message})

    async def new_id(self, environ: Environ) -> tuple[str | None, HookRefusal | None]:
        """Make an id; returns it or a refusal, or neither: the server makes one."""
        if self._generate_id is None:
            return None, None
        try:
            args = (environ,) if positional(self._generate_id)[0] else ()
            made = await _result(self._generate_id(*args))
            if not isinstance(made, str) or not made:
                raise TypeError(f"generate_id() returned {made!r}: a str expected")
            made += self._engine.tag or ""
            if made in self._engine.sessions:
                raise ValueError(f"generate_id() returned {made!r}: it is taken")
        except BaseException as exc:
            if ends_task(exc):
                raise
            self._failed(exc, "generate_id failed")
            error = RequestRefusedError("Bad request", code=BAD_REQUEST, status=400)
            return None, _refusal(error, {"name": "ID_GENERATION_ERROR", "error": exc})
        return made, None

    async def on_headers(self, headers: Headers, environ: Environ, first: bool) -> None:
        """Call the listeners that may change the headers of a response."""
        if first:
            for listener in self._listeners["initial_headers"]:
                await _result(listener(headers, environ))
        for listener in self._listeners["headers"]:
            await _result(listener(headers, environ))

    def failed(
        self, environ: Environ, code: int, message: str, context: dict[str, Any]
    ) -> None:
        """Report that a request was refused."""
        error = {
            "environ": environ,
            "code": code,
            "message": message,
            "context": context,
        }
        self._tell("connection_error", error)

    def opened(self, session: Session) -> None:
        """Report a new connection."""
        if self._listeners["connection"]:
            self._tell("connection", Connection(session))

    def slow(self, sid: str, size: int) -> None:
        """Report how many bytes wait for a slow client."""
        self._tell("slow", sid, size)

    def _tell(self, event: str, *args: Any) -> None:
        for listener in self._listeners[event]:
            try:
                result = listener(*args)
                if inspect.isawaitable(result):
                    task = asyncio.ensure_future(self._guard(event, result))
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
            except BaseException as exc:
                self._failed(exc, "%s listener failed", event)

    async def _guard(self, event: str, result: Any) -> None:
        try:
            await result
        except BaseException as exc:
            if ends_task(exc):
                raise
            self._failed(exc, "%s listener failed", event)

    def _failed(self, error: BaseException, message: str, *args: Any) -> None:
        """Log what a hook has raised; the server goes on."""
        contain(self._engine.loop, self._engine.logger, error, message, args)


async def _result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
