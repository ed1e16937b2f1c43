"""Events with types: a name, and what goes with it."""

from __future__ import annotations

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

        ``Event[()]`` has no arguments. When the program runs it is a ``str`` and
        nothing else: what clients send is checked by ``validate_handlers``.

        Args:
            name: The name.
        """

        def __init__(self, name: str) -> None: ...

        @property
        def name(self) -> str:
            """The name."""

    # The type of an event for functions that take its arguments one by one.
    EventName = str | Event[Unpack[Ts]]
    AnyEvent = EventName[Unpack[tuple[Any, ...]]]
else:

    class Event(str):
        """The name of an event, and the types of its arguments."""

        __slots__ = ()

        def __class_getitem__(cls, types: Any) -> type[Event]:
            return cls

        @property
        def name(self) -> str:
            return str(self)


def name_of(event: AnyEvent) -> str:
    """The name of an event, which the compiled core knows by a plain str."""
    return event.name if isinstance(event, Event) else event
