"""Makes ``import socketio`` import this package, for programs on python-socketio.

::

    from socketio_fast import alias

    alias.install()  # before anything that imports socketio or engineio

``python -m socketio_fast.alias program.py`` does the same for a program that is not
changed. docs/alias.md has more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType

from socketio_fast.alias import flask_socketio

__all__ = ["install"]

#: The packages of python-socketio and python-engineio, and what replaces them.
PACKAGES = {"socketio": "socketio_fast", "engineio": "socketio_fast.engineio"}


def install() -> None:
    """Make ``import socketio`` and ``import engineio`` import this package.

    The same holds for their submodules. Both names lead to the same module objects:
    ``socketio.AsyncServer is socketio_fast.AsyncServer``. Further calls
    change nothing.

    Raises:
        RuntimeError: ``socketio`` or ``engineio`` has been imported already, from
            another package.
    """
    for name, ours in PACKAGES.items():
        module = sys.modules.get(name)
        if module is not None and module is not sys.modules[ours]:
            place = getattr(module, "__file__", None)
            raise RuntimeError(
                f"{name} has been imported already, from {place}: call "
                "socketio_fast.alias.install() before anything that imports it, or "
                "start the program with python -m socketio_fast.alias"
            )
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name, module in list(sys.modules.items()):
        # The import system looks here first, so that no module is loaded twice.
        if name == "socketio_fast" or name.startswith("socketio_fast."):
            sys.modules["socketio" + name.removeprefix("socketio_fast")] = module
        if name.startswith("socketio_fast.engineio"):
            sys.modules[name.removeprefix("socketio_fast.")] = module
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the modules of the replaced packages, and modules that must be changed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        package, dot, rest = fullname.partition(".")
        if package in PACKAGES:
            ours = f"{PACKAGES[package]}{dot}{rest}"
            if find_spec(ours) is None:
                return None
            return ModuleSpec(fullname, _SameModule(ours))
        change = flask_socketio.CHANGES.get(fullname)
        spec = None if change is None else PathFinder.find_spec(fullname, path, target)
        if change is not None and spec is not None and spec.loader is not None:
            spec.loader = _Changed(spec.loader, change)
        return spec


class _SameModule(Loader):
    """Loads, under a second name, a module that has another name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just replaced it by the spec of the second name.
        module.__spec__ = self._spec


class _Changed(Loader):
    """Loads a module by its own loader, and then changes its contents."""

    def __init__(self, loader: Loader, change: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._change = change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._change(module)
