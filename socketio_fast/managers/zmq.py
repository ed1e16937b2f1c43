"""ZeroMQ: a broker that pulls from all processes, and publishes to all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from socketio_fast.managers.extras import require
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.sync import PubSubManager
from socketio_fast.options.logs import AnyLogger

__all__ = ["ZmqManager"]

# Milliseconds to send a message.
TIMEOUT = 2000

# Milliseconds between two checks of a waiting thread whether it is to end.
POLL_INTERVAL = 1000


class ZmqManager(PubSubManager):
    """Clients of several processes that share a broker of ZeroMQ.

    The broker is a program of yours::

        import zmq

        context = zmq.Context()
        receiver, publisher = context.socket(zmq.PULL), context.socket(zmq.PUB)
        receiver.bind("tcp://*:5555")
        publisher.bind("tcp://*:5556")
        zmq.proxy(receiver, publisher)

    Args:
        url: ``zmq+tcp://host:port1+port2``: where it pulls, and where it publishes.
        channel: A name, the same in all processes.
        write_only: Whether this process only sends, with a server or without one.
        logger: The logger to use; by default the server's.
        json: What has ``dumps`` and ``loads``; by default JSON as clients get it.

    Raises:
        ValueError: The URL is another.
        RuntimeError: pyzmq is not installed.
    """

    name = "zmq"

    def __init__(
        self,
        url: str = "zmq+tcp://localhost:5555+5556",
        channel: str = "socketio",
        write_only: bool = False,
        logger: AnyLogger | None = None,
        json: Any = None,
    ) -> None:
        match = re.fullmatch(r"zmq\+(tcp://.+):(\d+)\+(\d+)", url)
        if match is None:
            raise ValueError(f"url={url!r}: zmq+tcp://host:port1+port2 expected")
        self._zmq = require("zmq", "zmq", type(self).__name__)
        self._monitor = require("zmq.utils.monitor", "zmq", type(self).__name__)
        super().__init__(channel, write_only, logger, json)
        self._sink_url = f"{match[1]}:{match[2]}"
        self._source_url = f"{match[1]}:{match[3]}"
        self._sink: Any = None
        # Of its own, so that _disconnect() may wait for what it has to send.
        self._context: Any = None

    def _publish(self, data: dict[str, Any]) -> None:
        zmq = self._zmq
        if self._sink is None:
            self._context = zmq.Context()
            sink = self._context.socket(zmq.PUSH)
            sink.setsockopt(zmq.LINGER, TIMEOUT)
            sink.setsockopt(zmq.SNDTIMEO, TIMEOUT)
            # Fails if no broker is connected, instead of queueing for a later one.
            sink.setsockopt(zmq.IMMEDIATE, 1)
            sink.connect(self._sink_url)
            self._sink = sink
        message = {"type": "message", "channel": self.channel, "data": data}
        self._sink.send(self._encode(message))

    def _after_fork(self) -> None:
        self._sink = self._context = None

    def _disconnect(self) -> None:
        """Returns when all has left, after ``TIMEOUT`` milliseconds at the latest."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()
            self._context.term()

    @released
    def _listen(self) -> Iterator[Any]:
        zmq = self._zmq
        stop = self._stop_listening
        with zmq.Context.instance().socket(zmq.SUB) as source:
            # ZeroMQ would connect again without an error.
            gone = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
            monitor = source.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | gone)
            source.setsockopt(zmq.SUBSCRIBE, b"")
            source.connect(self._source_url)
            poller = zmq.Poller()
            poller.register(source, zmq.POLLIN)
            poller.register(monitor, zmq.POLLIN)
            try:
                while not stop.is_set():
                    ready = dict(poller.poll(POLL_INTERVAL))
                    if source in ready:
                        message = self._decode(source.recv())
                        if message is not None:
                            yield message
                    elif monitor in ready:
                        event = self._monitor.recv_monitor_message(monitor)["event"]
                        if event & gone:
                            raise ConnectionError(f"no broker at {self._source_url}")
                        self._on_subscribed()
            finally:
                source.disable_monitor()
                monitor.close()

    def _decode(self, text: bytes) -> Any:
        """What a message carries, ``None`` if it is for another channel."""
        try:
            message = self.json.loads(text)
        except Exception:  # RecursionError too, and whatever other JSON raises
            return text  # it is refused as no message
        if not isinstance(message, dict) or message.get("type") != "message":
            return text
        return message.get("data") if message.get("channel") == self.channel else None
