"""Arguments of handlers that the program's own functions make: ``Depends()``.

Which function makes which argument is found out here, when a handler is registered;
``injection`` calls the functions.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from socketio_fast.handlers.annotations import hint_of, resolve
from socketio_fast.handlers.signatures import inner
from socketio_fast.options.logs import Logger

__all__ = [
    "Dependency",
    "Depends",
    "Given",
    "Node",
    "Plan",
    "dependencies_of",
    "plan_of",
    "refuse_dependencies",
    "says_nothing",
]

Function = Callable[..., Any]
Parameter = inspect.Parameter

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Dependency:
    """What :func:`Depends` returns; it stands in the signature of a handler.

    Args:
        dependency: What makes the value.
        use_cache: Whether it is made only once for an event.
    """

    __slots__ = ("dependency", "use_cache")

    def __init__(self, dependency: Function | None, use_cache: bool) -> None:
        self.dependency = dependency
        self.use_cache = use_cache

    def __repr__(self) -> str:
        name = "" if self.dependency is None else name_of_function(self.dependency)
        return f"Depends({name}{'' if self.use_cache else ', use_cache=False'})"


def Depends(dependency: Function | None = None, *, use_cache: bool = True) -> Any:
    """An argument of a handler that the client does not send: a function makes it.

    Example::

        async def get_db():
            async with pool.acquire() as connection:
                yield connection  # closed after the event

        @sio.event
        async def order(sid, product: str, db: Connection = Depends(get_db)):
            await db.execute(...)

    It is the default of a parameter, or part of ``Annotated[T, Depends(f)]``.

    Args:
        dependency: A function, a coroutine function, a generator or asynchronous
            generator that yields once, or a class. It may have dependencies itself.
            Without one, it is what the name and the type of the parameter say, such as
            ``session`` or ``Socket``, or else the class that it is annotated with.
        use_cache: Whether an event calls it only once, and all that depend on it get
            the same value.

    Raises:
        TypeError: The dependency cannot be called.
    """
    if dependency is not None and not callable(dependency):
        raise TypeError(f"Depends({dependency!r}): a function or a class expected")
    return Dependency(dependency, use_cache)


class Given(NamedTuple):
    """A value that dependencies get by the name of their parameter, or by its type."""

    #: Makes it for a call of the handler; with ``validates``, it takes ``check=``.
    value: Callable[..., Any]
    #: The types that a parameter of this name may be annotated with; none for any.
    types: tuple[type[Any], ...] = ()
    #: Whether the type says enough, whatever the name is.
    by_type: bool = False
    #: Whether a model as the annotation validates the value.
    validates: bool = False


class Node:
    """A function that makes a value, and where its arguments come from.

    Args:
        function: The function.
        positional: What makes its positional arguments.
        keywords: What makes the others, by name.
        use_cache: Whether an event calls it only once.
    """

    __slots__ = ("function", "key", "keywords", "kind", "positional", "use_cache")

    def __init__(
        self,
        function: Function,
        positional: list[Source],
        keywords: dict[str, Source],
        use_cache: bool,
    ) -> None:
        self.function = function
        self.positional = positional
        self.keywords = keywords
        self.use_cache = use_cache
        #: What stands for the function in the cache and among overrides.
        self.key = key_of(function)
        #: What calling it gives.
        self.kind = _kind_of(function)
        if self.kind == "generator":
            self.function = contextmanager(function)
        elif self.kind == "async generator":
            self.function = asynccontextmanager(function)


#: Makes a value: a dependency, or what takes it from the event.
Source = Node | Callable[[Any], Any]


class Plan(NamedTuple):
    """What a handler with dependencies is called with."""

    #: The handler's signature for the client: without dependencies.
    signature: inspect.Signature
    #: The dependencies, by the name of the parameter.
    nodes: dict[str, Source]
    #: Whether each of the positional parameters is a dependency: its name, else None.
    #: Empty if all positional parameters come before the first dependency.
    order: tuple[str | None, ...]
    #: Makes the node of a function that overrides a dependency.
    override: Callable[[Function, bool], Node]


def marker_of(default: Any, hint: Any = None) -> Any:
    """The ``Depends()`` of a parameter, ours or FastAPI's; ``None`` if it has none."""
    if _is_marker(default):
        return default
    if get_origin(hint) is Annotated:
        # As in FastAPI, the last counts.
        return next(filter(_is_marker, reversed(hint.__metadata__)), None)
    return None


def _is_marker(value: Any) -> bool:
    # By the names of its classes: FastAPI need not be there, and attributes of other
    # objects may be anything.
    return isinstance(value, Dependency) or any(
        cls.__name__ == "Depends" and cls.__module__ == "fastapi.params"
        for cls in type(value).__mro__
    )


