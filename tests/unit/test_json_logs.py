"""Logs as JSON: the formatter, and the fields that the package's records have."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from socketio_fast.logs import JsonFormatter


class Lines:
    """A logger that writes JSON to memory."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(JsonFormatter())
        self.logger = logging.Logger("test.json", logging.DEBUG)
        self.logger.addHandler(handler)

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_a_line_is_an_object(lines: Lines) -> None:
    lines.logger.warning("%s\nof %r", "two lines", "\u2028")
    [line] = lines.all
    time = line.pop("time")
    assert line == {
        "level": "WARNING",
        "logger": "test.json",
        "message": "two lines\nof '\\u2028'",
    }
    assert len(time) == len("2026-01-31T12:00:00.000000Z")
    assert time.endswith("Z")


def test_the_time_is_utc() -> None:
    record = logging.makeLogRecord({"msg": "", "created": 1769860800.25})
    line = json.loads(JsonFormatter().format(record))
    assert line["time"] == "2026-01-31T12:00:00.250000Z"


def test_fields_of_a_client_and_of_the_program(lines: Lines) -> None:
    lines.logger.info(
        "x",
        extra={
            "order": 7,
            "address": "::1",
            "event": "a",
            "namespace": "/",
            "sid": "b",
        },
    )
    [line] = lines.all
    assert list(line)[4:] == ["sid", "namespace", "event", "address", "order"]
    assert line["order"] == 7


def test_fields_without_a_value_are_left_out(lines: Lines) -> None:
    lines.logger.info("x", extra={"sid": None, "event": None})
    assert list(lines.all[0]) == ["time", "level", "logger", "message"]


def test_fields_cannot_replace_the_time_or_the_level(lines: Lines) -> None:
    lines.logger.info("x", extra={"level": "never", "time": 0, "logger": "other"})
    assert lines.all[0]["level"] == "INFO"
    assert lines.all[0]["logger"] == "test.json"
    assert lines.all[0]["time"] != 0


def test_exceptions_and_stacks(lines: Lines) -> None:
    try:
        raise LookupError("no such thing")
    except LookupError:
        lines.logger.error("x", exc_info=True, stack_info=True)
    [line] = lines.all
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("LookupError: no such thing")
    assert line["stack"].startswith("Stack (most recent call last):\n")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param(b"bytes", "b'bytes'", id="bytes"),
        pytest.param(float("nan"), None, id="nan"),
        pytest.param({1: "a"}, {"1": "a"}, id="keys that are no strings"),
        pytest.param(1 << 70, 1 << 70, id="large"),
        pytest.param("\ud800", "\ud800", id="half a pair"),
    ],
)
def test_a_value_of_any_kind_is_written(lines: Lines, value: Any, written: Any) -> None:
    lines.logger.info("x", extra={"value": value})
    assert lines.all[0]["value"] == written


def test_a_value_that_holds_itself(lines: Lines) -> None:
    value: list[Any] = []
    value.append(value)
    lines.logger.info("x", extra={"value": value})
    assert lines.all[0]["value"] == "[[...]]"
