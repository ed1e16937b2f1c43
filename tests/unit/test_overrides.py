"""Private methods of python-socketio that a subclass overrides in vain."""

from __future__ import annotations

from typing import Any

import engineio as python_engineio
import pytest
import socketio as python_socketio

import socketio_fast
from socketio_fast import engineio

PAIRS: list[tuple[Any, Any]] = [
    (python_socketio.AsyncServer, socketio_fast.AsyncServer),
    (python_socketio.Server, socketio_fast.Server),
    (python_engineio.AsyncServer, engineio.AsyncServer),
    (python_engineio.Server, engineio.Server),
    (python_socketio.AsyncNamespace, socketio_fast.AsyncNamespace),
    (python_socketio.Namespace, socketio_fast.Namespace),
    (python_socketio.AsyncManager, socketio_fast.AsyncManager),
    (python_socketio.Manager, socketio_fast.Manager),
    (python_socketio.AsyncRedisManager, socketio_fast.AsyncRedisManager),
    (python_socketio.RedisManager, socketio_fast.RedisManager),
    (python_socketio.AsyncAioPikaManager, socketio_fast.AsyncAioPikaManager),
    (python_socketio.KombuManager, socketio_fast.KombuManager),
    (python_socketio.KafkaManager, socketio_fast.KafkaManager),
    (python_socketio.ZmqManager, socketio_fast.ZmqManager),
]

#: Those that are called here too.
CALLED = {
    "AsyncServer": {"_trigger_event"},
    "Server": {"_trigger_event"},
    "AsyncNamespace": {"_set_server"},
    "Namespace": {"_set_server"},
    "AsyncRedisManager": {"_publish", "_listen", "_thread", "_return_callback"},
    "AsyncAioPikaManager": {"_publish", "_listen", "_thread", "_return_callback"},
    "KombuManager": {"_publish", "_listen", "_connection", "_exchange", "_queue"},
    "KafkaManager": {"_publish", "_listen"},
    "ZmqManager": {"_publish", "_listen"},
}
ENGINE = {engineio.AsyncServer, engineio.Server}


def private(cls: Any) -> set[str]:
    """The methods with one underscore before their name."""
    return {
        name
        for base in cls.__mro__[:-1]
        for name, value in vars(base).items()
        if name[0] == "_" and name[:2] != "__" and callable(value)
    } - {"_get_logger"}


def nothing(self: Any, *args: Any) -> None:
    pass


def subclass(base: Any, *names: str) -> Any:
    return type("Mine", (base,), dict.fromkeys(names, nothing))


CASES = [
    (ours, name, ours not in ENGINE and name in CALLED.get(ours.__name__, ()))
    for theirs, ours in PAIRS
    for name in sorted(
        private(theirs) | ({"_emit_internal"} if ours is PAIRS[0][1] else set())
    )
]


@pytest.mark.parametrize(
    ("base", "name"), [(base, name) for base, name, called in CASES if not called]
)
def test_each_private_method_that_is_not_called_is_refused(
    base: Any, name: str
) -> None:
    with pytest.raises(
        TypeError, match=rf"^Mine overrides {name}\(\), which is never called: [a-z]"
    ):
        subclass(base, name)


@pytest.mark.parametrize(
    ("base", "name"), [(base, name) for base, name, called in CASES if called]
)
def test_those_that_are_called_may_be_overridden(base: Any, name: str) -> None:
    subclass(base, name)


@pytest.mark.parametrize("name", ["_get_event_handler", "_get_namespace_handler"])
def test_what_a_trigger_calls_may_be_overridden_with_it(name: str) -> None:
    subclass(socketio_fast.AsyncServer, name, "_trigger_event")


@pytest.mark.parametrize(
    "base",
    [socketio_fast.AsyncServer, engineio.AsyncServer, socketio_fast.AsyncManager],
)
def test_other_names_are_the_programs_own(base: Any) -> None:
    subclass(base, "_mine", "handle_connect", "_handle_something")


def test_a_subclass_of_a_mixin_is_refused_as_well() -> None:
    mixin = type("Mixin", (), {"_handle_connect": nothing})
    with pytest.raises(TypeError, match=r"^Mine overrides _handle_connect\(\)"):
        type("Mine", (mixin, socketio_fast.Server), {})
