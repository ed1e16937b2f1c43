"""What came from a peer cannot write lines of its own into a log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support.raw import request, upgrade_request
from support.sansio import Server

import socketio_fast
from socketio_fast import engineio
from socketio_fast._core.http.foreign import ForeignExchange
from socketio_fast._core.http.request import make_request

EVIL = "a\r\n\x1b[2JERROR b"
ENCODED = "%61%0d%0a%1b[2JERROR%20b"


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    logger = logging.getLogger("test.names")
    caplog.set_level(logging.DEBUG, "test.names")
    return logger


def lines(caplog: pytest.LogCaptureFixture, least: int = 1) -> list[str]:
    """What was logged, none of it in several lines, and some of it of the peer."""
    found = [record.getMessage() for record in caplog.records]
    assert all(line.isprintable() for line in found), found
    named = [line for line in found if r"\r\n\x1b[2JERROR b" in line]
    assert len(named) >= least, found
    return found


def test_paths(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    async def fallback(request: Any) -> None:
        raise ValueError("x")

    app = engineio.AsyncServer(logger=logger)
    server = Server(app, access_log=logger, fallback=fallback)
    for target in (f"/engine.io/{ENCODED}?transport=x", f"/x/{ENCODED}"):
        server.http().send(request("GET", target))
        server.http().send(upgrade_request(target))
    lines(caplog, 6)


def test_a_quote_does_not_end_the_request(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(engineio.AsyncServer(), access_log=logger)
    server.http().get("/x%22%20200%205")
    (line,) = lines(caplog, 0)
    assert line.endswith(r'] "GET /x\x22 200 5 HTTP/1.1" 404 9')


def test_requests_of_hosts(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(engineio.AsyncServer(logger=logger))
    answers: list[Any] = []
    ForeignExchange(
        server.engine,
        make_request("EV\r\nIL", f"/engine.io/{ENCODED}".encode()),
        None,
        lambda *answer: answers.append(answer),
    ).begin()
    assert answers[0][0] == 400
    assert r"EV\r\nIL" in lines(caplog)[0]


def test_hooks_that_fail(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    app = engineio.AsyncServer(logger=logger)
    app.on("initial_headers", lambda headers, environ: headers.update(x="é\n"))
    server = Server(app)
    target = f"/engine.io/{ENCODED}?EIO=4&transport=polling"
    server.http().send(request("GET", target))
    lines(caplog)


def test_names_of_socket_io(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    sio = socketio_fast.AsyncServer(
        logger=logger, engineio_logger=logger, namespaces="*", always_connect=True
    )

    @sio.on("*", namespace="*")  # type: ignore[untyped-decorator]
    async def anything(event: str, namespace: str, sid: str, data: Any) -> None:
        await sio.enter_room(sid, data, namespace=namespace)
        await sio.emit(event, data, to=data, namespace=namespace)
        await sio.leave_room(sid, data, namespace=namespace)
        await sio.close_room(data, namespace=namespace)
        await sio.disconnect(sid, namespace=namespace)
        await sio.eio.send(data, "x")
        raise ValueError("x")

    server = Server(sio)
    namespace = "/" + EVIL
    client, _ = server.joined(namespace)
    name = r"a\r\n\u001b[2JERROR b"
    client.text(f'42{namespace},["{name}","{name}"]')
    server.loop.turn()
    # received, entering, emitting, leaving, closing, disconnecting, unknown, failed
    found = lines(caplog, 8)
    assert any(line.startswith("cannot send to unknown session a") for line in found)
    client = server.websocket()
    client.text(f'40{namespace},["not an object"]')
    client = server.websocket()
    client.text(f"4{EVIL}")
    lines(caplog, 9)
