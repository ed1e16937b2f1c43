"""RabbitMQ by aio_pika: a fanout exchange that is named by the channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from socketio_fast.managers.extras import require
from socketio_fast.managers.lifetime import released
from socketio_fast.managers.pubsub import AsyncPubSubManager
from socketio_fast.options.logs import AnyLogger
from socketio_fast.overrides import refuse_overrides

__all__ = ["AsyncAioPikaManager"]

# Seconds to connect, and to get an answer.
TIMEOUT = 5

# Methods of python-socketio's manager.
HELPERS = dict.fromkeys(
    ("_channel", "_connection", "_exchange", "_queue"),
    "override _publish() and _listen()",
)


class AsyncAioPikaManager(AsyncPubSubManager):
    """Clients of several processes that share an exchange of RabbitMQ, by aio_pika.

    Args:
        url: As ``aio_pika.connect()`` takes it.
        channel: The name of the exchange, the same in all processes.
        write_only: Whether this process only sends, with a server or without one.
        logger: The logger to use; by default the server's.
        json: What has ``dumps`` and ``loads``; by default JSON as clients get it.

    Raises:
        RuntimeError: aio_pika is not installed.
    """

    name = "asyncaiopika"

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
    ) -> None:
        self._aio_pika = require("aio_pika", "aio-pika", type(self).__name__)
        super().__init__(channel, write_only, logger, json)
        self.url = url

    def _reset(self) -> None:
        super()._reset()
        self._publisher: Any = None  # its connection
        self._exchange: Any = None

    async def _connect(self) -> Any:
        return await self._aio_pika.connect(self.url, timeout=TIMEOUT)

    async def _declare(self, channel: Any) -> Any:
        return await channel.declare_exchange(
            self.channel, self._aio_pika.ExchangeType.FANOUT
        )

    async def _publish(self, data: dict[str, Any]) -> None:
        message = self._aio_pika.Message(body=self._encode(data))
        try:
            if self._publisher is None:
                self._publisher = await self._connect()
                self._exchange = await self._declare(await self._publisher.channel())
            await self._exchange.publish(message, routing_key="*", timeout=TIMEOUT)
        except BaseException:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()

    @released
    async def _listen(self) -> AsyncIterator[bytes]:
        async with await self._connect() as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(await self._declare(channel))
            async with queue.iterator(no_ack=True) as messages:
                self._on_subscribed()
                async for message in messages:
                    yield message.body
