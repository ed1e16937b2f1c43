"""The official JavaScript client, served below the path where clients connect."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from socketio_fast._core.http.compression import (
    ENCODINGS,
    accepted_encoding,
    compressed,
)
from socketio_fast._core.http.request import Request

__all__ = ["ClientFiles", "choose_client_files"]

BUNDLES = (
    "socket.io.js",
    "socket.io.min.js",
    "socket.io.esm.min.js",
    "socket.io.msgpack.min.js",
)

# What files may lie there compressed in, by the ending of their names.
ENDINGS = {b"br": ".br", b"gzip": ".gz"}

# Status, content type, body, more header lines.
Answer = tuple[int, bytes, bytes, bytes]


class ClientFiles:
    """Answers requests for the bundles of a directory, as Node's ``serveClient``.

    The files are read once. What a request accepts is compressed when it is first asked
    for, and kept; a neighbour such as ``socket.io.js.br`` is taken instead.

    Args:
        directory: The ``dist`` directory of the npm package ``socket.io-client``. It
            must have ``socket.io.js``; other bundles and the source maps are served if
            they are there, and nothing else is.

    Raises:
        ValueError: There is no such directory, or no ``socket.io.js`` in it.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        root = Path(directory)
        if not root.is_dir():
            raise ValueError(f"serve_client={str(root)!r}: there is no such directory")
        if not (root / BUNDLES[0]).is_file():
            raise ValueError(
                f"serve_client={str(root)!r}: {BUNDLES[0]} is not in it; the dist "
                "directory of the npm package socket.io-client expected"
            )
        names = [name + ending for name in BUNDLES for ending in ("", ".map")]
        self._files = {
            name: _File(root / name) for name in names if (root / name).is_file()
        }

    def answer(self, request: Request) -> Answer | None:
        """The answer to a request; ``None``: it is not for such a file.

        The last part of the path is the name, as everything below the path of a server
        is the server's. The body is that of a GET also where none is sent: for HEAD,
        and with status 304.
        """
        name = request.path.rpartition("/")[2]
        if request.method not in ("GET", "HEAD") or not name.endswith((".js", ".map")):
            return None
        file = self._files.get(name)
        if file is None:
            return 404, b"text/plain; charset=UTF-8", b"Not Found", b""
        return file.answer(
            request.header(b"accept-encoding"), request.header(b"if-none-match")
        )


class _File:
    def __init__(self, path: Path) -> None:
        body = path.read_bytes()
        kind = "json" if path.suffix == ".map" else "javascript"
        self._content_type = f"application/{kind}; charset=utf-8".encode()
        self._bodies: dict[bytes | None, bytes] = {None: body}
        for encoding, ending in ENDINGS.items():
            neighbour = path.with_name(path.name + ending)
            if neighbour.is_file():
                self._bodies[encoding] = neighbour.read_bytes()
        self._encodings = tuple(
            encoding
            for encoding in (b"br", b"gzip", b"deflate")
            if encoding in self._bodies or encoding in ENCODINGS
        )
        # A weak one, for it is that of all encodings.
        self._tag = b'"%s"' % hashlib.sha256(body).hexdigest()[:20].encode()
        self._lines = (
            b"Cache-Control: public, max-age=0\r\n"
            b"ETag: W/" + self._tag + b"\r\nVary: Accept-Encoding\r\n"
        )

    def answer(self, accept: bytes | None, known: bytes | None) -> Answer:
        encoding = accepted_encoding(accept, self._encodings)
        body = self._bodies.get(encoding)
        if body is None:
            assert encoding is not None
            body = self._bodies[encoding] = compressed(self._bodies[None], encoding)
        lines = self._lines
        if encoding is not None:
            lines += b"Content-Encoding: " + encoding + b"\r\n"
        status = 304 if known is not None and self._is_known(known) else 200
        return status, self._content_type, body, lines

    def _is_known(self, tags: bytes) -> bool:
        """Whether an If-None-Match names it, compared weakly (RFC 9110, 8.8.3.2)."""
        return any(
            tag.strip(b" \t").removeprefix(b"W/") in (self._tag, b"*")
            for tag in tags.split(b",")
        )


def choose_client_files(
    serve_client: str | os.PathLike[str] | bool | None,
) -> ClientFiles | None:
    """What the option ``serve_client`` means; ``None``: nothing is served.

    Raises:
        ValueError: It is not a directory of the client's bundles.
    """
    if serve_client is None or serve_client is False:
        return None
    if not isinstance(serve_client, (str, os.PathLike)):
        raise ValueError(
            f"serve_client={serve_client!r}: False, or the dist directory of the npm "
            "package socket.io-client expected"
        )
    return ClientFiles(serve_client)
