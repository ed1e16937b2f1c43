"""Methods for threads, declared once with those for asyncio.

A class for threads is a facade: each of its objects stands for an object that lives on
an event loop. Its methods are made from those of that object's class::

    class Server(Facade):
        disconnect = waits(AsyncServer.disconnect)
        logger = reads(AsyncServer, lambda server: server.logger, doc="The logger.")

Type checkers, ``inspect.signature()`` and ``help()`` show the arguments and the
docstring of the method for asyncio, and the result that awaiting it has.
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
    """The base of classes whose objects stand for one on an event loop.

    :func:`waits`, :func:`runs`, :func:`changes` and :func:`calls` make their methods,
    :func:`reads` their properties.
    """

    #: The object on the event loop.
    _inner: Any
    _threads: Threads

    def _run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the event loop, and return its result."""
        return self._threads.run(coro)

    def _wait(self, coro: Coroutine[Any, Any, T]) -> T:
        """As :meth:`_run`, for a coroutine that ends only when handlers have run."""
        return self._threads.wait(coro)

    def _change(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a function on the event loop, or here if that has not been started.

        Nothing reads what the function changes at the same time, therefore.
        """
        if kwargs:
            function = functools.partial(function, **kwargs)
        if self._threads.running:
            return self._threads.call(function, *args)
        return function(*args)


def waits(
    method: Callable[Concatenate[Any, P], Awaitable[R]], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """Make the method of a facade that runs this one on the event loop, and waits.

    A handler that calls it does not count against ``max_workers`` meanwhile: this is
    for methods that end only when other handlers have run.

    Args:
        method: The method of the object that the facade stands for.
        more: A paragraph that the docstring gets after its first: what is different in
            threads.
    """
    name, make = method.__name__, _coroutine_maker(method)

    def wait(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait(make(getattr(self._inner, name), args, kwargs))

    return shown(wait, method, more)


def runs(
    method: Callable[Concatenate[Any, P], Awaitable[R]], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """As :func:`waits`, for a method that does not wait for handlers."""
    name, make = method.__name__, _coroutine_maker(method)

    def run(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._run(make(getattr(self._inner, name), args, kwargs))

    return shown(run, method, more)


def changes(
    method: Callable[Concatenate[Any, P], R], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """Make the method of a facade that calls this one, which is not a coroutine
    function, on the event loop; in the calling thread if that has not been started."""
    name = method.__name__

    def change(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self._change(getattr(self._inner, name), *args, **kwargs)
        return result

    return shown(change, method, more)


def calls(
    method: Callable[Concatenate[Any, P], R], more: str = ""
) -> Callable[Concatenate[Any, P], R]:
    """Make the method of a facade that calls this one in the calling thread."""
    name = method.__name__

    def call(self: Facade, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = getattr(self._inner, name)(*args, **kwargs)
        return result

    return shown(call, method, more)


def like(
    method: Callable[Concatenate[Any, P], Any], more: str = ""
) -> Callable[[Callable[..., R]], Callable[Concatenate[Any, P], R]]:
    """Decorate a method that has the arguments of this one, but a body of its own.

    The method gets the signature, but for the return type, and the docstring unless it
    has one.
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
    """Make the property of a facade that reads an attribute in the calling thread.

    ``id = reads(Socket, lambda socket: socket.id)``: type checkers take the type from
    the function.

    Args:
        of: The class of the object that the facade stands for.
        get: Reads the attribute of such an object.
        turn: Called with the facade and the attribute; returns the property's value.
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


def _coroutine_maker(
    method: Callable[Concatenate[Any, P], Awaitable[R]],
) -> Callable[[Any, Any, Any], Coroutine[Any, Any, R]]:
    """What makes, in the calling thread, the coroutine that calls a method."""
    code = getattr(method, "__code__", None)
    defined_async = code is not None and code.co_flags & inspect.CO_COROUTINE
    return _called if defined_async else _called_on_loop


def _called(method: Any, args: Any, kwargs: Any) -> Any:
    return method(*args, **kwargs)


async def _called_on_loop(method: Any, args: Any, kwargs: Any) -> Any:
    # The method does its work when it is called, not when its result is awaited.
    return await method(*args, **kwargs)


def shown(
    function: F, method: Callable[..., Any], more: str = "", returns: str | None = None
) -> F:
    """Give a function the name, signature and docstring of a method.

    It gets no ``__wrapped__``: tools that follow that would find a coroutine function.

    Args:
        function: The function, which is returned.
        method: The method.
        more: A paragraph for the docstring, after the first.
        returns: The annotation of what it returns; by default the method's.
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
