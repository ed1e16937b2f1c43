"""Kafka, by kafka-python: a topic that is named by the channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from socketio_fast.managers.extras import require
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.sync import PubSubManager
from socketio_fast.options.logs import AnyLogger
from socketio_fast.overrides import refuse_overrides

__all__ = ["KafkaManager"]

SCHEME = "kafka://"

# Seconds for the broker to take a message.
TIMEOUT = 5

# Milliseconds between two checks of a waiting thread whether it is to end.
POLL_INTERVAL = 1000

# Methods of python-socketio's manager.
HELPERS = dict.fromkeys(("_kafka_listen",), "override _publish() and _listen()")


class KafkaManager(PubSubManager):
    """Clients of several processes that share a topic of Kafka.

    Args:
        url: ``kafka://host:port``, or a list of them; ``kafka://`` is
            ``localhost:9092``.
        channel: The name of the topic, the same in all processes.
        write_only: Whether this process only sends, with a server or without one.
        logger: The logger to use; by default the server's.
        json: What has ``dumps`` and ``loads``; by default JSON as clients get it.

    Raises:
        ValueError: The URL has another scheme.
        RuntimeError: kafka-python is not installed.
    """

    name = "kafka"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, HELPERS, unless=("_publish", "_listen"))

    def __init__(
        self,
        url: str | Sequence[str] = "kafka://localhost:9092",
        channel: str = "socketio",
        write_only: bool = False,
        logger: AnyLogger | None = None,
        json: Any = None,
    ) -> None:
        urls = [url] if isinstance(url, str) else list(url)
        for item in urls:
            if not item.startswith(SCHEME):
                raise ValueError(f"url={item!r}: {SCHEME}host:port expected")
        self._kafka = require("kafka", "kafka", type(self).__name__)
        super().__init__(channel, write_only, logger, json)
        self.kafka_urls = [
            item.removeprefix(SCHEME) or "localhost:9092" for item in urls
        ]
        #: The producer of kafka-python; ``None`` before it is used.
        self.producer: Any = None

    def _publish(self, data: dict[str, Any]) -> None:
        try:
            if self.producer is None:
                self.producer = self._kafka.KafkaProducer(
                    bootstrap_servers=self.kafka_urls,
                    max_block_ms=TIMEOUT * 1000,
                    **self._options(self._kafka.KafkaProducer),
                )
            self.producer.send(self.channel, self._encode(data)).get(TIMEOUT)
        except BaseException:
            self._disconnect()
            raise

    def _options(self, kind: Any) -> dict[str, Any]:
        # New in version 3, and half a minute by default.
        name = "bootstrap_timeout_ms"
        return {name: TIMEOUT * 1000} if name in kind.DEFAULT_CONFIG else {}

    def _after_fork(self) -> None:
        self.producer = None

    def _disconnect(self) -> None:
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.close(timeout=TIMEOUT)

    @released
    def _listen(self) -> Iterator[bytes]:
        stop = self._stop_listening
        consumer = self._kafka.KafkaConsumer(
            self.channel,
            bootstrap_servers=self.kafka_urls,
            **self._options(self._kafka.KafkaConsumer),
        )
        try:
            while not stop.is_set():
                batches = consumer.poll(timeout_ms=POLL_INTERVAL)
                if consumer.assignment():
                    self._on_subscribed()
                for records in batches.values():
                    for record in records:
                        yield record.value
        finally:
            consumer.close()
