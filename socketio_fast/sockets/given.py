"""What dependencies of handlers get by the names and types of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from socketio_fast.exceptions import DisconnectedError
from socketio_fast.handlers.checked import valid_auth
from socketio_fast.handlers.dependencies import Given
from socketio_fast.handlers.injection import HandlerCall
from socketio_fast.handlers.models import Check
from socketio_fast.sockets.handshake import Handshake
from socketio_fast.sockets.namespace import SocketNamespace
from socketio_fast.sockets.socket import Socket

if TYPE_CHECKING:
    from socketio_fast.async_server import AsyncServer
    from socketio_fast.base_server import BaseServer

__all__ = ["given_by"]


def given_by(
    server: BaseServer,
    inner: AsyncServer,
    socket: type[Any],
    facade: Callable[[Socket], Any],
) -> Mapping[str, Given]:
    """The values that dependencies of a server's handlers get, by name.

    Args:
        server: The server that handlers are registered with.
        inner: The same, or the one that it drives.
        socket: The class of its sockets.
        facade: Makes an object of this class.
    """

    def async_socket(call: HandlerCall) -> Socket:
        peer = _peer(call)
        if peer.socket is not None:
            return cast("Socket", peer.socket)
        name = call.namespace
        if server._has_handlers(name):
            return inner.of(name)._socket(peer)
        # Only handlers of "*" have it. of() would keep it without clients.
        return SocketNamespace(inner, name, core=peer.namespace)._socket(peer)

    return {
        "sid": Given(lambda call: call.sid, (str,)),
        "session": Given(_session, (dict,)),
        "environ": Given(_environ, (dict,)),
        "handshake": Given(
            lambda call: async_socket(call).handshake, (Handshake,), by_type=True
        ),
        "auth": Given(_auth, validates=True),
        "socket": Given(
            lambda call: facade(async_socket(call)), (socket,), by_type=True
        ),
        "sio": Given(lambda call: server, (type(server),), by_type=True),
        "namespace": Given(lambda call: call.namespace, (str,)),
        "event": Given(lambda call: call.name, (str,)),
        "arguments": Given(lambda call: call.arguments, (tuple,)),
    }


def _peer(call: HandlerCall) -> Any:
    peer = call.server._peer(call.sid, call.namespace)
    if peer is None:
        gone = call.server._gone(call.sid, call.namespace)
        raise DisconnectedError(f"handler of {call.name!r}: {gone}")
    return peer


def _session(call: HandlerCall) -> Any:
    _peer(call)
    return call.server._get_session(call.sid, call.namespace)


def _environ(call: HandlerCall) -> Any:
    if call.name == "connect" and call.arguments:
        return call.arguments[0]
    return call.server.get_environ(call.sid, call.namespace)


def _auth(call: HandlerCall, check: Check | None = None) -> Any:
    auth = _peer(call).auth
    if check is None:
        return auth
    return valid_auth(check, auth, connects=call.name == "connect")
