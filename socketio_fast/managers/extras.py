"""Packages that only some managers need."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["require"]


def require(module: str, extra: str, user: str) -> Any:
    """Import a module of a package that is an extra.

    Args:
        module: Its name.
        extra: The extra of this package that installs it.
        user: Who needs it.

    Raises:
        RuntimeError: It is not installed; how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if not module.startswith(str(exc.name)):
            raise
        raise RuntimeError(
            f"{user} needs the package {module.partition('.')[0]}: "
            f'pip install "socketio-fast[{extra}]"'
        ) from exc
