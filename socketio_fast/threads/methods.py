"""Makes the classes for threads from the classes for asyncio.

A class for threads is a facade: each of its objects wraps an object that lives on an
event loop. The methods of the facade are made from those of the wrapped class::

    class Server(Facade):
        disconnect = waits(AsyncServer.disconnect)
        logger = reads(AsyncServer, lambda server: server.logger, doc="The logger.")

Type checkers, ``inspect.signature()`` and ``help()`` show the arguments and the
docstring of the asyncio method; the return type is that of the awaited result.
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
    """Base of the classes whose objects wrap an object that lives on an event loop.

    :func:`waits`, :func:`runs`, :func:`changes` and :func:`calls` make the methods of
    such a class, and :func:`reads` its properties.
    """

    #: The wrapped object.
    _inner: Any
    _threads: Threads

    def _run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the event loop, and return its result."""
        return self._threads.run(coro)

    def _wait(self, coro: Coroutine[Any, Any, T]) -> T:
        """Like :meth:`_run`, for a coroutine that waits until handlers have run."""
        return self._threads.wait(coro)

    def _change(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function on the event loop, or in this thread if no loop runs.

        Either way, nothing else reads at the same time what the function changes.
        """
        if kwargs:
            function = functools.partial(function, **kwargs)
        if self._threads.running:
            return self._threads.call(function, *args)
        return function(*args)


def waits(
    method: Callable[Concatenate[Any, P], Awaitable[R]], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """Make a facade's method that runs a coroutine method on the loop, and waits.

    This is for methods that wait until other handlers have run: a handler that calls
    one does not count towards ``max_workers`` while it waits.

    Args:
        method: The method of the wrapped class.
        more: A paragraph on what differs in threads, inserted after the first paragraph
            of the docstring.
    """
    name, make = method.__name__, _coroutine_maker(method)

    def wait(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait(make(getattr(self._inner, name), args, kwargs))

    return shown(wait, method, more)


def runs(
    method: Callable[Concatenate[Any, P], Awaitable[R]], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """Like :func:`waits`, for a method that does not wait for handlers."""
    name, make = method.__name__, _coroutine_maker(method)

    def run(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._run(make(getattr(self._inner, name), args, kwargs))

    return shown(run, method, more)


def changes(
    method: Callable[Concatenate[Any, P], R], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """Make a facade's method that calls a plain method on the event loop.

    While no loop runs, the method is called in the calling thread.
    """
    name = method.__name__

    def change(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self._change(getattr(self._inner, name), *args, **kwargs)
        return result

    return shown(change, method, more)


def calls(
    method: Callable[Concatenate[Any, P], R], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """Make a facade's method that calls a plain method in the calling thread."""
    name = method.__name__

    def call(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = getattr(self._inner, name)(*args, **kwargs)
        return result

    return shown(call, method, more)


def like(
    method: Callable[Concatenate[Any, P], Any], more: str = ""
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Decorate a facade's method with the arguments of ``method``, but its own body.

    The decorated method gets the parameters of ``method``, and its docstring if it has
    none; the return type is its own.
    """

    def decorate(function: Callable[..., R]) -> Callable[Concatenate[Any, P], R]:
        returns = function.__annotations__["return"]
        return shown(function, method, more, returns)

    return decorate


if TYPE_CHECKING:

    class Read(Generic[R]):
        """The type of a read-only property."""

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
    """Make a facade's property that reads an attribute in the calling thread.

    An example is ``id = reads(Socket, lambda socket: socket.id)``. The attribute is
    given by a function because type checkers infer the property's type from it.

    Args:
        of: The wrapped class.
        get: Returns the attribute of an object of that class.
        turn: Called with the facade and the attribute; returns the property's value.
            ``None``, the default, leaves the attribute as it is.
        doc: The docstring; ``None``, the default, is that of the attribute.
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


def _coroutine_maker(
    method: Callable[Concatenate[Any, P], Awaitable[R]],
) -> Callable[[Any, Any, Any], Coroutine[Any, Any, R]]:
    """Return the function that makes, in the calling thread, a call's coroutine."""
    code = getattr(method, "__code__", None)
    defined_async = code is not None and code.co_flags & inspect.CO_COROUTINE
    return _called if defined_async else _called_on_loop


def _called(method: Any, args: Any, kwargs: Any) -> Any:
    return method(*args, **kwargs)


async def _called_on_loop(method: Any, args: Any, kwargs: Any) -> Any:
    # Such a method does its work when it is called, not when its result is awaited:
    # the call itself must be made on the event loop.
    return await method(*args, **kwargs)


def shown(
    function: F, method: Callable[..., Any], more: str = "", returns: str | None = None
) -> F:
    """Give a function the name, signature and docstring of a method; return it.

    ``__wrapped__`` is not set: tools that follow it would find a coroutine function.

    Args:
        function: The function.
        method: The method.
        more: A paragraph that is inserted after the docstring's first.
        returns: The annotation of the return type; ``None``, the default, is that of
            the method.
    """
    signature = inspect.signature(method)
    if returns is None:
        returns = signature.return_annotation
        if returns == "Begun":  # an awaitable of None
            returns = "None"
    function.__name__ = function.__qualname__ = method.__name__
    vars(function)["__signature__"] = signature.replace(return_annotation=returns)
    function.__annotations__ = {**method.__annotations__, "return": returns}
    if not function.__doc__:
        summary, _, rest = inspect.cleandoc(method.__doc__ or "").partition("\n\n")
        parts = [part for part in (summary, more, rest) if part]
        function.__doc__ = "\n\n".join(parts)
    return function
