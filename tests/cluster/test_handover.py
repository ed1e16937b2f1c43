"""Requests for sessions of another worker, over real sockets."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import random
import ssl
from typing import Any

import pytest
import trustme
from support.raw import (
    Connection,
    Response,
    WebSocket,
    chunked,
    polling,
    request,
    text,
    upgrade_request,
    websocket,
    within,
)
from support.waiting import until

from cluster.conftest import StartWorkers, Worker
from socketio_fast.cluster import handover, links


async def session_of(worker: Worker) -> str:
    """The id of a new session of this worker."""
    connection = await worker.client.connect()
    sid = await connection.open_session()
    await connection.close()
    return sid


async def echoes(connection: Connection, sid: str, text: str) -> None:
    (await connection.post(polling(sid), f"4{text}")).ok("ok")
    (await connection.get(polling(sid))).ok(f"4{text}")


async def test_any_worker_takes_the_requests_of_a_session(
    workers: StartWorkers,
) -> None:
    started = await workers(3)
    sids = [await session_of(worker) for worker in started]
    for worker in started:
        connection = await worker.client.connect()
        for number, sid in enumerate(sids):
            await echoes(connection, sid, f"{number}")
    for worker, sid in zip(started, sids, strict=True):
        assert worker.echo.sids == [sid]
        assert worker.echo.got == [f"{sids.index(sid)}"] * 3


async def test_a_connection_changes_workers_as_often_as_its_requests_do(
    workers: StartWorkers,
) -> None:
    a, b = await workers(2)
    sids = [await session_of(a), await session_of(b)]
    connection = await a.client.connect()
    for number in range(50):
        await echoes(connection, sids[number % 2], str(number))
    given = handover.GIVEN
    taken = handover.TAKEN
    assert a.counters[given] == b.counters[taken] == 25
    assert b.counters[given] == a.counters[taken] == 24


async def test_an_id_ends_with_the_tag_of_its_worker(workers: StartWorkers) -> None:
    a, b = await workers(2)
    for worker in (a, b):
        sid = await session_of(worker)
        assert sid.endswith(worker.tag)
        assert len(sid) == 24
    assert a.tag != b.tag


async def test_ids_of_the_application_are_tagged_too(workers: StartWorkers) -> None:
    a, b = await workers(2)
    numbers = itertools.count()
    a.echo.app.generate_id = lambda: f"plain{next(numbers)}"
    assert await session_of(a) == f"plain0{a.tag}"

    async def by_request(environ: dict[str, Any]) -> str:
        return f"asked{next(numbers)}"

    a.echo.app.generate_id = by_request
    sid = await session_of(a)
    assert sid == f"asked1{a.tag}"
    await echoes(await b.client.connect(), sid, "there")


@pytest.mark.parametrize(
    "sid", ["unknown", "AAAA", "x", "%41AAAAAAA", "a/../..", "%C3%A9AAAA"]
)
async def test_nobodys_session_is_unknown(workers: StartWorkers, sid: str) -> None:
    a, _ = await workers(2)
    connection = await a.client.connect()
    (await connection.get(polling(sid))).error(1)
    await echoes(connection, await session_of(a), "goes on")


async def test_a_session_of_a_worker_that_has_ended_is_unknown(
    workers: StartWorkers,
) -> None:
    a, b = await workers(2)
    sid = await session_of(b)
    await b.client.server.close()
    (await (await a.client.connect()).get(polling(sid))).error(1)


async def test_an_id_that_is_escaped_finds_its_worker(workers: StartWorkers) -> None:
    a, b = await workers(2)
    sid = await session_of(b)
    escaped = "".join(f"%{ord(character):02x}" for character in sid)
    await echoes(await a.client.connect(), escaped, "there")


async def test_the_parameter_may_stand_anywhere(workers: StartWorkers) -> None:
    a, b = await workers(2)
    sid = await session_of(b)
    connection = await a.client.connect()
    for query in (
        f"sid={sid}&EIO=4&transport=polling",
        f"EIO=4&sid={sid}&transport=polling",
        f"nosid=sid&EIO=4&transport=polling&sid={sid}&t=x",
    ):
        (await connection.post(f"/engine.io/?{query}", "4x")).ok("ok")


async def test_an_upgrade_goes_to_the_worker_of_the_session(
    workers: StartWorkers,
) -> None:
    a, b = await workers(2)
    sid = await session_of(b)
    ws = await WebSocket.upgrade(a.client.server, websocket(sid))
    await ws.text("2probe")
    assert await ws.message() == "3probe"
    await ws.text("5")
    await ws.echoes("over there")
    assert b.echo.app.transport(sid) == "websocket"
    await ws.close()


async def test_frames_behind_the_handshake_go_along(workers: StartWorkers) -> None:
    a, b = await workers(2)
    sid = await session_of(b)
    connection = await a.client.connect()
    await connection.send(upgrade_request(websocket(sid)) + text("2probe"))
    ws = WebSocket(connection.reader, connection.writer)
    await ws.accepted()
    assert await ws.message() == "3probe"


async def test_the_address_of_the_client_is_that_of_its_socket(
    workers: StartWorkers,
) -> None:
    """Also in the environ of a session that begins on a connection that was given."""
    a, b = await workers(2)
    sid = await session_of(b)
    connection = await a.client.connect()
    port = connection.writer.get_extra_info("sockname")[1]
    await echoes(connection, sid, "moves it")
    await connection.open_session()
    environ = b.echo.environs[-1]
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.1", str(port))


async def test_responses_that_are_due_come_first(workers: StartWorkers) -> None:
    """A request for another worker, behind one that waits for a message."""
    a, b = await workers(2)
    here, there = await session_of(a), await session_of(b)
    connection = await a.client.connect()
    await connection.park(polling(here))
    await connection.send(request("POST", polling(there), "4behind"))
    await a.echo.app.send(here, "released")
    (await connection.response()).ok("4released")
    (await connection.response()).ok("ok")
    await b.echo.received("behind")


async def test_a_body_that_is_still_arriving_goes_on_there(
    workers: StartWorkers,
) -> None:
    a, b = await workers(2)
    sid = await session_of(b)
    connection = await a.client.connect()
    body = b"4" + bytes(range(97, 123)) * 8000
    whole = request("POST", polling(sid), body)
    await connection.send(whole[:20_000])
    await until(lambda: b.counters[handover.TAKEN] == 1)
    await connection.send(whole[20_000:])
    (await connection.response()).ok("ok")
    await b.echo.received(body[1:].decode())


async def test_a_client_that_reads_nothing_is_waited_for(
    workers: StartWorkers,
) -> None:
    """What the event loop still holds of the response before leaves first."""
    a, b = await workers(2)
    here, there = await session_of(a), await session_of(b)
    connection = await a.client.connect(receive_buffer=4096)
    big = "x" * 900_000
    for _ in range(4):
        await a.echo.app.send(here, big)
    await connection.send(
        request("GET", polling(here)) + request("POST", polling(there), "4later")
    )
    (await connection.response()).ok("\x1e".join(["4" + big] * 4))
    (await connection.response()).ok("ok")
    await b.echo.received("later")


def head_requests(sid: str, number: int, form: str) -> tuple[bytes, list[str]]:
    """A message and the poll that gets it back, and what the responses say."""
    text = f"{form} {number}"
    target = polling(sid)
    if form == "chunked":
        post = chunked(target, [b"4", text.encode()])
    elif form == "expect":
        post = request("POST", target, f"4{text}", [("Expect", "100-continue")])
    elif form == "odd":
        post = request("POST", target, f"4{text}", [("X-Folded", "a,\tb")])
    else:
        post = request("POST", target, f"4{text}")
    return post + request("GET", target), ["ok", f"4{text}"]


async def answers(connection: Connection, texts: list[str]) -> None:
    for expected in texts:
        response: Response = await connection.response()
        while response.status == 100:
            response = await connection.response()
        response.ok(expected)


@pytest.mark.parametrize("seed", range(12))
async def test_requests_that_are_cut_anywhere(workers: StartWorkers, seed: int) -> None:
    """Plain, chunked and expecting requests, for either worker, in pieces."""
    drawn = random.Random(seed)
    a, b = await workers(2)
    sids = [await session_of(a), await session_of(b)]
    connection = await drawn.choice([a, b]).client.connect()
    for number in range(12):
        form = drawn.choice(["plain", "chunked", "expect", "odd"])
        data, texts = head_requests(drawn.choice(sids), number, form)
        cuts = sorted(drawn.sample(range(1, len(data)), drawn.randint(0, 4)))
        for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            await connection.send(data[begin:end])
            await asyncio.sleep(0)
        await answers(connection, texts)


async def test_a_request_that_is_cut_at_every_byte(workers: StartWorkers) -> None:
    a, b = await workers(2)
    sid = await session_of(b)
    data, texts = head_requests(sid, 0, "plain")
    for cut in range(1, len(data)):
        connection = await a.client.connect()
        await connection.send(data[:cut])
        # The first part has been read when another connection has been served.
        (await (await a.client.connect()).get(polling("unknown"))).error(1)
        await connection.send(data[cut:])
        await answers(connection, texts)
        await connection.close()


@pytest.mark.parametrize("seed", range(6))
async def test_plain_requests_in_one_piece(workers: StartWorkers, seed: int) -> None:
    drawn = random.Random(seed)
    a, b = await workers(2)
    sids = [await session_of(a), await session_of(b)]
    connection = await a.client.connect()
    pieces, texts = [], []
    for number in range(20):
        data, expected = head_requests(drawn.choice(sids), number, "plain")
        pieces.append(data)
        texts += expected
    await connection.send(b"".join(pieces))
    await answers(connection, texts)


async def test_http_1_0_is_answered_and_closed(workers: StartWorkers) -> None:
    a, b = await workers(2)
    sid = await session_of(b)
    connection = await a.client.connect()
    head = f"POST {polling(sid)} HTTP/1.0\r\nContent-Length: 4\r\n\r\n4old"
    await connection.send(head.encode())
    (await connection.response()).ok("ok")
    await connection.eof()
    await b.echo.received("old")


class Tls:
    """A certificate for workers, and connections of who trusts it."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self.context)
        self._trusting = ssl.create_default_context()
        authority.configure_trust(self._trusting)

    async def connect(self, worker: Worker) -> Connection:
        server = worker.client.server
        streams = await within(
            asyncio.open_connection(
                server.host,
                server.port,
                ssl=self._trusting,
                server_hostname="localhost",
            )
        )
        worker.client.opened.append(Connection(*streams))
        return worker.client.opened[-1]


