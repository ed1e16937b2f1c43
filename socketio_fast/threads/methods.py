"""Methods of classes for threads, made of those of the classes for asyncio.

A class for threads is a facade: each of its objects stands for one of the event loop.
What the two have in common is declared once, with the class for asyncio::

    class Server(Facade):
        disconnect = waits(AsyncServer.disconnect)
        logger = reads(AsyncServer, lambda server: server.logger, "Where it logs.")

Type checkers, ``inspect.signature()`` and ``help()`` show arguments, types and
docstrings of the method for asyncio; what that returns to ``await`` is returned.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    NoReturn,
    ParamSpec,
    TypeVar,
    overload,
)

if TYPE_CHECKING:
    from typing_extensions import Never

    from socketio_fast.threads.facade import Threads

__all__ = ["Facade", "calls", "changes", "like", "reads", "runs", "shown", "waits"]

C = TypeVar("C")
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Facade:
    """What stands, in threads, for an object of the event loop.

    Its methods are made by :func:`waits`, :func:`runs`, :func:`changes` and
    :func:`calls`, its properties by :func:`reads`.
    """

    #: The object.
    _inner: Any
    _threads: Threads

    def _run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the event loop, and wait for what it returns."""
        return self._threads.run(coro)

    def _wait(self, coro: Coroutine[Any, Any, T]) -> T:
        """As :meth:`_run`, for what ends only when handlers have run."""
        return self._threads.wait(coro)

    def _change(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function where nothing else reads what it changes: on the event loop,
        or here if there is none yet."""
        if kwargs:
            function = functools.partial(function, **kwargs)
        if self._threads.running:
            return self._threads.call(function, *args)
        return function(*args)


def waits(
    method: Callable[Concatenate[Any, P], Awaitable[R]], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """The method of a facade that waits for what this one returns.

    It runs on the event loop. A handler that calls it does not count against
    ``max_workers`` meanwhile, so that it may wait for other handlers.

    Args:
        method: The method of the object that the facade stands for.
        more: A paragraph for the docstring: what is different in threads.
    """
    name, begin = method.__name__, _beginning(method)

    def wait(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait(begin(getattr(self._inner, name), args, kwargs))

    return shown(wait, method, more)


def runs(
    method: Callable[Concatenate[Any, P], Awaitable[R]], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """As :func:`waits`, for what waits for no handler."""
    name, begin = method.__name__, _beginning(method)

    def run(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._run(begin(getattr(self._inner, name), args, kwargs))

    return shown(run, method, more)


def changes(
    method: Callable[Concatenate[Any, P], R], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """The method of a facade that calls this one, a plain function, on the event loop;
    where it is called if there is no event loop yet."""
    name = method.__name__

    def change(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self._change(getattr(self._inner, name), *args, **kwargs)
        return result

    return shown(change, method, more)


def calls(
    method: Callable[Concatenate[Any, P], R], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """The method of a facade that calls this one, which any thread may call."""
    name = method.__name__

    def call(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = getattr(self._inner, name)(*args, **kwargs)
        return result

    return shown(call, method, more)


def like(
    method: Callable[Concatenate[Any, P], Any], more: str = ""
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Decorate a method that has the arguments of this one, but a body of its own.

    It gets the signature, and the docstring unless it has one; what it returns is its
    own.
    """

    def decorate(function: Callable[..., R]) -> Callable[Concatenate[Any, P], R]:
        returns = function.__annotations__["return"]
        return shown(function, method, more, returns)

    return decorate


if TYPE_CHECKING:

    class Read(Generic[R]):
        """A property that cannot be set, as type checkers see it."""

        @overload
        def __get__(self, facade: None, owner: type) -> Read[R]: ...

        @overload
        def __get__(self, facade: object, owner: type) -> R: ...

        def __get__(self, facade: object, owner: type) -> Any: ...

        def __set__(self, facade: object, value: Never) -> NoReturn: ...


@overload
def reads(of: type[C], get: Callable[[C], R], *, doc: str | None = None) -> Read[R]: ...


@overload
def reads(
    of: type[C], get: Callable[[C], R], turn: Callable[[Any, R], T]
) -> Read[T]: ...


def reads(
    of: type[Any],
    get: Callable[[Any], Any],
    turn: Callable[[Any, Any], Any] | None = None,
    doc: str | None = None,
) -> Any:
    """The property of a facade that reads one of the object, in any thread.

    ``id = reads(Socket, lambda socket: socket.id)``: by the function type checkers know
    what it gives.

    Args:
        of: The class of the object.
        get: Reads an attribute of the object.
        turn: Makes what the property gives of the facade and the attribute.
        doc: The docstring; by default that of the attribute.
    """
    name = get.__code__.co_names[0]

    def read(self: Facade) -> Any:
        return get(self._inner)

    def read_and_turn(self: Facade) -> Any:
        assert turn is not None
        return turn(self, get(self._inner))

    return property(
        read if turn is None else read_and_turn, doc=doc or getattr(of, name).__doc__
    )


def _beginning(
    method: Callable[Concatenate[Any, P], Awaitable[R]],
) -> Callable[[Any, Any, Any], Coroutine[Any, Any, R]]:
    """What makes, in any thread, the coroutine of a call of a method."""
    code = getattr(method, "__code__", None)
    defined_async = code is not None and code.co_flags & inspect.CO_COROUTINE
    return _called if defined_async else _called_on_loop


def _called(method: Any, args: Any, kwargs: Any) -> Any:
    return method(*args, **kwargs)


async def _called_on_loop(method: Any, args: Any, kwargs: Any) -> Any:
    # Not before: it does its work when it is called, not when it is awaited.
    return await method(*args, **kwargs)


def shown(
    function: F, method: Callable[..., Any], more: str = "", returns: str | None = None
) -> F:
    """A function that shows as a method does, by its name, signature and docstring.

    It has no ``__wrapped__``: that would be a coroutine function, which it is not.
    """
    signature = inspect.signature(method)
    if returns is None:
        returns = signature.return_annotation
        if returns == "Begun":  # what is awaited of it is None
            returns = "None"
    function.__name__ = function.__qualname__ = method.__name__
    vars(function)["__signature__"] = signature.replace(return_annotation=returns)
    function.__annotations__ = {**method.__annotations__, "return": returns}
    if not function.__doc__:
        summary, _, rest = inspect.cleandoc(method.__doc__ or "").partition("\n\n")
        parts = [part for part in (summary, more, rest) if part]
        function.__doc__ = "\n\n".join(parts)
    return function
