"""Calls handlers with their dependencies, and closes those after the event."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from socketio_fast.handlers.dependencies import Node, Plan, Source, key_of

__all__ = ["HandlerCall", "Injected", "InjectingServer"]

T = TypeVar("T")
Handler = Callable[..., Any]


class InjectingServer(Protocol):
    """What is needed of a server."""

    #: What takes the place of a dependency, by the dependency.
    dependency_overrides: Any

    def is_asyncio_based(self) -> bool:
        """Whether handlers run on its event loop."""

    def _awaited(self, coroutine: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Run a coroutine of a dependency; for threads, it has ended then."""


class HandlerCall:
    """The call of a handler, as the sources of values see it.

    Args:
        server: The server.
        namespace: The namespace.
        name: The name of the event, also ``connect`` and ``disconnect``.
        sid: The client.
        arguments: What the handler gets after the ``sid``.
    """

    __slots__ = ("arguments", "name", "namespace", "server", "sid")

    def __init__(
        self,
        server: Any,
        namespace: str,
        name: str,
        sid: str,
        arguments: tuple[Any, ...],
    ) -> None:
        self.server = server
        self.namespace = namespace
        self.name = name
        self.sid = sid
        self.arguments = arguments


class Injected:
    """Calls a handler with its dependencies.

    Args:
        handler: The handler.
        plan: Its dependencies.
        server: The server.
        namespace: The namespace; ``"*"`` for the argument before the ``sid``.
        event: The event; ``"*"`` for the first argument.
        place: Where the ``sid`` stands among the arguments.
        plain: Makes what the handler returns plain, before dependencies are closed.
    """

    def __init__(
        self,
        handler: Handler,
        plan: Plan,
        server: InjectingServer,
        namespace: str,
        event: str,
        place: int,
        plain: Callable[[Any], Any] | None,
    ) -> None:
        self._handler = handler
        self._plan = plan
        #: The server.
        self.server = server
        self._namespace = namespace
        self._event = event
        self._place = place
        self._plain = plain
        self._threads = not server.is_asyncio_based()
        #: Whether it is certain that the handler returns a coroutine.
        self._waits = inspect.iscoroutinefunction(handler)
        #: The nodes of functions that override dependencies.
        self.overriding: dict[tuple[Any, bool], Node] = {}

    def function(self) -> Handler:
        """The function that is called for the event, without dependencies."""
        handler = self._handler
        run: Any
        if self._threads:

            def run(*args: Any) -> Any:
                return _completed(self._run(args))
        else:

            async def run(*args: Any) -> Any:
                return await self._run(args)

        # No __wrapped__: the signature is that of the plan.
        functools.update_wrapper(run, handler, _NAMES, ())
        del run.__wrapped__
        run.__signature__ = self._plan.signature
        run.__annotations__ = {
            name: parameter.annotation
            for name, parameter in self._plan.signature.parameters.items()
        }
        return run  # type: ignore[no-any-return]

    async def _run(self, args: tuple[Any, ...]) -> Any:
        scope = _Scope(self._call_of(args), self)
        try:
            values = {
                name: await scope.value(source)
                for name, source in self._plan.nodes.items()
            }
            if self._plan.order:
                args = _in_order(self._plan.order, args, values)
            result = self._handler(*args, **values)
            if self._waits or (not self._threads and inspect.isawaitable(result)):
                result = await result
            if self._plain is not None:
                result = self._plain(result)
        except BaseException as exc:
            await scope.close(exc)
            raise
        if scope.entered:
            await scope.close(None)
        return result

    def _call_of(self, args: tuple[Any, ...]) -> HandlerCall:
        place = self._place
        # An application's trigger_event() may pass fewer.
        sid = args[place] if len(args) > place else ""
        namespace, event = self._namespace, self._event
        if namespace == "*":
            namespace = args[place - 1]
        if event == "*":
            event = args[0]
        return HandlerCall(self.server, namespace, event, sid, args[place + 1 :])

    def overridden(self, node: Node) -> Node:
        """The node that takes the place of another, or the same."""
        overrides = self.server.dependency_overrides
        if not overrides:
            return node
        for function, other in overrides.items():
            if key_of(function) == node.key:
                key = (key_of(other), node.use_cache)
                if key not in self.overriding:
                    self.overriding[key] = self._plan.override(other, node.use_cache)
                return self.overriding[key]
        return node


_NAMES = ("__module__", "__name__", "__qualname__", "__doc__")


def _completed(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a handler of a thread waits for an event loop")


def _in_order(
    order: tuple[str | None, ...], args: tuple[Any, ...], values: dict[str, Any]
) -> tuple[Any, ...]:
    """The positional arguments of a handler that has dependencies between them.

    Takes those dependencies out of ``values``.
    """
    left = list(args)
    ordered = []
    for name in order:
        if name is not None:
            ordered.append(values.pop(name))
        elif left:
            ordered.append(left.pop(0))
        else:
            break
    return (*ordered, *left)


class _Scope:
    """The dependencies of one event: made once, closed in the opposite order.

    Args:
        call: The call.
        injected: The call of the handler.
    """

    __slots__ = ("_call", "_injected", "_made", "entered")

    def __init__(self, call: HandlerCall, injected: Injected) -> None:
        self._call = call
        self._injected = injected
        self._made: dict[Any, Any] = {}
        #: The generators that have yielded, as context managers.
        self.entered: list[Any] = []

    async def value(self, source: Source) -> Any:
        """What a source gives for this event."""
        if not isinstance(source, Node):
            return source(self._call)
        if source.use_cache and source.key in self._made:
            return self._made[source.key]
        node = self._injected.overridden(source)
        args = [await self.value(one) for one in node.positional]
        keywords = {name: await self.value(one) for name, one in node.keywords.items()}
        value = await self._called(node, args, keywords)
        if source.use_cache:
            self._made[source.key] = value
        return value

    async def _called(
        self, node: Node, args: list[Any], keywords: dict[str, Any]
    ) -> Any:
        function: Any = node.function
        if node.kind == "generator":
            manager = function(*args, **keywords)
            value = manager.__enter__()
            self.entered.append(manager)
            return value
        if node.kind == "async generator":
            waiting = function(*args, **keywords)
            value = await self._injected.server._awaited(waiting.__aenter__())
            self.entered.append(waiting)
            return value
        value = function(*args, **keywords)
        # Not whatever can be awaited: clients of databases can be, for example.
        if inspect.iscoroutine(value):
            return await self._injected.server._awaited(value)
        return value

    async def close(self, error: BaseException | None) -> None:
        """Let generators go on after their ``yield``, the last one first.

        Args:
            error: What was raised, which is raised in them and then here, even if they
                catch it; ``None`` if nothing was.
        """
        try:
            for manager in reversed(self.entered):
                try:
                    await self._leave(manager, error)
                except BaseException as exc:
                    error = exc
            if error is not None:
                raise error
        finally:
            del error  # its traceback has this frame: a cycle otherwise

    async def _leave(self, manager: Any, error: BaseException | None) -> None:
        kind = None if error is None else type(error)
        trace = None if error is None else error.__traceback__
        if hasattr(manager, "__aexit__"):
            await self._injected.server._awaited(manager.__aexit__(kind, error, trace))
        else:
            manager.__exit__(kind, error, trace)
