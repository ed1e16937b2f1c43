"""Requests that WSGI servers have received, for sessions of another worker."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
import websocket
from support.wsgi_hosts import TIMEOUT, on_waitress, werkzeug

from socketio_fast import engineio
from socketio_fast.cluster import elsewhere, handover, relayed

PATH = "/engine.io/?EIO=4&transport=polling"
HOSTS = {"werkzeug": werkzeug, "waitress": on_waitress}
UNKNOWN = '{"code":1,"message":"Session ID unknown"}'


class Worker:
    """An echo server in a host."""

    def __init__(self, host: str, server: engineio.Server, url: str) -> None:
        self.host = host
        self.server = server
        self.url = url

    def count(self, name: str) -> int:
        return self.server.counters[name]

    def open_session(self) -> str:
        text = requests.get(self.url + PATH, timeout=TIMEOUT).text
        return text.split('"')[3]

    def poll(self, sid: str) -> tuple[int, str]:
        answer = requests.get(f"{self.url}{PATH}&sid={sid}", timeout=TIMEOUT)
        return answer.status_code, answer.text

    def push(self, sid: str, body: str) -> tuple[int, str]:
        answer = requests.post(f"{self.url}{PATH}&sid={sid}", body, timeout=TIMEOUT)
        return answer.status_code, answer.text


@pytest.fixture(params=list(HOSTS))
def workers(request: pytest.FixtureRequest) -> Iterator[list[Worker]]:
    """Two of one directory."""
    with ExitStack() as stack:
        # Short: the path of a Unix socket has a limit.
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="sf"))
        started = []
        for _ in range(2):
            server = engineio.Server(cluster=f"unix:{Path(directory)}")
            server.on("message", server.send)
            stack.callback(server.shutdown)
            url = stack.enter_context(HOSTS[request.param](engineio.WSGIApp(server)))
            started.append(Worker(request.param, server, url))
            started[-1].open_session()  # which starts its event loop
        yield started


def test_any_worker_takes_the_requests_of_a_session(workers: list[Worker]) -> None:
    a, b = workers
    sids = [a.open_session(), b.open_session()]
    for number in range(5):
        for worker in workers:
            for sid in sids:
                assert worker.push(sid, f"4{number}") == (200, "ok")
                assert worker.poll(sid) == (200, f"4{number}")
    for counter in (elsewhere.RELAYED, relayed.TAKEN):
        assert a.count(counter) == b.count(counter) == 10


def test_a_poll_waits_there(workers: list[Worker]) -> None:
    a, b = workers
    sid = a.open_session()
    answers: list[tuple[int, str]] = []
    poll = threading.Thread(target=lambda: answers.append(b.poll(sid)))
    poll.start()
    assert b.push(sid, "4" + "x" * 900_000) == (200, "ok")
    poll.join(TIMEOUT)
    assert answers == [(200, "4" + "x" * 900_000)]


def test_an_upgrade_goes_to_the_worker_of_the_session(workers: list[Worker]) -> None:
    a, b = workers
    sid = a.open_session()
    url = f"{b.url}{PATH}&sid={sid}".replace("polling", "websocket")
    socket = websocket.WebSocket()
    if b.host == "waitress":
        with pytest.raises(websocket.WebSocketBadStatusException, match="status 400"):
            socket.connect(url.replace("http:", "ws:"), timeout=TIMEOUT)
        return
    socket.connect(url.replace("http:", "ws:"), timeout=TIMEOUT)
    socket.send("2probe")
    assert socket.recv() == "3probe"
    socket.send("5")
    socket.send("4" + "x" * 900_000)
    assert socket.recv() == "4" + "x" * 900_000
    assert a.server.transport(sid) == "websocket"
    assert b.count(handover.GIVEN) == a.count(handover.TAKEN) == 1
    socket.close()


def test_a_session_of_a_worker_that_has_ended_is_unknown(
    workers: list[Worker],
) -> None:
    a, b = workers
    sid = a.open_session()
    a.server.shutdown()
    assert b.poll(sid) == (400, UNKNOWN)
    assert b.push(sid, "4x") == (400, UNKNOWN)
