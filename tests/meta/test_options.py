"""The types of options against the signatures that take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import socketio_fast as socketio
from socketio_fast.options.typed import (
    AsyncEngineOptions,
    AsyncServerOptions,
    EngineOptions,
    MoreEngineOptions,
    ServeOptions,
)

# What a Socket.IO server chooses for the server of Engine.IO below it.
CHOSEN = {"logger", "json", "async_handlers"}


def _takes(function: Callable[..., Any]) -> dict[str, str]:
    return {
        name: parameter.annotation
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and not name.startswith("_")
    }


def _own(options: Any) -> dict[str, str]:
    found = {}
    for cls in options.__orig_bases__ if hasattr(options, "__orig_bases__") else ():
        if cls is not dict and hasattr(cls, "__annotations__"):
            found |= _own(cls)
    return found | {
        name: getattr(kind, "__forward_arg__", kind)
        for name, kind in options.__annotations__.items()
    }


def _without_literals(kinds: dict[str, str]) -> dict[str, str]:
    return {
        name: "str" if kind.startswith("Literal[") else kind
        for name, kind in kinds.items()
    }


def test_the_options_of_engineio_are_those_it_takes() -> None:
    takes = _takes(socketio.engineio.AsyncServer)
    assert _without_literals(_own(AsyncEngineOptions)) == {
        name: kind for name, kind in takes.items() if name not in CHOSEN
    }


def test_the_server_for_threads_of_engineio_passes_on_the_others() -> None:
    explicit = _takes(socketio.engineio.Server)
    assert not set(explicit) & set(MoreEngineOptions.__annotations__)
    assert (
        set(explicit) - CHOSEN - {"max_workers", "max_workers_per_client"}
        | set(MoreEngineOptions.__annotations__)
        == set(_takes(socketio.engineio.AsyncServer)) - CHOSEN
    )


def test_the_server_for_threads_passes_on_the_others() -> None:
    explicit = _takes(socketio.Server)
    passed = {
        name: kind
        for name, kind in _takes(socketio.AsyncServer).items()
        if name not in explicit
    }
    own = _own(AsyncServerOptions)
    engine = _own(EngineOptions)
    assert {name: own[name] for name in own if name not in engine} == passed


def test_run_takes_what_serve_takes() -> None:
    takes = _takes(socketio.serve)
    for name in ("app", "host", "port"):
        del takes[name]
    takes["ssl"] = takes["ssl"].replace("_ssl.", "ssl.")
    assert _own(ServeOptions) == takes
