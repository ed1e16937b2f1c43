"""The workers that share a directory of Unix sockets, and what they send each other."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from socketio_fast.cluster.frames import PROTOCOL, Kind, frame
from socketio_fast.cluster.identity import (
    MAX_WORKERS,
    file_name,
    new_tag,
    number_of,
    tag_of_file,
)
from socketio_fast.cluster.links import (
    DescriptorLostError,
    IncomingLink,
    OutgoingLink,
)
from socketio_fast.options.logs import Logger

__all__ = ["Mesh"]

#: Called with the tag of the sender, the payload of a frame, and a function that
#: returns its descriptor.
Receiver = Callable[[str, bytes, Callable[[], int]], None]

# Connections of other workers that wait to be accepted, at most.
BACKLOG = 512

# Seconds until a worker whose link has ended is looked for again.
RECONNECTION_DELAY = 1.0

# Seconds in which lost descriptors are logged once.
SILENCE = 60.0

# Seconds until it is tried again to accept links, when descriptors had run out.
ACCEPT_DELAY = 0.2

# Bytes of the path of a Unix socket: the least that a system has (macOS).
MAX_PATH = 103


class Mesh:
    """This worker among those that share a directory.

    Each worker listens on a Unix socket there, named by its tag, and connects to those
    of all others. So a link carries frames in one direction, and the workers that have
    a link to this one are known.

    Args:
        directory: The directory; it is made if it is not there. Only its owner may
            write to it.
        number: The number of this worker, 0 to 255; ``None`` for one of a server that
            does not number them.
        loop: The event loop.
        logger: Where the coming and going of workers is logged.

    Raises:
        ValueError: Others may write to the directory, or its path is too long.
        OSError: A socket cannot be made there.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        number: int | None,
        loop: asyncio.AbstractEventLoop,
        logger: Logger,
    ) -> None:
        self.directory = Path(directory)
        if number is not None and not 0 <= number < MAX_WORKERS:
            raise ValueError(f"worker {number}: 0 to {MAX_WORKERS - 1} expected")
        self._loop = loop
        self._logger = logger
        self._receivers: dict[int, Receiver] = {}
        #: Called with the tag of a worker that has come, and of one that has gone.
        self.on_joined: list[Callable[[str], None]] = []
        self.on_left: list[Callable[[str], None]] = []
        self._links: dict[str, OutgoingLink] = {}
        self._incoming: set[IncomingLink] = set()
        self._closed = False
        # When lost descriptors are logged again.
        self._silent_until = 0.0
        self._prepare()
        self._listener, self.tag = self._listen(number)
        self.number = number_of(self.tag)
        loop.add_reader(self._listener, self._accept)
        for name in os.listdir(self.directory):
            tag = tag_of_file(name)
            if tag is not None and tag != self.tag:
                self._connect(tag)

    @property
    def others(self) -> list[str]:
        """The tags of the other workers."""
        return list(self._links)

    @property
    def dropped(self) -> int:
        """Messages that were dropped because a worker did not read."""
        return sum(link.dropped for link in self._links.values())

    def receive(self, kind: Kind, receiver: Receiver) -> None:
        """Call this function for the frames of a kind. What it raises ends the link."""
        self._receivers[kind] = receiver

    def link(self, tag: str) -> OutgoingLink | None:
        """The link to a worker, which is made if it has only just started; ``None``:
        there is no such worker."""
        return self._links.get(tag) or self._connect(tag)

    def send(self, tag: str, kind: Kind, payload: bytes) -> bool:
        """Send a message to a worker; returns False if it has gone or does not read."""
        link = self.link(tag)
        return link is not None and self._send(link, frame(kind, payload))

    def send_all(self, kind: Kind, payload: bytes) -> None:
        """Send a message to all other workers."""
        if self._links:
            data = frame(kind, payload)
            for link in list(self._links.values()):
                self._send(link, data)

    def _send(self, link: OutgoingLink, data: bytes) -> bool:
        full = link.full
        if link.send(data):
            return True
        if not full:
            self._logger.warning(
                "worker %d does not read: messages to it are dropped",
                number_of(link.tag),
            )
        return False

    def close(self) -> None:
        """Leave: close all links."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.directory / file_name(self.tag))
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for outgoing in list(self._links.values()):
            outgoing.close()
        for incoming in list(self._incoming):
            incoming.close()

    # Sockets.

    def _prepare(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.directory.stat()
        if found.st_uid != os.geteuid() or found.st_mode & (
            stat.S_IWGRP | stat.S_IWOTH
        ):
            raise ValueError(
                f"cluster: others may write to {str(self.directory)!r}, and so pretend "
                "to be workers: a directory of this user with mode 700 expected"
            )
        size = len(os.fsencode(self.directory / file_name("AAAA")))
        if size > MAX_PATH:
            raise ValueError(
                f"cluster: {str(self.directory)!r} is too long: the path of a Unix "
                f"socket in it has {size} bytes, and may have {MAX_PATH}"
            )

    def _listen(self, number: int | None) -> tuple[socket.socket, str]:
        """Listen under a tag that no other worker has."""
        while True:
            tag = new_tag(number)
            path = self.directory / file_name(tag)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.setblocking(False)
                # Others see the name only when it can be connected to.
                hidden = path.with_suffix(f".{os.getpid()}")
                listener.bind(str(hidden))
                listener.listen(BACKLOG)
                os.link(hidden, path)
            except FileExistsError:
                listener.close()
                continue
            except BaseException:
                listener.close()
                raise
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(hidden)
            return listener, tag

    def _connect(self, tag: str) -> OutgoingLink | None:
        if self._closed or tag == self.tag:
            return None
        path = self.directory / file_name(tag)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(str(path))
        except OSError as exc:
            sock.close()
            if exc.errno == errno.ECONNREFUSED:
                # It has ended without a chance to remove its socket.
                with contextlib.suppress(OSError):
                    os.unlink(path)
            return None
        link = self._links[tag] = OutgoingLink(self._loop, tag, sock, self._on_lost)
        hello = {"protocol": PROTOCOL, "tag": self.tag, "pid": os.getpid()}
        link.send(frame(Kind.HELLO, json.dumps(hello).encode()))
        self._tell(self.on_joined, tag)
        return link

    def _on_lost(self, link: OutgoingLink) -> None:
        if self._links.get(link.tag) is link:
            del self._links[link.tag]
            if self._closed:
                return
            self._tell(self.on_left, link.tag)
            if self._loop.time() > link.since + RECONNECTION_DELAY:
                # It may live, and have closed the link for what it could not read. One
                # that closes each link at once is of another version.
                self._loop.call_later(RECONNECTION_DELAY, self.link, link.tag)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # descriptors have run out: it would be called for ever
                self._loop.remove_reader(self._listener)
                self._loop.call_later(ACCEPT_DELAY, self._accept_again)
                return
            sock.setblocking(False)
            self._incoming.add(
                IncomingLink(self._loop, sock, self._on_frame, self._on_closed)
            )

    def _accept_again(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept)

    def _on_closed(self, link: IncomingLink, error: Exception | None) -> None:
        self._incoming.discard(link)
        if error is not None:
            self._logger.error(
                "worker %s: %s; the link is closed",
                "?" if link.tag is None else number_of(link.tag),
                error,
            )

    def _on_descriptor_lost(self, tag: str | None, exc: Exception) -> None:
        """A client has lost its connection, which another worker gave."""
        now = self._loop.time()
        if now >= self._silent_until:
            self._silent_until = now + SILENCE
            self._logger.error(
                "connections from worker %s are lost: %s",
                "?" if tag is None else number_of(tag),
                exc,
            )

    def _on_frame(
        self, link: IncomingLink, kind: int, payload: bytes, take: Callable[[], int]
    ) -> None:
        if link.tag is not None or kind == Kind.STATUS:
            receiver = self._receivers.get(kind)
            if receiver is None:
                raise ValueError(f"a frame of the kind {kind}")
            try:
                receiver(link.tag or "", payload, take)
            except DescriptorLostError as exc:
                self._on_descriptor_lost(link.tag, exc)
            return
        hello: Any = json.loads(payload) if kind == Kind.HELLO else {}
        if hello.get("protocol") != PROTOCOL:
            raise ValueError(
                f"protocol {hello.get('protocol')}, {PROTOCOL} expected: all workers "
                "have to run the same version of socketio_fast"
            )
        link.tag = str(hello["tag"])
        self.link(link.tag)

    def _tell(self, listeners: list[Callable[[str], None]], tag: str) -> None:
        for listener in list(listeners):
            listener(tag)

    def __iter__(self) -> Iterator[str]:
        return iter(self.others)
