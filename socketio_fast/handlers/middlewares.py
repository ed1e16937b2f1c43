"""Middlewares: functions that see something before handlers do, and may refuse it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["Middlewares", "added"]


class Middlewares:
    """Functions and coroutine functions that are called in turn, with the same
    arguments. What one raises keeps the others from being called.

    It does not change: adding a function makes another.

    Args:
        functions: The functions, in order.
    """

    __slots__ = ("functions",)

    def __init__(self, functions: tuple[Callable[..., Any], ...]) -> None:
        self.functions = functions

    async def __call__(self, *args: Any) -> None:
        """Call all, and await those that are coroutine functions."""
        for function in self.functions:
            result = function(*args)
            if inspect.isawaitable(result):
                await result


def added(before: Middlewares | None, function: Callable[..., Any]) -> Middlewares:
    """The same middlewares and one more, the last; ``None`` stands for none."""
    functions = () if before is None else before.functions
    return Middlewares((*functions, function))
