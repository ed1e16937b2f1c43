"""The server side of the Admin UI, for programs that do not use asyncio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from socketio_fast.admin.async_admin import InstrumentedAsyncServer
from socketio_fast.threads.methods import Facade, changes, like, reads, runs, waits

if TYPE_CHECKING:
    from socketio_fast.server import Server

__all__ = ["InstrumentedServer"]


class InstrumentedServer(Facade):
    """A server that the Admin UI can look at; made by ``sio.instrument()``.

    Args:
        sio: The :class:`socketio_fast.Server`.
        auth: Who may log in, see :class:`~socketio_fast.admin.async_admin.\
InstrumentedAsyncServer`, also for the next ones. A function is called in a thread
            of handlers.
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
        self._inner: InstrumentedAsyncServer = self._change(
            InstrumentedAsyncServer,
            sio._server,
            auth=self._threads.adapt(auth) if callable(auth) else auth,
            namespace=namespace,
            read_only=read_only,
            server_id=server_id,
            mode=mode,
            server_stats_interval=server_stats_interval,
        )
        self.admin_namespace = namespace
        self.read_only = read_only
        self.mode = mode
        self.server_stats_interval = server_stats_interval

    server_id = reads(InstrumentedAsyncServer, lambda admin: admin.server_id)
    instrument = changes(InstrumentedAsyncServer.instrument)
    uninstrument = changes(InstrumentedAsyncServer.uninstrument)
    admin_connect = waits(InstrumentedAsyncServer.admin_connect)
    admin_emit = runs(InstrumentedAsyncServer.admin_emit)
    admin_enter_room = runs(InstrumentedAsyncServer.admin_enter_room)
    admin_leave_room = runs(InstrumentedAsyncServer.admin_leave_room)
    admin_disconnect = waits(InstrumentedAsyncServer.admin_disconnect)
    serialize_socket = changes(InstrumentedAsyncServer.serialize_socket)

    @like(InstrumentedAsyncServer.shutdown)
    def shutdown(self) -> None:
        if self._threads.running:
            self._run(self._inner.shutdown())
