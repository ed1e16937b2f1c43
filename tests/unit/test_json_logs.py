"""Logs as JSON: the formatter, and the fields that the package's records have."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
from support.sansio import Server, join, run

from socketio_fast import AsyncServer
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


# What the package's own records have.


@pytest.fixture
def server_lines() -> tuple[Lines, Server, AsyncServer]:
    lines = Lines()
    sio = AsyncServer(logger=lines.logger, engineio_logger=lines.logger)
    return lines, Server(sio), sio


def test_a_handler_that_fails(
    server_lines: tuple[Lines, Server, AsyncServer],
) -> None:
    lines, server, sio = server_lines
    name = "x" * 300
    sio.on(name, lambda sid: 1 / 0, namespace="/chat")
    client = server.websocket()
    sid = join(client, "/chat")
    client.text(f'42/chat,["{name}"]')
    (line,) = [line for line in lines.all if line["level"] == "ERROR"]
    assert line["exception"].endswith("ZeroDivisionError: division by zero")
    fields = {name: line[name] for name in ("sid", "namespace", "event", "address")}
    assert fields == {
        "sid": sid,
        "namespace": "/chat",
        "event": name[:200],
        "address": "192.0.2.7",
    }


def test_events_and_the_end_of_a_connection(
    server_lines: tuple[Lines, Server, AsyncServer],
) -> None:
    lines, server, sio = server_lines
    sio.on("ask", lambda sid: None)
    client, sid = server.joined()
    eio_sid = next(iter(sio.eio.engine.sessions))
    client.text('42["ask"]')
    run(sio.emit("news", to=sid))
    client.leave()
    found = {line["message"].partition(" ")[0]: line for line in lines.all}
    about = {"sid": sid, "namespace": "/", "event": "ask", "address": "192.0.2.7"}
    assert about.items() <= found["received"].items()
    assert {"namespace": "/", "event": "news"}.items() <= found["emitting"].items()
    ended = {"sid": eio_sid, "address": "192.0.2.7"}
    assert ended.items() <= found["session"].items()


def test_a_request_that_is_refused(
    server_lines: tuple[Lines, Server, AsyncServer],
) -> None:
    lines, server, _ = server_lines
    http = server.http()
    http.get(server.target("polling"), ("Origin", "http://elsewhere"))
    refused, warning = lines.all
    assert refused["message"].startswith("GET /socket.io/ refused: ")
    assert warning["level"] == "WARNING"
    assert warning["address"] == "192.0.2.7"
