"""RabbitMQ: a server that is killed and comes back; what else is on the exchange."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
import kombu
import pytest
from support.brokers import RabbitMQ
from support.waiting import until, within

from managers.conftest import Connect
from socketio_fast import AsyncAioPikaManager, AsyncServer, KombuManager

Node = Callable[[Any], Awaitable[tuple[AsyncServer, str]]]


@pytest.mark.timeout(120)
async def test_a_broker_that_is_killed_and_comes_back(
    mortal_rabbitmq: RabbitMQ,
    node: Node,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = mortal_rabbitmq.url
    one, url1 = await node(AsyncAioPikaManager(url))
    two, url2 = await node(KombuManager(url))
    managers: list[Any] = [one.manager, two.manager]
    a, b = await connect(url1), await connect(url2)
    for sio in (one, two):
        await sio.emit("e", 1)
        assert [await a.next(), await b.next()] == [("e", 1)] * 2

    caplog.clear()
    mortal_rabbitmq.kill()
    await until(lambda: all(manager._receiving.lasts for manager in managers))
    for sio, client in ((one, a), (two, b)):
        for number in range(3):
            await within(sio.emit("e", number))
            assert await client.next() == ("e", number)
    assert [manager.lost_messages for manager in managers] == [3, 3]
    await asyncio.to_thread(mortal_rabbitmq.start)
    for manager in managers:
        await asyncio.wait_for(manager._subscribed.wait(), 60)
    for sio in (one, two):
        await sio.emit("e", "back")
        assert [await a.next(), await b.next()] == [("e", "back")] * 2
    await until(lambda: not any(manager._publishing.lasts for manager in managers))
    assert [manager.lost_messages for manager in managers] == [3, 3]
    logged = [
        r.getMessage() for r in caplog.records if r.name == "socketio_fast.server"
    ]
    for name in ("asyncaiopika", "kombu"):
        for text in ("cannot receive from", "cannot publish to"):
            assert sum(f"{text} {name}" in line for line in logged) == 1
        assert f"can receive from {name} again" in logged
        assert f"can publish to {name} again, 3 messages are lost" in logged


async def test_what_is_not_ours_on_the_exchange(
    rabbitmq: RabbitMQ, node: Node, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    _, url = await node(KombuManager(rabbitmq.url, channel="shared"))
    client = await connect(url)

    def publish() -> None:
        with kombu.Connection(rabbitmq.url) as connection:
            exchange = kombu.Exchange("shared", type="fanout", durable=False)
            producer = connection.Producer(exchange=exchange)
            producer.publish({"method": "emit"}, serializer="pickle")
            producer.publish(
                {"method": "emit", "event": "e", "data": [1], "host_id": "h"},
                serializer="json",
                compression="gzip",
            )

    await asyncio.to_thread(publish)
    await client.nothing_before("e", 1)
    assert "is ignored on kombu channel 'shared'" in caplog.text


async def test_options_are_those_of_kombu(rabbitmq: RabbitMQ, node: Node) -> None:
    manager = KombuManager(
        rabbitmq.url,
        channel="durable",
        connection_options={"heartbeat": 7},
        exchange_options={"durable": True},
        queue_options={"exclusive": False, "expires": 60},
        producer_options={"compression": "gzip"},
    )
    sio, _ = await node(manager)
    await sio.emit("e", "x" * 100)
    assert manager.lost_messages == 0
    connection = await aio_pika.connect(rabbitmq.url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("durable", ensure=True)
        assert exchange.name == "durable"
        with pytest.raises(aio_pika.exceptions.ChannelPreconditionFailed):
            await channel.declare_exchange("durable", "fanout", durable=False)


def test_other_transports_of_kombu() -> None:
    manager = KombuManager("memory://", write_only=True)
    manager.emit("e", 1)
    assert manager.lost_messages == 0
    manager.close()


async def test_a_broker_that_is_away_is_not_waited_for() -> None:
    for kind in (AsyncAioPikaManager, KombuManager):
        manager: Any = kind("amqp://guest:guest@127.0.0.1:1//", write_only=True)
        manager = getattr(manager, "async_manager", manager)
        await within(manager.emit("e", None))
        await within(manager.emit("e", None))
        assert manager.lost_messages == 2
        await manager.close()


def test_servers_log_to_their_own_logger() -> None:
    logger = logging.getLogger("mine")
    for kind in (AsyncAioPikaManager, KombuManager):
        assert kind(write_only=True, logger=logger)._get_logger() is logger
        sio = AsyncServer(client_manager=kind(), logger=logger)
        assert sio.manager._get_logger() is logger
