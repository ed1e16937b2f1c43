from __future__ import annotations

import asyncio
import builtins
import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from socketio_fast import exceptions as errors
from socketio_fast.engineio import exceptions as engine_errors


class _Own(errors.ConnectionRefusedError):
    """Of a program, with arguments of its own."""

    def __init__(self, number: int, *, reason: str) -> None:
        super().__init__(reason)
        self.number = number


def _pickled(error: Exception, protocol: int) -> Any:
    return pickle.loads(pickle.dumps(error, protocol))


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_of_the_package(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, errors.SocketIOError)
    assert error.__module__ == "socketio_fast.exceptions"
    assert error.__doc__


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (errors.PacketError, errors.ProtocolError),
        (errors.PacketError, ValueError),
        (errors.LimitError, errors.PacketError),
        (errors.ConnectionFailedError, errors.ConnectionError),
        (errors.ConnectionRefusedError, errors.ConnectionError),
        (errors.TimeoutError, builtins.TimeoutError),
        (errors.CallDisconnectedError, errors.DisconnectedError),
        (errors.CallDisconnectedError, errors.TimeoutError),
        (errors.CallDisconnectedError, builtins.TimeoutError),
    ],
)
def test_except_clauses_that_catch(error: type, base: type) -> None:
    assert issubclass(error, base)


def test_what_is_the_peers_fault_is_not_ours() -> None:
    for error in (
        errors.TimeoutError,
        errors.ConnectionError,
        errors.DisconnectedError,
    ):
        assert not issubclass(error, errors.ProtocolError)


def test_a_refusal_is_not_the_operating_systems() -> None:
    assert not issubclass(errors.ConnectionRefusedError, OSError)
    assert not issubclass(errors.ConnectionError, OSError)


def test_close_code() -> None:
    assert errors.ProtocolError("x").code is None
    assert errors.LimitError("x", code=1009).code == 1009
    assert str(errors.PacketError("x", 1007)) == "x"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ((), {"message": "Connection rejected by server"}),
        (("no",), {"message": "no"}),
        ((5,), {"message": "5"}),
        (("no", None), {"message": "no", "data": None}),
        (("no", {"a": 1}), {"message": "no", "data": {"a": 1}}),
        (("no", 1, 2), {"message": "no", "data": (1, 2)}),
    ],
)
def test_what_a_refused_client_gets(
    arguments: tuple[Any, ...], answer: dict[str, Any]
) -> None:
    assert errors.ConnectionRefusedError(*arguments).error_args == answer


@pytest.mark.parametrize(
    "error",
    [
        errors.ProtocolError("x", 1002),
        errors.LimitError("x", code=1009),
        errors.ConnectionRefusedError("no", 1),
        errors.CallDisconnectedError("x"),
        errors.SocketIOError(),
        errors.PacketError("x", code=1007),
        errors.ConnectionError("x", 2),
        errors.ConnectionFailedError("x", {"code": 1}, status=503, retry_after=1.5),
        errors.OfflineBufferError("full"),
        errors.ConnectionRefusedError(),
        errors.ConnectionRefusedError("no", {"a": 1}, [2]),
        errors.InvalidPayloadError([{"loc": [0], "msg": "x"}], "no"),
        errors.TimeoutError(),
        errors.BroadcastTimeoutError("event", 2, [1, "x"], "; closed"),
        errors.BadNamespaceError("/x"),
        errors.RequestRefusedError("no", code=3, status=429, headers={"X": "y"}),
        errors.DisconnectedError("x"),
        _Own(5, reason="x"),
        *(getattr(engine_errors, name)("x", 1) for name in engine_errors.__all__),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    "copied",
    [
        *(partial(_pickled, protocol=n) for n in range(pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy,
        copy.deepcopy,
    ],
)
def test_errors_are_pickled_and_copied(
    error: Exception, copied: Callable[[Exception], Exception]
) -> None:
    """To another process, for example."""
    other = copied(error)
    assert other is not error
    assert type(other) is type(error)
    assert other.args == error.args
    assert str(other) == str(error)
    assert vars(other) == vars(error)


def test_every_error_was_pickled() -> None:
    tried = {
        type(error)
        for mark in test_errors_are_pickled_and_copied.pytestmark  # type: ignore[attr-defined]
        for error in mark.args[1]
    }
    for module in (errors, engine_errors):
        assert {getattr(module, name) for name in module.__all__} - tried <= {
            engine_errors.EngineIOError
        }


def test_a_timeout_is_caught_as_asyncios() -> None:
    with pytest.raises((asyncio.TimeoutError, builtins.TimeoutError)):
        raise errors.TimeoutError("x")
