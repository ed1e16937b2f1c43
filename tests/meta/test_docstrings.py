"""References between docstrings lead to the method that is meant."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import pytest

import socketio_fast as socketio

REFERENCE = re.compile(r"[Ss]ee\s+:(?:meth|class|func):`~?\.?([\w.]+)`")


def _methods() -> list[tuple[str, Any]]:
    classes = [
        socketio.AsyncServer,
        socketio.Server,
        socketio.AsyncNamespace,
        socketio.Namespace,
        socketio.engineio.AsyncServer,
        socketio.engineio.Server,
        socketio.Socket,
    ]
    found = []
    for cls in classes:
        for name, member in inspect.getmembers(cls, inspect.isfunction):
            if not name.startswith("_"):
                found.append((f"{cls.__module__}.{cls.__qualname__}.{name}", member))
    return found


def _resolve(path: str) -> Any:
    parts = path.split(".")
    for size in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:size]))
        except ModuleNotFoundError:
            continue
        for part in parts[size:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{path} is nowhere")


@pytest.mark.parametrize(
    ("name", "method"), _methods(), ids=[name for name, _ in _methods()]
)
def test_a_method_refers_to_the_one_of_its_name(name: str, method: Any) -> None:
    doc = inspect.getdoc(method) or ""
    match = re.match(r"[^\n]*\n\n(?:.|\n)*?" + REFERENCE.pattern, doc)
    if match is None or "." not in match[1]:
        return
    assert _resolve(match[1]) is not None
    own, referred = name.rsplit(".", 1)[1], match[1].rsplit(".", 1)[1]
    if referred[0].islower():
        assert own == referred
