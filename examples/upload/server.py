"""Uploads with progress, which go on after a lost connection.

python examples/upload/server.py [--host HOST] [--port PORT] [--directory DIRECTORY]

A file comes in pieces, each of which is acknowledged with how much is there: the page
shows that, and sends the next piece.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import socketio_fast as socketio

PAGE = Path(__file__).with_name("index.html")
MAX_SIZE = 100 * 1024 * 1024  # bytes of a file
MAX_PIECE = 256 * 1024  # bytes of a message
MAX_UPLOADS = 100  # that have begun and not ended


class Refused(Exception):
    """Why a piece or a file is not taken."""


@dataclass
class Upload:
    """A file that is on its way."""

    file: BinaryIO
    size: int
    received: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def add(self, offset: int, piece: bytes) -> None:
        if offset != self.received:
            raise Refused(f"{self.received} bytes are there, not {offset}")
        if len(piece) > min(MAX_PIECE, self.size - self.received) or not piece:
            raise Refused(f"a piece of {len(piece)} bytes")
        self.file.write(piece)
        self.digest.update(piece)
        self.received += len(piece)

    def finish(self, directory: Path) -> str:
        """All is there: name the file by its SHA-256."""
        self.file.close()
        digest: str = self.digest.hexdigest()
        Path(self.file.name).rename(directory / digest)
        return digest


def create(directory: Path) -> socketio.AsyncServer:
    sio = socketio.AsyncServer(max_http_buffer_size=MAX_PIECE + 1024)
    uploads: dict[str, Upload] = {}

    @sio.event
    async def begin(sid: str, size: object = None) -> dict[str, Any]:
        """A new upload: its id is a secret that its client alone knows."""
        if type(size) is not int or not 0 < size <= MAX_SIZE:
            return {"error": f"a file has 1 to {MAX_SIZE} bytes"}
        if len(uploads) >= MAX_UPLOADS:
            return {"error": "too many uploads at a time"}
        upload_id = secrets.token_urlsafe(16)
        file = tempfile.NamedTemporaryFile(dir=directory, delete=False)  # noqa: SIM115
        uploads[upload_id] = Upload(file, size)  # type: ignore[arg-type]
        return {"id": upload_id, "received": 0}

    @sio.event
    async def resume(sid: str, upload_id: object = None) -> dict[str, Any]:
        """How much is there: from there on the client goes on."""
        upload = uploads.get(str(upload_id))
        if upload is None:
            return {"error": "no such upload"}
        return {"id": upload_id, "received": upload.received}

    @sio.event
    async def piece(
        sid: str, upload_id: object = None, offset: object = None, data: object = None
    ) -> dict[str, Any]:
        upload = uploads.get(str(upload_id))
        if upload is None or not isinstance(data, bytes) or not isinstance(offset, int):
            return {"error": "no such upload"}
        try:
            # Disks block: in a thread, other clients do not wait for them.
            await asyncio.to_thread(upload.add, offset, data)
        except Refused as exc:
            return {"error": str(exc), "received": upload.received}
        if upload.received < upload.size:
            return {"received": upload.received}
        del uploads[str(upload_id)]
        digest = await asyncio.to_thread(upload.finish, directory)
        return {"received": upload.received, "sha256": digest}

    return sio


def main() -> None:
    parser = argparse.ArgumentParser(description="Uploads with progress.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--directory", type=Path, default=Path("uploads"))
    args = parser.parse_args()
    args.directory.mkdir(exist_ok=True)
    files: dict[str, Any] = {"/": str(PAGE)}
    sio = create(args.directory)
    socketio.run(sio, host=args.host, port=args.port, static_files=files)


if __name__ == "__main__":
    main()
