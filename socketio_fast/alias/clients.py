"""Loads the client classes of python-socketio, because this package has none.

The names ``socketio`` and ``engineio`` belong to this package. The modules that the
clients need are therefore loaded under private names, and no others. Clients raise the
exceptions of this package.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from socketio_fast import exceptions
from socketio_fast.engineio import exceptions as engine_exceptions

__all__ = ["has", "lend", "private_name"]

PRIVATE = {"socketio": "_python_socketio", "engineio": "_python_engineio"}
PUBLIC = {private: public for public, private in PRIVATE.items()}

#: For each package, its client classes and the module that defines each.
CLASSES = {
    "socketio": {
        "AsyncClient": "async_client",
        "AsyncClientNamespace": "async_namespace",
        "AsyncSimpleClient": "async_simple_client",
        "Client": "client",
        "ClientNamespace": "namespace",
        "SimpleClient": "simple_client",
    },
    "engineio": {"AsyncClient": "async_client", "Client": "client"},
}

#: For each module that gets client classes as attributes, the classes and the modules
#: that define them.
LENDERS = {
    "socketio": CLASSES["socketio"],
    "socketio.async_namespace": {"AsyncClientNamespace": "async_namespace"},
    "socketio.base_namespace": {"BaseClientNamespace": "base_namespace"},
    "socketio.namespace": {"ClientNamespace": "namespace"},
    "engineio": CLASSES["engineio"],
}

#: The modules that only clients need.
MODULES = {
    *("socketio.async_client", "socketio.async_simple_client", "socketio.base_client"),
    *("socketio.client", "socketio.simple_client"),
    *("engineio.async_client", "engineio.base_client", "engineio.client"),
}


def has(name: str) -> bool:
    """Whether the name is that of a module that only clients need."""
    return name in MODULES


def private_name(name: str) -> str:
    """The private name that a module of python-socketio is loaded under.

    Raises:
        ImportError: python-socketio is not installed.
    """
    _prepare()
    return _renamed(name)


def lend() -> None:
    """Make the client classes attributes of the modules where programs look for them.

    They are loaded when the attribute is read.
    """
    for name, places in LENDERS.items():
        _lend(import_module(name), name.partition(".")[0], places)


def _lend(module: ModuleType, public: str, places: dict[str, str]) -> None:
    before = getattr(module, "__getattr__", None)

    def find(name: str) -> Any:
        if name in places:
            try:
                place = private_name(f"{public}.{places[name]}")
                return getattr(import_module(place), name)
            except ImportError as exc:
                # "from module import name" replaces an AttributeError by an ImportError
                # of its own, without this message.
                if sys._getframe(1).f_code.co_name == "_handle_fromlist":
                    raise
                raise AttributeError(str(exc)) from exc
        if before is not None:
            return before(name)
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

    module.__getattr__ = find  # type: ignore[method-assign]


def _renamed(name: str) -> str:
    public, dot, rest = name.partition(".")
    return f"{PRIVATE[public]}{dot}{rest}"


def _prepare() -> None:
    """Make the private packages, whose modules are imported when they are needed."""
    if PRIVATE["socketio"] in sys.modules:
        return
    packages = [_package(public) for public in PRIVATE]
    for package, errors in zip(packages, (exceptions, engine_exceptions), strict=True):
        package.exceptions = errors  # type: ignore[attr-defined]
        sys.modules[f"{package.__name__}.exceptions"] = errors
    sys.meta_path.insert(0, _Finder())
    # "socketio" last: its presence tells other threads that everything is prepared.
    for package in reversed(packages):
        sys.modules[package.__name__] = package


def _package(public: str) -> ModuleType:
    """Make a private package, without running its ``__init__``."""
    spec = PathFinder.find_spec(public)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(
            "socketio_fast has no client classes; it uses python-socketio's, but "
            f"{public} is not installed: pip install python-socketio",
            name=public,
        )
    package = ModuleType(PRIVATE[public])
    package.__path__ = list(spec.submodule_search_locations)

    def find(name: str) -> Any:
        if name not in CLASSES[public]:
            raise AttributeError(f"{public} has no client class {name!r}")
        place = f"{package.__name__}.{CLASSES[public][name]}"
        return getattr(import_module(place), name)

    package.__getattr__ = find  # type: ignore[method-assign]
    return package


class _Finder(MetaPathFinder):
    """Finds the modules of the private packages."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in PUBLIC or path is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads a module, and redirects its imports to the private packages."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        self._loader.exec_module(module)


def _import(
    name: str,
    globals: Any = None,
    locals: Any = None,
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> ModuleType:
    if level == 0 and name.partition(".")[0] in PRIVATE:
        name = _renamed(name)
    return builtins.__import__(name, globals, locals, fromlist, level)