def name_of_function(function: Any) -> str:
    """The name of a function, a class or another callable, for errors."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def key_of(function: Function) -> Any:
    """What finds a function in a dict, also one that cannot be hashed."""
    try:
        hash(function)
    except TypeError:
        return id(function)
    return function


def _kind_of(function: Function) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return "function"
    if not inspect.isroutine(function):
        function = type(function).__call__
    if inspect.isasyncgenfunction(function):
        return "async generator"
    if inspect.isgeneratorfunction(function):
        return "generator"
    return "coroutine" if inspect.iscoroutinefunction(function) else "function"


def _parameters(function: Function) -> list[Parameter]:
    try:
        signature = inspect.signature(inner(function), follow_wrapped=False)
    except (TypeError, ValueError):
        return []  # a builtin that does not tell
    return list(signature.parameters.values())


def says_nothing(function: Function) -> bool:
    """Whether a function has neither annotations nor defaults, as most handlers.

    Asked first because sockets register listeners for each client, and signatures are
    slow to read.
    """
    function = getattr(function, "__func__", function)
    if not inspect.isfunction(function) or hasattr(function, "__wrapped__"):
        return False
    return not (
        function.__annotations__ or function.__defaults__ or function.__kwdefaults__
    )


def refuse_dependencies(
    function: Function, parameters: list[Parameter], hints: list[Any]
) -> None:
    """Refuse a function that is called without its dependencies.

    Args:
        function: The function.
        parameters: Its positional parameters.
        hints: Their types.

    Raises:
        TypeError: It has some.
    """
    names = [
        p.name
        for p, hint in zip(parameters, hints, strict=True)
        if marker_of(p.default, hint) is not None
    ]
    for name, default in (getattr(function, "__kwdefaults__", None) or {}).items():
        if _is_marker(default):
            names.append(name)
    if names:
        raise TypeError(
            f"{name_of_function(function)}: {names[0]!r} is a dependency, which only "
            "handlers of servers have: functions of on() and event(), and methods of "
            "class-based namespaces"
        )


def dependencies_of(
    function: Function, place: str
) -> Iterator[tuple[Parameter, Any, Any]]:
    """The parameters that are dependencies: with the ``Depends()``, and the type.

    Args:
        function: The handler.
        place: What it is, for errors.

    Raises:
        TypeError: An annotation names ``Depends``, and cannot be resolved.
    """
    for parameter in _parameters(function):
        hint = _hint_of(function, parameter, place)
        marker = marker_of(parameter.default, hint)
        if marker is not None:
            yield parameter, marker, hint


def _hint_of(function: Function, parameter: Parameter, place: str) -> Any:
    """The type of a parameter, ``Any`` if it has none that can be resolved."""
    hint = parameter.annotation
    if hint is parameter.empty:
        return Any
    try:
        return resolve(function, hint)
    except Exception as exc:
        if isinstance(hint, str) and "Depends" in hint:
            raise TypeError(
                f"{place}: the annotation {hint!r} of {parameter.name!r} cannot be "
                f"resolved ({exc}): define its names in the module, or write "
                f"{parameter.name}=Depends(...)"
            ) from exc
        return Any


def plan_of(
    handler: Function,
    place: str,
    given: Callable[[], Mapping[str, Given]],
    logger: Logger,
) -> Plan | None:
    """What a handler is to be called with; ``None`` if it has no dependencies.

    Args:
        handler: The handler, as it was registered.
        place: What it is, for errors: ``handler of 'order' in namespace '/'``.
        given: Returns what dependencies get by name or type.
        logger: Gets a WARNING about an annotation that cannot be resolved.

    Raises:
        TypeError: What a dependency needs is not there.
    """
    found = list(dependencies_of(handler, place))
    if not found:
        return None
    _check_decorators(handler, place)
    planner = _Planner(place, given())
    nodes = {
        parameter.name: planner.source(marker, parameter, hint, ())
        for parameter, marker, hint in found
    }
    for parameter, _, _ in found:
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise TypeError(
                f"{place}: {parameter.name!r} is a dependency, which is passed by its "
                "name: write it behind the '/' of the signature"
            )
    parameters = _parameters(handler)
    seen = [p for p in parameters if p.name not in nodes]
    signature = inspect.Signature(
        [p.replace(annotation=hint_of(handler, p, logger)) for p in _ordered(seen)]
    )
    return Plan(signature, nodes, _order(parameters, nodes), planner.override)


def _ordered(parameters: list[Parameter]) -> list[Parameter]:
    """Parameters as a signature may have them, without dependencies between them."""
    required = True
    ordered = []
    for parameter in parameters:
        if parameter.kind in _POSITIONAL:
            if parameter.default is not parameter.empty:
                required = False
            elif not required:
                parameter = parameter.replace(default=None)
        ordered.append(parameter)
    return ordered


def _order(
    parameters: list[Parameter], nodes: Mapping[str, Any]
) -> tuple[str | None, ...]:
    order = [
        p.name if p.name in nodes else None
        for p in parameters
        if p.kind in _POSITIONAL or p.kind is p.VAR_POSITIONAL
    ]
    names = [name is not None for name in order]
    return () if names == sorted(names) else tuple(order)


def _check_decorators(handler: Function, place: str) -> None:
    """Check that decorators pass on arguments that they do not know.

    Raises:
        TypeError: One takes ``*args``, and no ``**kwargs``.
    """
    function = handler
    while inspect.isfunction(function) and hasattr(function, "__wrapped__"):
        flags = function.__code__.co_flags
        if not flags & inspect.CO_VARARGS:
            return  # its own parameters count
        if not flags & inspect.CO_VARKEYWORDS:
            raise TypeError(
                f"{place}: a decorator takes *args alone, and dependencies are passed "
                "by name: let it take *args, **kwargs, and pass both on"
            )
        function = function.__wrapped__


class _Planner:
    """Finds where the arguments of dependencies come from.

    Args:
        place: The handler, for errors.
        given: What dependencies get by name or type.
    """

    def __init__(self, place: str, given: Mapping[str, Given]) -> None:
        self._place = place
        self._given = given

    def override(self, function: Function, use_cache: bool) -> Node:
        """The node of a function that overrides a dependency."""
        return self._node(function, use_cache, ())

    def source(
        self, marker: Any, parameter: Parameter, hint: Any, path: tuple[Function, ...]
    ) -> Source:
        """What makes the value of a parameter that is a dependency."""
        if getattr(marker, "max_concurrency", None) is not None:
            raise TypeError(
                f"{self._where(parameter, path)}: max_concurrency of FastAPI's "
                "Depends() does not count events: leave it out, and let the dependency "
                "wait for an asyncio.Semaphore"
            )
        function = marker.dependency
        if function is not None:
            return self._node(function, marker.use_cache, path)
        given = self._known(parameter, hint, path)
        if given is not None:
            return given
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if kind is Any or not callable(get_origin(kind) or kind):
            raise TypeError(
                f"{self._where(parameter, path)}: Depends() does not say what makes "
                "it: name a function, annotate it with a class, or take a name that is "
                f"known: {', '.join(self._given)}"
            )
        return self._node(kind, marker.use_cache, path)

    def _node(
        self, function: Function, use_cache: bool, path: tuple[Function, ...]
    ) -> Node:
        if function in path:
            names = " -> ".join(map(name_of_function, (*path, function)))
            raise TypeError(f"{self._place}: dependencies in a circle: {names}")
        path = (*path, function)
        positional: list[Source] = []
        keywords: dict[str, Source] = {}
        for parameter in _parameters(function):
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            source = self._argument(function, parameter, path)
            if source is None:
                continue
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(source)
            else:
                keywords[parameter.name] = source
        return Node(function, positional, keywords, use_cache)

    def _argument(
        self, function: Function, parameter: Parameter, path: tuple[Function, ...]
    ) -> Source | None:
        """What makes an argument of a dependency; ``None`` for its default."""
        where = f"{self._place}: dependency {name_of_function(function)}"
        hint = _hint_of(function, parameter, where)
        marker = marker_of(parameter.default, hint)
        if marker is not None:
            return self.source(marker, parameter, hint, path)
        given = self._known(parameter, hint, path)
        if given is not None:
            return given
        default = parameter.default
        if default is parameter.empty or _is_of_fastapi(default, hint):
            what = "not known, and has no default"
            if _is_of_fastapi(default, hint):
                what = "what FastAPI takes from a request, which events have not"
            raise TypeError(
                f"{self._where(parameter, path)} is {what}: give it a Depends(...) or "
                f"a default, or a name that is known: {', '.join(self._given)}"
            )
        return None

    def _known(
        self, parameter: Parameter, hint: Any, path: tuple[Function, ...]
    ) -> Callable[[Any], Any] | None:
        """What takes a value from the event by the type or the name of a parameter."""
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        cls = get_origin(kind) or kind
        for given in self._given.values():
            if given.by_type and isinstance(cls, type) and cls in given.types:
                return given.value
        named = self._given.get(parameter.name)
        if named is None:
            return None
        if named.validates and cls is not Any:
            from socketio_fast.handlers.models import check_of, is_model

            if is_model(hint):
                return functools.partial(named.value, check=check_of(hint))
        if named.types and not any(_may_be(cls, kind) for kind in named.types):
            raise TypeError(
                f"{self._where(parameter, path)} is annotated with {cls.__name__}, but "
                f"a dependency gets {named.types[0].__name__} by this name: give it "
                "another name, or a Depends(...)"
            )
        return named.value

    def _where(self, parameter: Parameter, path: tuple[Function, ...]) -> str:
        if not path:
            return f"{self._place}: {parameter.name!r}"
        names = " of ".join(name_of_function(f) for f in reversed(path))
        return f"{self._place}: {parameter.name!r} of dependency {names}"


def _may_be(cls: Any, kind: type[Any]) -> bool:
    """Whether an annotation may mean a type."""
    if cls is Any:
        return True
    try:
        return issubclass(kind, cls) or issubclass(cls, kind)
    except TypeError:
        return True  # no class, or a TypedDict or a Protocol


def _is_of_fastapi(default: Any, hint: Any) -> bool:
    """Whether FastAPI takes the value of a parameter from a request: ``Query()``."""
    values = [default]
    if get_origin(hint) is Annotated:
        values += hint.__metadata__
    return any(type(value).__module__ == "fastapi.params" for value in values)
