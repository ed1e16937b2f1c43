"""JetStreamAdapter, on a real NATS server."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from typing import Any

import nats as nats_py
import pytest
from support.brokers import NATS
from support.waiting import until, within

from adapters.in_memory import known
from adapters.test_nats import Servers
from adapters.test_streams_recovery import travellers
from socketio_fast import AsyncServer, testing
from socketio_fast.adapters import AsyncEmitter, JetStreamAdapter

__all__ = ["travellers"]

MEMORY = {"storage": "memory"}


@pytest.fixture
async def servers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    """A factory: ``one, other = await servers(url, 2)``, which know of each other."""
    monkeypatch.setattr("socketio_fast.adapters.cluster.DISCOVERY_TIME", 0)
    running: list[AsyncServer] = []

    async def start(url: Any, count: int = 1, **options: Any) -> list[AsyncServer]:
        made = [
            AsyncServer(
                client_manager=JetStreamAdapter(url, **options),
                connection_state_recovery=True,
            )
            for _ in range(count)
        ]
        for sio in made:
            running.append(sio)
            sio.of("/")
            sio.bind(asyncio.get_running_loop())
        for sio in made:
            await within(known(sio, count))
        return made

    yield start
    for sio in running:
        await sio.unbind()


def adapter_of(sio: AsyncServer) -> JetStreamAdapter:
    assert isinstance(sio.manager, JetStreamAdapter)
    return sio.manager


async def test_a_client_that_goes_to_another_server(
    nats: NATS, servers: Servers, travellers: Any
) -> None:
    one, other = await servers(nats.url, 2)
    back = travellers()
    assert not await back.connect(one)
    sid = back.client.sid
    await one.save_session(sid, {"user": "u"})
    await one.enter_room(sid, "r")
    await other.emit("first", 1)
    assert await back.until("first", 1) == [("first", 1)]
    await one.emit("own", 2, to=sid)
    assert await back.until("own", 2) == [("own", 2)]
    await back.lose()
    await one.emit("missed", b"\0", to="r")
    await adapter_of(one).flushed()
    await one.emit("not for it", to="q")
    await one.emit("skipped", skip_sid=sid)
    await other.emit("missed", "text")
    await one.volatile.emit("volatile")
    await adapter_of(other).flushed()
    async with AsyncEmitter(JetStreamAdapter(nats.url)) as emitter:
        await emitter.emit("by an emitter")
    for sio in (one, other):
        await adapter_of(sio).flushed()
    assert await back.connect(other)
    assert back.client.sid == sid
    missed = back.read()
    assert missed == [("missed", b"\0"), ("missed", "text"), ("by an emitter",)]
    assert set(other.rooms(sid)) == {sid, "r"}
    assert await other.get_session(sid) == {"user": "u"}
    await one.emit("later", to="r")
    await one.emit("last", to=sid)
    assert await back.until("last") == [("later",), ("last",)]
    # And back again; what it knows is good for one server.
    await back.lose()
    await adapter_of(other).flushed()
    thief = travellers()
    thief.auth = dict(back.auth)
    assert await back.connect(one)
    assert not await thief.connect(other)


async def test_each_event_once_and_in_order(
    nats: NATS, servers: Servers, travellers: Any
) -> None:
    """While servers emit, a client goes from one to the other and back."""
    one, other = await servers(nats.url, 2)
    back = travellers()
    await back.connect(one)
    stopped = False

    async def emit() -> int:
        i = 0
        while not stopped:
            await one.emit("e", i)
            i += 1
            await asyncio.sleep(0.002)
        return i

    emitting = asyncio.ensure_future(emit())
    for sio in (other, one) * 3:
        await until(back.read)
        await back.lose()
        await until(lambda: not back.client.connected)
        await adapter_of(one).flushed()
        await adapter_of(other).flushed()
        assert await back.connect(sio)
    stopped = True
    count = await emitting
    await until(lambda: back.read() or len(back.got) == count)
    await until(lambda: len(back.got) + len(back.read()) >= count)
    assert back.got == [("e", i) for i in range(count)]


@pytest.mark.parametrize(
    "offset", ["", "x", "00000000-1", "0" * 1000, "\0", "deadbeef-99999999999999999999"]
)
async def test_offsets_that_are_none(
    nats: NATS, servers: Servers, travellers: Any, offset: str
) -> None:
    (sio,) = await servers(nats.url)
    back = travellers()
    await back.connect(sio)
    await sio.emit("e")
    await back.until("e")
    await back.lose()
    await adapter_of(sio).flushed()
    back.auth["offset"] = offset
    assert not await back.connect(sio)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_is_lost_while_nats_is_away(
    mortal_nats: NATS, servers: Servers, number: signal.Signals
) -> None:
    one, other = await servers(mortal_nats.url, 2)
    adapters = [adapter_of(one), adapter_of(other)]
    async with testing.client(one) as here, testing.client(other) as there:
        await one.emit("e", 0)
        assert (await there.expect("e"))[0] == 0
        assert (await here.expect("e"))[0] == 0
        mortal_nats.stop(number)
        await until(lambda: not any(adapter.healthy for adapter in adapters))
        for i in range(1, 300):
            await one.emit("e", i)
            assert (await here.expect("e"))[0] == i
        await until(lambda: adapters[0]._publishing.lasts)
        await one.volatile.emit("volatile")
        await until(lambda: adapters[0].lost_messages > 0)
        mortal_nats.start()
        for i in range(1, 300):
            assert (await there.expect("e", timeout=20))[0] == i
        await until(lambda: all(adapter.healthy for adapter in adapters))
        await one.emit("last")
        await there.expect("last")
        assert [event.name for event in there.received] == []


async def test_a_server_that_was_away_reads_on(nats: NATS, servers: Servers) -> None:
    one, other = await servers(nats.url, 2)
    async with testing.client(other) as there:
        adapter = adapter_of(other)
        await adapter._nats._client.close()
        await until(lambda: not adapter.healthy)
        for i in range(100):
            await one.emit("e", i)
        for i in range(100):
            assert (await there.expect("e"))[0] == i


async def test_a_stream_that_was_made_anew(
    nats: NATS, servers: Servers, travellers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"stream_name": "anew", "subject_prefix": "anew"}
    (sio,) = await servers(nats.url, **options, max_len=5, stream_options=MEMORY)
    client = await nats_py.connect(nats.url)
    js = client.jetstream()
    info = await js.stream_info("anew")
    assert (info.config.max_msgs, info.config.storage) == (5, "memory")
    back = travellers()
    await back.connect(sio)
    await sio.emit("e")
    await back.until("e")
    await back.lose()
    # More events than are kept.
    for _ in range(10):
        await sio.emit("e")
    await adapter_of(sio).flushed()
    assert not await back.connect(sio)
    adapter_of(sio)._position = 1
    with caplog.at_level(logging.WARNING):
        await adapter_of(sio)._nats._client.close()
        await until(lambda: "of the stream anew were dropped" in caplog.text)
    await until(lambda: adapter_of(sio).healthy)
    await js.delete_stream("anew")
    await adapter_of(sio)._nats._client.close()
    await until(lambda: not adapter_of(sio).healthy)
    await until(lambda: adapter_of(sio).healthy)
    await sio.emit("new")
    await back.until("new")
    await client.close()


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stream_name='a\.b': letters, digits"):
        JetStreamAdapter(stream_name="a.b")
    with pytest.raises(ValueError, match="max_age=0: more than 0 seconds"):
        JetStreamAdapter(max_age=0)
    with pytest.raises(ValueError, match="max_len=0: a whole number above 0"):
        JetStreamAdapter(max_len=0)
    with pytest.raises(ValueError, match="has no subscription_mode"):
        JetStreamAdapter(subscription_mode="static")


async def test_a_log_that_falls_silent(
    nats: NATS, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NATS may lose what reads the log for a server, and say nothing."""
    monkeypatch.setattr("socketio_fast.adapters.jetstream.LOG_HEARTBEAT", 0.2)
    monkeypatch.setattr("socketio_fast.adapters.jetstream.LOG_TIMEOUT", 0.6)
    monkeypatch.setattr("socketio_fast.adapters.nats.PING_INTERVAL", 0.1)
    (sio,) = await servers(nats.url, stream_name="silent", subject_prefix="silent")
    client = await nats_py.connect(nats.url)
    js = client.jetstream()
    async with testing.client(sio) as here:
        for consumer in await js.consumers_info("silent"):
            await js.delete_consumer("silent", consumer.name)
        await sio.emit("e", 1)
        assert (await here.expect("e"))[0] == 1
    await client.close()


async def test_an_emitter_without_a_stream(
    nats: NATS, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = JetStreamAdapter(nats.url, subject_prefix="nobody")
    async with AsyncEmitter(adapter) as emitter:
        await emitter.volatile.emit("e")
    assert "cannot publish to jetstream (NoStreamResponseError" in caplog.text
    assert adapter.lost_messages == 1
