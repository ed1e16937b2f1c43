"""What messages of other servers ask for, and the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from socketio_fast._core.engine.failures import ends_task, log_failure
from socketio_fast.adapters.messages import (
    EMITTER,
    Message,
    MessageType,
    event_of,
    rooms_of,
    scope_of,
    told_of,
)
from socketio_fast.adapters.requests import Request
from socketio_fast.managers.cluster import respond_to
from socketio_fast.sockets.acknowledgements import ASK_LIFETIME, AckForwarder
from socketio_fast.sockets.scope import Scope

if TYPE_CHECKING:
    from socketio_fast.adapters.cluster import ClusterAdapter

__all__ = ["handle"]


def handle(adapter: ClusterAdapter, message: Message, offset: str | None) -> None:
    """Do what a message of another server asks for.

    Args:
        adapter: The adapter of this server.
        message: The message.
        offset: Its place in the log of the engine, if it has one.

    Raises:
        KeyError: It lacks something.
        TypeError: Something in it has another type.
        ValueError: It has a type that there is not.
    """
    uid, namespace, kind = message["uid"], message["nsp"], message["type"]
    if not isinstance(uid, str) or not isinstance(namespace, str):
        raise TypeError("uid and nsp of a message are strings")
    if uid == adapter.uid and not message.get("undelivered"):
        return
    membership = adapter._memberships.get(namespace)
    if membership is None:
        return
    if adapter.heartbeats and uid != EMITTER:
        membership.servers[uid] = asyncio.get_running_loop().time()
    act = _ACTIONS.get(kind)
    if adapter.emits_only and kind in _FOR_SERVERS:
        return
    if kind == MessageType.BROADCAST:
        _on_broadcast(adapter, namespace, uid, message["data"], offset)
    elif act is not None:
        act(adapter, namespace, uid, message.get("data"))
    elif kind != MessageType.HEARTBEAT:
        raise ValueError(f"a message of the type {kind!r:.40}")


def _on_initial_heartbeat(
    adapter: ClusterAdapter, namespace: str, uid: str, data: Any
) -> None:
    if adapter.heartbeats:
        adapter._signal(namespace, MessageType.HEARTBEAT)


def _on_close(adapter: ClusterAdapter, namespace: str, uid: str, data: Any) -> None:
    adapter._gone(namespace, uid)


def _on_broadcast(
    adapter: ClusterAdapter, namespace: str, uid: str, data: Any, offset: str | None
) -> None:
    event, scope = event_of(data["packet"]), scope_of(data["opts"])
    flags = data["opts"].get("flags") or {}
    if data.get("requestId") is not None:
        _ask(adapter, namespace, uid, data, event, scope, flags)
        return
    ns = adapter._namespace(namespace)
    sessions = None if flags.get("volatile") else adapter._sessions
    if sessions is not None and offset is not None and ns is not None:
        recovery: Any = ns.recovery
        recovery.offset = offset
        sessions.seen(namespace, offset, event, scope)
    adapter._broadcast_here(
        event,
        namespace,
        scope,
        volatile=bool(flags.get("volatile")),
        compress=flags.get("compress") is not False,
    )


def _ask(
    adapter: ClusterAdapter,
    namespace: str,
    uid: str,
    data: dict[str, Any],
    event: list[Any],
    scope: Scope,
    flags: dict[str, Any],
) -> None:
    """Send an event of another server to clients that are to acknowledge it."""
    id, named = data["requestId"], bool(data.get("named"))
    timeout = flags.get("timeout")
    seconds = None if timeout is None else float(timeout) / 1000
    if seconds is not None and not 0 <= seconds <= ASK_LIFETIME:
        seconds = None

    def answered(sid: str, arguments: list[Any]) -> None:
        answer: dict[str, Any] = {"requestId": id}
        if arguments:
            answer["packet"] = arguments[0]
        if named:
            answer["sid"] = sid
            if len(arguments) != 1:
                answer["args"] = arguments
        _respond(adapter, namespace, uid, MessageType.BROADCAST_ACK, answer)

    def gone(sid: str) -> None:
        # Node's servers would take it for an answer.
        if named:
            answer = {"requestId": id, "gone": sid}
            _respond(adapter, namespace, uid, MessageType.BROADCAST_ACK, answer)

    forwarder = AckForwarder(answered, gone)
    ns = adapter._namespace(namespace)
    clients: list[Any] = []
    if ns is not None:
        skipped, compress = scope.skipped(ns), flags.get("compress") is not False
        clients = ns.rooms.ask(event, scope.to, skipped, forwarder, compress)
    answer = {"requestId": id, "clientCount": len(clients)}
    if named:
        answer["sids"] = [peer.sid for peer, _ in clients]
    _respond(adapter, namespace, uid, MessageType.BROADCAST_CLIENT_COUNT, answer)
    forwarder.wait(clients, seconds)


def _on_join(adapter: ClusterAdapter, namespace: str, uid: str, data: Any) -> None:
    options = {"rooms": rooms_of(data["rooms"])}
    adapter._change_here("join", namespace, scope_of(data["opts"]), options)


def _on_leave(adapter: ClusterAdapter, namespace: str, uid: str, data: Any) -> None:
    options = {"rooms": rooms_of(data["rooms"])}
    adapter._change_here("leave", namespace, scope_of(data["opts"]), options)


def _on_disconnect(
    adapter: ClusterAdapter, namespace: str, uid: str, data: Any
) -> None:
    options = {"close": bool(data.get("close"))}
    adapter._change_here("disconnect", namespace, scope_of(data["opts"]), options)


def _on_fetch(adapter: ClusterAdapter, namespace: str, uid: str, data: Any) -> None:
    found = adapter._fetch_here(namespace, scope_of(data["opts"]))
    answer = {"requestId": data["requestId"], "sockets": list(map(told_of, found))}
    kind = MessageType.FETCH_SOCKETS_RESPONSE
    try:
        adapter._send(namespace, kind, answer, uid)
    except (TypeError, ValueError, RecursionError) as exc:
        adapter._get_logger().warning(
            "the data of a client cannot be sent to another server: %s", exc
        )
        for socket in answer["sockets"]:
            socket["data"] = {}
        adapter._send(namespace, kind, answer, uid)


def _on_server_side_emit(
    adapter: ClusterAdapter, namespace: str, uid: str, data: Any
) -> None:
    event = data["packet"]
    if not isinstance(event, list) or not event or not isinstance(event[0], str):
        raise TypeError("the packet of a server-side event is [name, *arguments]")
    adapter._spawn(
        _call_listeners(adapter, namespace, uid, event, data.get("requestId")),
        "a listener of another server's event",
    )


async def _call_listeners(
    adapter: ClusterAdapter, namespace: str, uid: str, event: list[Any], id: Any
) -> None:
    value = await respond_to(adapter.server, namespace, event[0], event[1:])
    if id is not None:
        answer = {"requestId": id, "packet": value}
        adapter._send(namespace, MessageType.SERVER_SIDE_EMIT_RESPONSE, answer, uid)


def _respond(
    adapter: ClusterAdapter,
    namespace: str,
    uid: str,
    kind: MessageType,
    answer: dict[str, Any],
) -> None:
    """Send an answer of a client, which may be something that cannot be sent."""
    try:
        adapter._send(namespace, kind, answer, uid)
    except BaseException as exc:
        if ends_task(exc):
            raise
        log_failure(adapter._get_logger(), exc, "an answer was not published")


def _on_response(adapter: ClusterAdapter, namespace: str, uid: str, data: Any) -> None:
    request = adapter._requests.get(data["requestId"])
    if request is None or request.namespace != namespace:
        return
    if isinstance(request, Request):
        request.answered(uid, data)
    else:
        request.answered_by(uid, data)


Action = Callable[["ClusterAdapter", str, str, Any], None]

_ACTIONS: dict[Any, Action] = {
    MessageType.INITIAL_HEARTBEAT: _on_initial_heartbeat,
    MessageType.ADAPTER_CLOSE: _on_close,
    MessageType.SOCKETS_JOIN: _on_join,
    MessageType.SOCKETS_LEAVE: _on_leave,
    MessageType.DISCONNECT_SOCKETS: _on_disconnect,
    MessageType.FETCH_SOCKETS: _on_fetch,
    MessageType.SERVER_SIDE_EMIT: _on_server_side_emit,
    MessageType.FETCH_SOCKETS_RESPONSE: _on_response,
    MessageType.SERVER_SIDE_EMIT_RESPONSE: _on_response,
    MessageType.BROADCAST_CLIENT_COUNT: _on_response,
    MessageType.BROADCAST_ACK: _on_response,
}

# What an emitter has nothing to do with.
_FOR_SERVERS = {MessageType.BROADCAST} | {
    kind
    for kind, act in _ACTIONS.items()
    if act is not _on_response and kind != MessageType.ADAPTER_CLOSE
}
