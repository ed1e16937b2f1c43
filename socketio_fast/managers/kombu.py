"""RabbitMQ, and what else kombu knows: a fanout exchange, named by the channel."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from socketio_fast.managers.extras import require
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.sync import PubSubManager
from socketio_fast.options.logs import AnyLogger
from socketio_fast.overrides import refuse_overrides

__all__ = ["KombuManager"]

# Seconds to connect.
TIMEOUT = 5

# The class Outage decides when a broker that is away is tried again.
FAIL_AT_ONCE = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}

AMQP = re.compile("(py)?amqps?:")

# Seconds between two checks of a waiting thread whether it is to end.
POLL_INTERVAL = 1

HEARTBEAT = 30

# Methods of python-socketio's manager.
HELPERS = dict.fromkeys(("_producer_publish",), "override _publish() and _listen()")


class KombuManager(PubSubManager):
    """Clients of several processes that share an exchange of RabbitMQ, by kombu.

    Args:
        url: As ``kombu.Connection`` takes it.
        channel: The name of the exchange, the same in all processes.
        write_only: Whether this process only sends, with a server or without one.
        logger: The logger to use; by default the server's.
        json: What has ``dumps`` and ``loads``; by default JSON as clients get it.
        connection_options: Arguments for ``kombu.Connection()``.
        exchange_options: Arguments for ``kombu.Exchange()``.
        queue_options: Arguments for ``kombu.Queue()``.
        producer_options: Arguments for ``kombu.Producer()``.

    Raises:
        RuntimeError: kombu is not installed.
    """

    name = "kombu"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, HELPERS, unless=("_publish", "_listen"))

    def __init__(
        self,
        url: str = "amqp://guest:guest@localhost:5672//",
        channel: str = "socketio",
        write_only: bool = False,
        logger: AnyLogger | None = None,
        json: Any = None,
        connection_options: Mapping[str, Any] | None = None,
        exchange_options: Mapping[str, Any] | None = None,
        queue_options: Mapping[str, Any] | None = None,
        producer_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._kombu = require("kombu", "rabbitmq", type(self).__name__)
        super().__init__(channel, write_only, logger, json)
        self.url = url
        self.connection_options = dict(connection_options or {})
        self.exchange_options = dict(exchange_options or {})
        self.queue_options = dict(queue_options or {})
        self.producer_options = dict(producer_options or {})
        self._producer: Any = None

    def _connection(self, **defaults: Any) -> Any:
        options = {"connect_timeout": TIMEOUT, **defaults, **self.connection_options}
        options["transport_options"] = {
            **FAIL_AT_ONCE,
            # Without confirmations a message that is written to a connection that has
            # just broken would be lost silently.
            **({"confirm_publish": True} if AMQP.match(self.url) else {}),
            **options.get("transport_options", {}),
        }
        return self._kombu.Connection(self.url, **options)

    def _exchange(self) -> Any:
        options = {"type": "fanout", "durable": False, **self.exchange_options}
        return self._kombu.Exchange(self.channel, **options)

    def _queue(self) -> Any:
        # The queue is deleted with its connection, so it cannot fill up unread.
        options = {"durable": False, "exclusive": True, **self.queue_options}
        name = f"socketio_fast.{uuid.uuid4()}"
        return self._kombu.Queue(name, self._exchange(), **options)

    def _publish(self, data: dict[str, Any]) -> None:
        try:
            if self._producer is None:
                connection = self._connection()
                self._producer = connection.Producer(
                    exchange=self._exchange(), **self.producer_options
                )
            self._producer.publish(self._encode(data).decode())
        except BaseException:
            self._disconnect()
            raise

    def _after_fork(self) -> None:
        self._producer = None

    def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.connection.release()

    @released
    def _listen(self) -> Iterator[Any]:
        stop = self._stop_listening
        messages: list[Any] = []
        with (
            self._connection(heartbeat=HEARTBEAT) as connection,
            connection.Consumer(self._queue(), on_message=messages.append, no_ack=True),
        ):
            self._on_subscribed()
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=POLL_INTERVAL)
                if connection.supports_heartbeats:
                    connection.heartbeat_check()
                while messages:
                    yield self._payload(messages.pop(0))

    def _payload(self, message: Any) -> Any:
        try:
            return message.payload
        except self._kombu.exceptions.KombuError:
            return b""  # pickle or other bytes: not a message of ours
