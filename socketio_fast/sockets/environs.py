"""The handshake requests of connections, as a mapping that programs may change."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from socketio_fast._core.engine.session import Session

__all__ = ["Environs"]

Environ = dict[str, Any]


class Environs(MutableMapping[str, Environ]):
    """The handshake requests of an Engine.IO server's connections, by Engine.IO id.

    They are as they are now, and made when somebody asks. What is set for a connection
    is what its connect handlers get from then on; what is set for another id stays
    until it is deleted. A copy, also by :mod:`copy` or :mod:`pickle`, is a dict.

    Args:
        eio: The Engine.IO server.
    """

    def __init__(self, eio: Any) -> None:
        self._eio = eio
        self._deleted: WeakSet[Session] = WeakSet()
        # Environs of ids that are no connection's.
        self._others: dict[str, Environ] = {}

    def of(self, session: Session) -> Environ | None:
        """The environ of a connection; ``None`` if the program has deleted it."""
        if self._deleted and session in self._deleted:
            return None
        return session.environ

    def __getitem__(self, eio_sid: str) -> Environ:
        session = self._eio.sockets.get(eio_sid)
        if session is None:
            return self._others[eio_sid]
        environ = self.of(session)
        if environ is None:
            raise KeyError(eio_sid)
        return environ

    def __setitem__(self, eio_sid: str, environ: Environ) -> None:
        session = self._eio.sockets.get(eio_sid)
        if session is None:
            self._others[eio_sid] = environ
        else:
            session.environ = environ
            self._deleted.discard(session)

    def __delitem__(self, eio_sid: str) -> None:
        session = self._eio.sockets.get(eio_sid)
        if session is None:
            del self._others[eio_sid]
        elif session in self._deleted:
            raise KeyError(eio_sid)
        else:
            self._deleted.add(session)

    def __iter__(self) -> Iterator[str]:
        sockets = self._eio.sockets
        deleted = self._deleted
        here = [sid for sid, session in sockets.items() if session not in deleted]
        return iter([*here, *(sid for sid in self._others if sid not in sockets)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def copy(self) -> dict[str, Environ]:
        """A copy as a dict."""
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
