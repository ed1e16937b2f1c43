"""Client classes, which are python-socketio's until this package has its own.

They are loaded under private names, with no more of python-socketio than they need, so
that ``socketio`` and ``engineio`` are this package. Their errors are this package's.
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

#: The client classes by the package that has them, and the module that each is in.
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

#: What the modules of this package are asked for: classes, and where they come from.
LENDERS = {
    "socketio": CLASSES["socketio"],
    "socketio.async_namespace": {"AsyncClientNamespace": "async_namespace"},
    "socketio.base_namespace": {"BaseClientNamespace": "base_namespace"},
    "socketio.namespace": {"ClientNamespace": "namespace"},
    "engineio": CLASSES["engineio"],
}

MODULES = {
    *("socketio.async_client", "socketio.async_simple_client", "socketio.base_client"),
    *("socketio.client", "socketio.simple_client"),
    *("engineio.async_client", "engineio.base_client", "engineio.client"),
}


def has(name: str) -> bool:
    """Whether it is a module of python-socketio that only clients need."""
    return name in MODULES


def private_name(name: str) -> str:
    """The name of such a module where it is loaded.

    Raises:
        ImportError: python-socketio is not installed.
    """
    _prepare()
    return _renamed(name)


def lend() -> None:
    """Have the modules of this package give the client classes when asked."""
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
                # An import statement would replace an AttributeError by its own.
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
    """Make the private packages; their modules are imported when they are needed."""
    if PRIVATE["socketio"] in sys.modules:
        return
    packages = [_package(public) for public in PRIVATE]
    for package, errors in zip(packages, (exceptions, engine_exceptions), strict=True):
        package.exceptions = errors  # type: ignore[attr-defined]
        sys.modules[f"{package.__name__}.exceptions"] = errors
    sys.meta_path.insert(0, _Finder())
    # Last of all the one that says that it is done.
    for package in reversed(packages):
        sys.modules[package.__name__] = package


def _package(public: str) -> ModuleType:
    """The package without what its ``__init__`` would import."""
    spec = PathFinder.find_spec(public)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(
            "socketio_fast has no client classes yet; they are python-socketio's, and "
            f"{public} is not installed: pip install python-socketio",
            name=public,
        )
    package = ModuleType(PRIVATE[public])
    package.__path__ = list(spec.submodule_search_locations)

    def find(name: str) -> Any:
        if name not in CLASSES[public]:
            raise AttributeError(f"{public} has no {name!r} for clients")
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
    """Loads a module whose imports of the public packages are of the private ones."""

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
