from __future__ import annotations

import asyncio
import io
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.raw import connections, request
from support.sansio import Server

import socketio_fast
from socketio_fast import AsyncServer
from socketio_fast._core.http.request import make_request
from socketio_fast.serving.static import TURNS, OpenFile, StaticFiles

JS = b"application/javascript"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """public/ is served; secret.txt beside it is not."""
    public = tmp_path / "public"
    (public / "sub").mkdir(parents=True)
    (public / "empty").mkdir()
    (public / "index.html").write_bytes(b"index")
    (public / "app.js").write_bytes(b"js")
    (public / "a b.txt").write_bytes(b"space")
    (public / "sub" / "index.html").write_bytes(b"sub index")
    (public / "sub" / "x.css").write_bytes(b"css")
    (tmp_path / "public-not").mkdir()
    (tmp_path / "public-not" / "x.txt").write_bytes(b"secret")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return tmp_path


async def get(
    mapping: Mapping[str, Any], url: str | bytes, method: str = "GET"
) -> tuple[int, bytes, bytes] | None:
    target = url.encode() if isinstance(url, str) else url
    answer = await StaticFiles(mapping).handle(make_request(method, target, []))
    return None if answer is None else answer[:3]


@pytest.mark.parametrize(
    ("url", "content_type", "body"),
    [
        ("/static/app.js", JS, b"js"),
        ("/static/app.js?v=1", JS, b"js"),
        ("/static", b"text/html", b"index"),
        ("/static/", b"text/html", b"index"),
        ("/static/sub/", b"text/html", b"sub index"),
        ("/static/sub", b"text/html", b"sub index"),
        ("/static/sub/x.css", b"text/css", b"css"),
        ("/static/a%20b.txt", b"text/plain", b"space"),
        ("/static/sub/../app.js", JS, b"js"),
        ("/static/./app.js", JS, b"js"),
    ],
)
async def test_files_of_a_directory(
    root: Path, url: str, content_type: bytes, body: bytes
) -> None:
    mapping = {"/static": str(root / "public")}
    assert await get(mapping, url) == (200, content_type, body)


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "/other",
        "/staticx/app.js",
        "/static/none.txt",
        "/static/empty",
        "/static/empty/",
        "/static/app.js/x",
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/..%2fsecret.txt",
        "/static/sub/../../secret.txt",
        "/static/../public-not/x.txt",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/app.js%00.txt",
        "/static/..\\secret.txt",
        b"/static/\xff",
        "/static/" + "x" * 300,
        "/static/" + "x/" * 3000,
    ],
)
async def test_what_is_not_there(root: Path, url: str | bytes) -> None:
    assert await get({"/static": str(root / "public")}, url) is None


async def test_traversal_through_a_mapping_that_ends_with_a_slash(root: Path) -> None:
    mapping = {"/static/": root / "public"}
    assert await get(mapping, "/static/app.js") == (200, JS, b"js")
    assert await get(mapping, "/static/../secret.txt") is None


async def test_links_that_lead_out(root: Path) -> None:
    public = root / "public"
    (public / "link.txt").symlink_to(root / "secret.txt")
    (public / "dir").symlink_to(root)
    mapping = {"/static": public}
    assert await get(mapping, "/static/link.txt") is None
    assert await get(mapping, "/static/dir/secret.txt") is None


@pytest.mark.parametrize("url", ["/static", "/static/"])
async def test_an_index_that_leads_out(root: Path, url: str) -> None:
    public = root / "public"
    (public / "index.html").unlink()
    (public / "index.html").symlink_to(root / "secret.txt")
    assert await get({"/static": public}, url) is None


async def test_links_that_stay_inside(root: Path) -> None:
    public = root / "public"
    (public / "link.js").symlink_to(public / "app.js")
    assert await get({"/static": public}, "/static/link.js") == (200, JS, b"js")


async def test_a_link_to_itself(root: Path) -> None:
    public = root / "public"
    (public / "loop").symlink_to(public / "loop")
    assert await get({"/static": public}, "/static/loop") is None
    assert await get({"/static": public}, "/static/loop/x") is None


async def test_a_directory_that_is_itself_a_link(root: Path) -> None:
    (root / "link").symlink_to(root / "public")
    assert await get({"/static": root / "link"}, "/static/app.js") == (200, JS, b"js")


async def test_a_file_that_may_not_be_read(root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / "public" / "app.js").chmod(0)
    assert await get({"/static": root / "public"}, "/static/app.js") is None


async def test_single_files(root: Path) -> None:
    mapping = {
        "/": root / "public" / "index.html",
        "/lib.js": {
            "filename": str(root / "public" / "app.js"),
            "content_type": "text/x-own",
        },
        "/plain.js": {"filename": root / "public" / "app.js"},
    }
    assert await get(mapping, "/") == (200, b"text/html", b"index")
    assert await get(mapping, "/lib.js") == (200, b"text/x-own", b"js")
    assert await get(mapping, "/plain.js") == (200, JS, b"js")
    assert await get(mapping, "/lib.js/x") is None
    assert await get(mapping, "/index.html") is None


