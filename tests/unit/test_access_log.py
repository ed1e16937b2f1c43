"""The access log: a line for each request, and for each WebSocket at its end."""

from __future__ import annotations

import logging
import re
import time
from typing import Any

import pytest
from support.sansio import Server, WebSocket

from socketio_fast import AsyncServer
from socketio_fast.serving.access_log import CommonLines, common_line

#: As Apache and nginx write it, for tools that read logs.
COMMON = re.compile(
    r"\S+ \S+ \S+ \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"([^"]*)" \d{3} (?:\d+|-)'
)


def untimed(line: str) -> str:
    match = COMMON.fullmatch(line)
    assert match, line
    time.strptime(match[1], "%d/%b/%Y:%H:%M:%S %z")
    return line.replace(match[1], "now")


def test_requests_and_websockets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "access")
    server = Server(AsyncServer(), access_log=logging.getLogger("access"))
    websocket = WebSocket(server)
    opened = len(websocket.rest)  # the frame behind the response of the handshake
    server.http().get("/x?secret")
    server.http(peer="").get("/y")
    assert len(caplog.records) == 2
    websocket.wire.written.clear()
    websocket.text("40")
    last = len(websocket.wire.written)
    assert last > 20
    websocket.wire.lose()
    found = [record for record in caplog.records if record.name == "access"]
    assert [untimed(each.getMessage()) for each in found] == [
        '192.0.2.7 - - [now] "GET /x HTTP/1.1" 404 9',
        'unix - - [now] "GET /y HTTP/1.1" 404 9',
        f'192.0.2.7 - - [now] "GET /socket.io/ HTTP/1.1" 101 {opened + last}',
    ]
    fields: list[Any] = [vars(each) for each in found]
    assert [(each["address"], each["path"], each["status"]) for each in fields] == [
        ("192.0.2.7", "/x", 404),
        ("unix", "/y", 404),
        ("192.0.2.7", "/socket.io/", 101),
    ]
    assert [each["size"] for each in fields] == [9, 9, opened + last]
    assert fields[2]["duration"] >= 0


def test_a_refused_websocket_is_a_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "access")
    app = AsyncServer(transports=["polling"])
    server = Server(app, access_log=logging.getLogger("access"))
    with pytest.raises(AssertionError, match="400"):
        server.websocket()
    (line,) = [each.getMessage() for each in caplog.records if each.name == "access"]
    assert '"GET /socket.io/ HTTP/1.1" 400 ' in untimed(line)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has no tzset()")
def test_a_line_of_another_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    for zone, expected in (("XYZ+3:30", "21:30:00 -0330"), ("UTC-5", "06:00:00 +0500")):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        line = common_line("a", "GET / HTTP/1.1", 200, 5, 3600)
        assert expected in line
        untimed(line)
    monkeypatch.undo()
    time.tzset()


def test_lines_of_uvicorn() -> None:
    record = logging.LogRecord(
        *("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d'),
        ("[::1]:99", "GET", "/a?b", "1.1", 204),
        None,
    )
    assert CommonLines().filter(record)
    assert untimed(record.getMessage()) == '::1 - - [now] "GET /a?b HTTP/1.1" 204 -'
    other = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, "x", (), None)
    assert CommonLines().filter(other)
    assert other.getMessage() == "x"
