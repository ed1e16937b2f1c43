"""Data into arguments, and arguments of an acknowledgement into a value."""

from __future__ import annotations

from typing import Any

import pytest

from socketio_fast.event_arguments import arguments_of, value_of


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (None, []),
        (1, [1]),
        ([1, 2], [[1, 2]]),
        ((), []),
        ((1,), [1]),
        ((1, None), [1, None]),
        (((1, 2),), [(1, 2)]),
    ],
)
def test_only_a_tuple_is_several_arguments(data: Any, arguments: list[Any]) -> None:
    assert arguments_of(data) == arguments


@pytest.mark.parametrize(
    ("arguments", "value"),
    [([], None), ([1], 1), ([[1]], [1]), ([1, 2], (1, 2)), ((1, None), (1, None))],
)
def test_only_several_arguments_are_a_tuple(arguments: Any, value: Any) -> None:
    assert value_of(arguments) == value
    assert type(value_of(arguments)) is type(value)
