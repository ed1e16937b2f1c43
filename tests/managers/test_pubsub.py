"""What every manager of several processes does, with brokers in this one."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from datetime import date
from typing import Any

import pytest
from support.waiting import until, within

from managers.in_process import Broker, Connect, Manager, Node, Threaded, broker
from socketio_fast import AsyncServer, exceptions
from socketio_fast.managers import received as pubsub

__all__ = ["broker"]


# --- messages -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "packed", "binary"),
    [
        (None, [None], False),
        ("text", ["text"], False),
        ([1, 2], [[1, 2]], False),
        (("a", {"b": 1}), ["a", {"b": 1}], False),
        ((), [], False),
        (b"\x00", [[{"_placeholder": True, "num": 0}], "AA=="], True),
        (
            ({"a": [b"1", bytearray(b"2")]}, memoryview(b"3")),
            [
                [
                    {
                        "a": [
                            {"_placeholder": True, "num": 0},
                            {"_placeholder": True, "num": 1},
                        ]
                    },
                    {"_placeholder": True, "num": 2},
                ],
                *("MQ==", "Mg==", "Mw=="),
            ],
            True,
        ),
    ],
)
async def test_what_emit_publishes(
    broker: Broker, data: Any, packed: Any, binary: bool
) -> None:
    manager = Manager(broker, write_only=True)
    await manager.emit("e", data, room="r", skip_sid={"s"})
    assert broker.published == [
        {
            "method": "emit",
            "event": "e",
            "data": packed,
            "binary": binary,
            "namespace": "/",
            "room": "r",
            "skip_sid": ["s"],
            "callback": None,
            "host_id": manager.host_id,
        }
    ]


async def test_what_the_other_methods_publish(broker: Broker) -> None:
    manager = Manager(broker, write_only=True)
    await manager.disconnect("s", None)
    assert not await manager.can_disconnect("s", "/n")
    await manager.enter_room("s", None, "r")
    await manager.leave_room("s", "/n", 5)
    await manager.close_room("r")
    host = {"host_id": manager.host_id}
    assert broker.published == [
        {"method": "disconnect", "sid": "s", "namespace": "/", **host},
        {"method": "disconnect", "sid": "s", "namespace": "/n", **host},
        {"method": "enter_room", "sid": "s", "room": "r", "namespace": "/", **host},
        {"method": "leave_room", "sid": "s", "room": 5, "namespace": "/n", **host},
        {"method": "close_room", "room": "r", "namespace": "/", **host},
    ]


async def test_what_is_for_this_process_alone_is_not_published(broker: Broker) -> None:
    sio = AsyncServer(client_manager=Manager(broker))
    await sio.emit("e", ignore_queue=True)
    await sio.disconnect("nobody", ignore_queue=True)
    await sio.manager.disconnect("nobody", "/", ignore_queue=True)
    assert broker.published == []


async def test_a_callback_needs_a_room_and_a_server(broker: Broker) -> None:
    manager = Manager(broker)
    with pytest.raises(RuntimeError, match="from the context of a server"):
        await manager.emit("e", None, room="r", callback=print)
    AsyncServer(client_manager=manager)
    with pytest.raises(ValueError, match="Cannot use callback without a room set"):
        await manager.emit("e", None, callback=print)
    assert broker.published == []


async def test_json_is_as_clients_get_it_or_as_asked_for(broker: Broker) -> None:
    """What a client of this process can be sent, others can."""
    value = {"day": date(2026, 1, 2), "é": 2**70, 1: float("nan")}
    text = Manager(broker)._encode(value)
    assert text.decode() == '{"day":"2026-01-02","é":1180591620717411303424,"1":null}'

    class Spaced:
        dumps = staticmethod(lambda value: json.dumps(value, indent=1))
        loads = staticmethod(json.loads)

    class Bytes:
        dumps = staticmethod(lambda value: json.dumps(value).encode())
        loads = staticmethod(json.loads)

    assert Manager(broker, json=Spaced)._encode({"a": 1}) == b'{\n "a": 1\n}'
    assert Manager(broker, json=Bytes)._encode({"a": 1}) == b'{"a": 1}'
    manager = Manager(broker)
    AsyncServer(client_manager=manager, json=Spaced)
    assert manager._encode({"a": 1}) == b'{\n "a": 1\n}'
    manager = Manager(broker, json=Bytes)
    AsyncServer(client_manager=manager, json=Spaced)
    assert manager._encode({"a": 1}) == b'{"a": 1}'


async def test_what_is_no_json_is_the_callers_error(broker: Broker) -> None:
    manager = Manager(broker, write_only=True)
    with pytest.raises(TypeError):
        await manager.emit("e", object())
    assert manager.lost_messages == 0


# --- two servers ----------------------------------------------------------------


async def test_events_reach_the_clients_of_both(
    broker: Broker, node: Node, connect: Connect
) -> None:
    """A12: events reach the clients of both."""
    (one, url1), (_, url2) = await node(Manager(broker)), await node(Manager(broker))
    a, b = await connect(url1), await connect(url2)
    for data, args in [
        (None, ()),
        ((None,), ()),
        ("x", ("x",)),
        ((1, [b"2"]), (1, [b"2"])),
        ((), ()),
        ({"a": None}, ({"a": None},)),
        ([None], ([None],)),
    ]:
        await one.emit("e", data)
        assert await a.next() == ("e", *args)
        assert await b.next() == ("e", *args)
    await one.emit("e", 1, skip_sid=[b.sid])
    await one.emit("e", 2, to=[a.sid, b.sid], skip_sid=a.sid)
    assert await a.next() == ("e", 1)
    await b.nothing_before("e", 2)


async def test_rooms_of_clients_elsewhere(
    broker: Broker, node: Node, connect: Connect
) -> None:
    (one, url1), (_, url2) = await node(Manager(broker)), await node(Manager(broker))
    a, b = await connect(url1), await connect(url2)
    await one.enter_room(a.sid, "x")
    await one.enter_room(b.sid, "x")
    await one.enter_room(b.sid, "y")
    await one.emit("e", 1, room=["x", "y"])
    assert await a.next() == ("e", 1)
    assert await b.next() == ("e", 1)
    assert await b.call("rooms") == sorted([b.sid, "x", "y"])
    await one.leave_room(b.sid, "y")
    await one.emit("e", 2, room="y")
    await one.close_room("x")
    await one.emit("e", 3, room="x")
    await one.emit("end", to=b.sid)
    await b.nothing_before("end")
    assert await a.call("rooms") == [a.sid]
    assert await b.call("rooms") == [b.sid]


async def test_disconnecting_a_client_elsewhere(
    broker: Broker, node: Node, connect: Connect
) -> None:
    (one, url1), (two, url2) = await node(Manager(broker)), await node(Manager(broker))
    reasons: list[str] = []
    two.on("disconnect", lambda sid, reason: reasons.append(reason))
    a, b = await connect(url1), await connect(url2)
    await one.disconnect(b.sid)
    await within(b.ended.wait())
    assert reasons == ["server disconnect"]
    assert not a.ended.is_set()
    c = await connect(url2)
    await one.manager.disconnect(c.sid, "/")
    await within(c.ended.wait())


async def test_acknowledgements_come_home(
    broker: Broker, node: Node, connect: Connect
) -> None:
    """A17: acknowledgements come home."""
    (one, url1), (_, url2) = await node(Manager(broker)), await node(Manager(broker))
    a, b = await connect(url1), await connect(url2)
    for client in (a, b):
        assert await one.call("double", 21, to=client.sid, timeout=5) == 42
        assert await one.call("bytes", to=client.sid) == (b"\x00\x01", {"a": b"b"})
        answers: asyncio.Queue[Any] = asyncio.Queue()
        await one.emit("double", 1, to=client.sid, callback=answers.put_nowait)
        assert await within(answers.get()) == 2
        awaited: asyncio.Queue[Any] = asyncio.Queue()
        await one.emit("double", 2, to=client.sid, callback=awaited.put)
        assert await within(awaited.get()) == 4
    assert one.manager.callbacks == {}


async def test_the_first_to_answer_of_a_room_is_heard(
    broker: Broker, node: Node, connect: Connect
) -> None:
    (one, url1), (_, url2) = await node(Manager(broker)), await node(Manager(broker))
    clients = [await connect(url) for url in (url1, url2, url2)]
    for client in clients:
        await one.enter_room(client.sid, "x")
    answers: list[int] = []
    await one.emit("double", 1, room="x", callback=answers.append)
    for client in clients:
        # Its acknowledgement of the first has come before that of this.
        assert await one.call("double", 2, to=client.sid) == 4
    assert answers == [2]
    assert one.manager.callbacks == {}


async def test_nobody_waits_for_what_nobody_answers(
    broker: Broker, node: Node, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one, url1), (_, url2) = await node(Manager(broker)), await node(Manager(broker))
    a, b = await connect(url1), await connect(url2)
    for sid in (a.sid, b.sid, "nobody"):
        with pytest.raises(exceptions.TimeoutError, match="did not acknowledge"):
            await one.call("silent", to=sid, timeout=0.05)
    assert one.manager.callbacks == {}
    with pytest.raises(exceptions.CallDisconnectedError):
        await one.call("silent", to="nobody", ignore_queue=True)
    # One of this process is known to have gone; of others it takes a while.
    call = asyncio.ensure_future(one.call("silent", to=a.sid))
    await one.emit("silent", to=a.sid, callback=print)
    await a.close()
    with pytest.raises(exceptions.CallDisconnectedError):
        await within(call)
    assert one.manager.callbacks == {}
    for lifetime, count in ((-1, 1), (pubsub.CALLBACK_LIFETIME, 3)):
        monkeypatch.setattr(pubsub, "CALLBACK_LIFETIME", lifetime)
        for _ in range(3):
            await one.emit("silent", to=b.sid, callback=print)
        assert len(one.manager.callbacks) == count


async def test_what_waits_for_other_processes_is_bounded(
    broker: Broker,
    node: Node,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The oldest is given up: a warning says so, and `call()` raises."""
    (one, _), (_, url) = await node(Manager(broker)), await node(Manager(broker))
    client = await connect(url)
    monkeypatch.setattr(pubsub, "MAX_CALLBACKS", 3)
    call = asyncio.ensure_future(one.call("silent", to=client.sid, timeout=None))
    await until(lambda: one.manager.callbacks)
    for _ in range(10):
        await one.emit("silent", to=client.sid, callback=print)
    with pytest.raises(exceptions.TimeoutError, match="more than 3 acknowledgements"):
        await within(call)
    assert len(one.manager.callbacks) == 3
    assert await one.call("double", 1, to=client.sid) == 2
    assert len(one.manager.callbacks) == 2
    assert caplog.text.count("the oldest are given up") == 1


