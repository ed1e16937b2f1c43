"""Events with types: a name, and what goes with it."""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Generic

    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

__all__ = ["Event"]

if TYPE_CHECKING:
    # Type checkers must not see a str: functions that take any name as a str would
    # accept an Event with any arguments.

    class Event(Generic[Unpack[Ts]]):
        """The name of an event, and the types of its arguments.

        Wherever the name of an event stands, it may stand for it; type checkers then
        see whether handlers take, and whether who emits gives, what goes with it::

            moved = Event[str, float, float]("moved")

            @sio.on(moved)
            async def move(sid: str, piece: str, x: float, y: float) -> None:
                await sio.to("board").emit(moved, piece, x, y)

        ``Event[()]`` has no arguments. When the program runs it is a ``str`` that
        knows its :attr:`types`: what clients send is checked by ``validate_handlers``.

        Args:
            name: The name.
        """

        def __init__(self, name: str) -> None: ...

        @property
        def name(self) -> str:
            """The name."""

        @property
        def types(self) -> tuple[Any, ...] | None:
            """The types of its arguments; ``None`` if it was made without."""

    # The type of an event for functions that take its arguments one by one.
    EventName = str | Event[Unpack[Ts]]
    AnyEvent = EventName[Unpack[tuple[Any, ...]]]
else:

    class Event(str):
        """The name of an event, and the types of its arguments."""

        # GenericAlias sets the attribute of an object that it has made.
        __slots__ = ("__orig_class__",)
        __class_getitem__ = classmethod(GenericAlias)

        @property
        def name(self) -> str:
            """The name."""
            return str(self)

        @property
        def types(self) -> tuple[Any, ...] | None:
            """The types of its arguments; ``None`` if it was made without."""
            made_by = getattr(self, "__orig_class__", None)
            return None if made_by is None else made_by.__args__


def name_of(event: AnyEvent) -> str:
    """The name of an event, which the compiled core knows by a plain str."""
    return event.name if isinstance(event, Event) else event
