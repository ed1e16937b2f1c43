"""Requests and responses on an HTTP/1.1 connection: of other workers, and long ones."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from support.http1 import make
from support.raw import chunked, request, upgrade_request
from support.sansio import Http, Loop, Server, WebSocket, errors

import socketio_fast
from socketio_fast._core.http.endpoint import OtherServer, OtherWorkers
from socketio_fast._core.http.foreign import ForeignExchange
from socketio_fast._core.http.http1 import Http1Connection

pytestmark = pytest.mark.usefixtures("both_ways")

# --- the session is another worker's ---------------------------------------------


class Worker(OtherWorkers):
    """The process that has the sessions of a server in memory.

    It gets whole connections where it can, and else single requests.
    """

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.exchanges: list[ForeignExchange] = []
        self.taken = 0
        self.refuses = False
        self.server: Server
        self.takes_newcomers = False

    def owner(self, sid: str) -> Worker | None:
        return self

    def newcomer(self) -> Worker | None:
        return self if self.takes_newcomers else None

    def take_over(
        self, transport: Any, data: bytes, addresses: Any, endpoint: Any
    ) -> None:
        self.taken += 1
        connection = Http1Connection(self.server.endpoint)
        connection.stays = True
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(data)

    def exchange(self, request: Any, answer: Any) -> Any:
        if self.refuses:
            raise RuntimeError("mine")
        made = ForeignExchange(self.server.engine, request, request, answer)
        self.exchanges.append(made)
        return made


def echo(loop: Loop, workers: Worker | None = None, **options: Any) -> Server:
    app = socketio_fast.engineio.AsyncServer(**options)

    @app.on("message")
    async def message(sid: str, data: str | bytes) -> None:
        await app.send(sid, data)

    return Server(app, loop, workers=workers)


class Two:
    """A server, and a connection to it of a client whose session another one has."""

    def __init__(self, **options: Any) -> None:
        loop = Loop()
        self.worker = Worker("-ours")
        self.other = self.worker.server = echo(loop, **options)
        self.other.engine.tag_ids("other")
        self.server = echo(loop, self.worker, **options)
        self.server.engine.tag_ids("-ours")
        self.http, sid = self.server.polling()
        self.near = self.server.target("polling", sid)
        _, sid = self.other.polling()
        self.far = self.other.target("polling", sid)


def statuses(http: Http) -> list[int]:
    return [status for status, _, _ in http.responses()]


def bodies(http: Http) -> list[bytes]:
    return [body for _, _, body in http.responses()]


def test_a_connection_goes_to_the_worker_with_the_session() -> None:
    two = Two()
    http = two.server.http()
    http.send(request("POST", two.far, "4hello"))
    assert (two.worker.taken, two.worker.exchanges) == (1, [])
    assert bodies(http) == [b"ok"]
    http.send(request("GET", two.far))
    assert bodies(http) == [b"4hello"]


def test_a_connection_stays_with_the_worker_of_its_session() -> None:
    two = Two()
    assert two.http.post(two.near, "4hello") == (200, b"ok")
    assert two.worker.taken == 0


@pytest.mark.parametrize("size", [1, 30, 1000])
def test_a_new_client_goes_to_who_has_fewer(size: int) -> None:
    two = Two()
    two.worker.takes_newcomers = True
    http = two.server.http()
    data = request("GET", two.server.target("polling"))
    for at in range(0, len(data), size):
        http.send(data[at : at + size])
    assert statuses(http) == [200]
    assert two.worker.taken == 1
    assert len(two.other.engine.sessions) == 2


def test_a_request_alone_goes_behind_one_that_waits() -> None:
    """Responses keep the order of the requests."""
    two = Two()
    two.http.send(request("GET", two.near))
    two.http.send(request("POST", two.far, "4hello") + request("GET", two.far))
    assert statuses(two.http) == []
    assert (two.worker.taken, len(two.worker.exchanges)) == (0, 2)
    assert two.server.http().post(two.near, "4first") == (200, b"ok")
    assert bodies(two.http) == [b"4first", b"ok", b"4hello"]


def test_posts_to_another_worker_go_one_at_a_time() -> None:
    """As a session takes them: a second one at the same time would end it."""
    two = Two()
    posts = [request("POST", two.far, f"4{n}") for n in range(3)]
    two.http.send(request("GET", two.near) + b"".join(posts) + request("GET", two.far))
    assert two.server.http().post(two.near, "4first") == (200, b"ok")
    assert bodies(two.http) == [b"4first", b"ok", b"ok", b"ok", b"40\x1e41\x1e42"]
    assert len(two.worker.exchanges) == 4


def test_a_body_that_comes_in_pieces_goes_to_another_worker() -> None:
    two = Two()
    two.http.send(request("GET", two.near))
    headers = [("Expect", "100-continue")]
    whole = request("POST", two.far, "4hello", headers=headers)
    two.http.send(whole[:-3])
    assert len(two.worker.exchanges) == 1
    two.http.send(
        whole[-3:] + chunked(two.far, [b"4a", b"b"]) + request("GET", two.far)
    )
    assert two.server.http().post(two.near, "4first") == (200, b"ok")
    assert bodies(two.http) == [b"4first", b"ok", b"ok", b"4hello\x1e4ab"]


def test_what_another_worker_answers_is_passed_on() -> None:
    two = Two(cors_allowed_origins="http://a.test")
    two.http.send(request("GET", two.near))
    lines = [("Origin", "http://a.test")]
    two.http.send(request("GET", two.far + "0", headers=lines))
    two.http.send(request("GET", two.far, headers=[("Origin", "http://b.test")]))
    two.server.http().post(two.near, "4first")
    _, unknown, refused = two.http.responses()
    assert (unknown[0], json.loads(unknown[2])["code"]) == (400, 1)
    assert unknown[1]["access-control-allow-origin"] == "http://a.test"
    assert unknown[1]["cache-control"] == "no-store"
    assert unknown[1]["content-type"] == "application/json"
    assert (refused[0], json.loads(refused[2])["code"]) == (400, 3)


def test_a_client_that_goes_while_another_worker_answers() -> None:
    two = Two()
    ends: list[str] = []
    two.other.app.on("disconnect", lambda sid, reason: ends.append(reason))
    two.http.send(request("GET", two.near) + request("GET", two.far))
    assert len(two.worker.exchanges) == 1
    two.http.wire.lose()
    two.server.loop.turn()
    assert ends == ["transport error"]


def test_a_client_that_ends_while_another_worker_holds_its_poll() -> None:
    """As of a poll that waits here: the end of the client looks the same."""
    two = Two()
    two.http.send(request("GET", two.near))
    two.http.send(request("GET", two.far))
    with two.server.loop.running():
        assert not two.http.wire.protocol.eof_received()
    assert two.http.wire.closed


def test_another_worker_that_cannot_be_asked(caplog: pytest.LogCaptureFixture) -> None:
    two = Two()
    two.worker.refuses = True
    two.http.send(request("GET", two.near) + request("GET", two.far))
    two.server.http().post(two.near, "4first")
    assert statuses(two.http) == [200, 500]
    assert errors(caplog) == ["GET /engine.io/ failed"]


def test_a_websocket_goes_to_the_worker_of_its_session() -> None:
    two = Two()
    sid = two.far.partition("sid=")[2]
    client = WebSocket(two.server, sid)
    client.text("2probe")
    assert client.messages() == ["3probe"]
    assert two.worker.taken == 1


def test_a_websocket_in_one_piece_behind_another_request() -> None:
    two = Two()
    http = two.server.http()
    sid = two.far.partition("sid=")[2]
    upgrade = upgrade_request(two.server.target("websocket", sid))
    http.send(request("GET", "/other") + upgrade)
    assert http.wire.take().count(b"HTTP/1.1 101 ") == 1
    assert two.worker.taken == 1


# --- long bodies -------------------------------------------------------------------

PIECE = 131_072


class File:
    """A body that is read in pieces."""

    def __init__(self, size: int, fails_at: int | None = None) -> None:
        self.size = size
        self.at = 0
        self.closed = 0
        self.fails_at = fails_at

    def __len__(self) -> int:
        return self.size

    async def read(self, size: int) -> bytes:
        if self.fails_at is not None and self.at >= self.fails_at:
            raise OSError("the disk is gone")
        size = min(size, self.size - self.at)
        self.at += size
        return b"x" * size

    def close(self) -> None:
        self.closed += 1


def serving(body: Any, **options: Any) -> Http:
    async def answer(request: Any) -> tuple[int, bytes, Any, bytes]:
        return 200, b"text/plain", body, b"X-Kind: long\r\n"

    return make(answer, **options).http()


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("kind", [bytes, File])
def test_a_long_body(kind: Any, size: int) -> None:
    file = kind(size)
    http = serving(file)
    http.send(request("GET", "/file") + request("GET", "/engine.io/"))
    (status, headers, body), (after, _, _) = http.responses()
    assert (status, len(body), headers["x-kind"]) == (200, size, "long")
    assert after == 400
    assert kind is bytes or file.closed == 1


def test_a_long_body_is_read_as_fast_as_the_client_reads() -> None:
    file = File(4 * PIECE)
    http = serving(file)
    http.wire.full = True
    http.send(request("GET", "/file"))
    for pieces in (1, 1, 2, 3):  # the head leaves first
        assert file.at == pieces * PIECE
        http.wire.drain()
    http.wire.full = False
    http.wire.drain()
    assert len(http.response()[2]) == 4 * PIECE
    assert file.closed == 1


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_the_head_alone_closes_the_body(method: str) -> None:
    file = File(PIECE)
    http = serving(file)
    http.send(request(method, "/file"))
    head, _, body = http.wire.take().partition(b"\r\n\r\n")
    assert b"Content-Length: 131072" in head
    assert len(body) == (PIECE if method == "GET" else 0)
    assert file.closed == 1


def test_a_long_body_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    """Its size was told: the client sees that it is not complete."""
    file = File(3 * PIECE, fails_at=PIECE)
    http = serving(file)
    http.send(request("GET", "/file"))
    assert http.wire.aborted
    assert file.closed == 1
    assert errors(caplog) == ["GET /file failed"]


def test_a_client_that_goes_while_it_reads_a_long_body() -> None:
    file = File(3 * PIECE)
    http = serving(file)
    http.wire.full = True
    http.send(request("GET", "/file"))
    http.wire.lose()
    http.server.loop.turn()
    assert (file.at, file.closed) == (PIECE, 1)


def test_a_client_that_goes_before_the_other_server_answers() -> None:
    file = File(3 * PIECE)
    answered: list[asyncio.Future[Any]] = []

    async def answer(request: Any) -> Any:
        answered.append(asyncio.get_running_loop().create_future())
        return await answered[0]

    http = make(answer).http()
    http.send(request("GET", "/file") + request("GET", "/file"))
    http.wire.lose()
    with http.server.loop.running():
        answered[0].set_result((200, b"text/plain", file, b""))
    http.server.loop.turn()
    assert (len(answered), file.closed) == (1, 1)


# --- the access log, hooks and the rest --------------------------------------------


def test_the_access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "test.access")
    app = socketio_fast.engineio.AsyncServer()
    server = Server(app, access_log=logging.getLogger("test.access"))
    http = server.http()
    http.send(request("GET", "/other?secret=1"))
    assert http.response()[0] == 404
    client = server.websocket()
    client.leave()
    assert [record.name for record in caplog.records] == ["test.access"] * 2
    first, second = (record.getMessage() for record in caplog.records)
    assert "192.0.2.7" in first
    assert "404" in first
    assert "101" in second


class Elsewhere(OtherServer):
    """Another application, which takes connections and keeps them."""

    def __init__(self) -> None:
        super().__init__(takes_connections=True)
        self.taken: list[bytes] = []

    def take_over(
        self, transport: Any, data: bytes, addresses: Any, endpoint: Any
    ) -> None:
        self.taken.append(data)


def test_a_page_is_served_beside_another_application() -> None:
    """The page answers in its turn; other paths are the application's."""
    other = Elsewhere()
    server = Server(socketio_fast.engineio.AsyncServer(), other=other)

    async def page(request: Any) -> tuple[int, bytes, bytes, bytes]:
        return 200, b"text/plain", request.path.encode(), b""

    server.engine.pages = {"/health": page}
    http = server.http()
    http.send(request("GET", "/health") + request("HEAD", "/health?x=1"))
    first, second = http.wire.take().split(b"HTTP/1.1 200 OK")[1:]
    assert (first[-7:], second[-4:]) == (b"/health", b"\r\n\r\n")
    http.send(request("GET", "/other"))
    assert other.taken == [request("GET", "/other")]


