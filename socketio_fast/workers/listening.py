"""The listening sockets of workers, which their supervisor keeps.

On Linux each slot has sockets of its own (SO_REUSEPORT), among which the kernel
distributes connections. A worker that is replaced, or dies, leaves the connections that
it has not accepted to the next one of its slot. Elsewhere, and for Unix sockets and
sockets that are given, all workers accept from the same ones.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Listening", "activated_sockets"]

#: The first descriptor that systemd passes (sd_listen_fds(3)).
FIRST_DESCRIPTOR = 3

# Ports that are tried where any will do: one may be free in IPv4 and taken in IPv6.
ATTEMPTS = 20

Opener = Callable[[], "list[list[socket.socket]]"]


class Listening:
    """The sockets of all slots. Make one by a class method.

    Args:
        opener: Opens the sockets of each slot; called again by :meth:`reopen`. ``None``
            if the sockets are given, and cannot be opened again.
        slots: The sockets of each slot.
        uds: The path of the Unix socket.
    """

    def __init__(
        self,
        opener: Opener | None,
        slots: list[list[socket.socket]],
        uds: str | os.PathLike[str] | None = None,
    ) -> None:
        self._opener = opener
        self._uds = uds
        self._identity: tuple[int, int] | None = None
        self.slots = slots
        self._note()

    @classmethod
    def on_port(
        cls, host: str | None, port: int, backlog: int, slots: int
    ) -> Listening:
        """Listen on a TCP port.

        Args:
            host: The address, or a name that has several; ``None`` for all.
            port: The port, 0 for one that is free.
            backlog: Connections that wait to be accepted, at most, of each socket.
            slots: The number of slots.

        Raises:
            OSError: It cannot listen there.
        """
        apart = sys.platform == "linux" and slots > 1
        if not apart:
            own = _open_port(host, port, backlog, reuse=False)
            opened = [own] * slots
        else:
            opened = _open_apart(host, port, backlog, slots)
        number = opened[0][0].getsockname()[1]
        if apart:
            return cls(lambda: _open_apart(host, number, backlog, slots), opened)
        return cls(
            lambda: [_open_port(host, number, backlog, reuse=False)] * slots, opened
        )

    @classmethod
    def on_file(
        cls, path: str | os.PathLike[str], backlog: int, slots: int
    ) -> Listening:
        """Listen on a Unix socket, whose file is removed at the end.

        Raises:
            OSError: It cannot listen there.
        """

        def opener() -> list[list[socket.socket]]:
            return [[_open_file(path, backlog)]] * slots

        return cls(opener, opener(), path)

    @classmethod
    def on_given(
        cls, given: Sequence[socket.socket], backlog: int, slots: int
    ) -> Listening:
        """Listen on sockets that are there.

        Raises:
            OSError: One cannot listen.
        """
        for sock in given:
            sock.listen(backlog)
        return cls(None, [list(given)] * slots)

    @property
    def has_file(self) -> bool:
        """Whether they are Unix sockets whose file this removes."""
        return self._uds is not None

    def sockets(self) -> list[socket.socket]:
        """Each socket once."""
        return list(dict.fromkeys(sock for slot in self.slots for sock in slot))

    def close(self) -> None:
        """Close them in this process, and remove the file of a Unix socket."""
        if self._uds is not None and self._identity is not None:
            # While the socket is open, no other file can have its inode.
            if self._identity == _identity(self._uds):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._uds)
            self._identity = None
        for sock in self.sockets():
            sock.close()
        self.slots = []

    @property
    def reopens(self) -> bool:
        """Whether the sockets can be opened again, on the same port or file."""
        return self._opener is not None

    def reopen(self) -> None:
        """Open them again after :meth:`close`.

        Raises:
            OSError: Another program listens there now.
        """
        if self._opener is not None and not self.slots:
            self.slots = self._opener()
            self._note()

    def _note(self) -> None:
        # All processes share this flag: accept() of one that still accepts would block
        # its event loop while another starts.
        for sock in self.sockets():
            sock.setblocking(False)
        self._identity = None if self._uds is None else _identity(self._uds)


def activated_sockets() -> list[socket.socket]:
    """The sockets that systemd has passed to this process; none if it has not.

    The variables that announce them are removed, so that other processes do not take
    them for theirs.

    Raises:
        ValueError: One of them is not a listening stream socket.
    """
    pid = os.environ.get("LISTEN_PID", "")
    count = os.environ.get("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    found = []
    for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        try:
            os.set_inheritable(number, False)
            sock = socket.socket(fileno=number)
        except OSError as exc:
            raise ValueError(
                f"LISTEN_FDS={count}: descriptor {number} is no socket ({exc})"
            ) from None
        if sock.type != socket.SOCK_STREAM:
            raise ValueError(
                f"LISTEN_FDS={count}: descriptor {number} is no stream socket; write "
                "ListenStream= in the socket's unit"
            )
        found.append(sock)
    return found


def _open_apart(
    host: str | None, port: int, backlog: int, slots: int
) -> list[list[socket.socket]]:
    """Sockets for each slot on one port."""
    if port:
        # SO_REUSEPORT lets every program of this user share the port. One that listens
        # there already is an error, as it is without the option.
        _close(_open_port(host, port, None, reuse=False))
    opened: list[list[socket.socket]] = []
    try:
        for _ in range(slots):
            opened.append(_open_port(host, port, backlog, reuse=True))
            port = opened[0][0].getsockname()[1]
    except BaseException:
        for sockets in opened:
            _close(sockets)
        raise
    return opened


def _open_port(
    host: str | None, port: int, backlog: int | None, *, reuse: bool
) -> list[socket.socket]:
    """A socket for each address of a host, all on one port."""
    infos = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    infos = list(dict.fromkeys(infos))
    for attempt in range(ATTEMPTS):
        try:
            return _bind(infos, port, backlog, reuse)
        except OSError as exc:
            any_port = port == 0 and len(infos) > 1
            if exc.errno != errno.EADDRINUSE or not any_port or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError


def _bind(
    infos: list[Any], port: int, backlog: int | None, reuse: bool
) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    refused: OSError | None = None
    try:
        for family, kind, protocol, _, address in infos:
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as exc:  # a kernel without IPv6
                refused = exc
                continue
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind((address[0], port, *address[2:]))
            except OSError as exc:
                raise OSError(
                    exc.errno,
                    f"error while attempting to bind on address {address!r}: "
                    f"{(exc.strerror or str(exc)).lower()}",
                ) from None
            if not port:
                port = sock.getsockname()[1]
        if not sockets and refused is not None:
            raise refused
        if backlog is not None:
            for sock in sockets:
                sock.listen(backlog)
    except BaseException:
        _close(sockets)
        raise
    return sockets


def _open_file(path: str | os.PathLike[str], backlog: int) -> socket.socket:
    """A Unix socket, in the place of one that an earlier process has left."""
    name = os.fspath(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not name.startswith("\0"):
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(os.stat(name).st_mode):
                    os.remove(name)
        sock.bind(name)
        sock.listen(backlog)
    except OSError as exc:
        sock.close()
        raise OSError(exc.errno, exc.strerror or str(exc), name) from None
    return sock


def _close(sockets: Sequence[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except (OSError, ValueError):  # ValueError: an abstract socket of Linux
        return None
    return found.st_dev, found.st_ino
