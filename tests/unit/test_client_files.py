"""The files of the JavaScript client: which there are, and in which forms."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import pytest

from socketio_fast import AsyncServer, Server
from socketio_fast._core.http.compression import ENCODINGS
from socketio_fast._core.http.request import make_request
from socketio_fast.serving.client_files import ClientFiles

SOURCE = b"const io = {};" * 500


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "socket.io.js").write_bytes(SOURCE)
    (dist / "socket.io.js.map").write_bytes(b'{"version":3}')
    (dist / "other.js").write_bytes(b"secret")
    (tmp_path / "package.json").write_bytes(b"{}")
    return dist


def ask(
    files: ClientFiles, target: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, bytes, dict[bytes, bytes]] | None:
    lines = [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]
    answer = files.answer(make_request(method, target.encode(), lines))
    if answer is None:
        return None
    status, content_type, body, more = answer
    pairs = [line.split(b": ", 1) for line in more.split(b"\r\n")[:-1]]
    return status, content_type, body, {name.lower(): value for name, value in pairs}


def get(files: ClientFiles, target: str, **headers: str) -> tuple[Any, ...]:
    answer = ask(files, target, **headers)
    assert answer is not None
    return answer


def test_a_bundle_and_its_map(dist: Path) -> None:
    """S2: content types, caching and the tag of what Node serves."""
    files = ClientFiles(str(dist))
    status, content_type, body, headers = get(files, "/socket.io/socket.io.js?v=1")
    assert (status, body) == (200, SOURCE)
    assert content_type == b"application/javascript; charset=utf-8"
    assert headers[b"cache-control"] == b"public, max-age=0"
    assert headers[b"vary"] == b"Accept-Encoding"
    assert headers[b"etag"].startswith(b'W/"')
    assert b"content-encoding" not in headers
    status, content_type, body, other = get(files, "/x/socket.io.js.map")
    assert (status, body) == (200, b'{"version":3}')
    assert content_type == b"application/json; charset=utf-8"
    assert other[b"etag"] != headers[b"etag"]


@pytest.mark.parametrize(
    "target",
    [
        "/socket.io/other.js",  # it is there
        "/socket.io/socket.io.min.js",  # it is not
        "/socket.io/..%2f..%2fother.js",
        "/socket.io/..%5cother.js",
        "/socket.io/%00socket.io.js",
        "/socket.io/SOCKET.IO.JS.map",
    ],
)
def test_other_names_are_not_found(dist: Path, target: str) -> None:
    """S2: nothing else of the directory is served, nor outside it."""
    status, _, body, _ = get(ClientFiles(dist), target)
    assert (status, body) == (404, b"Not Found")


@pytest.mark.parametrize(
    "target",
    [
        "/socket.io/",
        "/socket.io",
        "/socket.io/../package.json",
        "/socket.io/?socket.io.js",
        "/socket.io/socket.io.js/",
    ],
)
def test_what_is_not_for_a_file(dist: Path, target: str) -> None:
    """S2: it is left to Engine.IO."""
    assert ask(ClientFiles(dist), target) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS"])
def test_other_methods(dist: Path, method: str) -> None:
    """S2: files are got, and nothing else."""
    assert ask(ClientFiles(dist), "/socket.io/socket.io.js", method) is None


def test_compressed_once(dist: Path) -> None:
    """S2: a body is compressed when it is first asked for, and kept."""
    files = ClientFiles(dist)
    _, _, body, headers = get(files, "/socket.io.js", accept_encoding="gzip")
    assert headers[b"content-encoding"] == b"gzip"
    assert gzip.decompress(body) == SOURCE
    assert get(files, "/socket.io.js", accept_encoding="gzip, x")[2] is body
    _, _, body, headers = get(files, "/socket.io.js", accept_encoding="deflate")
    assert headers[b"content-encoding"] == b"deflate"
    assert zlib.decompress(body) == SOURCE
    _, _, _, headers = get(files, "/socket.io.js", accept_encoding="br, gzip")
    assert headers[b"content-encoding"] == ENCODINGS[0]
    for accept in ("identity", "gzip;q=0", "zstd"):
        _, _, body, headers = get(files, "/socket.io.js", accept_encoding=accept)
        assert b"content-encoding" not in headers
        assert body == SOURCE


def test_compressed_neighbours(dist: Path) -> None:
    """S2: what lies there compressed is served as it is."""
    (dist / "socket.io.js.br").write_bytes(b"as brotli")
    (dist / "socket.io.js.gz").write_bytes(b"as gzip")
    files = ClientFiles(dist)
    _, _, body, headers = get(files, "/socket.io.js", accept_encoding="gzip, br")
    assert (body, headers[b"content-encoding"]) == (b"as brotli", b"br")
    _, _, body, headers = get(files, "/socket.io.js", accept_encoding="gzip")
    assert (body, headers[b"content-encoding"]) == (b"as gzip", b"gzip")
    assert get(files, "/socket.io.js")[2] == SOURCE


def test_not_modified(dist: Path) -> None:
    """S2: 304 for a tag that is known, strong or weak, alone or among others."""
    files = ClientFiles(dist)
    tag = get(files, "/socket.io.js")[3][b"etag"].decode()
    for known in (tag, tag[2:], f'"x", {tag}', f'{tag[2:]},W/"y"', "*"):
        status, _, _, headers = get(files, "/socket.io.js", if_none_match=known)
        assert (status, headers[b"etag"].decode()) == (304, tag)
    for known in ('"x"', tag[2:-1], ""):
        assert get(files, "/socket.io.js", if_none_match=known)[0] == 200
    (dist / "socket.io.js").write_bytes(b"a later version")
    assert get(ClientFiles(dist), "/socket.io.js", if_none_match=tag)[0] == 200


@pytest.mark.parametrize("new", [AsyncServer, Server])
def test_the_directory_must_be_right(dist: Path, tmp_path: Path, new: Any) -> None:
    """S2: an error at construction names what is missing."""
    with pytest.raises(ValueError, match=r"serve_client='.*none': there is no such"):
        new(serve_client=tmp_path / "none")
    with pytest.raises(ValueError, match=r"no such directory"):
        new(serve_client=str(dist / "socket.io.js"))
    with pytest.raises(ValueError, match=r"socket\.io\.js is not in it"):
        new(serve_client=str(tmp_path))
    for value in (True, 5):
        with pytest.raises(ValueError, match=f"serve_client={value}: False, or the"):
            new(serve_client=value)
    for value in (None, False):
        new(serve_client=value)
