"""Messages of other processes, and acknowledgements by their clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from socketio_fast._core.engine.failures import contain
from socketio_fast._core.socketio.acks import Reply
from socketio_fast.exceptions import TimeoutError
from socketio_fast.managers.messages import unpack
from socketio_fast.sockets.scope import Scope

if TYPE_CHECKING:
    from socketio_fast.managers.pubsub import AsyncPubSubManager

__all__ = ["RemoteCallbacks", "receive"]

Message = dict[str, Any]
Callback = Callable[..., Any]

# Seconds that clients of other processes have to acknowledge. Without a limit callbacks
# would be kept for ever, since no message tells that such a client has disconnected.
CALLBACK_LIFETIME = 3600
# Acknowledgements by clients of other processes that are waited for, at most.
MAX_CALLBACKS = 100_000


class RemoteCallbacks:
    """Callbacks for acknowledgements by clients of other processes.

    The manager's ``callbacks`` has them, by number: the time until which each is kept,
    and the function.

    Args:
        manager: The manager that sends the events.
    """

    def __init__(self, manager: AsyncPubSubManager) -> None:
        self._manager = manager
        # No callback that is still kept has a lower number.
        self._first = 1
        self._warned = False

    def add(self, number: int, callback: Callback) -> None:
        """Keep a callback; drop those that are too old, and the oldest of too many."""
        callbacks = self._manager.callbacks
        now = time.monotonic()
        # A dict has its items in the order in which they were added.
        while callbacks:
            oldest = self._oldest()
            if len(callbacks) >= MAX_CALLBACKS:
                self._give_up(oldest)
            elif callbacks[oldest][0] <= now:
                del callbacks[oldest]
            else:
                break
        callbacks[number] = (now + CALLBACK_LIFETIME, callback)
        if isinstance(callback, Reply):
            callback.number = number

    def _oldest(self) -> int:
        # next(iter(callbacks)) would search past the places of all deleted items.
        while self._first not in self._manager.callbacks:
            self._first += 1
        return self._first

    def _give_up(self, number: int) -> None:
        """Wait no more for an acknowledgement, because too many are waited for."""
        manager = self._manager
        _, callback = manager.callbacks.pop(number)
        if not self._warned:
            self._warned = True
            manager._get_logger().warning(
                "more than %d acknowledgements of clients of other processes are "
                "waited for on %s channel %r: the oldest are given up",
                MAX_CALLBACKS,
                manager.name,
                manager.channel,
            )
        if isinstance(callback, Reply):
            callback.give_up(
                TimeoutError(
                    "another process has not acknowledged, and this one waits for "
                    f"more than {MAX_CALLBACKS} acknowledgements"
                )
            )


def receive(manager: AsyncPubSubManager, message: Message | str | bytes) -> None:
    """Do what a message asks for; something else than a message is logged once."""
    logger = manager._get_logger()
    if not isinstance(message, dict):
        try:
            message = manager.json.loads(message)
        except Exception:  # RecursionError too, and whatever other JSON raises
            message = {}
    if not isinstance(message, dict) or "method" not in message:
        if not manager._refused:
            manager._refused = True
            logger.warning(
                "what is not a JSON object with a method is ignored on %s channel "
                "%r, such as what python-socketio before 5.14 sends",
                manager.name,
                manager.channel,
            )
        return
    method = message["method"]
    logger.debug("pubsub message: %s", method)
    own = message.get("host_id") == manager.host_id
    if own is not (method == "callback"):
        return
    try:
        handle = _HANDLERS.get(method)
        if handle is None:
            logger.warning("unknown pubsub method %r", method)
        else:
            handle(manager, message)
    except (KeyError, TypeError, ValueError) as exc:
        logger.warning("pubsub message %r refused: %r", method, exc)
    except BaseException as exc:
        loop = asyncio.get_running_loop()
        contain(loop, logger, exc, "pubsub message %r failed", (method,))


def _on_emit(manager: AsyncPubSubManager, message: Message) -> None:
    namespace = message.get("namespace") or "/"
    args = unpack(message["data"], message.get("binary"))
    # python-socketio writes [None] for no arguments.
    data = [message["event"], *([] if args == [None] else args)]
    if "excepted" in message:
        manager._broadcast_here(
            data,
            namespace,
            Scope.of([message.get("room") or [], message["excepted"]]),
            volatile=message["volatile"],
            compress=message["compress"],
        )
        return
    callback = None
    answer = message.get("callback")
    if answer is not None:
        room, name, number = answer
        callback = partial(
            manager._return_callback, message["host_id"], room, name, number
        )
    manager._emit_here(
        data, namespace, message.get("room"), message.get("skip_sid"), callback
    )


def _on_callback(manager: AsyncPubSubManager, message: Message) -> None:
    args = message["args"]
    if message.get("attachments"):
        args = unpack([args, *message["attachments"]], True)
    manager._spawn(
        manager.trigger_callback(message["sid"], message["id"], args),
        "callback of an acknowledgement",
    )


def _on_disconnect(manager: AsyncPubSubManager, message: Message) -> None:
    manager._disconnect_client(message["sid"], message.get("namespace") or "/")


def _on_enter_room(manager: AsyncPubSubManager, message: Message) -> None:
    namespace = message.get("namespace") or "/"
    if manager.is_sid_room(namespace, message["sid"]):
        manager.basic_enter_room(message["sid"], namespace, message["room"])


def _on_leave_room(manager: AsyncPubSubManager, message: Message) -> None:
    namespace = message.get("namespace") or "/"
    manager.basic_leave_room(message["sid"], namespace, message["room"])


def _on_close_room(manager: AsyncPubSubManager, message: Message) -> None:
    manager.basic_close_room(message["room"], message.get("namespace") or "/")


def _on_cluster(manager: AsyncPubSubManager, message: Message) -> None:
    manager.cluster.receive(message)


_HANDLERS: dict[str, Callable[[AsyncPubSubManager, Message], None]] = {
    "bye": _on_cluster,
    "change": _on_cluster,
    "heartbeat": _on_cluster,
    "hello": _on_cluster,
    "request": _on_cluster,
    "response": _on_cluster,
    "server_side_emit": _on_cluster,
    "callback": _on_callback,
    "close_room": _on_close_room,
    "disconnect": _on_disconnect,
    "emit": _on_emit,
    "enter_room": _on_enter_room,
    "leave_room": _on_leave_room,
}