async def test_the_whole_site(root: Path) -> None:
    mapping = {"/": root / "public"}
    assert await get(mapping, "/") == (200, b"text/html", b"index")
    assert await get(mapping, "/app.js") == (200, JS, b"js")
    assert await get(mapping, "/sub/x.css") == (200, b"text/css", b"css")
    assert await get(mapping, "/../secret.txt") is None


async def test_the_longest_path_wins(root: Path) -> None:
    mapping = {"/": root / "public", "/sub": root / "public-not"}
    assert await get(mapping, "/sub/x.txt") == (200, b"text/plain", b"secret")
    assert await get(mapping, "/sub/x.css") is None


async def test_another_name_of_the_index(root: Path) -> None:
    mapping = {"/static": root / "public", "": "app.js"}
    assert await get(mapping, "/static/") == (200, JS, b"js")
    assert await get(mapping, "/static/sub/") is None


async def test_content_type_of_a_directory(root: Path) -> None:
    mapping = {"/s": {"filename": root / "public", "content_type": "text/x-own"}}
    assert await get(mapping, "/s/app.js") == (200, b"text/x-own", b"js")


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.js", JS),
        ("a.mjs", JS),
        ("a.JS", JS),
        ("a.html", b"text/html"),
        ("a.css", b"text/css"),
        ("a.png", b"image/png"),
        ("a.svg", b"image/svg+xml"),
        ("a.json", b"application/json"),
        ("a.unknown", b"application/octet-stream"),
        ("a", b"application/octet-stream"),
    ],
)
async def test_content_types(root: Path, name: str, content_type: bytes) -> None:
    (root / "public" / name).write_bytes(b"x")
    assert await get({"/s": root / "public"}, f"/s/{name}") == (200, content_type, b"x")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods(root: Path, method: str) -> None:
    mapping = {"/s": root / "public"}
    assert await get(mapping, "/s/app.js", method) == (
        405,
        b"text/plain",
        b"Method Not Allowed",
    )
    assert await get(mapping, "/other", method) is None


async def test_the_methods_that_are_allowed_are_named(root: Path) -> None:
    files = StaticFiles({"/s": root / "public"})
    answer = await files.handle(make_request("POST", b"/s/app.js", []))
    assert answer is not None
    assert answer[3] == b"Allow: GET, HEAD\r\n"


async def test_head_is_answered_like_get(root: Path) -> None:
    mapping = {"/s": root / "public"}
    assert await get(mapping, "/s/app.js", "HEAD") == (200, JS, b"js")


async def test_beside_a_server(root: Path, serve: Any) -> None:
    server = await serve(AsyncServer(), static_files={"/": str(root / "public")})
    async with connections(server) as client:
        connection = await client.connect()
        response = await connection.get("/app.js")
        assert (response.status, response.body) == (200, b"js")
        assert response.header("content-type") == JS.decode()
        response = await connection.get("/none")
        assert response.status == 404
        await connection.send(request("HEAD", "/app.js"))
        response = await connection.response("HEAD")
        assert response.header("content-length") == "2"
        response = await connection.get("/socket.io/?EIO=4&transport=polling")
        assert response.text.startswith("0{")


def test_without_files_there_is_nothing() -> None:
    status, body = Server(AsyncServer()).http().get("/app.js")
    assert (status, body) == (404, b"Not Found")


def wsgi(mapping: Any) -> Any:
    return socketio_fast.WSGIApp(socketio_fast.Server(), static_files=mapping)


def asgi(mapping: Any) -> Any:
    return socketio_fast.ASGIApp(AsyncServer(), static_files=mapping)


def engine(mapping: Any) -> Any:
    eio = socketio_fast.engineio.AsyncServer()
    return socketio_fast.engineio.ASGIApp(eio, static_files=mapping)


async def served(mapping: Any) -> None:
    async with await socketio_fast.serve(AsyncServer(), port=0, static_files=mapping):
        pass


@pytest.mark.parametrize("host", [wsgi, asgi, engine, served])
async def test_files_that_are_not_there_are_told_of_once(
    host: Any,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(root)

    async def warned(mapping: Any) -> list[str]:
        caplog.clear()
        result = host(mapping)
        if result is not None and hasattr(result, "__await__"):
            await result
        return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]

    there = {"/": "public/index.html", "/static": str(root / "public"), "": "none.html"}
    assert await warned(there) == []
    assert await warned(None) == []
    (text,) = await warned(
        there | {"/a": "a.html", "/b": {"filename": "b/", "content_type": "text/css"}}
    )
    assert text.endswith(f"404: '/a': {root}/a.html, '/b': {root}/b")


async def test_few_files_are_read_at_a_time() -> None:
    """What was read is sent in the next pass of the loop, which others wait for."""

    class Counting(io.BytesIO):
        active = most = 0
        lock = threading.Lock()

        def read(self, size: int | None = -1, /) -> bytes:
            with self.lock:
                Counting.active += 1
                Counting.most = max(self.active, self.most)
            time.sleep(0.01)
            with self.lock:
                Counting.active -= 1
            return super().read(size)

    files = [OpenFile(Counting(b"content"), 7) for _ in range(5 * TURNS)]
    pieces = await asyncio.gather(*(file.read(7) for file in files))
    assert pieces == [b"content"] * len(files)
    assert Counting.most == TURNS