async def test_tls_stays_where_it_began(workers: StartWorkers) -> None:
    tls = Tls()
    connect = tls.connect
    a, b = await workers(2, ssl=tls.context)
    there = await (await connect(b)).open_session()
    here = await (await connect(a)).open_session()
    connection = await connect(a)
    port = connection.writer.get_extra_info("sockname")[1]
    for number in range(10):
        await echoes(connection, there, f"{number}")
        await echoes(connection, here, f"{number}")
    big = "y" * 800_000
    await echoes(connection, there, big)
    sid = await connection.open_session()
    assert sid.endswith(b.tag)
    environ = b.echo.environs[-1]
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["REMOTE_PORT"] == str(port)
    await connection.send(upgrade_request(websocket(there)))
    ws = WebSocket(connection.reader, connection.writer)
    await ws.accepted()
    await ws.text("2probe")
    assert await ws.message() == "3probe"


async def test_many_connections_at_once(workers: StartWorkers) -> None:
    """Each request by a connection of its own, to the wrong worker."""
    started = await workers(2)
    sids = [await session_of(worker) for worker in started for _ in range(20)]

    async def client(number: int, sid: str) -> None:
        wrong = started[0 if sid.endswith(started[1].tag) else 1]
        for turn in range(10):
            text = f"{number} {turn}"
            for method, body, expected in (
                ("POST", f"4{text}", "ok"),
                ("GET", None, f"4{text}"),
            ):
                connection = await wrong.client.connect()
                await connection.send(request(method, polling(sid), body))
                (await connection.response()).ok(expected)
                await connection.close()

    await asyncio.gather(*itertools.starmap(client, enumerate(sids)))
    given, taken, refused = (
        sum(worker.counters[name] for worker in started)
        for name in (handover.GIVEN, handover.TAKEN, handover.REFUSED)
    )
    # And new clients, for the sake of balance.
    assert given == taken >= 800
    assert refused == 0


