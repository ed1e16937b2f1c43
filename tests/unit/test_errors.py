from __future__ import annotations

import asyncio
import builtins
import pickle
from typing import Any

import pytest

from socketio_fast import exceptions as errors


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
    ],
)
def test_errors_go_through_pickle(error: errors.SocketIOError) -> None:
    """To another process, for example."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.args == error.args
    assert vars(copy) == vars(error)


def test_a_timeout_is_caught_as_asyncios() -> None:
    with pytest.raises((asyncio.TimeoutError, builtins.TimeoutError)):
        raise errors.TimeoutError("x")