async def test_a_callback_that_fails_is_logged(
    broker: Broker, node: Node, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    (one, _), (_, url) = await node(Manager(broker)), await node(Manager(broker))
    client = await connect(url)

    def fail(*args: Any) -> None:
        raise LookupError("mine")

    await one.emit("double", 1, to=client.sid, callback=fail)
    assert await one.call("double", 1, to=client.sid) == 2
    assert "callback of an acknowledgement failed" in caplog.text
    assert "LookupError: mine" in caplog.text


async def test_an_overridden_emit_sees_what_call_sends(
    broker: Broker, node: Node, connect: Connect
) -> None:
    seen: list[str] = []

    class Watching(Manager):
        async def emit(self, event: str, *args: Any, **kwargs: Any) -> None:
            seen.append(event)
            await super().emit(event, *args, **kwargs)

    one, url = await node(Watching(broker))
    client = await connect(url)
    assert await one.call("double", 1, to=client.sid) == 2
    assert seen == ["double"]


# --- what comes from elsewhere --------------------------------------------------


async def test_what_is_no_message_is_refused(
    broker: Broker, node: Node, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    _, url = await node(Manager(broker))
    client = await connect(url)
    emit = {"method": "emit", "event": "e", "host_id": "h"}
    for message in [
        b"\x80\x04\x95\x00pickle.",
        "not JSON",
        "[" * 100_000,
        "5",
        "{}",
        {"method": "unknown", "host_id": "h"},
        {"method": "emit", "host_id": "h"},
        {**emit, "data": [[{"_placeholder": True, "num": 9}], ""], "binary": True},
        {**emit, "data": [[{"_placeholder": True, "num": 0}], "*"], "binary": True},
        {**emit, "data": ["x"], "callback": [1]},
        {"method": "enter_room", "host_id": "h"},
        {"method": "close_room", "room": client.sid, "host_id": "h"},
        {"method": "callback", "sid": "s", "id": 1, "args": [], "host_id": "other"},
    ]:
        broker.deliver(message)
    broker.deliver({**emit, "data": ["NaN"]})
    broker.deliver(b'{"method":"emit","event":"n","data":[NaN],"host_id":"h"}')
    await client.nothing_before("e", "NaN")
    assert await client.next() == ("n",)
    assert await client.call("rooms") == [client.sid]
    assert "cannot receive" not in caplog.text
    # Once, however many come.
    assert caplog.text.count("such as what python-socketio before 5.14 sends") == 1
    assert caplog.text.count("refused") == 6
    assert "unknown pubsub method 'unknown'" in caplog.text


async def test_an_answer_nobody_waits_for_is_ignored(
    broker: Broker, node: Node, connect: Connect
) -> None:
    one, url = await node(Manager(broker))
    client = await connect(url)
    manager = one.manager
    assert isinstance(manager, Manager)
    answer = {"method": "callback", "sid": client.sid, "id": 99, "args": []}
    broker.deliver({**answer, "host_id": manager.host_id})
    broker.deliver({**answer, "host_id": manager.host_id, "id": []})
    broker.deliver({"method": "emit", "event": "e", "data": [], "host_id": "h"})
    await client.nothing_before("e")


# --- subclasses whose methods block ---------------------------------------------


async def test_blocking_methods_run_in_threads(
    broker: Broker, node: Node, connect: Connect
) -> None:
    manager = Threaded(broker)
    (one, url1), (_, url2) = await node(manager), await node(Manager(broker))
    a, b = await connect(url1), await connect(url2)
    await one.emit("e", b"1", skip_sid=a.sid)
    assert await b.next() == ("e", b"1")
    assert manager.threads == {"socketio_fast-pubsub_0"}
    manager.incoming.put(json.dumps(broker.published[0] | {"host_id": "h"}))
    manager.incoming.put(broker.published[0] | {"host_id": "h", "skip_sid": None})
    await a.nothing_before("e", b"1")
    assert manager.lost_messages == 0
    manager.incoming.put(None)  # so that its thread ends


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit])
async def test_what_a_message_raises_does_not_end_the_subscription(
    broker: Broker, node: Node, connect: Connect, error: type[BaseException]
) -> None:
    manager = Manager(broker)
    _, url = await node(manager)
    client = await connect(url)
    emit, errors = manager._emit_here, [error()]

    def once(*args: Any) -> Any:
        if errors:
            raise errors.pop()
        return emit(*args)

    manager._emit_here = once  # type: ignore[method-assign]
    message = {"method": "emit", "event": "e", "data": 1, "host_id": "h"}
    for number in range(2):
        broker.deliver(json.dumps(message | {"data": number}))
    assert await client.next() == ("e", 1)
    assert manager.listened == 1


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="3.10 does not say who has cancelled"
)
async def test_what_publishing_raises_concerns_that_message_alone(
    broker: Broker, node: Node
) -> None:
    sio, _ = await node(Manager(broker))
    broker.away = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await sio.emit("e", 1)
    with pytest.raises(asyncio.CancelledError):
        await sio.server_count()
    broker.away = None
    await sio.emit("e", 2)
    sent = [message["data"] for message in broker.published if "data" in message]
    assert sent == [[2]]
    assert await sio.server_count() == 1


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="3.10 does not say who has cancelled"
)
async def test_a_broker_that_raises_cancelled_error_is_asked_again(
    broker: Broker, node: Node, connect: Connect
) -> None:
    manager = Manager(broker)
    _, url = await node(manager)
    client = await connect(url)
    manager._receiving.failed = lambda error, logger: 0  # type: ignore[method-assign]
    manager._subscribed.clear()
    broker.deliver(asyncio.CancelledError())
    await within(manager._subscribed.wait())
    message = {"method": "emit", "event": "e", "data": 1, "host_id": "h"}
    broker.deliver(json.dumps(message))
    assert await client.next() == ("e", 1)


