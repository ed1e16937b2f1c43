"""Options of servers: what is no value of an option is an error that names both."""

from __future__ import annotations

import re
from typing import Any

import pytest

import socketio_fast as socketio
from socketio_fast.options.declare import number, one_of, seconds, size, switch

WRONG = [
    ("allow_request", 5),
    ("async_handlers", "one by one"),
    ("cleanup_empty_child_namespaces", "yes"),
    ("connection_state_recovery", 5),
    ("cookie", 5),
    ("cors_allowed_origins", 5),
    ("cors_allowed_origins", [5]),
    ("error_acks", 1),
    ("limits", {"events": 5}),
    ("namespaces", 5),
    ("per_message_deflate", 5),
    ("ping_interval", ()),
    ("ping_interval", (25,)),
    ("ping_interval", (25, 1, 2)),
    ("serve_client", 5),
    ("serializer", "xml"),
    ("transports", 5),
    ("transports", [5]),
    ("trusted_proxies", 5),
    ("validate_handlers", "no"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
@pytest.mark.parametrize("server", [socketio.AsyncServer, socketio.Server])
def test_what_is_no_value_is_named(server: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        server(**{name: value})
    text = str(caught.value)
    assert text.startswith(f"{name}={value!r}: ")
    assert re.search("expected|known are", text)


def test_networks_without_limits_may_be_one_text() -> None:
    """A text was read letter by letter."""
    limits = socketio.Limits(exempt="10.0.0.0/8")
    assert limits.exempt == ("10.0.0.0/8",)
    sio = socketio.AsyncServer(limits=limits)
    assert sio.eio.engine.limits is not None


@pytest.mark.parametrize("value", [5, "10.0.0.0/8,", ["x"], [5.5]])
def test_networks_that_are_none(value: Any) -> None:
    with pytest.raises(ValueError, match="limits: exempt="):
        socketio.Limits(exempt=value)


def test_an_engineio_server_names_options_that_there_are_not() -> None:
    for server in (socketio.engineio.AsyncServer, socketio.engineio.Server):
        with pytest.raises(TypeError) as caught:
            server(max_bufer_bytes=5)
        assert str(caught.value) == (
            "AsyncServer has no option 'max_bufer_bytes'; did you mean "
            "'max_buffer_bytes'?"
        )


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (size, [1, 1e6], [0, -1, 1.5, True, "5", None]),
        (number("n", 0, 3), [0, 3], [-1, 4, None]),
        (number("n", 1, optional=True), [1, None], [0, "x"]),
        (seconds(), [0.1, 5], [0, -1, float("inf"), float("nan"), None, "5"]),
        (seconds(zero=True), [0, 0.1], [-1, float("inf")]),
        (seconds(infinite=True), [1, float("inf")], [0, float("nan")]),
        (one_of("a", "b"), ["a", "b"], ["c", None, []]),
        (switch(), [True, False], [None, 0, "yes"]),
        (switch(optional=True), [True, None], [0, "yes"]),
    ],
)
def test_checks(check: Any, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert check("x", value) == value
    for value in bad:
        with pytest.raises(ValueError) as caught:
            check("x", value)
        assert str(caught.value).startswith(f"x={value!r}: ")
        assert str(caught.value).endswith(" expected")
