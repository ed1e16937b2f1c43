"""The server side of the Admin UI, for programs that are not asyncio's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from socketio_fast.admin.async_admin import InstrumentedAsyncServer

if TYPE_CHECKING:
    from socketio_fast.server import Server

__all__ = ["InstrumentedServer"]

T = TypeVar("T")


class InstrumentedServer:
    """A server that the Admin UI can look at; made by ``sio.instrument()``.

    Args:
        sio: The :class:`socketio_fast.Server`.
        auth: Who may log in, see :class:`~socketio_fast.admin.async_admin.\
InstrumentedAsyncServer`, as for what follows. A function is called in a thread of
            handlers.
        mode: See there.
        read_only: See there.
        server_id: See there.
        namespace: See there.
        server_stats_interval: See there.

    Raises:
        ValueError: An argument has a value that is not allowed.
        TypeError: ``auth`` is a coroutine function.
        RuntimeError: The server is instrumented already.
    """

    def __init__(
        self,
        sio: Server,
        auth: Mapping[str, Any]
        | Sequence[Mapping[str, Any]]
        | Callable[[Any], bool]
        | bool
        | None = None,
        mode: str = "development",
        read_only: bool = False,
        server_id: str | None = None,
        namespace: str = "/admin",
        server_stats_interval: float = 2,
    ) -> None:
        self.sio = sio
        self.auth = auth
        self._threads = sio._threads
        self._inner: InstrumentedAsyncServer = self._call(
            partial(
                InstrumentedAsyncServer,
                sio._server,
                auth=self._threads.adapt(auth) if callable(auth) else auth,
                namespace=namespace,
                read_only=read_only,
                server_id=server_id,
                mode=mode,
                server_stats_interval=server_stats_interval,
            )
        )
        self.admin_namespace = namespace
        self.read_only = read_only
        self.mode = mode
        self.server_stats_interval = server_stats_interval

    @property
    def server_id(self) -> str:
        """How the UI calls this server; a forked process is another."""
        return self._inner.server_id

    def instrument(self) -> None:
        """Open the namespace, and look on; the constructor calls it.

        Raises:
            RuntimeError: The server is instrumented already.
        """
        self._call(self._inner.instrument)

    def uninstrument(self) -> None:
        """Look on no more: disconnect the UIs and close the namespace."""
        self._call(self._inner.uninstrument)

    def shutdown(self) -> None:
        """Send no more figures, until the next client comes."""
        if self._threads.running:
            self._threads.run(self._inner.shutdown())

    def admin_connect(
        self, sid: str, environ: dict[str, Any], client_auth: Any
    ) -> None:
        """Let a UI in, or refuse it.

        Raises:
            ConnectionRefusedError: What it sent is not what ``auth`` wants.
        """
        self._threads.wait(self._inner.admin_connect(sid, environ, client_auth))

    def admin_emit(
        self, _: str, namespace: str, room_filter: str | None, event: str, *data: Any
    ) -> None:
        """Send an event to a room, a client or all."""
        self._threads.run(
            self._inner.admin_emit(_, namespace, room_filter, event, *data)
        )

    def admin_enter_room(
        self, _: str, namespace: str, room: str, room_filter: str | None = None
    ) -> None:
        """Put those of a room, a client or all into a room."""
        self._threads.run(self._inner.admin_enter_room(_, namespace, room, room_filter))

    def admin_leave_room(
        self, _: str, namespace: str, room: str, room_filter: str | None = None
    ) -> None:
        """Take those of a room, a client or all out of a room."""
        self._threads.run(self._inner.admin_leave_room(_, namespace, room, room_filter))

    def admin_disconnect(
        self, _: str, namespace: str, close: bool, room_filter: str | None = None
    ) -> None:
        """Disconnect those of a room, a client or all; see the asynchronous one."""
        self._threads.wait(
            self._inner.admin_disconnect(_, namespace, close, room_filter)
        )

    def serialize_socket(
        self, sid: str, namespace: str, eio_sid: str | None = None
    ) -> dict[str, Any]:
        """A client in a namespace, as the UI wants it.

        Raises:
            KeyError: The client is not connected.
        """
        return self._call(self._inner.serialize_socket, sid, namespace, eio_sid)

    def _call(self, function: Callable[..., T], *args: Any) -> T:
        """Call it where the clients are; before there can be any, here."""
        if self._threads.running:
            return self._threads.ask(function, *args)
        return function(*args)
