"""What is public: __all__, the version, the stubs."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import socketio_fast

ROOT = Path(__file__).parents[2]
PYTHON = sorted(
    "socketio_fast" + "".join(f".{part}" for part in path.parts if part != "__init__")
    for path in (
        path.relative_to(ROOT / "socketio_fast").with_suffix("")
        for path in (ROOT / "socketio_fast").rglob("*.py")
    )
)


@pytest.mark.parametrize("name", PYTHON)
def test_exported_names_are_there_and_sorted(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    # Constants first, as ruff sorts them.
    assert list(exported) == sorted(
        set(exported), key=lambda item: (not item.isupper(), item)
    )
    for item in exported:
        assert hasattr(module, item)


@pytest.mark.parametrize("name", [n for n in PYTHON if "._" not in n])
def test_public_modules_say_what_they_are(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for item in getattr(module, "__all__", []):
        if item != "__version__":
            assert getattr(module, item).__doc__, item


def test_the_version_is_the_changelogs_first() -> None:
    match = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert match
    assert match[1].strip("[]") == socketio_fast.__version__


def test_the_package_is_typed() -> None:
    """S10: the package is typed."""
    assert (ROOT / "socketio_fast" / "py.typed").exists()


def test_names_of_python_socketio() -> None:
    for name in (
        *("on", "event", "emit", "send", "call", "enter_room", "leave_room"),
        *("close_room", "rooms", "disconnect", "get_session", "save_session"),
        *("session", "get_environ", "transport", "sleep", "start_background_task"),
        *("shutdown", "reason", "eio", "handlers", "register_namespace"),
        *("namespace_handlers", "environ", "namespaces", "async_handlers"),
        *("always_connect", "async_mode", "logger", "reserved_events", "not_handled"),
    ):
        assert hasattr(socketio_fast.AsyncServer(), name)


def test_names_of_python_engineio() -> None:
    for name in (
        *("on", "send", "disconnect", "session", "get_session", "save_session"),
        *("transport", "shutdown", "sleep", "start_background_task", "create_queue"),
        *("create_event", "get_queue_empty_exception", "generate_id", "sockets"),
    ):
        assert hasattr(socketio_fast.engineio.AsyncServer(), name)


def test_what_is_not_there_at_all() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'AsyncServr'"):
        _ = socketio_fast.AsyncServr
    with pytest.raises(ImportError, match="cannot import name 'AsyncServr'"):
        exec("from socketio_fast import AsyncServr")
