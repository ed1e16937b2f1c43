"""Numbers as programs write them, wherever an option takes one."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import socketio_fast
from socketio_fast.engineio.payload import Payload, server_limit
from socketio_fast.options.amounts import real, whole
from socketio_fast.options.config import DeflateOptions, EngineConfig
from socketio_fast.options.limits import Limits, Rate
from socketio_fast.options.recovery import RecoveryOptions


class Integral:
    """As numpy's integers are: no int, but they stand for one."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


WHOLE = [5, 5.0, Integral(5), Decimal(5), Fraction(10, 2)]
NOT_WHOLE = [
    *(5.5, Decimal("5.5"), float("inf"), float("nan"), True, False),
    *("5", b"5", None, [5], object(), 5j, Decimal("NaN")),
]


@pytest.mark.parametrize("value", WHOLE)
def test_whole_numbers(value: Any) -> None:
    assert whole(value) == 5
    assert type(whole(value)) is int


@pytest.mark.parametrize("value", NOT_WHOLE)
def test_what_is_no_whole_number(value: Any) -> None:
    assert whole(value) is None


def test_integers_keep_all_their_digits() -> None:
    assert whole(Integral(2**70 + 1)) == 2**70 + 1
    assert whole(Decimal(2**70 + 1)) == 2**70 + 1


@pytest.mark.parametrize("value", [*WHOLE, 0.5, Decimal("0.5"), Fraction(1, 2)])
def test_numbers(value: Any) -> None:
    assert real(value) in (5, 0.5)
    assert type(real(value)) in (int, float)


@pytest.mark.parametrize("value", [True, "5", b"5", bytearray(b"5"), None, [5], 5j])
def test_what_is_no_number(value: Any) -> None:
    assert real(value) is None


def numpy(name: str) -> Any:
    return getattr(pytest.importorskip("numpy"), name)


@pytest.mark.parametrize("name", ["int64", "uint8", "float32", "float64"])
def test_numbers_of_numpy(name: str) -> None:
    value = numpy(name)(5)
    assert (whole(value), type(whole(value))) == (5, int)
    assert real(value) == 5
    assert EngineConfig(max_http_buffer_size=value, ping_interval=value)


def test_booleans_of_numpy_are_no_numbers() -> None:
    assert whole(numpy("bool_")(True)) is None


# Every option that is a number.

SIZES = [
    *("max_http_buffer_size", "max_buffer_bytes", "high_water_mark"),
    *("max_pending_events", "max_pending_bytes", "compression_threshold"),
]


@pytest.mark.parametrize("value", WHOLE)
@pytest.mark.parametrize("name", SIZES)
def test_sizes_of_engines(name: str, value: Any) -> None:
    config = EngineConfig(**{name: value})
    assert type(getattr(config, name)) is int
    assert getattr(config, name) == 5


@pytest.mark.parametrize("value", NOT_WHOLE)
@pytest.mark.parametrize("name", SIZES)
def test_sizes_of_engines_that_are_none(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}="):
        EngineConfig(**{name: value})


@pytest.mark.parametrize("value", [*WHOLE, 5.5])
@pytest.mark.parametrize("name", ["ping_interval", "ping_timeout", "upgrade_timeout"])
def test_seconds_of_engines(name: str, value: Any) -> None:
    assert type(getattr(EngineConfig(**{name: value}), name)) in (int, float)


def test_a_grace_period_may_be_any_number() -> None:
    config = EngineConfig(ping_interval=(Integral(5), Decimal(2)))  # type: ignore[arg-type]
    assert (config.ping_interval, config.ping_grace) == (5, 2)


@pytest.mark.parametrize("value", [9, 9.0, Integral(9)])
@pytest.mark.parametrize(
    "name",
    [
        *("threshold", "server_max_window_bits", "client_max_window_bits"),
        *("level", "mem_level"),
    ],
)
def test_options_of_compression(name: str, value: Any) -> None:
    options = DeflateOptions(**{name: value})
    assert type(getattr(options, name)) is int


@pytest.mark.parametrize("value", WHOLE)
@pytest.mark.parametrize(
    "name",
    [
        *("connections_per_address", "pending_handshakes", "rooms_per_socket"),
        "namespaces_per_connection",
    ],
)
def test_limits(name: str, value: Any) -> None:
    assert type(getattr(Limits(**{name: value}), name)) is int


@pytest.mark.parametrize("value", [*WHOLE, 0.5])
def test_rates(value: Any) -> None:
    assert Limits(events=value).events in (Rate(5, 5), Rate(0.5, 1))
    assert Limits(bytes=Rate(value, Integral(7))).bytes in (Rate(5, 7), Rate(0.5, 7))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["5", True, None, (5, "7"), (True, 7), (5, 0.5)])
def test_rates_that_are_none(value: Any) -> None:
    if value is None:
        value = (None, 7)
    with pytest.raises(ValueError, match="limits: events="):
        Limits(events=value)


@pytest.mark.parametrize("value", WHOLE)
def test_recovery(value: Any) -> None:
    options = RecoveryOptions(
        max_packets=value,
        max_bytes=value,
        max_sessions=value,
        max_disconnection_duration=value,
    )
    assert type(options.max_bytes) is int
    assert options.max_disconnection_duration == 5


@pytest.mark.parametrize("value", WHOLE)
def test_options_of_servers(value: Any) -> None:
    sio = socketio_fast.AsyncServer(
        max_attachments=value,
        connect_timeout=value,
        max_http_buffer_size=value,
        connection_state_recovery={"max_packets": value},
        per_message_deflate={"level": value},
    )
    assert sio.eio.max_http_buffer_size == 5
    assert socketio_fast.Server(max_workers=value, max_attachments=value)


@pytest.mark.parametrize("value", [5.5, "5", True])
def test_options_of_servers_that_are_none(value: Any) -> None:
    for options in ({"max_attachments": value}, {"max_workers": value}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}="):
            socketio_fast.Server(**options)
    if value != 5.5:
        with pytest.raises(ValueError, match="connect_timeout="):
            socketio_fast.AsyncServer(connect_timeout=value)


def test_a_tenth_of_a_gigabyte_as_it_is_often_written() -> None:
    sio = socketio_fast.AsyncServer(max_http_buffer_size=1e8)  # type: ignore[arg-type]
    assert sio.eio.max_http_buffer_size == 1e8
    assert sio.eio.config.max_http_buffer_size == 100_000_000


def test_options_that_are_set_later() -> None:
    sio = socketio_fast.AsyncServer()
    sio.eio.max_http_buffer_size = 1e7
    assert type(sio.eio.config.max_http_buffer_size) is int


@pytest.mark.parametrize("value", [1e3, Integral(1000)])
def test_packets_of_a_payload(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Payload, "max_decode_packets", value)
    assert server_limit() == 1000
    assert type(server_limit()) is int
