"""The server class for Flask-SocketIO, which uses more than python-socketio's API.

Flask-SocketIO passes options of its own to the server, and its ``test_client()`` calls
private methods of python-socketio.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import socketio_fast
from socketio_fast.engineio.packet import MESSAGE, Packet
from socketio_fast.server import Server

if TYPE_CHECKING:
    from socketio_fast.testing import Connection

__all__ = ["CHANGES", "FlaskServer"]


class FlaskServer(Server):
    """The server of a ``flask_socketio.SocketIO``.

    Flask-SocketIO's test clients become clients in this process that exchange real
    packets with the server. As with python-socketio, a method of a test client returns
    when the handlers that it has started have ended, and raises what a handler raised.

    Args:
        message_queue: Ignored: Flask-SocketIO has made the ``client_manager`` from it.
        channel: Ignored, like ``message_queue``.
        **options: The options of :class:`~socketio_fast.Server`.
    """

    def __init__(
        self, message_queue: Any = None, channel: Any = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._connections: dict[str, Connection] = {}
        self._handle_eio_connect = self._test_connect
        self._handle_eio_message = self._test_message
        # A test client replaces this function, to receive what is sent to it.
        self._send_eio_packet: Callable[[str, Packet], object] = lambda *args: None

    @property
    def async_handlers(self) -> Any:
        """See :class:`~socketio_fast.Server`.

        Setting it has no effect. Test clients set it to ``False`` to have handlers
        ended when their methods return, which is so in any case.
        """
        return super().async_handlers

    @async_handlers.setter
    def async_handlers(self, value: Any) -> None:
        pass

    def emit(self, *args: Any, **options: Any) -> None:
        """See :meth:`socketio_fast.Server.emit`.

        Test clients have received the event when this returns.
        """
        super().emit(*args, **options)
        if self._connections:
            from socketio_fast.testing import settle

            self._threads.run(settle())

    def _test_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        """Called by a test client before it connects to a namespace."""
        if eio_sid not in self._connections:
            connection = _connection(self, eio_sid, environ)
            make_id = self.eio.generate_id
            self.eio.generate_id = lambda: eio_sid  # type: ignore[method-assign]
            try:
                self._threads.wait(connection.__aenter__())
            finally:
                self.eio.generate_id = make_id  # type: ignore[method-assign]
            self._connections[eio_sid] = connection
        known = self.eio.sockets[eio_sid].environ
        known.clear()
        known.update(environ)

    def _test_message(self, eio_sid: str, message: str | bytes) -> None:
        """Called by a test client with a packet, or with an attachment of one."""
        connection = self._connections[eio_sid]
        with ExitStack() as stack:
            errors = _Errors(stack, self.logger, self.eio.logger)
            self._threads.wait(self._send_and_handle(connection, message))
        if errors.found:
            raise errors.found[0]

    async def _send_and_handle(
        self, connection: Connection, message: str | bytes
    ) -> None:
        from socketio_fast.testing import settle

        eio = self._server.eio
        before = eio.handler_tasks()
        await connection.send(f"4{message}" if isinstance(message, str) else message)
        while started := eio.handler_tasks() - before:
            await asyncio.wait(started)
            await settle()


def _connection(
    server: FlaskServer, eio_sid: str, environ: dict[str, Any]
) -> Connection:
    from socketio_fast import testing

    class TestConnection(testing.Connection):
        def _on_message(self, message: str | bytes) -> None:
            server._send_eio_packet(eio_sid, Packet(MESSAGE, message))

    headers = {
        name.removeprefix("HTTP_").replace("_", "-").title(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and name != "HTTP_HOST"
    }
    query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    return TestConnection(server._server, headers=headers, query=query)


class _Errors(logging.Handler):
    """Collects the exceptions that loggers get until the stack is closed."""

    def __init__(self, stack: ExitStack, *loggers: logging.Logger) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []
        for logger in loggers:
            logger.addHandler(self)
            stack.callback(logger.removeHandler, self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception of a record."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self.found.append(error)


class _SocketIO(ModuleType):
    """What Flask-SocketIO gets for ``socketio``: this package with FlaskServer."""

    Server = FlaskServer

    def __getattr__(self, name: str) -> Any:
        return getattr(socketio_fast, name)


def _change(flask_socketio: ModuleType) -> None:
    flask_socketio.socketio = _SocketIO("socketio")  # type: ignore[attr-defined]


#: For each module that must be changed, the function that changes it after loading.
CHANGES: dict[str, Callable[[ModuleType], None]] = {"flask_socketio": _change}
