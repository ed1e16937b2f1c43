"""The JavaScript client, served by the compiled server and by every host."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import tornado.web
from support.hosts import HOSTS, run_tornado
from support.raw import (
    Client,
    Response,
    connections,
    polling,
    request,
    upgrade_request,
)
from support.wsgi_hosts import Host, on_waitress, werkzeug

import socketio_fast

SOURCE = b"const io = {};" * 500
PATH = "/socket.io/socket.io.js"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "socket.io.js").write_bytes(SOURCE)
    (dist / "socket.io.js.map").write_bytes(b"{}")
    (dist / "other.js").write_bytes(b"other")
    (tmp_path / "package.json").write_bytes(b"secret")
    return dist


@asynccontextmanager
async def on_tornado(server: Any) -> AsyncIterator[str]:
    handler = socketio_fast.get_tornado_handler(server)
    app = tornado.web.Application(
        [(r"/socket\.io/.*", handler)], log_function=lambda handler: None
    )
    async with run_tornado(app) as url:
        yield url
        await server.shutdown()


@pytest.fixture(params=sorted(HOSTS))
def host(request: pytest.FixtureRequest) -> Any:
    return on_tornado if request.param == "tornado" else HOSTS[request.param]


@pytest.fixture
async def client(serve: Any, dist: Path) -> AsyncIterator[Client]:
    """Of the compiled server."""
    async with connections(
        await serve(socketio_fast.AsyncServer(serve_client=dist))
    ) as client:
        yield client


# The compiled server.


async def test_one_connection_carries_files_and_polls(client: Client) -> None:
    """S2: a bundle, compressed or not changed, with requests to Engine.IO around it."""
    connection = await client.connect()
    await connection.open_session(path="/socket.io/")
    whole = (await connection.get(PATH)).ok()
    assert whole.body == SOURCE
    assert whole.header("content-type") == "application/javascript; charset=utf-8"
    assert whole.header("cache-control") == "public, max-age=0"
    assert whole.header("vary") == "Accept-Encoding"
    packed = (await connection.get(PATH, ("Accept-Encoding", "gzip"))).ok()
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == SOURCE
    tag = whole.header("etag")
    assert tag is not None
    same = await connection.get(PATH, ("If-None-Match", tag))
    assert (same.status, same.header("etag")) == (304, tag)
    # The length that a GET would be told (RFC 9110, 8.6).
    assert same.header("content-length") == str(len(SOURCE))
    await connection.send(request("HEAD", PATH))
    head = (await connection.response("HEAD")).ok()
    assert head.header("content-length") == str(len(SOURCE))
    source_map = (await connection.get(PATH + ".map")).ok("{}")
    assert source_map.header("content-type") == "application/json; charset=utf-8"
    await connection.open_session(path="/socket.io/")


async def test_pipelined_between_polls(client: Client) -> None:
    """S2: responses keep the order of requests."""
    connection = await client.connect()
    poll = request("GET", polling(path="/socket.io/"))
    await connection.send(poll + request("GET", PATH) + poll)
    bodies = [(await connection.response()).body for _ in range(3)]
    assert [bodies[0][:1], bodies[1], bodies[2][:1]] == [b"0", SOURCE, b"0"]


@pytest.mark.parametrize(
    "target",
    [
        "/socket.io/other.js",
        "/socket.io/socket.io.min.js",
        "/socket.io/..%2fother.js",
        "/socket.io.js",
        "/socket.ioo/socket.io.js",
    ],
)
async def test_other_names(client: Client, target: str) -> None:
    """S2: 404 for whatever is not one of the bundles there."""
    (await (await client.connect()).get(target)).refused(404)


@pytest.mark.parametrize(
    "target",
    [
        "/socket.io/../package.json",
        "/socket.io/%2e%2e/package.json",
        "/socket.io/",
        PATH + "?EIO=4&transport=none",
    ],
)
async def test_what_is_engineios(client: Client, target: str) -> None:
    """S2: what is for no bundle is refused as ever."""
    (await (await client.connect()).get(target)).error(0)


async def test_other_methods_and_upgrades(client: Client) -> None:
    """S2: files are got, and nothing else."""
    connection = await client.connect()
    (await connection.post(PATH, "x")).error(0)
    await connection.send(upgrade_request(PATH))
    (await connection.response()).error(0)


async def test_off_by_default(serve: Any) -> None:
    """S2: without the option such a request is refused as ever."""
    async with connections(await serve(socketio_fast.AsyncServer())) as client:
        (await (await client.connect()).get(PATH)).error(0)


async def test_another_path(serve: Any, dist: Path) -> None:
    """S2: the files are where clients connect."""
    sio = socketio_fast.AsyncServer(serve_client=dist)
    async with connections(await serve(sio, path="/live")) as client:
        connection = await client.connect()
        assert (await connection.get("/live/socket.io.js")).ok().body == SOURCE
        (await connection.get(PATH)).refused(404)


async def test_other_origins(serve: Any, dist: Path) -> None:
    """S2: as requests to Engine.IO, with the headers of CORS."""
    sio = socketio_fast.AsyncServer(
        serve_client=dist, cors_allowed_origins=["https://good.test"]
    )
    async with connections(await serve(sio)) as client:
        connection = await client.connect()
        good = (await connection.get(PATH, ("Origin", "https://good.test"))).ok()
        assert good.header("access-control-allow-origin") == "https://good.test"
        assert sorted(good.all("vary")) == ["Accept-Encoding", "Origin"]
        (await connection.get(PATH, ("Origin", "https://bad.test"))).refused(400)


async def test_hooks_are_not_asked(serve: Any, dist: Path) -> None:
    """S2: hooks are asked about requests to Engine.IO, and files are none."""

    def allow(environ: dict[str, Any]) -> bool:
        return False

    async def middleware(environ: dict[str, Any], headers: Any) -> None:
        asked.append(environ["PATH_INFO"])

    asked: list[str] = []
    sio = socketio_fast.AsyncServer(serve_client=dist, allow_request=allow)
    sio.eio.use(middleware)
    async with connections(await serve(sio)) as client:
        connection = await client.connect()
        assert (await connection.get(PATH)).ok().body == SOURCE
        (await connection.get(polling(path="/socket.io/"))).refused(403)
        (await connection.get("/socket.io/x")).error(0)
    assert asked == ["/socket.io/", "/socket.io/x"]


# Every host.


async def test_on_every_host(host: Any, dist: Path) -> None:
    """S2: the same answers whoever has received the request."""
    sio = socketio_fast.AsyncServer(serve_client=dist)
    running: AbstractAsyncContextManager[str] = host(sio)
    async with (
        running as url,
        aiohttp.ClientSession(url, auto_decompress=False) as http,
    ):
        async with http.get(PATH, headers={"Accept-Encoding": "identity"}) as got:
            assert (got.status, await got.read()) == (200, SOURCE)
            assert got.headers.getall("Cache-Control") == ["public, max-age=0"]
            content_type = got.headers.getall("Content-Type")
            assert content_type == ["application/javascript; charset=utf-8"]
            tag = got.headers["ETag"]
        async with http.get(PATH, headers={"Accept-Encoding": "gzip"}) as got:
            assert got.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(await got.read()) == SOURCE
        async with http.get(PATH, headers={"If-None-Match": tag}) as got:
            assert (got.status, await got.read()) == (304, b"")
            assert got.headers["ETag"] == tag
        async with http.head(PATH) as got:
            assert (got.status, await got.read()) == (200, b"")
        async with http.get("/socket.io/other.js") as got:
            assert got.status == 404
        async with http.get("/socket.io/?EIO=4&transport=polling") as got:
            assert (got.status, (await got.read())[:1]) == (200, b"0")


@pytest.mark.parametrize("host", [werkzeug, on_waitress])
def test_beside_a_wsgi_application(host: Host, dist: Path) -> None:
    """S2: the same answers on a server for threads."""
    sio = socketio_fast.Server(serve_client=dist)

    def get(path: str, method: str = "GET", **headers: str) -> Response:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=names)
            response = connection.getresponse()
            pairs = [(name.lower(), value) for name, value in response.getheaders()]
            return Response(response.status, "", pairs, response.read())
        finally:
            connection.close()

    try:
        with host(socketio_fast.WSGIApp(sio)) as url:
            whole = get(PATH).ok()
            assert whole.body == SOURCE
            assert whole.header("content-length") == str(len(SOURCE))
            assert whole.header("cache-control") == "public, max-age=0"
            packed = get(PATH, accept_encoding="gzip").ok()
            assert gzip.decompress(packed.body) == SOURCE
            same = get(PATH, if_none_match=whole.header("etag") or "")
            assert (same.status, same.body) == (304, b"")
            assert same.header("content-length") is None
            head = get(PATH, "HEAD").ok()
            assert (head.header("content-length"), head.body) == ("7000", b"")
            get("/socket.io/other.js").refused(404)
            get("/socket.io/../package.json").refused()
            assert get("/socket.io/?EIO=4&transport=polling").ok().text[0] == "0"
    finally:
        sio.shutdown()
