"""Finds the namespace that ``sio.of()`` or a client asks for, or makes it."""

from __future__ import annotations

import inspect
import re
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from socketio_fast._core.socketio.hub import MAX_NAME, Namespace
from socketio_fast.sockets.namespace import ParentNamespace, SocketNamespace

if TYPE_CHECKING:
    from socketio_fast.async_server import AsyncServer

__all__ = ["Namespaces"]

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Namespaces:
    """The namespaces that :meth:`of` has returned, by name and by pattern.

    Args:
        server: The server.
    """

    def __init__(self, server: AsyncServer) -> None:
        self._of_server = weakref.ref(server)
        self._known: dict[str, SocketNamespace] = {}
        self._parents: dict[Any, ParentNamespace] = {}

    @property
    def _server(self) -> AsyncServer:
        server = self._of_server()
        assert server is not None
        return server

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def of(self, name: Any) -> Any:
        """See :meth:`socketio_fast.AsyncServer.of`."""
        if isinstance(name, str) and not _FIELD.search(name):
            return self._named(name if name.startswith("/") else "/" + name)
        if name in self._parents:
            return self._parents[name]
        if isinstance(name, str):
            name = name if name.startswith("/") else "/" + name
            match: Any = _pattern(name).fullmatch
            shown = name
        elif isinstance(name, re.Pattern):
            match, shown = name.search, f"/{name.pattern}/"
        elif callable(name):
            match, shown = name, getattr(name, "__name__", repr(name))
        else:
            raise TypeError(
                f"of({name!r}): a name, a pattern, a compiled regular expression or a "
                "function (name, auth) expected"
            )
        parent = ParentNamespace(self._server, shown, match, name)
        self._parents[name] = parent
        self._server._hub.resolve = self._resolve
        return parent

    def _named(self, name: str) -> SocketNamespace:
        nsp = self._known.get(name)
        if nsp is not None:
            return nsp
        for parent in self._parents.values():
            if isinstance(parent._key, (str, re.Pattern)):
                found = parent._match(name)
                if found:
                    return self._born(parent._child(name, found.groupdict()))
        return self._born(SocketNamespace(self._server, name))

    def _born(self, nsp: SocketNamespace) -> SocketNamespace:
        self._known[nsp.name] = nsp
        main = self._known.get("/")
        if nsp.name != "/" and main is not None:
            main._fire_own(main, "new_namespace", nsp)
        return nsp

    def _has(self, nsp: SocketNamespace) -> bool:
        return self._known.get(nsp.name) is nsp

    def _forget(self, nsp: SocketNamespace) -> None:
        if self._has(nsp):
            del self._known[nsp.name]
        if nsp.parent is not None:
            nsp.parent.children.discard(nsp)

    async def _resolve(self, name: str, auth: Any) -> Namespace | None:
        """The namespace that a client asks for; ``None`` if no family matches its name.

        A namespace that only function handlers have made may match a family too: then
        the middlewares of the family are asked about its clients.
        """
        if name in self._known:
            return self._known[name]._core
        if len(name) > MAX_NAME:
            return None
        for parent in list(self._parents.values()):
            params: Mapping[str, str] | None = None
            if isinstance(parent._key, (str, re.Pattern)):
                found = parent._match(name)
                params = found.groupdict() if found else None
            else:
                found = parent._match(name, auth)
                if inspect.isawaitable(found):
                    found = await found
            if found:
                nsp = self._known.get(name)  # made while a predicate was awaited
                if nsp is None:
                    nsp = self._born(parent._child(name, params))
                    # A namespace with function handlers outlives its last client.
                    if not self._server._has_handlers(name):
                        nsp._core.bound()
                return nsp._core
        return None


def _pattern(name: str) -> re.Pattern[str]:
    """The regular expression of ``"/org/{org}/chat"``."""
    parts = _FIELD.split(name)  # text, field, text, …
    fields = parts[1::2]
    if len(set(fields)) != len(fields):
        raise ValueError(f"of({name!r}): a parameter is there twice")
    for i in range(1, len(parts), 2):
        text = parts[i + 1]
        one = "[^/]"
        if i + 2 < len(parts) and "/" not in text:
            if not text:
                raise ValueError(f"of({name!r}): two parameters need text between them")
            # The parameter ends where that text first occurs. If the expression tried
            # each occurrence, its time would grow with a power of the name's length.
            one = f"(?:(?!{re.escape(text)})[^/])"
        parts[i] = f"(?P<{parts[i]}>{one}+)"
    parts[::2] = map(re.escape, parts[::2])
    return re.compile("".join(parts))