async def test_a_thread_that_fails_is_started_again(
    broker: Broker, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    manager = Threaded(broker)
    await node(manager)
    inner = manager.async_manager
    inner._receiving.failed = lambda error, logger: 0  # type: ignore[method-assign]
    for message in (OSError("away"), None, SystemExit(1)):
        inner._subscribed.clear()
        manager.incoming.put(message)
        await within(inner._subscribed.wait())
    manager.incoming.put(None)


def test_one_that_only_sends_needs_no_loop(broker: Broker) -> None:
    manager = Threaded(broker, write_only=True)
    manager.emit("e", 1, to="r")
    threads = [
        threading.Thread(target=manager.emit, args=("t", number)) for number in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manager.disconnect("s")
    manager.enter_room("s", "/", "r")
    manager.leave_room("s", "/", "r")
    manager.close_room("r")
    assert not manager.can_disconnect("s", "/")
    assert [message["method"] for message in broker.published] == [
        *["emit"] * 6,
        *("disconnect", "enter_room", "leave_room", "close_room", "disconnect"),
    ]
    assert broker.published[0]["room"] == "r"
    assert broker.published[0]["host_id"] == manager.host_id
    assert sorted(m["data"][0] for m in broker.published[1:6]) == [0, 1, 2, 3, 4]
    assert dict(manager.rooms) == {}
    with pytest.raises(TypeError):
        manager.emit("e", object())
    broker.away = OSError("away")
    manager.emit("e", 1)
    assert manager.lost_messages == 1
    manager.close()
