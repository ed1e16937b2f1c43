"""What ``json=`` means, of servers and of packet classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from socketio_fast._core.protocol.json_text import dumps_json, loads_json
from socketio_fast.engineio import json as engineio_json

SAMPLE = ["event", 1, {"key": None}]


@dataclass(frozen=True, slots=True)
class JSON:
    """The two functions of a JSON module, each called with one argument."""

    dumps: Callable[[Any], str | bytes]
    loads: Callable[[str], Any]

    def text(self, value: Any) -> str:
        """The JSON of a value."""
        text = self.dumps(value)
        return text if isinstance(text, str) else text.decode()


BUILT_IN = JSON(dumps_json, lambda text: loads_json(text.encode()))


def json_functions(module: Any) -> JSON:
    """What to call of a JSON module, or of anything with ``dumps`` and ``loads``.

    ``dumps`` may return ``str`` or ``bytes``, and gets ``separators=(",", ":")`` if it
    takes that, which is found out here. ``None`` and ``engineio.json`` are the built-in
    JSON.

    Raises:
        TypeError: It cannot be used, and why.
    """
    if module is None or module is engineio_json:
        return BUILT_IN
    dumps, loads = (getattr(module, name, None) for name in ("dumps", "loads"))
    if not callable(dumps) or not callable(loads):
        raise TypeError(f"json={module!r}: dumps() and loads() expected")
    try:
        dumps, text = _compact(dumps)
    except Exception as exc:
        raise TypeError(f"json={module!r}: dumps() fails with {exc!r}") from exc
    if not isinstance(text, (str, bytes)):
        raise TypeError(
            f"json={module!r}: dumps() returns {type(text).__name__}, "
            "str or bytes expected"
        )
    try:
        value = loads(text if isinstance(text, str) else text.decode())
    except Exception as exc:
        raise TypeError(f"json={module!r}: loads() fails with {exc!r}") from exc
    if not isinstance(value, list):
        raise TypeError(
            f"json={module!r}: loads() returns {type(value).__name__} for a list"
        )
    return JSON(dumps, loads)


def _compact(dumps: Callable[..., Any]) -> tuple[Callable[[Any], Any], Any]:
    """``dumps`` with the separators that it takes, and what that makes of a sample."""
    compact = partial(dumps, separators=(",", ":"))
    try:
        return compact, compact(SAMPLE)
    except TypeError:
        return dumps, dumps(SAMPLE)


class UsesJSON:
    """A packet class with python-socketio's class attribute ``json``."""

    #: The JSON module of this class; one for all servers that use the class. ``json=``
    #: of a server is that server's own.
    json: Any = engineio_json

    _functions: tuple[Any, JSON] = (engineio_json, BUILT_IN)

    @classmethod
    def _is_built_in(cls) -> bool:
        """Whether it is the JSON that also writes what has to be replaced."""
        return cls.json is None or cls.json is engineio_json

    def _json(self) -> JSON:
        """The functions of ``json``, looked at again when that has been replaced."""
        if self._functions[0] is not self.json:
            type(self)._functions = (self.json, json_functions(self.json))
        return self._functions[1]