def test_a_request_behind_a_body_cannot_go_to_another_application() -> None:
    """It was read in one piece with the request before."""
    other = Elsewhere()
    server = Server(socketio_fast.engineio.AsyncServer(), other=other)
    http = server.http()
    http.send(chunked(server.target("x"), [b"a"]) + request("GET", "/other"))
    assert statuses(http) == [400, 503]
    assert other.taken == []


def test_a_file_of_the_client(tmp_path: Path) -> None:
    """Caches may keep it, unlike all other responses."""
    (tmp_path / "socket.io.js").write_bytes(b"x" * (PIECE + 1))
    server = Server(socketio_fast.AsyncServer(serve_client=str(tmp_path)))
    http = server.http()
    http.send(request("GET", "/socket.io/socket.io.js"))
    status, headers, body = http.response()
    assert (status, len(body)) == (200, PIECE + 1)
    assert headers["cache-control"] == "public, max-age=0"
    known = [("If-None-Match", headers["etag"])]
    http.send(request("GET", "/socket.io/socket.io.js", headers=known))
    head, _, body = http.wire.take().partition(b"\r\n\r\n")
    assert (head[:12], body) == (b"HTTP/1.1 304", b"")


@pytest.mark.parametrize("target", ["polling", "websocket"])
def test_a_request_that_cannot_be_served(
    target: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection goes on; of the reason nothing is told."""
    server = make(cookie={"name": "io", "Comment": lambda: "a\r\nb"})
    http = server.http()
    path = server.target(target)
    http.send(request("GET", path) if target == "polling" else upgrade_request(path))
    assert http.response()[::2] == (500, b"Internal Server Error")
    assert errors(caplog) == ["GET /engine.io/ failed"]
    assert server.engine.sessions == {}


def test_a_poll_of_a_client_that_has_not_read_the_one_before() -> None:
    server = make(max_buffer_bytes=1000)
    http, sid = server.polling()
    target = server.target("polling", sid)
    http.wire.holds = 1001
    http.send(request("GET", target))
    assert http.wire.aborted
    assert server.engine.sessions == {}