@pytest.mark.parametrize("secure", [False, True])
async def test_more_connections_than_a_worker_takes_are_refused(
    workers: StartWorkers, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    tls = Tls()
    a, b = await workers(2, **({"ssl": tls.context} if secure else {}))
    connect = tls.connect if secure else lambda worker: worker.client.connect()
    sid = await (await connect(b)).open_session()
    monkeypatch.setattr(links, "MAX_CONNECTIONS", 0)
    connection = await connect(a)
    await connection.send(request("GET", polling(sid)))
    response = await connection.response()
    assert (response.status, response.header("connection")) == (503, "close")
    await connection.eof()
    assert a.counters[handover.REFUSED] == 1


async def test_tls_without_descriptors_is_refused(
    workers: StartWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = Tls()
    a, b = await workers(2, ssl=tls.context)
    sid = await (await tls.connect(b)).open_session()
    connection = await tls.connect(a)

    def exhausted() -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(handover.socket, "socketpair", exhausted)
    await connection.send(request("GET", polling(sid)))
    assert (await connection.response()).status == 503
    await connection.eof()
    assert a.counters[handover.REFUSED] == 1


async def test_the_members_are_json(workers: StartWorkers) -> None:
    """The open packet of a tagged session is as any other."""
    a, _ = await workers(2)
    connection = await a.client.connect()
    packet = (await connection.get(polling())).ok().text
    assert json.loads(packet[1:])["sid"].endswith(a.tag)
